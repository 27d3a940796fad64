"""Relaxation at fixed c of a layer, or of everything in a bulk host, with any ASE calculator."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS

#: Voigt mask of the strains a layer in the xy plane may take: xx, yy and xy.
IN_PLANE = (True, True, False, False, False, True)


def cell_filter(atoms: Atoms) -> FrechetCellFilter:
    """Return the filter that relaxes atoms and the periodic directions of the cell."""
    if all(atoms.pbc):
        return FrechetCellFilter(atoms)
    if not (atoms.pbc[0] and atoms.pbc[1]):
        msg = f"only layers periodic in x and y, or bulk, can be relaxed; pbc is {atoms.pbc}"
        raise ValueError(msg)
    return FrechetCellFilter(atoms, mask=list(IN_PLANE))


def relax(
    atoms: Atoms,
    *,
    fmax: float = 0.02,
    max_steps: int = 100,
    on_step: Callable[[Atoms], None] | None = None,
    resume_from: Atoms | None = None,
    restart: Path | None = None,
) -> bool:
    """Relax `atoms` in place with its calculator; return whether it converged.

    Parameters
    ----------
    atoms
        Start geometry with a calculator; also the reference of the cell strain when resuming.
    fmax
        Largest force (eV/Å), and largest cell gradient in the same unit, at convergence.
    max_steps
        Largest number of moves.
    on_step
        Called with `atoms` after each evaluation, the first geometry included, but not with a
        geometry that was resumed from.
    resume_from
        The last geometry of an interrupted run.
    restart
        File that keeps the Hessian, so that a resumed run takes the uninterrupted run's path.
    """
    filtered = cell_filter(atoms)
    if resume_from is not None:
        atoms.set_cell(resume_from.cell, scale_atoms=False)
        atoms.set_positions(resume_from.positions)
    optimizer = BFGS(
        filtered,  # type: ignore[arg-type]
        alpha=30.0,
        logfile=None,
        restart=None if restart is None else str(restart),
    )
    first = resume_from is not None

    def observe() -> None:
        nonlocal first
        if not first and on_step is not None:
            on_step(atoms)
        first = False

    optimizer.attach(observe, interval=1)
    with warnings.catch_warnings():  # at each move, of errors of 1e-13
        warnings.filterwarnings("ignore", "logm result may be inaccurate", RuntimeWarning)
        converged = bool(optimizer.run(fmax=fmax, steps=max_steps))
    if not np.isfinite(atoms.get_potential_energy()):
        msg = f"{atoms.get_chemical_formula()}: the energy became {atoms.get_potential_energy()}"
        raise ArithmeticError(msg)
    return converged
