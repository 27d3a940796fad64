"""Supercells as integer matrices, and the numbers of their sites."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

IntMatrix = tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]


def int_matrix(rows: ArrayLike) -> IntMatrix:
    """Return a (3, 3) matrix of whole numbers as tuples of its rows."""
    return tuple(tuple(int(x) for x in row) for row in np.asarray(rows))  # type: ignore[return-value]


def supercell_size(supercell: ArrayLike) -> int:
    """Return the number of primitive cells of a supercell given by its integer matrix (3, 3)."""
    return abs(round(float(np.linalg.det(np.asarray(supercell)))))


def hermite_normal_form(matrix: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the row-style Hermite normal form: lower triangular, positive diagonal.

    Two integer matrices span the same lattice of row vectors exactly if their forms are equal.
    """
    h = [[int(x) for x in row] for row in np.asarray(matrix)]
    n = len(h)
    for col in range(n - 1, -1, -1):
        while True:
            rows = [r for r in range(col + 1) if h[r][col] != 0]
            if not rows:
                msg = f"supercell matrix {np.asarray(matrix).tolist()} is singular"
                raise ValueError(msg)
            pivot = min(rows, key=lambda r: abs(h[r][col]))
            h[col], h[pivot] = h[pivot], h[col]
            if h[col][col] < 0:
                h[col] = [-x for x in h[col]]
            done = True
            for r in range(col):
                q = h[r][col] // h[col][col]
                h[r] = [x - q * y for x, y in zip(h[r], h[col], strict=True)]
                done = done and h[r][col] == 0
            if done:
                break
        for r in range(col + 1, n):
            q = h[r][col] // h[col][col]
            h[r] = [x - q * y for x, y in zip(h[r], h[col], strict=True)]
    return np.array(h, dtype=np.int64)


def lattice_points(supercell: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return one integer point per primitive cell of a supercell, shape (n, 3), in HNF order."""
    h = hermite_normal_form(supercell)
    return np.array(list(np.ndindex(*(int(x) for x in np.diag(h)))), dtype=np.int64)


def coset_index(points: NDArray[np.int64], hnf: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the index in `lattice_points` order of integer points modulo a supercell lattice."""
    p = np.array(points, dtype=np.int64)
    for axis in (2, 1, 0):
        p = p - np.outer(p[:, axis] // hnf[axis, axis], hnf[axis])
    d = np.diag(hnf)
    index: NDArray[np.int64] = (p[:, 0] * d[1] + p[:, 1]) * d[2] + p[:, 2]
    return index


@dataclass(frozen=True)
class SiteIndex:
    """Numbers of the sites of a supercell: lattice point by lattice point, then place by place.

    Parameters
    ----------
    hnf
        Hermite normal form of the supercell, shape (3, 3).
    places
        Sites per primitive cell.
    """

    hnf: NDArray[np.int64]
    places: int

    @classmethod
    def of(cls, supercell: ArrayLike, places: int) -> SiteIndex:
        """Return the numbers of the sites of a supercell, integer matrix (3, 3)."""
        return cls(hermite_normal_form(np.array(supercell, dtype=np.int64)), places)

    @cached_property
    def points(self) -> NDArray[np.int64]:
        """The primitive cells, shape (cells, 3)."""
        return lattice_points(self.hnf)

    def __len__(self) -> int:
        return len(self.points) * self.places

    def __call__(self, points: NDArray[np.int64], places: ArrayLike) -> NDArray[np.int64]:
        """Return the numbers of sites by their lattice points (..., 3) and places (...)."""
        cells = coset_index(points.reshape(-1, 3), self.hnf).reshape(points.shape[:-1])
        return cells * self.places + np.asarray(places, dtype=np.int64)

    def translated(self, shift: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where each site goes by a lattice vector, shape (sites,)."""
        return self((self.points + shift)[:, None], np.arange(self.places)).ravel()
