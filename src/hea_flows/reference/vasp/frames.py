"""Labelled frames and geometries of VASP's runs, atoms in the order of the task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from monty.os.path import zpath
from numpy.typing import NDArray
from pymatgen.core import Structure

from hea_flows.reference.vasp.parse import IonicStep, VaspRun, read_runs
from hea_flows.reference.vasp.task import Task


def frames_of(task: Task, run: VaspRun) -> Iterator[Atoms]:
    """Return the steps of a run that are labels, atoms in the task's order."""
    order = task.order
    if run.symbols != tuple(task.atoms.symbols[i] for i in order):
        return
    back = np.argsort(order)
    for number, step in enumerate(run.steps):
        if not run.sound(step) or not kept_vacuum(task, step):
            continue
        frame = _geometry(task, step, back)
        results: dict[str, Any] = {
            "energy": step.energy,
            "free_energy": step.free_energy,
            "forces": step.forces[back],
            "stress": step.stress,
        }
        if run.moments is not None:
            results["magmoms"] = run.moments[number][back]
        frame.calc = SinglePointCalculator(frame, **results)
        yield frame


def kept_vacuum(task: Task, step: IonicStep) -> bool:
    """Return whether c of a layer is what it was; not every IBRION obeys the tag that keeps it."""
    return bool(all(task.atoms.pbc) or np.allclose(step.cell[2], task.atoms.cell.array[2]))


def _geometry(task: Task, step: IonicStep, back: NDArray[np.int64]) -> Atoms:
    return Atoms(
        task.atoms.symbols,
        scaled_positions=step.positions[back],
        cell=step.cell,
        pbc=task.atoms.pbc,
    )


def last_geometry(task: Task, attempts: Sequence[Path]) -> Atoms:
    """Return the newest geometry: of CONTCAR if that is whole, else of the last whole step."""
    back = np.argsort(task.order)
    for attempt in reversed(attempts):
        runs = read_runs(attempt)
        steps = [s for run in runs for s in run.steps if run.sound(s) and kept_vacuum(task, s)]
        if not steps:
            continue
        try:
            contcar = Structure.from_file(zpath(attempt / "CONTCAR"))
        except Exception:  # noqa: BLE001  absent, empty, cut in the middle, asterisks
            return _geometry(task, steps[-1], back)
        symbols = [site.specie.symbol for site in contcar]
        same = symbols == [task.atoms.symbols[i] for i in task.order]
        kept = np.allclose(contcar.lattice.matrix[2], steps[-1].cell[2])
        if not (same and kept and np.isfinite(contcar.cart_coords).all()):
            return _geometry(task, steps[-1], back)
        cell, positions = contcar.lattice.matrix, contcar.frac_coords[back]
        return Atoms(task.atoms.symbols, scaled_positions=positions, cell=cell, pbc=task.atoms.pbc)
    return task.atoms
