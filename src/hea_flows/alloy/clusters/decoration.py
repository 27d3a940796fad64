"""The decoration of a strained, rattled or relaxed structure, by its nearest ideal sites."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import product

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from hea_flows.alloy.lattice import (
    SIZE_RATIO,
    STRETCH_RATIO,
    Alloy,
    Ordering,
    Sites,
    from_nearest,
    int_matrix,
)

#: How far a fixed atom may be from its site, in distances of alloyed sites: hollows of a layer, of
#: which one holds an anion and the next does not, are 0.58 apart.
_FIXED_REACH = 0.25
#: Largest over smallest stretch of a cell that is turned against the host, too: there are many
#: supercells to compare it with.
_TURNED_RATIO = 1.06

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def decoration_of(alloy: Alloy, atoms: Atoms) -> Ordering:
    """Return the decoration that a structure has, whatever its strain and its displacements.

    The supercell follows from the cell, the species of each site from the atom nearest to it. The
    order of the atoms, rigid motions, wrapping and the vacuum of a layer make no difference; all
    periodic directions of the host count as periodic.

    Parameters
    ----------
    alloy
        The host.
    atoms
        A supercell of it.

    Raises
    ------
    ValueError
        If it holds other elements, other numbers of fixed atoms, or is on no lattice of the host.
    """
    symbols = np.array(atoms.get_chemical_symbols())
    formula = atoms.get_chemical_formula()
    alloyed = np.flatnonzero(~np.isin(symbols, alloy.fixed_species))
    if unknown := sorted(set(symbols[alloyed].tolist()) - set(alloy.elements)):
        msg = f"{formula}: elements {unknown} are not of the alloy {list(alloy.elements)}"
        raise ValueError(msg)
    cells, rest = divmod(len(alloyed), alloy.host.sites_per_cell)
    fixed = Counter(np.delete(symbols, alloyed).tolist())
    if not cells or rest or fixed != Counter(alloy.fixed_species * cells):
        msg = f"{formula} is no whole number of units of {alloy.unit_formula(alloy.elements[0])}"
        raise ValueError(msg)
    if np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all():
        structure = _Structure(alloy, atoms, alloyed)
        for matrix in structure.supercells():
            if (index := structure.sites(matrix)) is not None:
                species = np.empty(len(alloyed), dtype=object)
                species[index] = symbols[alloyed]
                return Ordering(alloy, int_matrix(matrix), tuple(map(str, species)))
    msg = f"{formula} does not lie on the {alloy.host.name} lattice"
    raise ValueError(msg)


class _Structure:
    """A structure beside the primitive cell of its volume; k directions are periodic."""

    def __init__(self, alloy: Alloy, atoms: Atoms, alloyed: Integers) -> None:
        self.alloy, self.atoms, self.alloyed = alloy, atoms, alloyed
        self.k = k = 2 if alloy.host.layer else 3
        self.cell = atoms.cell.array[:k]
        self.cells = len(alloyed) // alloy.host.sites_per_cell
        a = float(np.mean([alloy.lattice_constant(atoms.symbols[i]) for i in alloyed]))
        ideal = a * alloy.vectors[:k, :k]
        volume = np.sqrt(max(float(np.linalg.det(self.cell @ self.cell.T)), 0.0))
        self.size = (volume / (self.cells * abs(np.linalg.det(ideal)))) ** (1 / k)
        self.a, self.primitive = self.size * a, self.size * ideal

    def supercells(self) -> Iterator[Integers]:
        """Yield supercells (3, 3) that the cell may be, those of the least strain first.

        The first is that of a cell which is not turned.
        """
        if not 1 / SIZE_RATIO < self.size < SIZE_RATIO:
            return
        plain = np.rint(self.cell[:, : self.k] @ np.linalg.inv(self.primitive))
        yield from self._strained(plain[None], STRETCH_RATIO)
        yield from self._strained(self._alike(), _TURNED_RATIO)

    def _strained(self, matrices: Floats, limit: float) -> Iterator[Integers]:
        """Yield those (B, k, k) of the right size and a small strain, the least strained first."""
        sizes = np.abs(np.rint(np.linalg.det(matrices)))
        matrices = matrices[sizes == self.cells]
        if not len(matrices):
            return
        change = np.linalg.inv(matrices @ self.primitive) @ self.cell
        stretches = np.linalg.svd(change, compute_uv=False)
        ratios = stretches.max(axis=1) / stretches.min(axis=1)
        for i in np.argsort(ratios, kind="stable"):
            if ratios[i] < limit:
                whole = np.eye(3, dtype=np.int64)
                whole[: self.k, : self.k] = matrices[i]
                yield whole

    def _alike(self) -> Floats:
        """Return matrices (B, k, k) of vectors with about the lengths and angles of the cell's."""
        metric, own = self.primitive @ self.primitive.T, self.cell @ self.cell.T
        lengths = np.sqrt(np.diag(own))
        reach = (
            _TURNED_RATIO * lengths.max() * np.linalg.norm(np.linalg.inv(self.primitive), axis=0)
        )
        box = [np.arange(-n, n + 1) for n in np.ceil(reach).astype(int)]
        vectors = np.array(list(product(*box)), dtype=float)
        norms = np.sqrt(np.einsum("ni,ij,nj->n", vectors, metric, vectors))
        rows = np.zeros((1, 0, self.k))
        for i in range(self.k):
            near = (norms < _TURNED_RATIO * lengths[i]) & (norms > lengths[i] / _TURNED_RATIO)
            new = vectors[near]
            pairs = np.concatenate(
                [np.repeat(rows, len(new), axis=0), np.tile(new, (len(rows), 1))[:, None]], axis=1
            )
            inner = np.einsum("bri,ij,bj->br", pairs[:, :i], metric, pairs[:, i])
            # No stretch changes an inner product by more.
            limit = (_TURNED_RATIO**2 - 1) * lengths[:i] * lengths[i]
            rows = pairs[(np.abs(inner - own[:i, i]) <= limit).all(axis=1)]
        return rows

    def sites(self, matrix: Integers) -> Integers | None:
        """Return the site of each alloyed atom in a supercell; None if atoms are on none."""
        fractional = self.atoms.positions @ np.linalg.pinv(self.cell)
        coordinates = fractional @ matrix[: self.k, : self.k]
        fixed = np.setdiff1d(np.arange(len(self.atoms)), self.alloyed)
        for sites in Sites.candidates(self.alloy, coordinates[self.alloyed], self.a, matrix):
            if sites.whole and self._fixed_fit(coordinates[fixed] - sites.origin, fixed):
                return sites.index
        return None

    def _fixed_fit(self, coordinates: Floats, fixed: Integers) -> bool:
        """Return whether as many fixed atoms as there are cells are near each site of the host."""
        if not len(fixed):
            return True
        own = np.array(self.alloy.host.fixed_sites)
        reach = _FIXED_REACH * self.a * self.alloy.host.site_distance
        off = from_nearest(coordinates[:, None] - own[:, : self.k]) @ self.primitive
        symbols = np.array(self.atoms.get_chemical_symbols())[fixed]
        near = np.linalg.norm(off, axis=2) < reach
        near &= symbols[:, None] == np.array(self.alloy.fixed_species)
        if self.k == 3:
            return bool((near.sum(axis=0) == self.cells).all())
        above = self._heights(fixed)[:, None] * own[:, 2]
        return any(  # either side of a layer may be up
            (near & (side * above > 0)).sum(axis=0).tolist() == [self.cells] * len(own)
            for side in (1, -1)
        )

    def _heights(self, chosen: Integers) -> Floats:
        """Return heights over the alloyed atoms' plane (Å), across the vacuum the shorter way."""
        normal = np.cross(*self.cell)
        normal /= np.linalg.norm(normal)
        heights: Floats = (self.atoms.positions - self.atoms.positions[self.alloyed[0]]) @ normal
        if period := abs(float(self.atoms.cell.array[2] @ normal)):
            heights -= period * np.rint(heights / period)
        return heights[chosen] - np.median(heights[self.alloyed])
