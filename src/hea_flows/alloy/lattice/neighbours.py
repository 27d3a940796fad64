"""Neighbours of all atoms on an ideal lattice, in one order for all cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hea_flows.alloy.lattice.prototypes import Alloy
from hea_flows.alloy.lattice.site_index import SiteIndex


@dataclass(frozen=True)
class Neighbours:
    """Neighbours of N atoms, in the same order for atoms of the same place in the cell.

    Parameters
    ----------
    vectors
        By place in the primitive cell: from each neighbour to the atom (Å), (D, 3); neighbours on
        the alloyed sublattice come first.
    alloyed
        By place in the primitive cell: how many those are.
    atoms
        By place in the primitive cell: their indices, (cells, D).
    """

    vectors: list[NDArray[np.float64]]
    alloyed: list[int]
    atoms: list[NDArray[np.int64]]

    @classmethod
    def of(cls, alloy: Alloy, supercell: ArrayLike, a: float, cutoff: float) -> Neighbours:
        """List the neighbours within a cutoff (Å) on the lattice of lattice constant a (Å)."""
        unit = alloy.primitive(a=a)
        number = SiteIndex.of(supercell, len(unit))
        cell, places = unit.cell.array, unit.positions
        reach = np.ceil(cutoff * np.linalg.norm(np.linalg.inv(cell), axis=0) + 1).astype(int)
        reach[~np.asarray(alloy.pbc)] = 0
        shifts = np.array(list(np.ndindex(*(2 * reach + 1))), dtype=np.int64) - reach
        vectors, alloyed, atoms = [], [], []
        for place in places:
            parts, members = [], []
            for other, start in enumerate(places):
                away = place - (start + shifts @ cell)
                lengths = np.linalg.norm(away, axis=1)
                near = (lengths < cutoff) & (lengths > 1e-6)
                parts.append(away[near])
                members += [number(number.points + shift, other) for shift in shifts[near]]
            vectors.append(np.concatenate(parts))
            alloyed.append(sum(map(len, parts[: alloy.host.sites_per_cell])))
            of_place = np.array(members, dtype=np.int64).reshape(
                -1, len(number.points)
            )  # (D, cells)
            atoms.append(np.ascontiguousarray(of_place.T))
        return cls(vectors, alloyed, atoms)
