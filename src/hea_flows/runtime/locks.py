"""Locks that let only one process at a time work on a run, such as a training."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hea_flows.runtime.walltime import OutOfTimeError, seconds_left, too_late

#: Seconds between two attempts.
_POLL = 1.0


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Lock a run's folder; wait while another process, on any host that sees it, holds the lock.

    The operating system releases the lock when its process ends, however it ends. The lock file
    lies beside the folder and stays there.

    Parameters
    ----------
    folder
        Folder of the run; it is not created.

    Raises
    ------
    OutOfTimeError
        If the batch job ends before the lock is free.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("a") as handle:
        while not try_lock(handle.fileno()):
            if too_late(left := seconds_left()):
                msg = f"{left:.0f} s are left and another process works in {folder}"
                raise OutOfTimeError(msg)
            time.sleep(_POLL)
        yield


def try_lock(handle: int) -> bool:
    """Lock an open file for this process; return False if another process holds the lock."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # the second on network file systems
        return False
    return True
