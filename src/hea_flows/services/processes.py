"""Which processes of this host are alive, though numbers are used again and hosts restart."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from hea_flows.services.batch import BatchJob

_PROC = Path("/proc")


def is_alive(pid: int, argument: str = "") -> bool:
    """Return whether a process runs and, where /proc tells, has an argument in its command line."""
    if not (_PROC / "self").exists():
        return _answers(pid)
    if _state(pid) in {"", "Z", "X"}:
        return False
    try:
        command = (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return False
    return not argument or os.fsencode(argument) in command.split(b"\0")


@dataclass(frozen=True)
class ProcessMark:
    """What tells a process from every other one of its host, before and after.

    Parameters
    ----------
    host
        Name of the host.
    pid
        Number of the process.
    boot
        Identity of the host's boot, empty where it is unknown.
    started
        Start of the process in clock ticks since that boot, 0 where it is unknown.
    batch
        The job of SLURM that it is in, or None.
    """

    host: str
    pid: int
    boot: str = ""
    started: int = 0
    batch: BatchJob | None = None

    @classmethod
    def of_this(cls) -> Self:
        """Mark this process."""
        pid = os.getpid()
        return cls(socket.gethostname(), pid, boot_id(), _started(pid), BatchJob.current())

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self | None:
        """Read a mark back; None if it is none."""
        try:
            batch = BatchJob.from_dict(data.get("batch"))
            process = str(data["host"]), int(data["pid"]), str(data["boot"]), int(data["started"])
            return cls(*process, batch)
        except (KeyError, TypeError, ValueError):
            return None

    @property
    def here(self) -> bool:
        """Whether it was a process of this host."""
        return self.host == socket.gethostname()

    @property
    def alive(self) -> bool:
        """Whether the process runs; only a mark of this host can be asked.

        Raises
        ------
        ValueError
            If it is a process of another host.
        """
        if not self.here:
            msg = f"process {self.pid} is one of {self.host}, this is {socket.gethostname()}"
            raise ValueError(msg)
        if self.boot != boot_id():
            return False
        return is_alive(self.pid) and _started(self.pid) == self.started


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the name, which may hold blanks."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _state(pid: int) -> str:
    return next(iter(_stat(pid)), "")


def _started(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[19]) if len(fields) > 19 else 0  # field 22 of proc(5)


def boot_id() -> str:
    """Return what tells this boot of the kernel from every other, or an empty string."""
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
