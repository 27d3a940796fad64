"""The coordinates of a relaxation: atoms and the periodic directions of the cell."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.stress import voigt_6_to_full_3x3_stress
from ase.utils.abc import Optimizable
from numpy.typing import NDArray
from scipy.linalg import expm

from hea_flows.alloy.lattice import cell_filter
from hea_flows.potentials.base import Prediction

#: Farthest an atom may move against the others in the unstrained cell (Å), and most the cell may
#: be stretched or squeezed: beyond, it is another structure, or none.
MAX_SHIFT = 2.0
MAX_STRETCH = 1.5


class Geometry(Optimizable):
    """What ASE's optimizer sees of one structure: `FrechetCellFilter`, made cheap.

    The coordinates are the positions in the unstrained cell, and the logarithm of the strained
    cell times the number of atoms. ASE asks for the logarithm back from the cell, and for its
    nine derivatives one by one; here it is kept, and they are one adjoint derivative.
    """

    def __init__(self, atoms: Atoms) -> None:
        self.atoms = atoms
        self.mask = cell_filter(atoms).mask
        self.cell = atoms.cell.array.copy()
        self.start = np.concatenate([atoms.positions, np.zeros((3, 3))])
        self.x = self.start.copy()
        self.strained = np.eye(3)
        self.gradient = np.zeros(self.x.size)

    def ndofs(self) -> int:
        """Return the number of coordinates."""
        return self.x.size

    def get_x(self) -> NDArray[np.float64]:
        """Return the coordinates."""
        return self.x.ravel().copy()

    def get_gradient(self) -> NDArray[np.float64]:
        """Return the gradient of the energy."""
        return self.gradient

    def get_value(self) -> float:
        """Return the energy (eV)."""
        return float(self.atoms.calc.results["energy"])

    def iterimages(self) -> Iterator[Atoms]:
        """Yield the atoms."""
        yield self.atoms

    def set_x(self, x: NDArray[np.float64]) -> None:
        """Move to coordinates.

        Raises
        ------
        ArithmeticError
            If the atoms fly apart.
        """
        new = x.reshape(-1, 3)
        _check_together(new - self.start)
        n = len(self.atoms)
        self.x = new.copy()
        self.strained = np.eye(3) + (expm(new[n:] / n) - np.eye(3)).T * self.mask
        self.atoms.set_cell(self.cell @ self.strained)
        self.atoms.set_positions(new[:n] @ self.strained)

    def take(self, prediction: Prediction) -> None:
        """Give the atoms their energy, forces and stress, and compute the gradient."""
        self.atoms.calc = SinglePointCalculator(
            self.atoms,
            energy=prediction.energy,
            free_energy=prediction.energy,
            forces=prediction.forces,
            stress=prediction.stress,
        )
        n = len(self.atoms)
        virial = voigt_6_to_full_3x3_stress(prediction.stress) * -self.atoms.cell.volume * self.mask
        pair = np.zeros((6, 6))  # its exponential holds the derivative along the upper right block
        pair[:3, :3] = pair[3:, 3:] = self.x[n:].T / n
        pair[:3, 3:] = virial @ np.linalg.inv(self.strained)
        forces = [prediction.forces @ self.strained.T, expm(pair)[:3, 3:] / n]
        self.gradient = -np.concatenate(forces).ravel()


def _check_together(change: NDArray[np.float64]) -> None:
    """Refuse a geometry that left its start behind; the last three rows are its cell's."""
    n = len(change) - 3
    shift = np.linalg.norm(change[:n] - change[:n].mean(axis=0), axis=1).max()
    if not shift < MAX_SHIFT:
        msg = f"it flew apart: an atom moves by {shift:.2f} Å, the limit is {MAX_SHIFT} Å"
        raise ArithmeticError(msg)
    stretch = np.exp(np.linalg.norm(change[n:] / n, 2))
    if not stretch < MAX_STRETCH:
        msg = f"its cell is strained by a factor of {stretch:.2f}, the limit is {MAX_STRETCH}"
        raise ArithmeticError(msg)
