"""One process at a time works on one and the same run: a training, or the chains of a sampling."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hea_flows.runtime.walltime import OutOfTimeError, seconds_left, too_late

#: Seconds between two looks.
_POLL = 1.0


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a run's folder; wait while another process, of any host that sees it, does.

    The system releases it when the process that holds it ends, however it ends. The lock lies
    beside the folder, whose content is the run's own, and stays there.

    Parameters
    ----------
    folder
        Folder of the run; it is not made.

    Raises
    ------
    OutOfTimeError
        If the batch job ends while the other still works.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("a") as handle:
        while not _taken(handle.fileno()):
            if too_late(left := seconds_left()):
                msg = f"{left:.0f} s are left and another process works in {folder}"
                raise OutOfTimeError(msg)
            time.sleep(_POLL)
        yield


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # the second on file systems of a network
        return False
    return True
