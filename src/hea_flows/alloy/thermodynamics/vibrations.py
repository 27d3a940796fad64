"""Harmonic vibrational free energy of a structure, from the forces of an ASE calculator.

Needs phonopy, the optional extra ``phonons``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.units import _e, _hplanck, kB
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from phonopy import Phonopy
    from phonopy.structure.atoms import PhonopyAtoms

#: Energy of a quantum of 1 THz (eV).
THZ = 1e12 * _hplanck / _e
#: Frequencies below this (THz), imaginary ones negative, count as imaginary: numerical noise of
#: the acoustic modes near Γ is smaller.
SOFT = -0.05


@dataclass(frozen=True)
class Modes:
    """Frequencies on a mesh of the Brillouin zone.

    Parameters
    ----------
    frequencies
        THz, imaginary ones negative, shape (points, 3 · atoms).
    weights
        Of the points, shape (points,), adding up to 1.
    """

    frequencies: NDArray[np.float64]
    weights: NDArray[np.float64]

    @property
    def imaginary(self) -> float:
        """Share of the modes that are imaginary beyond numerical noise."""
        return float((self.weights @ (self.frequencies < SOFT)).sum() / self.frequencies.shape[1])

    def free_energy(self, temperatures: ArrayLike) -> NDArray[np.float64]:
        """Return F = Σ ħω/2 + k T ln(1 − exp(−ħω/k T)) (eV/cell) at temperatures (K) ≥ 0.

        Modes without a positive frequency are left out.
        """
        t = np.asarray(temperatures, dtype=float)
        quantum = THZ * np.where(self.frequencies > 0, self.frequencies, np.inf)
        zero = np.where(np.isfinite(quantum), quantum, 0.0) / 2
        result = np.full(t.shape, float((self.weights @ zero).sum()))
        for i in np.argwhere(t > 0):
            kt = kB * t[tuple(i)]
            result[tuple(i)] += kt * float((self.weights @ np.log1p(-np.exp(-quantum / kt))).sum())
        return result


def harmonic_modes(
    atoms: Atoms,
    calculator: BaseCalculator,
    *,
    min_length: float = 12.0,
    mesh_length: float = 80.0,
    displacement: float = 0.01,
) -> Modes:
    """Return the harmonic modes of a relaxed structure by finite displacements.

    Parameters
    ----------
    atoms
        The relaxed structure; directions that are not periodic are neither repeated nor sampled.
    calculator
        Gives the forces.
    min_length
        Least length of the repeated cell's vectors (Å), which force constants must not exceed.
    mesh_length
        Points times length of a cell vector (Å). Meshes are even and do not hold Γ.
    displacement
        Å

    Raises
    ------
    ModuleNotFoundError
        Without phonopy.
    ValueError
        For lengths or a displacement that are not positive.
    """
    if min(min_length, mesh_length, displacement) <= 0:
        msg = (
            "min_length, mesh_length and displacement must be positive (Å), got "
            f"{min_length}, {mesh_length}, {displacement}"
        )
        raise ValueError(msg)
    phonopy, cell_class = require_phonopy()
    lengths = [float(x) for x in atoms.cell.lengths()]
    repeats = [ceil(min_length / x) if p else 1 for x, p in zip(lengths, atoms.pbc, strict=True)]
    mesh = [
        2 * ceil(mesh_length / x / 2) if p else 1 for x, p in zip(lengths, atoms.pbc, strict=True)
    ]
    cell = cell_class(
        symbols=atoms.get_chemical_symbols(), cell=atoms.cell.array, positions=atoms.positions
    )
    crystal = phonopy(cell, supercell_matrix=np.diag(repeats), primitive_matrix="P")
    crystal.generate_displacements(distance=displacement)
    crystal.forces = [
        _forces(s, atoms.pbc, calculator) for s in crystal.supercells_with_displacements
    ]
    crystal.produce_force_constants()
    crystal.symmetrize_force_constants(show_drift=False)
    crystal.run_mesh(mesh)
    weights = np.asarray(crystal.mesh.weights, dtype=float)
    return Modes(np.asarray(crystal.mesh.frequencies, dtype=float), weights / weights.sum())


def _forces(cell: PhonopyAtoms, pbc: ArrayLike, calculator: BaseCalculator) -> NDArray[np.float64]:
    """Return the forces (eV/Å) on a displaced cell of phonopy, shape (atoms, 3)."""
    atoms = Atoms(cell.symbols, positions=cell.positions, cell=cell.cell, pbc=pbc)
    atoms.calc = calculator
    return np.asarray(atoms.get_forces())


def require_phonopy() -> tuple[type[Phonopy], type[PhonopyAtoms]]:
    """Return phonopy's classes of a crystal and of a cell.

    Raises
    ------
    ModuleNotFoundError
        Without phonopy, saying what to install.
    """
    try:
        from phonopy import Phonopy
        from phonopy.structure.atoms import PhonopyAtoms
    except ModuleNotFoundError as error:
        msg = "vibrations need phonopy: pip install 'hea-flows[phonons]'"
        raise ModuleNotFoundError(msg, name=error.name) from error
    return Phonopy, PhonopyAtoms
