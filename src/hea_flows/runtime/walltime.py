"""How long the batch job that this process runs in may go on."""

from __future__ import annotations

import os
import time
from typing import ClassVar, TypeGuard

#: Another step begins only where this many times a usual one, and these seconds, are left.
MARGIN, RESERVE = 1.5, 30.0


class OutOfTimeError(Exception):
    """A calculation was stopped before the time limit; the next batch job goes on with it.

    A worker leaves then: the job that goes on would be stopped here again, and again.
    """

    #: Whether this process has made one.
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
    """Say whether the batch job ends before another step would.

    Parameters
    ----------
    left
        `seconds_left`.
    usual
        What a step takes (s).
    """
    return left is not None and left < MARGIN * usual + RESERVE
