"""Brillouin-zone meshes of one density for every supercell of a host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class KMesh:
    """A Γ-centred k-point set of a supercell.

    Parameters
    ----------
    points
        Fractional coordinates in the reciprocal basis of the supercell, shape (n, 3), in
        [-1/2, 1/2).
    folds
        True if it is exactly the primitive cell's mesh folded, so that the energy per unit of a
        repeated primitive cell is the primitive cell's own.
    """

    points: NDArray[np.float64]
    folds: bool


def folded_mesh(primitive_mesh: Sequence[int], supercell: ArrayLike, cell: ArrayLike) -> KMesh:
    """Return the primitive cell's Γ-centred mesh folded into a supercell.

    The mesh of N1 × N2 × N3 points is the lattice of reciprocal vectors b_i/N_i. It folds into a
    supercell exactly if the supercell's reciprocal lattice is part of it; this is asked of the
    lattice, not of the cell vectors, so that for instance √3×√3 cells fold a 12×12 mesh into 48
    points, which no mesh along their own vectors does. Where it does not fold (five units in a
    12×12 mesh), the smallest Γ-centred mesh at least as dense is taken.

    Parameters
    ----------
    primitive_mesh
        Points along each reciprocal vector of the primitive cell.
    supercell
        Integer matrix, rows are supercell vectors in the primitive basis, shape (3, 3).
    cell
        Primitive lattice vectors, shape (3, 3), rows; only their shape matters.
    """
    n = np.array(primitive_mesh, dtype=np.int64)
    s = np.array(supercell, dtype=np.int64)
    size = abs(round(np.linalg.det(s)))
    # A mesh point i of the primitive cell, k = sum_j i_j b_j / N_j, has coordinates S k in the
    # reciprocal basis of the supercell.
    index = np.array(list(np.ndindex(*(int(x) for x in n))), dtype=np.int64)
    lcm = int(np.lcm.reduce(n))
    scaled = (index * (lcm // n)) @ s.T % lcm
    unique = np.unique(scaled, axis=0)
    if len(unique) * size == int(np.prod(n)):
        points = np.where(2 * unique >= lcm, unique - lcm, unique) / lcm
        return KMesh(points, folds=True)
    primitive = np.linalg.norm(np.linalg.inv(np.array(cell, dtype=float)).T, axis=1)
    reciprocal = np.linalg.norm(np.linalg.inv(s @ np.array(cell, dtype=float)).T, axis=1)
    density = float(np.max(n / primitive))
    m = [1 if n[i] == 1 else int(np.ceil(reciprocal[i] * density - 1e-6)) for i in range(3)]
    grid = np.array(list(np.ndindex(*m)), dtype=float) / m
    return KMesh(np.where(grid >= 0.5 - 1e-12, grid - 1, grid), folds=False)
