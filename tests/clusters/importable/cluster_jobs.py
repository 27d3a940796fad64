"""Jobs that a worker in a batch job can import."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from jobflow import job


@job
def where(path: str, line: str) -> None:
    """Append a line, the batch job that this runs in, and when it will end."""
    words = [os.environ[f"SLURM_JOB_{name}"] for name in ("NAME", "ID", "END_TIME")]
    with Path(path).open("a") as file:
        file.write(f"{line} {' '.join(words)}\n")


@job
def wait_for(path: str, line: str, marker: str) -> None:
    """Say that it runs, wait until the marker is there, then append a line."""
    with Path(f"{marker}.started").open("a") as file:
        file.write(f"{socket.gethostname()} {os.environ['SLURM_JOB_ID']}\n")
    while not Path(marker).exists():
        time.sleep(0.05)
    with Path(path).open("a") as file:
        file.write(f"{line}\n")
