"""A cluster expansion of a host: the energy of every decoration of every supercell."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hea_flows.alloy.clusters.space import cluster_space, neighbour_distance
from hea_flows.alloy.clusters.tables import Clusters, Tables
from hea_flows.alloy.lattice import Alloy, Ordering, hermite_normal_form, int_matrix

if TYPE_CHECKING:
    from icet import ClusterSpace


@dataclass(frozen=True)
class HostExpansion:
    """A cluster expansion of a host.

    Parameters
    ----------
    alloy
        The host.
    cutoffs
        Largest diameters of pairs, triplets, …, in distances of nearest alloyed sites.
    parameters
        In the order of icet's cluster space (eV per unit), shape (P,).

    Raises
    ------
    ValueError
        If there are other parameters than clusters, or a parameter is not finite.
    """

    alloy: Alloy
    cutoffs: tuple[float, ...]
    parameters: NDArray[np.float64]

    def __post_init__(self) -> None:
        shape = np.shape(self.parameters)
        if shape != (len(self.space),) or not np.isfinite(self.parameters).all():
            msg = f"a cluster expansion of {len(self.space)} finite parameters, got shape {shape}"
            raise ValueError(msg)

    @cached_property
    def space(self) -> ClusterSpace:
        """The cluster space, of icet."""
        return host_space(self.alloy, self.cutoffs)

    def tables(self, supercell: ArrayLike) -> Tables:
        """Return the expansion on a supercell, integer matrix (3, 3), for fast energies."""
        return Clusters.of(self.space, self.alloy, supercell).tables(self.parameters)

    def energies(self, orderings: Sequence[Ordering]) -> NDArray[np.float64]:
        """Return the energies (eV per cell) of decorations; each supercell is set up once."""
        energies = np.zeros(len(orderings))
        for matrix, chosen in by_supercell(orderings).items():
            tables = self.tables(matrix)
            codes = codes_of(self.alloy, [orderings[i] for i in chosen])
            energies[chosen] = [tables.energy(row) for row in codes]
        return energies

    def plus(self, offsets: Mapping[str, float]) -> HostExpansion:
        """Return the expansion with an energy (eV) added for every atom, by element."""
        per_cell = sum(offsets.get(e, 0.0) for e in self.alloy.fixed_species)
        fixed = per_cell / self.alloy.host.sites_per_cell
        per_unit = [offsets.get(e, 0.0) + fixed for e in self.alloy.elements]
        return replace(self, parameters=self.parameters + linear(self.space, self.alloy, per_unit))


def host_space(alloy: Alloy, cutoffs: Sequence[float]) -> ClusterSpace:
    """Return the cluster space of cutoffs in distances of nearest alloyed sites."""
    return cluster_space(alloy, [c * neighbour_distance(alloy) for c in cutoffs])


def linear(space: ClusterSpace, alloy: Alloy, energies: ArrayLike) -> NDArray[np.float64]:
    """Return the parameters (P,) of an energy per unit that is linear in the composition.

    Parameters
    ----------
    space, alloy
        The cluster space and its host.
    energies
        Of the end points (eV per unit), in the order of the alloy's elements.
    """
    n = len(alloy.elements)  # the constant, and a point function for all elements but one
    parameters = np.zeros(len(space))
    parameters[:n] = np.linalg.solve(pure_vectors(space, alloy)[:, :n], np.asarray(energies))
    return parameters


def pure_vectors(space: ClusterSpace, alloy: Alloy) -> NDArray[np.float64]:
    """Return the cluster vectors of the end points, shape (elements, P)."""
    ends = np.repeat(np.arange(len(alloy.elements))[:, None], alloy.host.sites_per_cell, axis=1)
    return Clusters.of(space, alloy, np.eye(3)).vectors(ends)


def vectors_of(
    space: ClusterSpace, alloy: Alloy, orderings: Sequence[Ordering]
) -> NDArray[np.float64]:
    """Return the cluster vectors of decorations, shape (B, P); each supercell is set up once."""
    vectors = np.zeros((len(orderings), len(space)))
    for matrix, chosen in by_supercell(orderings).items():
        codes = codes_of(alloy, [orderings[i] for i in chosen])
        vectors[chosen] = Clusters.of(space, alloy, matrix).vectors(codes)
    return vectors


def codes_of(alloy: Alloy, orderings: Sequence[Ordering]) -> NDArray[np.int64]:
    """Return the positions of the species among the alloy's elements, shape (B, n)."""
    return np.array([[alloy.elements.index(s) for s in o.species] for o in orderings])


def by_supercell(orderings: Sequence[Ordering]) -> dict[tuple[tuple[int, ...], ...], list[int]]:
    """Return the positions of orderings by their supercell; equal lattices are one."""
    groups: dict[tuple[tuple[int, ...], ...], list[int]] = defaultdict(list)
    for i, ordering in enumerate(orderings):
        groups[int_matrix(hermite_normal_form(np.array(ordering.supercell)))].append(i)
    return groups
