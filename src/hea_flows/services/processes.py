"""Check which processes of this host are alive, though pids are reused and hosts reboot."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from hea_flows.services.batch import BatchJob

_PROC = Path("/proc")


def is_alive(pid: int, argument: str = "") -> bool:
    """Return whether a process runs and, where /proc exists, has `argument` on its command line."""
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
class ProcessIdentity:
    """Identity of a process that no other process shares, on any host, before or after.

    Parameters
    ----------
    host
        Name of the host.
    pid
        Process id.
    boot
        Id of the host's boot; empty if unknown.
    started
        Start of the process in clock ticks since that boot; 0 if unknown.
    batch
        SLURM job of the process, or None.
    """

    host: str
    pid: int
    boot: str = ""
    started: int = 0
    batch: BatchJob | None = None

    @classmethod
    def current(cls) -> Self:
        """Return the identity of this process."""
        pid = os.getpid()
        return cls(socket.gethostname(), pid, boot_id(), _started(pid), BatchJob.current())

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self | None:
        """Read an identity back; None if `data` holds none."""
        try:
            batch = BatchJob.from_dict(data.get("batch"))
            process = str(data["host"]), int(data["pid"]), str(data["boot"]), int(data["started"])
            return cls(*process, batch)
        except (KeyError, TypeError, ValueError):
            return None

    @property
    def on_this_host(self) -> bool:
        """Whether it is a process of this host."""
        return self.host == socket.gethostname()

    @property
    def alive(self) -> bool:
        """Whether the process runs; only processes of this host can be asked.

        Raises
        ------
        ValueError
            If it is a process of another host.
        """
        if not self.on_this_host:
            msg = f"process {self.pid} runs on {self.host}, this is {socket.gethostname()}"
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
    """Return the fields of /proc/PID/stat after the program name, which may hold blanks."""
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
    """Return the id of this boot of the kernel, or an empty string."""
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
