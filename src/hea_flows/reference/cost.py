"""What a label costs, before it is computed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import spglib
from ase import Atoms
from numpy.typing import NDArray

#: Fractional coordinates differ if they do in this part of a reciprocal vector.
_FINE = 100_000


@dataclass(frozen=True)
class LabelCost:
    """What a reference engine expects a label to cost on one core.

    Parameters
    ----------
    k_points
        Irreducible k-points.
    spin_polarised
        Whether it is computed with spin.
    steps
        Ionic steps.
    seconds
        Time of all steps (s).
    gigabytes
        Memory of the process (GB).
    """

    k_points: int
    spin_polarised: bool
    steps: int
    seconds: float
    gigabytes: float


def irreducible_points(atoms: Atoms, points: NDArray[np.float64], *, symmetric: bool = True) -> int:
    """Return how many of a structure's k-points are different, by symmetry and time reversal.

    Counted are the operations that GPAW finds: without a translation, and whose matrices in the
    basis of the cell hold 0, 1 and −1 only.

    Parameters
    ----------
    atoms
        The structure.
    points
        Fractional coordinates, closed under the operations, shape (n, 3).
    symmetric
        False counts time reversal alone, as for atoms off their ideal places.
    """
    rotations = np.eye(3)[None]
    if symmetric:
        cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
        symmetry = spglib.get_symmetry(cell, symprec=1e-5)
        assert symmetry is not None, f"spglib finds no symmetry of {atoms.get_chemical_formula()}"
        shifts = symmetry["translations"] - np.rint(symmetry["translations"])
        still = np.abs(shifts).max(axis=1) < 1e-5
        rotations = symmetry["rotations"][
            still & (np.abs(symmetry["rotations"]).max(axis=(1, 2)) == 1)
        ]
    rotations = np.concatenate([rotations, -rotations])
    # All images of each point, as integers in [0, 1); the smallest one stands for the point.
    images = np.einsum("gji,kj->kgi", rotations, points)
    whole = np.rint((images % 1.0) * _FINE).astype(np.int64) % _FINE
    codes = (whole[..., 0] * _FINE + whole[..., 1]) * _FINE + whole[..., 2]
    return len(np.unique(codes.min(axis=1)))
