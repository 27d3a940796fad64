"""Decorations of the alloyed sublattice, exact in integers, and their symmetry-unique identity."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import factorial, prod

import numpy as np
from ase import Atoms
from ase.geometry import minkowski_reduce
from numpy.typing import ArrayLike, NDArray

from hea_flows.alloy.lattice.prototypes import Alloy

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


def compact_supercell(alloy: Alloy, supercell: NDArray[np.int64]) -> IntMatrix:
    """Return the shortest, right-handed basis (Minkowski) of a supercell lattice."""
    prim = alloy.primitive().cell.array
    _, op = minkowski_reduce(hermite_normal_form(supercell) @ prim, pbc=alloy.pbc)
    reduced = np.rint(op).astype(np.int64) @ hermite_normal_form(supercell)
    if np.linalg.det(reduced) < 0:
        reduced[0] *= -1
    return int_matrix(reduced)


@dataclass(frozen=True)
class Ordering:
    """One decoration of the alloyed sublattice of a supercell.

    Parameters
    ----------
    alloy
        The host and its elements.
    supercell
        Integer matrix, rows are the supercell vectors in the primitive basis.
    species
        Element on each site, in the order of `lattice_points` of the supercell.
    """

    alloy: Alloy
    supercell: IntMatrix
    species: tuple[str, ...]

    def __post_init__(self) -> None:
        n = abs(round(np.linalg.det(np.array(self.supercell))))
        if n != len(self.species):
            msg = f"supercell holds {n} alloyed sites, got {len(self.species)} species"
            raise ValueError(msg)

    @property
    def n_sites(self) -> int:
        """Alloyed sites, which equals the number of formula units."""
        return len(self.species)

    @property
    def counts(self) -> dict[str, int]:
        """Sites per element, sorted by symbol."""
        return dict(sorted(Counter(self.species).items()))

    @property
    def components(self) -> tuple[str, ...]:
        """Sorted elements present."""
        return tuple(self.counts)

    @property
    def formula(self) -> str:
        """Formula such as ``Mo2W1S6``, alloyed elements first."""
        anions = len(self.alloy.host.anion_sites) * self.n_sites
        tail = f"{self.alloy.anion}{anions}" if anions else ""
        return "".join(f"{el}{n}" for el, n in self.counts.items()) + tail

    @cached_property
    def id(self) -> str:
        """Identity up to the symmetry of the host lattice and the choice of cell vectors.

        Two orderings share it exactly if a symmetry operation of the host maps one decorated
        supercell lattice on the other. A supercell of a smaller ordering keeps its own identity.
        """
        points = lattice_points(np.array(self.supercell))
        labels = np.array([self.components.index(s) for s in self.species])
        best: tuple[tuple[int, ...], tuple[int, ...]] | None = None
        for w in self.alloy.rotations:
            hnf = hermite_normal_form(np.array(self.supercell) @ w.T)
            head = tuple(int(x) for x in hnf.ravel())
            if best is not None and head > best[0]:
                continue
            moved = points @ w.T
            for origin in moved:
                decorated = np.empty_like(labels)
                decorated[coset_index(moved - origin, hnf)] = labels
                key = (head, tuple(int(x) for x in decorated))
                if best is None or key < best:
                    best = key
        text = json.dumps([self.alloy.prototype, self.alloy.anion, self.components, best])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def lattice_constant(self) -> float:
        """Vegard average of the end points' lattice constants (Å)."""
        return float(np.mean([self.alloy.lattice_constant(s) for s in self.species]))

    def to_atoms(self, a: float | None = None) -> Atoms:
        """Return the ideal structure, unit by unit: the alloyed atom, then its anions.

        Parameters
        ----------
        a
            Lattice constant of the host (Å); default Vegard's.
        """
        prim = self.alloy.primitive(a=self.lattice_constant() if a is None else a)
        cell = np.array(self.supercell) @ prim.cell.array
        shifts = lattice_points(np.array(self.supercell)) @ prim.cell.array
        positions = (shifts[:, None, :] + prim.positions[None, :, :]).reshape(-1, 3)
        symbols = [s for el in self.species for s in (el, *prim.get_chemical_symbols()[1:])]
        atoms = Atoms(symbols, positions=positions, cell=cell, pbc=self.alloy.pbc)
        atoms.wrap(pbc=self.alloy.pbc, eps=1e-6)
        return atoms

    @classmethod
    def from_atoms(cls, alloy: Alloy, atoms: Atoms, *, compact: bool = True) -> Ordering:
        """Read the decoration of an *ideal* (unrelaxed) structure on the host lattice.

        Parameters
        ----------
        alloy
            The host; `atoms` must lie on its lattice, for the lattice constant of its first
            element.
        compact
            Choose the shortest cell vectors rather than those of `atoms`.

        Raises
        ------
        ValueError
            If the cell or a site is off the lattice, or an element is not of the alloy.
        """
        prim = alloy.primitive().cell.array
        frac = atoms.cell.array @ np.linalg.inv(prim)
        matrix = np.rint(frac).astype(np.int64)
        metal = [i for i, s in enumerate(atoms.get_chemical_symbols()) if s != alloy.anion]
        origin = alloy.primitive().positions[0]
        sites = (atoms.positions[metal] - origin) @ np.linalg.inv(prim)
        sites -= sites[0] - np.rint(sites[0])
        points = np.rint(sites).astype(np.int64)
        if np.abs(frac - matrix).max() > 0.02 or np.abs(sites - points).max() > 0.05:
            msg = f"{atoms.get_chemical_formula()} does not lie on the {alloy.prototype} lattice"
            raise ValueError(msg)
        symbols = [atoms[i].symbol for i in metal]
        if unknown := sorted(set(symbols) - set(alloy.elements)):
            msg = f"elements {unknown} are not of the alloy {list(alloy.elements)}"
            raise ValueError(msg)
        species = [""] * len(metal)
        for index, symbol in zip(
            coset_index(points, hermite_normal_form(matrix)), symbols, strict=True
        ):
            species[int(index)] = symbol
        if "" in species:
            msg = f"{atoms.get_chemical_formula()}: two atoms share one site of the lattice"
            raise ValueError(msg)
        cell = compact_supercell(alloy, matrix) if compact else int_matrix(matrix)
        return cls(alloy, cell, tuple(species))


def check_elements(alloy: Alloy, elements: Sequence[str]) -> tuple[str, ...]:
    """Return `elements` as a tuple, or raise if they are none, repeated, or not of the alloy.

    Raises
    ------
    ValueError
        Naming the elements that are not on the alloyed sublattice.
    """
    chosen = tuple(elements)
    if not chosen or len(set(chosen)) != len(chosen):
        msg = f"elements must be distinct and at least one, got {list(chosen)}"
        raise ValueError(msg)
    if unknown := [el for el in chosen if el not in alloy.elements]:
        msg = f"elements {unknown} are not of the alloy; accepted: {', '.join(alloy.elements)}"
        raise ValueError(msg)
    return chosen


def multinomial(counts: Sequence[int]) -> int:
    """Return the number of ways to place the given counts on their sites, symmetry ignored."""
    return factorial(sum(counts)) // prod(factorial(n) for n in counts)
