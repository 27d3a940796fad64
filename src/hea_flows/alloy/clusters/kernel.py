"""Energies of clusters and Metropolis swaps, in compiled code (numba).

Signatures are without types, as numba wants them; `Tables` in `alloy.clusters.tables` has them.
"""

# ruff: noqa: ANN001, ANN201, ANN202
# mypy: disable-error-code="no-untyped-def,untyped-decorator"

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit


class Arrays(NamedTuple):
    """Clusters of a supercell (C clusters of order up to K, n species, O orbits).

    ``values`` (O, n**K) are energies (eV) by orbit and species; ``sites`` (C, K) are filled with −1
    beyond each cluster's ``order`` (C,); the clusters that hold site i are
    ``of_site[starts[i]:starts[i + 1]]``.
    """

    values: Any
    n_species: int
    sites: Any
    order: Any
    orbit: Any
    of_site: Any
    starts: Any


@njit(cache=True)
def _cluster(codes, c, t):
    index = 0
    for k in range(t.order[c]):
        index = index * t.n_species + codes[t.sites[c, k]]
    return t.values[t.orbit[c], index]


@njit(cache=True)
def total(codes, t):
    """Return the energy of a decoration (eV per cell)."""
    energy = 0.0
    for c in range(len(t.sites)):
        energy += _cluster(codes, c, t)
    return energy


@njit(cache=True)
def _around(codes, site, t):
    energy = 0.0
    for k in range(t.starts[site], t.starts[site + 1]):
        energy += _cluster(codes, t.of_site[k], t)
    return energy


@njit(cache=True)
def exchange(codes, first, second, t):
    """Exchange two sites and return the change (eV per cell).

    One site changes after the other, so that a cluster that holds both is not counted twice.
    """
    a, b = codes[first], codes[second]
    before = _around(codes, first, t)
    codes[first] = b
    change = _around(codes, first, t) - before
    before = _around(codes, second, t)
    codes[second] = a
    return change + _around(codes, second, t) - before


@njit(cache=True)
def run(codes, trials, beta, rng, t):
    """Make swap trials on a decoration; return the change (eV per cell) and what was accepted."""
    energy, accepted, number = 0.0, 0, len(codes)
    for _ in range(trials):
        first = int(rng.random() * number)
        second = int(rng.random() * number)
        while codes[second] == codes[first]:
            second = int(rng.random() * number)
        change = exchange(codes, first, second, t)
        if change <= 0.0 or rng.random() < np.exp(-beta * change):
            energy += change
            accepted += 1
        else:
            codes[first], codes[second] = codes[second], codes[first]
    return energy, accepted
