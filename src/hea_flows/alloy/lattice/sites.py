"""Which lattice site each alloyed atom of a strained and distorted cell is on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hea_flows.alloy.lattice.ordering import coset_index, hermite_normal_form

#: An atom keeps its site within this part of the distance between alloyed sites. Alloying moves
#: atoms by less than 0.1 and the rows of 1T' by 0.12 (WTe2); in bcc to ω, the smallest shift
#: between lattices, it is 0.167.
SITE_REACH = 0.15
#: Largest over smallest stretch of the cell: half-way (2^¼) on Bain's path from fcc to bcc, which
#: ends at √2. Layered order (L1₀) needs 1.09, the rows of 1T' 1.05.
STRETCH_RATIO = 2**0.25
#: Linear size over the ideal one, or its inverse: bonds are broken beyond, while tabulated lattice
#: constants and magnetism change it by less than 10 %.
SIZE_RATIO = 1.2

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sites:
    """Where the alloyed atoms are: the site of each, and how far from it without strain (Å).

    Parameters
    ----------
    index
        Site of each atom in `lattice_points` order, shape (n,).
    shift
        From the site to the atom (Å), shape (n, k) with k periodic directions.
    origin
        A site, in the primitive basis, shape (k,).
    reach
        How far an atom may be from its site (Å).
    """

    index: NDArray[np.int64]
    shift: Floats
    origin: Floats
    reach: float

    @classmethod
    def of(cls, coordinates: Floats, primitive: Floats, supercell: ArrayLike) -> Sites:
        """Find the rigid translation that leaves the most atoms on sites, then each one's site.

        Parameters
        ----------
        coordinates
            Of the alloyed atoms in the strained primitive basis, shape (n, k).
        primitive
            The primitive cell without strain (Å), shape (k, k).
        supercell
            Integer matrix, shape (3, 3).
        """
        reach = SITE_REACH * float(np.linalg.norm(primitive, axis=1).min())
        # The translation: the atom that most others agree with, then the mean of those near it.
        off = np.linalg.norm(
            from_nearest(coordinates[None] - coordinates[:, None]) @ primitive, axis=2
        )
        origin = coordinates[np.minimum(off, 2 * reach).sum(axis=1).argmin()]
        rest = from_nearest(coordinates - origin)
        near = np.linalg.norm(rest @ primitive, axis=1) < 2 * reach
        origin = origin + rest[near].mean(axis=0)
        points = np.zeros((len(coordinates), 3), dtype=np.int64)
        points[:, : len(primitive)] = np.rint(coordinates - origin)
        index = coset_index(points, hermite_normal_form(np.array(supercell)))
        return cls(index, from_nearest(coordinates - origin) @ primitive, origin, reach)

    @property
    def off(self) -> Floats:
        """How far each atom that lost its site is from the nearest one (Å)."""
        distances: Floats = np.linalg.norm(self.shift, axis=1)
        return distances[distances > self.reach]

    @property
    def whole(self) -> bool:
        """Whether every site holds one atom."""
        return not len(self.off) and len(set(self.index.tolist())) == len(self.index)


def from_nearest(coordinates: Floats) -> Floats:
    """Return coordinates as seen from the nearest lattice point, exact for small ones."""
    return coordinates - np.rint(coordinates)
