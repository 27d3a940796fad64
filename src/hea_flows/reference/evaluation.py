"""Labels from any ASE calculator."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from hea_flows.alloy.lattice import relax
from hea_flows.reference.document import Calculation, Outcome


def evaluate(
    atoms: Atoms, calculation: Calculation, *, fmax: float = 0.02, max_steps: int = 100
) -> Outcome:
    """Label a geometry with its calculator: as it is, or at every step of a relaxation.

    Parameters
    ----------
    atoms
        Start geometry with a calculator of energy, forces and stress; it is moved.
    calculation
        ``static``, or ``relax``: atoms and the periodic directions of the cell.
    fmax, max_steps
        Convergence of a relaxation (eV/Å), and the largest number of moves.
    """
    if calculation == "static":
        return Outcome([labelled(atoms)], converged=True)
    frames: list[Atoms] = []
    converged = relax(
        atoms, fmax=fmax, max_steps=max_steps, on_step=lambda step: frames.append(labelled(step))
    )
    return Outcome(frames, converged)


def labelled(atoms: Atoms) -> Atoms:
    """Return a copy of a geometry that keeps what its calculator says of it."""
    frame = Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    energy = float(atoms.get_potential_energy())
    frame.calc = SinglePointCalculator(
        frame,
        energy=energy,
        free_energy=float(atoms.calc.results.get("free_energy", energy)),
        forces=np.array(atoms.get_forces()),
        stress=np.array(atoms.get_stress()),
    )
    return frame
