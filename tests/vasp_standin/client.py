"""Ask the potential server, and start it when nobody answers."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vasp_standin import potential_server

_START_SECONDS, _STARTS = 300.0, 3


class PotentialError(RuntimeError):
    """The potential cannot evaluate this geometry."""


class Potential:
    """The potential as the executable sees it; the connection stays open between steps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stream: Any = None

    def evaluate(
        self, cell: NDArray[np.float64], frac: NDArray[np.float64], symbols: list[str]
    ) -> dict[str, Any]:
        """Return energy, forces, stress and moments; see `potential.evaluate`."""
        question = json.dumps({"cell": cell.tolist(), "frac": frac.tolist(), "symbols": symbols})
        for _ in range(_STARTS):
            try:
                if self.stream is None:
                    self.stream = _connect(self.folder)
                self.stream.write(question.encode() + b"\n")
                self.stream.flush()
                line = self.stream.readline()
            except OSError:
                line = b""
            if line.endswith(b"\n"):
                reply = json.loads(line)
                if "error" in reply:
                    raise PotentialError(reply["error"])
                return {
                    key: np.array(value) if isinstance(value, list) else value
                    for key, value in reply.items()
                }
            self.stream = None  # the server died: ask a new one
        log = self.folder / potential_server.LOG
        msg = f"the potential server died {_STARTS} times; see {log}"
        raise PotentialError(msg)


def _connect(folder: Path) -> Any:
    deadline = time.monotonic() + _START_SECONDS
    stream = _try(folder)
    if stream is not None:
        return stream
    with (folder / potential_server.LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        server, failures = None, 0
        while time.monotonic() < deadline:
            stream = _try(folder)
            if stream is not None:
                return stream
            if server is None or server.poll() is not None:
                if server is not None and server.returncode != 0:
                    failures += 1
                if failures == _STARTS:
                    break
                server = _start(folder)  # ends at once, with 0, if another one is starting
            time.sleep(0.05)
    msg = f"no potential server in {folder}; see its {potential_server.LOG}"
    raise PotentialError(msg)


def _start(folder: Path) -> subprocess.Popen[bytes]:
    """Start a server that outlives its client; it leaves at once if another one is starting."""
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}
    with (folder / potential_server.LOG).open("ab") as log:
        return subprocess.Popen(
            [sys.executable, potential_server.__file__, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            env=os.environ | threads,
            start_new_session=True,
        )


def _try(folder: Path) -> Any:
    path, descriptor = potential_server.address(folder)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(path)
        return connection.makefile("rwb")
    except OSError:
        return None
    finally:
        connection.close()  # the stream holds its own reference
        with contextlib.suppress(OSError):
            os.close(descriptor)
