"""The clusters of one supercell, and cluster expansions on it as tables of cluster energies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from ase.data import atomic_numbers
from numpy.typing import ArrayLike, NDArray

from hea_flows.alloy.lattice import Alloy, SiteIndex

if TYPE_CHECKING:
    from icet import ClusterSpace


class Arrays(NamedTuple):
    """Clusters of a supercell as the compiled code takes them (O orbits, n species).

    ``values`` (O, n**K) are energies (eV) by orbit and species; ``sites`` (C, K) are filled with −1
    beyond each cluster's ``order`` (C,); the clusters that hold site i are
    ``of_site[starts[i]:starts[i + 1]]``.
    """

    values: NDArray[np.float64]
    n_species: int
    sites: NDArray[np.int64]
    order: NDArray[np.int64]
    orbit: NDArray[np.int64]
    of_site: NDArray[np.int64]
    starts: NDArray[np.int64]


@dataclass(frozen=True)
class Clusters:
    """The clusters of a cluster space in one supercell (C clusters, order up to K, n sites).

    Parameters
    ----------
    space
        icet's cluster space.
    alloy
        The host; codes of species are positions in its elements.
    n_sites
        Alloyed sites of the supercell.
    sites
        Sites of each cluster in the order of `SiteIndex`, shape (C, K), −1 beyond its order.
    orbit
        Orbit of each cluster, shape (C,), from 0 for the points.
    of_site, starts
        Clusters that hold site i, each once: ``of_site[starts[i]:starts[i + 1]]``.
    """

    space: ClusterSpace
    alloy: Alloy
    n_sites: int
    sites: NDArray[np.int64]
    orbit: NDArray[np.int64]
    of_site: NDArray[np.int64]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, space: ClusterSpace, alloy: Alloy, supercell: ArrayLike) -> Clusters:
        """List the clusters of a space of `hea_flows.alloy.clusters.space.cluster_space`."""
        number = SiteIndex.of(supercell, alloy.host.sites_per_cell)
        orbits = _orbits(space)
        width = max((o.order for o in orbits), default=1)
        sites, orbit = [], []
        for which, members in enumerate(orbits):
            for cluster in members.clusters:
                columns = np.full((len(number.points), width), -1, dtype=np.int64)
                points, places = _host_sites(alloy, cluster.positions)
                for k, (point, place) in enumerate(zip(points, places, strict=True)):
                    columns[:, k] = number(number.points + point, place)
                sites.append(columns)
                orbit.append(np.full(len(columns), which, dtype=np.int64))
        table = np.concatenate(sites)
        holders: list[list[int]] = [[] for _ in range(len(number))]
        for row, cluster_sites in enumerate(table.tolist()):
            for site in set(cluster_sites) - {-1}:
                holders[site].append(row)
        return cls(
            space=space,
            alloy=alloy,
            n_sites=len(number),
            sites=table,
            orbit=np.concatenate(orbit),
            of_site=np.array([c for held in holders for c in held], dtype=np.int64),
            starts=np.cumsum([0, *map(len, holders)]).astype(np.int64),
        )

    @cached_property
    def functions(self) -> list[tuple[int, NDArray[np.float64]]]:
        """Orbit of each parameter but the first, and its function of the species of a cluster.

        Of order k the function has shape (n,)·k and is averaged over the orbit's clusters: its
        mean over all clusters of the supercell is an entry of the cluster vector.
        """
        n = len(self.alloy.elements)
        internal = self._internal_codes()
        basis = np.array(
            [
                [self.space.evaluate_cluster_function(n, f, int(s)) for s in internal]
                for f in range(n - 1)
            ]
        )
        functions = []
        for number, orbit in enumerate(_orbits(self.space)):
            for element in orbit.cluster_vector_elements:
                chosen = element["multicomponent_vector"]
                table = np.zeros((n,) * orbit.order)
                permutations = element["site_permutations"]
                for species in product(range(n), repeat=orbit.order):
                    table[species] = sum(
                        prod(basis[chosen[i], species[p]] for p, i in enumerate(permutation))
                        for permutation in permutations
                    ) / len(permutations)
                functions.append((number, table))
        return functions

    @cached_property
    def sizes(self) -> NDArray[np.float64]:
        """Size of the clusters of each parameter but the first: order times radius (Å)."""
        orbits = _orbits(self.space)
        return np.array([orbits[o].order * orbits[o].radius for o, _ in self.functions])

    def _internal_codes(self) -> list[int]:
        """Return icet's code of each of the alloy's elements."""
        codes = next(m for m in self.space.species_maps if len(m) == len(self.alloy.elements))
        return [codes[atomic_numbers[e]] for e in self.alloy.elements]

    def vectors(self, codes: ArrayLike) -> NDArray[np.float64]:
        """Return the cluster vectors (B, P) of decorations (B, n), equal to those of icet."""
        decorations = np.ascontiguousarray(np.atleast_2d(codes), dtype=np.int64)
        n = len(self.alloy.elements)
        shares = [
            _occurrences(decorations, self.sites[self.orbit == o], n)
            for o in range(int(self.orbit.max()) + 1)
        ]
        rows = [np.ones(len(decorations))]
        for orbit, table in self.functions:
            rows.append(shares[orbit] @ table.ravel())
        return np.stack(rows, axis=1)

    def tables(self, parameters: ArrayLike) -> Tables:
        """Return the energies of clusters for the parameters of an expansion (eV per unit)."""
        weights = np.asarray(parameters, dtype=float)
        n, width = len(self.alloy.elements), self.sites.shape[1]
        number = int(self.orbit.max()) + 1
        values = np.zeros((number, n**width))
        for weight, (orbit, table) in zip(weights[1:], self.functions, strict=True):
            values[orbit, : table.size] += weight * table.ravel()
        per_unit = np.bincount(self.orbit, minlength=number) / self.n_sites
        values /= per_unit[:, None]
        order = (self.sites >= 0).sum(axis=1)
        arrays = Arrays(
            values, n, self.sites, order.astype(np.int64), self.orbit, self.of_site, self.starts
        )
        return Tables(float(weights[0]) * self.n_sites, arrays)


@dataclass(frozen=True)
class Tables:
    """Energy (eV per cell) of decorations of one supercell, as a sum over its clusters.

    Parameters
    ----------
    constant
        Part that is the same for all decorations (eV per cell).
    arrays
        Clusters and their energies.
    """

    constant: float
    arrays: Arrays

    def energy(self, codes: NDArray[np.int64]) -> float:
        """Return the energy (eV per cell) of one decoration, codes (n,)."""
        from hea_flows.alloy.clusters import kernel  # loads numba

        return self.constant + float(kernel.total(codes, self.arrays))

    def swap_change(self, codes: NDArray[np.int64], first: int, second: int) -> float:
        """Return the change of energy (eV per cell) when two sites swap; `codes` stays as it is."""
        from hea_flows.alloy.clusters import kernel

        return float(kernel.exchange(codes.copy(), first, second, self.arrays))

    def run(
        self, codes: NDArray[np.int64], trials: int, beta: float, rng: np.random.Generator
    ) -> tuple[float, int]:
        """Make Metropolis swap trials of unlike sites on `codes`, which changes.

        Parameters
        ----------
        codes
            Decoration, shape (n,), int64; at least two species.
        trials
            Number of trials.
        beta
            1/(k_B T) in 1/eV.
        rng
            Generator of the chain.

        Returns
        -------
        change, accepted
            Change of the energy (eV per cell), and number of accepted trials.
        """
        from hea_flows.alloy.clusters import kernel

        change, accepted = kernel.run(codes, trials, beta, rng, self.arrays)
        return float(change), int(accepted)

    def transmute(
        self,
        codes: NDArray[np.int64],
        trials: int,
        beta: float,
        linear: NDArray[np.float64],
        curvature: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> tuple[float, int]:
        """Make Metropolis trials that give one site of `codes`, which changes, another element.

        The stationary weight is exp(−βE + Σ_A [linear_A N_A − curvature_A N_A²/n]) with N_A sites
        of element A.

        Parameters
        ----------
        codes, trials, beta, rng
            As of `run`; one species is enough.
        linear, curvature
            By element, in the order of codes, shape (species,).

        Returns
        -------
        change, accepted
            Change of the energy (eV per cell), and number of accepted trials.
        """
        from hea_flows.alloy.clusters import kernel

        change, accepted = kernel.transmute(
            codes, trials, beta, linear, curvature, rng, self.arrays
        )
        return float(change), int(accepted)


def _orbits(space: ClusterSpace) -> list[Any]:
    return [space.orbit_list.get_orbit(i) for i in range(len(space.orbit_list))]


def _host_sites(alloy: Alloy, positions: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return lattice points (k, 3) and places (k,) of alloyed sites at positions (k, 3) in Å.

    icet chooses the primitive cell that it counts its own sites in.
    """
    cell = alloy.primitive()
    away = (np.asarray(positions)[:, None] - cell.positions[: alloy.host.sites_per_cell]) @ (
        np.linalg.inv(cell.cell.array)
    )
    places = np.abs(away - np.rint(away)).max(axis=2).argmin(axis=1)
    return np.rint(away[np.arange(len(places)), places]).astype(np.int64), places


def _occurrences(
    decorations: NDArray[np.int64], sites: NDArray[np.int64], n: int
) -> NDArray[np.float64]:
    """Return the share of clusters (C, k) with each combination of species, (B, n**k)."""
    members = sites[:, (sites >= 0).all(axis=0)]
    order = members.shape[1]
    places = n ** np.arange(order)[::-1]
    index = (decorations[:, members] * places).sum(axis=2)
    size = n**order
    rows = np.arange(len(decorations))[:, None] * size
    counts = np.bincount((index + rows).ravel(), minlength=len(decorations) * size)
    return counts.reshape(len(decorations), size) / len(members)
