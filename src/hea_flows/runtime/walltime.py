"""Time that is left to the batch job of this process."""

from __future__ import annotations

import os
import time
from typing import ClassVar, TypeGuard

#: A step starts only if `MARGIN` times its usual duration plus `RESERVE` seconds are left.
MARGIN, RESERVE = 1.5, 30.0


class OutOfTimeError(Exception):
    """A calculation stopped before the time limit; the next batch job continues it.

    A worker then exits: it would only stop the continuation again.
    """

    #: Whether one was raised in this process.
    happened: ClassVar[bool] = False

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        OutOfTimeError.happened = True


def seconds_left() -> float | None:
    """Return the seconds until the batch system ends this job; None where there is no limit.

    Read from ``SLURM_JOB_END_TIME`` (seconds since the epoch), which SLURM or the submit script
    sets.
    """
    end = os.environ.get("SLURM_JOB_END_TIME", "")
    return float(end) - time.time() if end.isdigit() else None


def too_late(left: float | None, usual: float = 0.0) -> TypeGuard[float]:
    """Return whether the batch job ends before another step would.

    Parameters
    ----------
    left
        Seconds left, from `seconds_left`; None: no limit.
    usual
        Usual duration of a step (s).
    """
    return left is not None and left < MARGIN * usual + RESERVE
