"""The folder of one structure's calculations: one process at a time, and none left over."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a structure's folder, so that two workers never label it at once."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def end_orphans(folder: Path) -> None:
    """Kill the processes of this host that run in a folder: VASP outlives a worker's SIGKILL."""
    resolved = folder.resolve()
    found = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            where = Path(process.cwd())
        except (psutil.Error, OSError):
            continue
        if resolved in (where, *where.parents):
            process.kill()
            found.append(process)
    psutil.wait_procs(found, timeout=30)
