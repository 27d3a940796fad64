"""Prepare a folder in which the stand-in can be VASP, and read what happened in it."""

from __future__ import annotations

import contextlib
import fcntl
import inspect
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vasp_standin import faults, potcars, potential_server

EXECUTABLE = Path(__file__).with_name("vasp_std")


def prepare(folder: Path) -> dict[str, str]:
    """Make the folder, write synthetic POTCARs and return the variables that a worker needs.

    pymatgen and atomate2 read them when they are imported: they are for child processes. Within
    a process that has imported them, use `in_process`.
    """
    folder = folder.resolve()
    potcars.write_psp_dir(folder / "potcars")
    command = f"{sys.executable} {EXECUTABLE.resolve()}"
    return {
        "VASP_STANDIN_DIR": str(folder),
        "PMG_VASP_PSP_DIR": str(folder / "potcars"),
        "ATOMATE2_VASP_CMD": command,
        "ATOMATE2_VASP_GAMMA_CMD": command,
    }


@contextlib.contextmanager
def in_process(folder: Path, *, keep_server: bool = False) -> Iterator[dict[str, str]]:
    """Prepare the folder and let this process use it until the block ends.

    The potential server ends with the block, unless it is kept for the next one.
    """
    import atomate2
    from atomate2.vasp.run import run_vasp
    from pymatgen.core import SETTINGS

    variables = prepare(folder)
    before = dict(os.environ)
    psp_dir = SETTINGS.get("PMG_VASP_PSP_DIR")
    commands = {name: getattr(atomate2.SETTINGS, name) for name in ("VASP_CMD", "VASP_GAMMA_CMD")}
    defaults = run_vasp.__defaults__ or ()  # they were taken from the settings at import
    command = variables["ATOMATE2_VASP_CMD"]
    os.environ.update(variables)
    SETTINGS["PMG_VASP_PSP_DIR"] = variables["PMG_VASP_PSP_DIR"]
    for name in commands:
        setattr(atomate2.SETTINGS, name, command)
    parameters = inspect.signature(run_vasp).parameters.values()  # all have a default
    run_vasp.__defaults__ = tuple(
        command if p.name in {"vasp_cmd", "vasp_gamma_cmd"} else p.default for p in parameters
    )
    try:
        yield variables
    finally:
        run_vasp.__defaults__ = defaults
        for name, value in commands.items():
            setattr(atomate2.SETTINGS, name, value)
        if psp_dir is None:
            del SETTINGS["PMG_VASP_PSP_DIR"]
        else:
            SETTINGS["PMG_VASP_PSP_DIR"] = psp_dir
        os.environ.clear()
        os.environ.update(before)
        if not keep_server:
            stop_server(folder)


def write_faults(folder: Path, plan: Mapping[str, Sequence[Mapping[str, Any] | None]]) -> None:
    """Write the fault plan; see `faults` for its form.

    Raises
    ------
    ValueError
        If a fault is unknown.
    """
    (folder / faults.PLAN).write_text(json.dumps({key: list(value) for key, value in plan.items()}))
    faults.read_plan(folder)


def launches(folder: Path) -> list[dict[str, Any]]:
    """Return the launches in the order in which they began.

    Each has key, directory, pid, launch, fault, start and, unless it was killed, end, seconds,
    status and reason; `killed` tells that it killed itself.
    """
    path = folder / faults.LOG
    found: list[dict[str, Any]] = []
    for line in path.read_text().splitlines() if path.exists() else ():
        entry = json.loads(line)
        event = entry.pop("event")
        if event == "start":
            found.append(entry | {"killed": False})
            continue
        own = [x for x in found if x["pid"] == entry["pid"] and "end" not in x][-1]
        own.update(entry if event == "end" else {"killed": True})
    return found


def stop_server(folder: Path) -> None:
    """End the potential server of a folder, if one lives."""
    path = folder / potential_server.ALIVE
    if not path.exists():
        return
    with path.open("r+") as alive:
        deadline = time.monotonic() + 30.0
        while time.monotonic() < deadline:
            try:
                fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # it lives: a process id that nobody else has
                words = path.read_text().split()
                if words:
                    os.kill(int(words[0]), signal.SIGTERM)
                time.sleep(0.05)
            else:
                alive.truncate(0)
                return
