"""One structure's VASP runs: restarted from the last complete ionic step until they are done."""

from __future__ import annotations

import copy
import gzip
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from atomate2.vasp.run import DEFAULT_HANDLERS
from custodian.custodian import CustodianError, NonRecoverableError
from custodian.vasp.handlers import (
    IncorrectSmearingHandler,
    KspacingMetalHandler,
    LargeSigmaHandler,
    MeshSymmetryErrorHandler,
)

from hea_flows.reference.document import Outcome
from hea_flows.reference.scratch import end_orphans, inside
from hea_flows.reference.vasp import custodian_log
from hea_flows.reference.vasp.files import Folder, read_text
from hea_flows.reference.vasp.frames import frames_of, kept_vacuum, last_geometry
from hea_flows.reference.vasp.parse import VaspRun, read_input, read_runs
from hea_flows.reference.vasp.settings import PATH_TAGS
from hea_flows.reference.vasp.task import Task, as_structure
from hea_flows.runtime import OutOfTimeError, atomic_write, seconds_left
from hea_flows.schemas import StoredFile

#: Custodian's handlers, without those that change smearing or k-points: such a label would not be
#: comparable with the others.
HANDLERS = tuple(
    handler
    for handler in DEFAULT_HANDLERS
    if not isinstance(
        handler,
        IncorrectSmearingHandler
        | KspacingMetalHandler
        | LargeSigmaHandler
        | MeshSymmetryErrorHandler,
    )
)
#: Custodian looks this often (s) whether VASP is done; its default is 10 s. Its monitors, which
#: read VASP's files, look twice a minute as before.
POLLING: dict[str, Any] = {"polling_time_step": 0.5, "monitor_freq": 60}
#: Attempts at one structure that may end without a verdict (killed, crashed, files cut).
MAX_CRASHES = 3
_OUTCOME = "outcome.json"
_CHANGED = "custodian left the campaign's settings: {}"
#: Custodian deletes outputs of an earlier calculation before VASP starts: they would be taken for
#: ours if VASP ended before it wrote any.
_FORGET = [
    {"file": name, "action": {"_file_delete": {"mode": "actual"}}}
    for name in ("OUTCAR", "vasprun.xml")
]


def label(task: Task) -> Outcome:
    """Label a structure; a second call goes on where the first was interrupted.

    Raises
    ------
    OutOfTimeError
        If the time limit of a batch job is near; calling again goes on.
    """
    task.folder.mkdir(parents=True, exist_ok=True)
    while True:
        attempts = sorted(task.folder.glob("attempt-*"))
        outcomes = [_outcome(path) for path in attempts]
        own = [o.get("state") for o in outcomes if o.get("job") == task.job]
        done = sum(o.get("state") == "converged" for o in outcomes)
        over = "failed" in own or own.count("crashed") >= MAX_CRASHES
        if over or done >= max(1, task.passes):
            return _join(task, attempts, outcomes, converged=not over)
        atoms = last_geometry(task, attempts)
        _attempt(task, task.folder / f"attempt-{len(attempts):03d}", atoms, first=not attempts)


def _outcome(attempt: Path) -> dict[str, Any]:
    path = attempt / _OUTCOME
    return json.loads(path.read_text()) if path.is_file() else {}


def _attempt(task: Task, folder: Path, atoms: Atoms, *, first: bool) -> None:
    """Run VASP once under custodian and write down how it ended."""
    end_orphans(task.folder)
    folder.mkdir()
    maker = copy.deepcopy(task.maker)
    maker.write_input_set_kwargs |= {"apply_incar_updates": False}
    maker.stop_children_kwargs |= {"handle_unsuccessful": False}
    run = maker.run_vasp_kwargs
    run.setdefault("handlers", copy.deepcopy(HANDLERS))  # they count what they did
    run["custodian_kwargs"] = POLLING | dict(run.get("custodian_kwargs") or {})
    if first and task.prev_dir is not None:
        own = dict(run.get("vasp_job_kwargs") or {})
        own["settings_override"] = [*(own.get("settings_override") or []), *_FORGET]
        run["vasp_job_kwargs"] = own
    if (left := seconds_left()) is not None:
        run.setdefault("wall_time", max(1, int(left)))
    os.environ.pop("CUSTODIAN_WALLTIME_START", None)  # the time left is counted from now
    outcome: dict[str, Any] = {}
    with inside(folder):
        try:
            make: Callable[..., Any] = type(maker).make.original  # type: ignore[attr-defined]
            response = make(maker, as_structure(atoms), task.prev_dir if first else None)
            content = response.output.model_dump_json().encode()
            atomic_write(folder / "taskdoc.json.gz", gzip.compress(content, mtime=0))
        except CustodianError as error:
            reason = custodian_log.why(error, folder)
            outcome = {"state": "crashed", "reason": reason}
            if isinstance(error, NonRecoverableError) or custodian_log.gave_up(folder):
                verdict = _verdict(task, read_runs(folder)[-1])
                seen = f"{verdict['reason']}; " if verdict["state"] == "failed" else ""
                outcome = {"state": "failed", "reason": seen + reason}
        except Exception as error:  # noqa: BLE001  parsers of VASP's files raise anything
            message = " ".join(str(error).split())
            outcome = {"state": "crashed", "reason": f"{type(error).__name__}: {message}"}
        except BaseException:
            end_orphans(task.folder)
            raise
    stopped = "WalltimeHandler" in custodian_log.handlers(folder)
    if stopped:
        outcome = {"state": "stopped", "reason": "stopped before the time limit"}
    if not outcome:
        outcome = _passed(task, folder)
    atomic_write(folder / _OUTCOME, json.dumps(outcome | {"job": task.job}))
    if stopped:
        msg = f"VASP was stopped {left or 0:.0f} s before the time limit; the next job goes on"
        raise OutOfTimeError(msg)


def _passed(task: Task, folder: Path) -> dict[str, Any]:
    """Judge a run that custodian let pass; it may have changed what was asked for."""
    last = read_runs(folder)[-1]
    if changed := _difference(_inputs(folder), last):
        return {"state": "failed", "reason": _CHANGED.format(changed)}
    return _verdict(task, last)


def _verdict(task: Task, run: VaspRun) -> dict[str, Any]:
    """Judge a run by what it wrote."""
    if not run.steps:
        return {"state": "crashed", "reason": "VASP completed no ionic step"}
    expected = tuple(task.atoms.symbols[i] for i in task.order)
    if run.symbols != expected:
        computed, wanted = (", ".join(dict.fromkeys(s)) for s in (run.symbols, expected))
        reason = f"the POTCAR holds {computed}, the POSCAR {wanted}: other elements were computed"
        return {"state": "failed", "reason": reason}
    step = run.steps[-1]
    if not step.finite:
        return {"state": "failed", "reason": "VASP wrote energies or forces that are no numbers"}
    if not kept_vacuum(task, step):
        change = step.cell[2, 2] - task.atoms.cell.array[2, 2]
        return {
            "state": "failed",
            "reason": f"c, which holds the vacuum, relaxed by {change:.3f} Å",
        }
    if not run.sound(step):
        reason = f"the SCF did not converge in {run.nelm} steps"
        return {"state": "failed", "reason": reason}
    if task.passes and not run.relaxed:
        force = float(np.linalg.norm(step.forces, axis=1).max())
        reason = f"largest force {force:.3f} eV/Å after {len(run.steps)} ionic steps"
        return {"state": "failed", "reason": f"the relaxation did not converge: {reason}"}
    return {"state": "converged"}


def _join(
    task: Task, attempts: Sequence[Path], outcomes: Sequence[Mapping[str, Any]], *, converged: bool
) -> Outcome:
    """Join the sound frames of all attempts."""
    frames: dict[bytes, Atoms] = {}
    corrections: list[str] = []
    versions: dict[str, str] = {}
    reason = outcomes[-1].get("reason")
    inputs = next((i for i in map(_inputs, attempts) if i), {})
    changed: str | None = None
    for number, (attempt, outcome) in enumerate(zip(attempts, outcomes, strict=True)):
        if outcome.get("state") in {None, "crashed", "stopped"}:
            why = outcome.get("reason", "interrupted")
            after = "; restarted from the last geometry" if number + 1 < len(attempts) else ""
            corrections.append(f"attempt {number}: {why}{after}")
        corrections += [f"attempt {number}: {text}" for text in custodian_log.corrections(attempt)]
        for run in read_runs(attempt):
            if not run.incar:  # killed before the input was written
                continue
            inputs = inputs or {"INCAR": run.incar, "KPOINTS": run.kpoints}
            changed = _difference(inputs, run)
            if run.version:
                versions["vasp"] = run.version
            for frame in () if changed else frames_of(task, run):
                key = frame.cell.array.tobytes() + frame.positions.tobytes()
                frames.pop(key, None)  # computed again: the later one has a basis for its cell
                frames[key] = frame
    if changed:
        converged, reason = False, _CHANGED.format(changed)
    task_doc = attempts[-1] / "taskdoc.json.gz"
    return Outcome(
        frames=list(frames.values()),
        converged=converged and bool(frames),
        reason=reason,
        corrections=corrections,
        inputs=inputs,
        code_versions=versions,
        directory=attempts[-1],
        task=StoredFile.from_bytes(task_doc.name, task_doc.read_bytes())
        if task_doc.is_file()
        else None,
    )


def _inputs(attempt: Path) -> dict[str, Any]:
    """Return the input as custodian found it: whatever it changed later is known by it."""
    run = read_input(attempt)
    return {"INCAR": run.incar, "KPOINTS": run.kpoints, "POTCAR": _titles(attempt)} if run else {}


def _physics(incar: Mapping[str, Any], kpoints: str) -> dict[str, Any]:
    tags = {k: v for k, v in incar.items() if k not in PATH_TAGS | {"MAGMOM"}}
    mesh = [line.split() for line in kpoints.splitlines()[1:]]
    return tags | {"KPOINTS": mesh}


def _difference(inputs: Mapping[str, Any], run: VaspRun) -> str | None:
    """Return in which settings a run differs from what was asked for."""
    rule = _physics(inputs["INCAR"], inputs["KPOINTS"])
    own = _physics(run.incar, run.kpoints)
    names = sorted(k for k in {*rule, *own} if rule.get(k) != own.get(k))
    if "EDIFF" in names and own.get("EDIFF", np.inf) <= rule.get("EDIFF", 0):
        names.remove("EDIFF")  # converged further
    texts = [f"{k} from {rule.get(k, 'default')} to {own.get(k, 'default')}" for k in names]
    return ", ".join(texts) or None


def _titles(attempt: Path) -> list[str]:
    """Return the titles of the POTCAR, which may not be kept itself."""
    lines = read_text(Folder(attempt), "POTCAR").splitlines()
    return [line.partition("=")[2].strip() for line in lines if "TITEL" in line]
