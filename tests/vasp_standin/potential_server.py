"""Hold the potential in one process and answer the executables over a UNIX socket.

Run as `python potential_server.py FOLDER`. One line of JSON per question and per answer. Only one
server lives per folder; it leaves after `IDLE` seconds without a client.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import selectors
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

IDLE = 120.0  # s
SOCKET, LOCK, ALIVE, LOG = "server.sock", "server.lock", "server.alive", "server.log"


def address(folder: Path) -> tuple[str, int]:
    """Return the socket's path through a file descriptor, as UNIX paths end at 108 characters."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    return f"/proc/self/fd/{descriptor}/{SOCKET}", descriptor


def serve(folder: Path, idle: float = IDLE) -> None:
    """Answer until nobody asked for `idle` seconds."""
    alive = (folder / ALIVE).open("a+")
    try:
        fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # another server lives or is starting
    alive.truncate(0)
    from vasp_standin import potential

    potential.evaluate([[3.2, 0, 0], [0, 3.2, 0], [0, 0, 3.2]], [[0.0, 0, 0]], ["Mo"])
    path, _ = address(folder)
    with contextlib.suppress(FileNotFoundError):
        (folder / SOCKET).unlink()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    alive.write(f"{os.getpid()}\n")
    alive.flush()
    state = _State()
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    while True:
        if selector.select(timeout=min(1.0, idle)):
            client, _ = listener.accept()
            state.enter()
            threading.Thread(target=_answer, args=(client, state), daemon=True).start()
        elif state.idle_since() > idle or not (folder / SOCKET).exists():
            with contextlib.suppress(FileNotFoundError):
                (folder / SOCKET).unlink()
            return


class _State:
    """Count the clients; let one evaluation run at a time."""

    def __init__(self) -> None:
        self.clients = 0
        self.last = time.monotonic()
        self.lock = threading.Lock()
        self.turn = threading.Lock()

    def enter(self) -> None:
        with self.lock:
            self.clients += 1

    def leave(self) -> None:
        with self.lock:
            self.clients -= 1
            self.last = time.monotonic()

    def idle_since(self) -> float:
        with self.lock:
            return 0.0 if self.clients else time.monotonic() - self.last


def _answer(client: socket.socket, state: _State) -> None:
    from vasp_standin import potential

    try:
        with client, client.makefile("rwb") as stream:
            for line in stream:
                question = json.loads(line)
                try:
                    with state.turn:
                        found = potential.evaluate(**question)
                    reply: dict[str, Any] = {
                        key: value if isinstance(value, float) else value.tolist()
                        for key, value in found.items()
                    }
                except Exception as error:  # noqa: BLE001 (the client reports it)
                    reply = {"error": f"{type(error).__name__}: {error}"}
                stream.write(json.dumps(reply).encode() + b"\n")
                stream.flush()
    except (OSError, ValueError):
        pass  # the client was killed
    finally:
        state.leave()


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    serve(Path(sys.argv[1]))
