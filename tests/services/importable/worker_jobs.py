"""Jobs that a worker process can import."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

from jobflow import Flow, Response, job

from hea_flows.runtime.walltime import OutOfTimeError


@job
def append(path: str, line: str, after: object = None) -> str:
    with Path(path).open("a") as file:
        file.write(f"{line}\n")
    return line


@job
def append_slowly(path: str, line: str, marker: str, after: object = None) -> str:
    """Sleep for long the first time only, then append."""
    if not Path(marker).exists():
        partial = Path(f"{marker}.partial")
        partial.write_text(str(os.getpid()))
        partial.replace(marker)  # whoever waits for it finds it whole
        time.sleep(60)
    with Path(path).open("a") as file:
        file.write(f"{line}\n")
    return line


@job
def grow(path: str, n: int) -> Response:
    """Add n jobs while running."""
    return Response(replace=Flow([append(path, f"grown {i}") for i in range(n)]))


@job
def run_out_of_time(path: str) -> Response:
    """Stop before the time limit; a new job goes on."""
    assert not OutOfTimeError.happened
    OutOfTimeError("0 s are left")
    return Response(replace=append(path, "went on"))


@job
def fail(text: str) -> None:
    raise RuntimeError(text)


@job(data="big")
def big(n: int) -> dict[str, object]:
    return {"small": n, "big": list(range(n))}


@job
def same(value: object) -> object:
    return value


@job
def need_space(path: str, marker: str) -> None:
    """Find the disk full once."""
    if not Path(marker).exists():
        Path(marker).touch()
        msg = "it cannot be saved"
        raise RuntimeError(msg) from OSError(errno.ENOSPC, "No space left on device")
    with Path(path).open("a") as file:
        file.write("saved\n")


@job
def append_when(path: str, line: str, marker: str, go: str) -> str:
    """Append once a file is there."""
    partial = Path(f"{marker}.partial")
    partial.write_text(str(os.getpid()))
    partial.replace(marker)
    while not Path(go).exists():
        time.sleep(0.02)
    with Path(path).open("a") as file:
        file.write(f"{line}\n")
    return line
