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
from numpy.typing import NDArray

from hea_flows.alloy.lattice.prototypes import Alloy
from hea_flows.alloy.lattice.site_index import (
    IntMatrix,
    SiteIndex,
    hermite_normal_form,
    int_matrix,
    lattice_points,
)

_UNIT: IntMatrix = ((1, 0, 0), (0, 1, 0), (0, 0, 1))


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
        Element on each site, in the order of `SiteIndex`: by lattice point of the supercell, then
        by place in the primitive cell.
    """

    alloy: Alloy
    supercell: IntMatrix
    species: tuple[str, ...]

    def __post_init__(self) -> None:
        n = self.alloy.n_sites(self.supercell)
        if n != len(self.species):
            msg = f"supercell holds {n} alloyed sites, got {len(self.species)} species"
            raise ValueError(msg)

    @property
    def n_sites(self) -> int:
        """Alloyed sites, which equals the number of formula units."""
        return len(self.species)

    @property
    def n_cells(self) -> int:
        """Primitive cells."""
        return self.n_sites // self.alloy.host.sites_per_cell

    @property
    def is_end_point(self) -> bool:
        """Whether it is the primitive cell with one element."""
        return self.n_cells == 1 and len(self.counts) == 1

    @property
    def alloyed_atoms(self) -> NDArray[np.int64]:
        """Which atoms of `to_atoms` are alloyed, in the order of the species, shape (n_sites,)."""
        return self.alloy.alloyed_atoms(self.n_sites)

    @property
    def n_atoms(self) -> int:
        """Atoms of `to_atoms`."""
        return self.alloy.n_atoms(self.n_sites)

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
        fixed = Counter(self.alloy.fixed_species * self.n_cells)
        return "".join(f"{el}{n}" for el, n in (*self.counts.items(), *fixed.items()))

    @cached_property
    def id(self) -> str:
        """Identity up to the symmetry of the host lattice and the choice of cell vectors.

        Two orderings share it exactly if a symmetry operation of the host maps one decorated
        supercell lattice on the other. A supercell of a smaller ordering keeps its own identity.
        """
        points = lattice_points(np.array(self.supercell))
        labels = np.array([self.components.index(s) for s in self.species])
        operations = self.alloy.operations
        best: tuple[tuple[int, ...], tuple[int, ...]] | None = None
        for w, shifts, places in zip(
            operations.rotations, operations.shifts, operations.places, strict=True
        ):
            index = SiteIndex.of(np.array(self.supercell) @ w.T, len(places))
            head = tuple(int(x) for x in index.hnf.ravel())
            if best is not None and head > best[0]:
                continue
            cells = points @ w.T
            moved = cells[:, None] + shifts
            for origin in cells:
                decorated = np.empty_like(labels)
                decorated[index(moved - origin, places).ravel()] = labels
                key = (head, tuple(int(x) for x in decorated))
                if best is None or key < best:
                    best = key
        text = json.dumps([self.alloy.host.name, self.alloy.anion, self.components, best])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def lattice_constant(self) -> float:
        """Vegard average of the end points' lattice constants (Å)."""
        return float(np.mean([self.alloy.lattice_constant(s) for s in self.species]))

    def to_atoms(self, a: float | None = None) -> Atoms:
        """Return the ideal structure, cell by cell: the alloyed atoms, then the fixed ones.

        Parameters
        ----------
        a
            Lattice constant of the host (Å); default Vegard's.
        """
        prim = self.alloy.primitive(a=self.lattice_constant() if a is None else a)
        cell = np.array(self.supercell) @ prim.cell.array
        shifts = lattice_points(np.array(self.supercell)) @ prim.cell.array
        positions = (shifts[:, None, :] + prim.positions[None, :, :]).reshape(-1, 3)
        species = np.array(self.species).reshape(self.n_cells, -1)
        symbols = [s for own in species.tolist() for s in (*own, *self.alloy.fixed_species)]
        atoms = Atoms(symbols, positions=positions, cell=cell, pbc=self.alloy.pbc)
        atoms.wrap(pbc=self.alloy.pbc, eps=1e-6)
        return atoms

    @classmethod
    def end_point(cls, alloy: Alloy, element: str) -> Ordering:
        """Return the primitive cell with one element on all alloyed sites."""
        return cls(alloy, _UNIT, (element,) * alloy.host.sites_per_cell)

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
        unit = alloy.primitive()
        frac = atoms.cell.array @ np.linalg.inv(unit.cell.array)
        matrix = np.rint(frac).astype(np.int64)
        symbols = np.array(atoms.get_chemical_symbols())
        metal = ~np.isin(symbols, alloy.fixed_species)
        index = None
        if np.abs(frac - matrix).max() < 0.02:
            sites = SiteIndex.of(matrix, alloy.host.sites_per_cell)
            index = _site_numbers(atoms, unit, metal, sites)
        if index is None:
            msg = f"{atoms.get_chemical_formula()} does not lie on the {alloy.host.name} lattice"
            raise ValueError(msg)
        if unknown := sorted(set(symbols[metal].tolist()) - set(alloy.elements)):
            msg = f"elements {unknown} are not of the alloy {list(alloy.elements)}"
            raise ValueError(msg)
        species = [""] * len(index)
        for number, symbol in zip(index.tolist(), symbols[metal].tolist(), strict=True):
            species[number] = symbol
        if "" in species:
            msg = f"{atoms.get_chemical_formula()}: two atoms share one site of the lattice"
            raise ValueError(msg)
        cell = compact_supercell(alloy, matrix) if compact else int_matrix(matrix)
        return cls(alloy, cell, tuple(species))


def _site_numbers(
    atoms: Atoms, unit: Atoms, metal: NDArray[np.bool_], sites: SiteIndex
) -> NDArray[np.int64] | None:
    """Return the sites of the alloyed atoms; None if an atom is off its place."""
    if int(metal.sum()) != len(sites):
        return None
    inverse = np.linalg.inv(unit.cell.array)
    places, at = unit.positions @ inverse, atoms.positions @ inverse
    own = np.arange(len(unit)) < sites.places
    alike = np.where(own, metal[:, None], atoms.numbers[:, None] == unit.numbers)
    for start in places[: sites.places]:  # where the first alloyed atom is
        away = (at - at[metal][0] + start)[:, None] - places
        off = np.where(alike, np.abs(away - np.rint(away)).max(axis=2), 1.0)
        nearest = off.argmin(axis=1)
        if off.min(axis=1).max() < 0.05:
            cells = np.rint(away[np.arange(len(at)), nearest]).astype(np.int64)
            return sites(cells[metal], nearest[metal])
    return None


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
