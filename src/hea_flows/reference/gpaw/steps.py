"""The ionic steps of one structure: each is saved as it is computed, none is computed twice.

Every process of an MPI run executes this; the first of them alone reads and writes.
"""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.abc import GetPropertiesMixin
from ase.calculators.calculator import Calculator
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.jsonio import read_json
from ase.io.trajectory import Trajectory
from ase.parallel import broadcast, world

from hea_flows.alloy.lattice import Ordering, relax
from hea_flows.reference.gpaw.settings import GPAWSettings, calculator
from hea_flows.reference.scratch import locked
from hea_flows.runtime import OutOfTimeError, atomic_write, seconds_left, too_late

_STEPS, _DONE = "steps.traj", "converged.json"
#: The optimizer's state, and the one before: ASE does not write it in one go.
_HESSIAN, _BEFORE = "hessian.json", "hessian-before.json"
#: Bytes of a trajectory before its first frame; a shorter file was cut while it was written.
_HEAD = 56


@dataclass(frozen=True)
class Task:
    """What GPAW is asked for.

    Parameters
    ----------
    ordering
        The decoration, which fixes the k-point mesh and the spin.
    start
        Start geometry.
    settings
        What makes labels comparable.
    directory
        Folder of this structure's steps; it is made.
    static
        Evaluate the start geometry only.
    fmax, max_steps
        Convergence (eV/Å) and the largest number of moves, those of earlier calls included.
    """

    ordering: Ordering
    start: Atoms
    settings: GPAWSettings
    directory: Path
    static: bool = False
    fmax: float = 0.02
    max_steps: int = 40


def read_steps(directory: Path) -> list[Atoms]:
    """Return the frames of a folder, without a last one that was cut while it was written."""
    path = directory / _STEPS
    if not path.is_file() or path.stat().st_size < _HEAD:
        return []
    with Trajectory(path) as trajectory:
        return list(trajectory)


def compute_frames(task: Task) -> tuple[list[Atoms], bool]:
    """Label one structure; every ionic step is a frame.

    A second call in the same folder goes on from the last saved step, on the path that an
    uninterrupted run would have taken. Only one call at a time works in a folder; others wait.

    Returns
    -------
    frames, converged
        Frames carry energy (extrapolated to zero smearing), free energy, forces (eV/Å), stress
        (eV/Å³), with spin the magnetic moments (μB), and in ``info["seconds"]`` the time it took.

    Raises
    ------
    OutOfTimeError
        If the time limit of the batch job is too near for another step; each call computes at
        least one.
    """
    with locked(task.directory) if world.rank == 0 else nullcontext():
        frames, reached = broadcast(_saved(task.directory) if world.rank == 0 else None)
        if frames and (task.static or (reached is not None and reached <= task.fmax)):
            return frames, True
        if len(frames) > task.max_steps:
            return frames, False
        return frames, _compute_rest(task, frames)


def _saved(directory: Path) -> tuple[list[Atoms], float | None]:
    """Return the frames of a folder, and the `fmax` to which they are relaxed (eV/Å) or None."""
    frames = read_steps(directory)
    if not frames:
        (directory / _STEPS).unlink(missing_ok=True)
        for name in (_HESSIAN, _BEFORE):
            (directory / name).unlink(missing_ok=True)
    hessian, done = directory / _HESSIAN, directory / _DONE
    try:
        read_json(hessian)
    except FileNotFoundError:
        pass
    except ValueError:  # killed while it was written
        hessian.unlink()
        if (directory / _BEFORE).exists():
            (directory / _BEFORE).rename(hessian)
    try:
        return frames, float(json.loads(done.read_text())["fmax"])
    except (FileNotFoundError, ValueError):
        return frames, None


def _compute_rest(task: Task, frames: list[Atoms]) -> bool:
    """Compute the steps that are missing, add them to `frames`, and return whether it converged."""
    last = frames[-1] if frames else None
    atoms = (frames[0] if frames else task.start).copy()
    atoms.set_initial_magnetic_moments(_moments(task, last))
    log = task.directory / f"gpaw-{len(frames)}.txt"
    gpaw = calculator(task.ordering, task.settings, log)
    atoms.calc = gpaw if last is None else _Resumed(last, gpaw)
    clock = time.perf_counter()

    def save(current: Atoms) -> None:
        nonlocal clock
        frame = _frame(current, spin=task.settings.spin_polarised(task.ordering))
        frame.info["seconds"] = time.perf_counter() - clock
        clock = time.perf_counter()
        if world.rank == 0:
            _copy(task.directory / _HESSIAN, task.directory / _BEFORE)
        with Trajectory(task.directory / _STEPS, "a") as trajectory:
            trajectory.write(frame)
        frames.append(frame)
        if not task.static:
            _check_time(frames)

    if task.static:
        save(atoms)
        return True
    converged = relax(
        atoms,
        fmax=task.fmax,
        max_steps=task.max_steps - max(len(frames) - 1, 0),
        on_step=save,
        resume_from=last,
        restart=task.directory / _HESSIAN,
    )
    if converged and world.rank == 0:
        atomic_write(task.directory / _DONE, json.dumps({"fmax": task.fmax}))
    return converged


def _copy(path: Path, copy: Path) -> None:
    """Copy a file, if there is one, so that the copy is whole at any time."""
    if path.exists():
        atomic_write(copy, path.read_bytes())


def _moments(task: Task, last: Atoms | None) -> list[float]:
    """Return start moments (μB): the last step's, as GPAW itself takes them after a move."""
    moments = None if last is None else last.calc.results.get("magmoms")
    if moments is not None and np.any(moments):
        return [float(m) for m in moments]
    of_element = task.settings.start_moments(task.ordering)
    return [of_element.get(s, 0.0) for s in task.start.symbols]


def _check_time(frames: list[Atoms]) -> None:
    left = broadcast(seconds_left())
    longest = broadcast(max(f.info.get("seconds", 0.0) for f in frames))
    if too_late(left, longest):
        msg = (
            f"{left:.0f} s are left and a step took {longest:.0f} s; the next job goes on "
            f"after step {len(frames)}"
        )
        raise OutOfTimeError(msg)


class _Resumed(GetPropertiesMixin):
    """Give the saved results of one geometry, and a calculator's of every other."""

    def __init__(self, frame: Atoms, other: Calculator) -> None:
        self.frame = frame
        self.other = other

    def get_property(
        self,
        name: str,
        atoms: Atoms | None = None,
        allow_calculation: bool = True,  # noqa: FBT001  ASE's signature
    ) -> object:
        """Return a property of a geometry; see ASE."""
        saved = self.frame
        if atoms is None or (
            np.array_equal(atoms.positions, saved.positions)
            and np.array_equal(atoms.cell.array, saved.cell.array)
        ):
            return saved.calc.get_property(name, saved, allow_calculation)
        return self.other.get_property(name, atoms, allow_calculation)


def _frame(atoms: Atoms, *, spin: bool) -> Atoms:
    frame: Atoms = atoms.copy()
    results: dict[str, Any] = {
        "energy": float(atoms.get_potential_energy()),
        "free_energy": float(atoms.get_potential_energy(force_consistent=True)),
        "forces": np.array(atoms.get_forces()),
        "stress": np.array(atoms.get_stress()),
    }
    if spin:
        results["magmom"] = float(atoms.get_magnetic_moment())
        results["magmoms"] = np.array(atoms.get_magnetic_moments())
    frame.calc = SinglePointCalculator(frame, **results)
    return frame
