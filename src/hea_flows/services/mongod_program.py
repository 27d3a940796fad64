"""The mongod program: where it is, how it is run, why it did not start."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from importlib.util import find_spec
from pathlib import Path

from hea_flows.settings import get_settings

#: Exit code of a mongod whose port another program has taken.
ADDRESS_IN_USE = 48


def find_mongod() -> Path | None:
    """Return the mongod program of the settings, PATH or hea-flows[local], or None.

    Raises
    ------
    FileNotFoundError
        If the settings name a program that does not exist.
    """
    given = get_settings().mongod
    if given is not None:
        if not os.access(given, os.X_OK) or given.is_dir():
            msg = f"the setting mongod is {given}, which is not a program; correct or unset it"
            raise FileNotFoundError(msg)
        return given
    if on_path := shutil.which("mongod"):
        return Path(on_path)
    wheel = find_spec("fiftyone")  # looked up, not imported
    for location in (wheel.submodule_search_locations or []) if wheel else []:
        program = Path(location) / "db" / "bin" / "mongod"
        if program.is_file():
            return program
    return None


def run_mongod(program: Path, folder: Path, port: int, timeout: float) -> tuple[int, str]:
    """Run mongod as a daemon that listens on 127.0.0.1.

    Parameters
    ----------
    program
        The mongod program.
    folder
        Holds the database files in `db`, the log and the pid file.
    port
        Port to listen on.
    timeout
        Seconds to wait until it answers.

    Returns
    -------
    Exit code (0: the server answers) and the error, empty if there is none.
    """
    log = folder / "mongod.log"
    offset = log.stat().st_size if log.exists() else 0
    command = [str(program), "--fork", "--dbpath", str(folder / "db"), "--logpath", str(log)]
    command += ["--logappend", "--pidfilepath", str(folder / "mongod.pid"), "--auth"]
    command += ["--bind_ip", "127.0.0.1", "--port", str(port), "--nounixsocket"]
    command += ["--wiredTigerCacheSizeGB", "0.25"]
    command += ["--setParameter", "diagnosticDataCollectionEnabled=false"]
    try:
        done = subprocess.run(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            start_new_session=True,
            check=False,
            umask=0o077,
        )
    except OSError as error:
        return 126, str(error)
    except subprocess.TimeoutExpired:
        return 124, f"not ready after {timeout:.0f} s"
    if done.returncode == 0:
        return 0, ""
    return done.returncode, _reason(log, offset) or done.stderr.strip() or done.stdout.strip()


def _reason(log: Path, offset: int) -> str:
    """Return the first error in the log since `offset`."""
    errors = []
    if log.exists():
        with log.open(errors="replace") as lines:
            lines.seek(offset)
            for line in lines:
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue
                if entry.get("s") in {"E", "F"}:
                    error = entry.get("attr", {}).get("error", "")
                    errors.append(f"{entry.get('msg', '')} {error}".strip())
    return " ".join(errors[0].split()) if errors else ""


def is_free(port: int) -> bool:
    """Return whether a port of 127.0.0.1 can be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a port of 127.0.0.1 that can be listened on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
