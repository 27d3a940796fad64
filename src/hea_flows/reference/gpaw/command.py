"""GPAW in its own processes, for example with ``mpiexec -n 4 gpaw python``.

``COMMAND -m hea_flows.reference.gpaw.command TASK.json`` labels one structure; the
result lies in the structure's folder, as if a worker had computed it itself. The worker holds the
standard input of the command open: when it closes, however the worker died, GPAW ends.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.io.jsonio import decode, encode

from hea_flows.alloy.lattice import Alloy, Ordering
from hea_flows.reference.gpaw.settings import GPAWSettings
from hea_flows.reference.gpaw.steps import Task, compute_frames, read_steps
from hea_flows.runtime import OutOfTimeError

#: Output of a command that ended without a word from this module.
LOG = "run.log"
_MARK = "hea-flows stops:"
#: Seconds in which a command has to end once it is asked to.
_PATIENCE = 20.0
#: Characters of a reason.
_LENGTH = 300
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


class GPAWRunError(RuntimeError):
    """The command failed; the message is its own."""


class GPAWCrashError(GPAWRunError):
    """The command ended without a message; another start goes on from the last step."""


def run_command(command: str, task: Task) -> tuple[list[Atoms], bool]:
    """Label one structure by a command that runs Python, see `compute_frames`.

    If this process is interrupted or dies, so does the command.

    Parameters
    ----------
    command
        Command line, to which the module and the task are added.
    task
        What is asked for.

    Raises
    ------
    GPAWRunError
        If GPAW failed.
    GPAWCrashError
        If the command was killed, crashed or could not run Python.
    OutOfTimeError
        If the time limit of the batch job is too near for another step.
    FileNotFoundError
        If there is no such command.
    """
    task.directory.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", dir=task.directory, prefix="task-", suffix=".json"
    ) as file:
        file.write(_to_json(task))
        file.flush()
        process = subprocess.Popen(  # noqa: S603
            [*shlex.split(command), "-m", __name__, file.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **_ONE_THREAD},
            start_new_session=True,
        )
        assert process.stdout is not None
        try:
            output = process.stdout.read().decode(errors="replace")
            code = process.wait()
        finally:
            _end(process)
    kind, text = _verdict(output)
    if kind == OutOfTimeError.__name__:
        raise OutOfTimeError(text)
    if kind == "done":
        return read_steps(task.directory), text == "converged"
    if kind is not None:
        msg = f"{kind}: {text}" if text else kind
        raise GPAWRunError(msg)
    (task.directory / LOG).write_text(output)
    how = f"ended with exit code {code}" if code >= 0 else f"was ended by signal {-code}"
    msg = f"{command!r} {how}; it said last: {text or 'nothing'} (all of it: {LOG})"
    raise GPAWCrashError(msg)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a command that still runs, with all that it started."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            break
        os.killpg(process.pid, number)
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            continue
    process.stdout.close()


def _verdict(output: str) -> tuple[str | None, str]:
    """Return kind and text of the last verdict in an output; else None and the last line."""
    lines = [line.strip() for line in output.splitlines()]
    for line in reversed(lines):
        if _MARK in line:
            kind, _, text = line.partition(_MARK)[2].strip().partition(": ")
            return kind, text
    return None, next((line for line in reversed(lines) if any(map(str.isalnum, line))), "")


def one_line(error: Exception) -> str:
    """Return the message of an error in one line: no banners, and cut to a length."""
    text = " ".join(word for word in str(error).split() if word.strip("!"))
    return text if len(text) <= _LENGTH else f"{text[:_LENGTH]} …"


def _to_json(task: Task) -> str:
    ordering, alloy = task.ordering, task.ordering.alloy
    return str(
        encode(
            {
                "alloy": asdict(alloy),
                "supercell": ordering.supercell,
                "species": ordering.species,
                "start": task.start,
                "settings": asdict(task.settings),
                "rule": task.settings.rule(),
                "directory": str(task.directory),
                "static": task.static,
                "fmax": task.fmax,
                "max_steps": task.max_steps,
            }
        )
    )


def _from_json(text: str) -> Task:
    """Return the task of a file.

    Raises
    ------
    RuntimeError
        If this Python's GPAW would follow another rule than the worker promises.
    """
    data: dict[str, Any] = decode(text, always_array=False)
    settings = GPAWSettings(**data["settings"])
    here, asked = settings.rule(), data["rule"]
    for key in here:
        if here[key] != asked[key]:
            msg = f"the label's {key} is {asked[key]}, that of the command's Python is {here[key]}"
            raise RuntimeError(msg)
    alloy = Alloy(**data["alloy"] | {"elements": tuple(data["alloy"]["elements"])})
    matrix = tuple(tuple(int(x) for x in row) for row in data["supercell"])
    return Task(
        ordering=Ordering(alloy, matrix, tuple(data["species"])),  # type: ignore[arg-type]
        start=data["start"],
        settings=settings,
        directory=Path(data["directory"]),
        static=data["static"],
        fmax=data["fmax"],
        max_steps=data["max_steps"],
    )


def _end_with_worker() -> None:
    """Kill this process when its standard input ends; mpiexec then ends the others."""
    if os.path.samestat(os.fstat(sys.stdin.fileno()), os.stat(os.devnull)):  # noqa: PTH116
        return  # started by hand

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def _report(kind: str, text: str) -> None:
    sys.stdout.write(f"\n{_MARK} {kind}: {text}\n")
    sys.stdout.flush()


def main(path: str) -> None:
    """Label the structure of a task file, and say how it ended."""
    from ase.parallel import world

    if world.rank == 0:
        _end_with_worker()
    try:
        _, converged = compute_frames(_from_json(Path(path).read_text()))
    except Exception as error:  # noqa: BLE001  the worker makes one line of it
        _report(type(error).__name__, one_line(error))
        os._exit(1)  # the other processes may wait for this one
    world.barrier()
    if world.rank == 0:
        _report("done", "converged" if converged else "not converged")


if __name__ == "__main__":
    main(sys.argv[1])
