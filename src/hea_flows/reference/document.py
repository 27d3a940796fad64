"""From what an engine computed to the label document, which holds whole and ordered frames only."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from hea_flows.alloy.lattice import Ordering, frames_checksum, max_force, phase_flags
from hea_flows.provenance import provenance, settings_id
from hea_flows.runtime import OutOfTimeError, is_disk_full
from hea_flows.schemas import AlloySpec, Document, LabelDoc, StoredFile, StructureEntry, Trajectory

Calculation = Literal["relax", "static"]


class MissingLabelError(LookupError):
    """An engine that reads stored labels has none for a structure."""


@dataclass(frozen=True)
class Outcome:
    """What a reference engine computed for one structure.

    Parameters
    ----------
    frames
        Labelled frames in the order of their steps, atoms in the order of `Ordering.to_atoms`,
        with the host's periodicity. `calc.results` holds ``energy`` (eV, extrapolated to zero
        smearing), ``forces`` (eV/Å, shape (N, 3)) and ``stress`` (eV/Å³, Voigt, ASE's sign, shape
        (6,)); it may hold ``free_energy`` and ``magmoms`` (μB, shape (N,), or (N, 3) with
        spin-orbit coupling). ``info["seconds"]`` is the wall time of a frame, if it is known.
        Frames from before a failure are labels too.
    converged
        Whether the last frame is what was asked for.
    reason
        Why it is not; default its largest force.
    calculation
        What the frames come from, where the engine chose; default what was asked for.
    corrections
        What was changed to make the code go on, in order.
    inputs
        The input of the code.
    code_versions
        Versions of programs that are no Python packages.
    directory
        Folder of the calculation, on this host.
    task
        The code's own output document.
    """

    frames: Sequence[Atoms]
    converged: bool
    reason: str | None = None
    calculation: Calculation | None = None
    corrections: list[str] = field(default_factory=list)
    inputs: dict[str, Any] = field(default_factory=dict)
    code_versions: dict[str, str] = field(default_factory=dict)
    directory: Path | None = None
    task: StoredFile | None = None


def label_document(
    compute: Callable[[], Outcome],
    *,
    structure: StructureEntry,
    alloy: AlloySpec,
    engine: str,
    rule: Mapping[str, Any],
    calculation: Calculation,
    source: Document | None = None,
    packages: Sequence[str] = (),
) -> LabelDoc:
    """Run a calculation and describe its outcome; a failure becomes a document, not an error.

    Parameters
    ----------
    compute
        Labels the structure. `MissingLabelError` says that the engine has no label for it.
    structure, alloy, calculation, source
        As `ReferenceMaker` has them.
    engine
        What computes.
    rule
        All that makes two labels comparable; its hash is the settings id.
    packages
        Packages whose versions the document names.

    Raises
    ------
    OutOfTimeError, OSError
        As `compute` does: out of time, or out of space on the disk.
    """
    rule = dict(rule)
    fields: dict[str, Any] = provenance(*packages, structures=source) | {
        "structure": structure,
        "engine": engine,
        "settings": rule,
        "settings_id": settings_id(rule),
        "calculation": calculation,
    }
    try:
        outcome = compute()
    except OutOfTimeError:
        raise
    except MissingLabelError as error:
        return LabelDoc(**fields, state="missing", reason=str(error))
    except Exception as error:  # one structure never sinks a campaign
        if is_disk_full(error):
            raise
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return LabelDoc(**fields, state="failed", reason=reason)
    folder = outcome.directory
    fields |= {
        "calculation": outcome.calculation or calculation,
        "corrections": outcome.corrections,
        "inputs": outcome.inputs,
        "code_versions": outcome.code_versions,
        "directory": None if folder is None else f"{socket.gethostname()}:{folder}",
        "task": outcome.task,
    }
    if not outcome.frames:
        reason = outcome.reason or "no ionic step was labelled"
        return LabelDoc(**fields, state="failed", reason=reason)
    frames, last = list(outcome.frames), outcome.frames[-1]
    try:
        ordering = structure.to_ordering(alloy.to_alloy())
        check_frames(frames, ordering)
        flags = phase_flags(ordering, last)
    except ValueError as error:
        return LabelDoc(**fields, state="failed", reason=str(error))
    force = max_force(last)
    reason = outcome.reason or f"largest force {force:.3f} eV/Å after {len(frames)} steps"
    moments = last.calc.results.get("magmoms")
    return LabelDoc(
        **fields,
        state="converged" if outcome.converged else "unconverged",
        reason=None if outcome.converged else reason,
        n_frames=len(frames),
        energy=float(last.calc.results["energy"]),
        max_force=force,
        magnetization=None if moments is None else _total(moments),
        flags=flags,
        trajectory=Trajectory.from_frames(frames),
        trajectory_sha256=frames_checksum(frames),
    )


def check_frames(frames: Sequence[Atoms], ordering: Ordering) -> None:
    """Check that all frames are whole, have the same atoms and keep what the host keeps fixed.

    The order of the atoms within the ordering is checked by `phase_flags`.

    Raises
    ------
    ValueError
        Naming the first frame that is not as it should be, and what it lacks.
    """
    first, pbc = frames[0], ordering.alloy.pbc
    for number, frame in enumerate(frames, 1):
        if fault := _fault(frame, first, pbc):
            msg = f"frame {number} of {len(frames)} {fault}"
            raise ValueError(msg)


def _fault(frame: Atoms, first: Atoms, pbc: Sequence[bool]) -> str | None:
    """Return what is wrong with a frame, as the end of a sentence."""
    if frame.get_chemical_symbols() != first.get_chemical_symbols():
        return "has other atoms than the first, or another order of them"
    if list(frame.pbc) != list(pbc):
        return f"is periodic along {_axes(frame.pbc)}, its host along {_axes(pbc)}"
    n = len(frame)
    results = {} if frame.calc is None else frame.calc.results
    expected = {"energy": (), "forces": (n, 3), "stress": (6,)}
    moments = (n, 3) if np.ndim(results.get("magmoms", ())) == 2 else (n,)  # vectors or numbers
    expected |= {k: s for k, s in {"free_energy": (), "magmoms": moments}.items() if k in results}
    values = {"cell": frame.cell.array, "positions": frame.positions}
    for name, shape in expected.items():
        if results.get(name) is None:
            return f"has no {name}"
        values[name] = np.asarray(results[name], dtype=float)
        if values[name].shape != shape:
            return f"has {name} of shape {values[name].shape}, expected {shape}"
    for name, value in values.items():
        if not np.isfinite(value).all():
            return f"has {name} that are not finite numbers"
    if not all(pbc) and not np.allclose(frame.cell.array[2], first.cell.array[2]):
        change = frame.cell.lengths()[2] - first.cell.lengths()[2]
        return f"has another c, which holds the vacuum, than the first ({change:+.3f} Å)"
    return None


def _total(moments: ArrayLike) -> float:
    """Return the moment of the cell, the length of the vector if moments are vectors."""
    total = np.sum(moments, axis=0)
    return float(np.linalg.norm(total) if total.shape else total)


def _axes(pbc: Sequence[bool]) -> str:
    return "".join(axis for axis, periodic in zip("abc", pbc, strict=True) if periodic) or "none"
