"""The folder of one structure's calculations: one process at a time, and none left over."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

#: Variable that marks the processes of an attempt.
MARK = "HEA_FLOWS_ATTEMPT"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a structure's folder, so that two workers never label it at once."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Make a folder the current one and mark the processes that are started there."""
    before = Path.cwd()
    os.chdir(folder)
    os.environ[MARK] = str(folder)
    try:
        yield
    finally:
        os.environ.pop(MARK)
        os.chdir(before)


def end_orphans(folder: Path) -> None:
    """Kill the marked processes of this host in a folder: VASP outlives a killed worker."""
    resolved = folder.resolve()
    killed = []
    for process in psutil.process_iter():
        try:
            folder_of_process = Path(process.cwd())
            ours = (
                resolved in (folder_of_process, *folder_of_process.parents)
                and MARK in process.environ()
            )
        except (psutil.Error, OSError):
            continue
        if ours and process.pid != os.getpid():
            process.kill()
            killed.append(process)
    psutil.wait_procs(killed, timeout=30)
