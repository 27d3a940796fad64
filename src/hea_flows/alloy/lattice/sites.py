"""Which lattice site each alloyed atom of a strained and distorted cell is on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hea_flows.alloy.lattice.prototypes import Alloy
from hea_flows.alloy.lattice.site_index import SiteIndex

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
        Site of each atom in the order of `SiteIndex`, shape (n,).
    shift
        From the site to the atom (Å), shape (n, k) with k periodic directions.
    origin
        A lattice point, in the primitive basis, shape (k,).
    reach
        How far an atom may be from its site (Å).
    """

    index: NDArray[np.int64]
    shift: Floats
    origin: Floats
    reach: float

    @classmethod
    def candidates(
        cls, alloy: Alloy, coordinates: Floats, a: float, supercell: ArrayLike
    ) -> list[Sites]:
        """Find rigid translations that leave the most atoms on sites, then each one's site.

        Parameters
        ----------
        alloy
            The host.
        coordinates
            Of the alloyed atoms in the strained primitive basis, shape (n, k).
        a
            Lattice constant without strain (Å).
        supercell
            Integer matrix, shape (3, 3).

        Returns
        -------
        sites
            One for each place in the primitive cell that one of the atoms may have, the best
            first. The fixed sublattice tells apart those that fit equally well.
        """
        k = coordinates.shape[1]
        primitive, places = a * alloy.vectors[:k, :k], np.array(alloy.host.alloyed_sites)[:, :k]
        reach = SITE_REACH * a * alloy.host.site_distance
        number = SiteIndex.of(supercell, len(places))
        rows = np.arange(len(coordinates))
        apart = coordinates - coordinates[:, None]
        lost = []  # by place of each atom in turn: how far the others are from sites
        for place in places:
            steps = [from_nearest(apart + place - p) @ primitive for p in places]
            off = np.linalg.norm(steps, axis=3).min(axis=0)
            lost.append(np.minimum(off, 2 * reach).sum(axis=1))
        # The translation: the atom that most others agree with, then the mean of those near it.
        first = np.min(lost, axis=0).argmin()
        fits = []
        for b in np.argsort([own[first] for own in lost], kind="stable"):
            origin = coordinates[first] - places[b]
            away = from_nearest(coordinates[:, None] - origin - places)
            own = np.linalg.norm(away @ primitive, axis=2).argmin(axis=1)
            rest = away[rows, own]
            near = np.linalg.norm(rest @ primitive, axis=1) < 2 * reach
            origin = origin + rest[near].mean(axis=0)
            rest = coordinates - origin - places[own]
            points = np.zeros((len(coordinates), 3), dtype=np.int64)
            points[:, :k] = np.rint(rest)
            fits.append(cls(number(points, own), from_nearest(rest) @ primitive, origin, reach))
        return fits

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
