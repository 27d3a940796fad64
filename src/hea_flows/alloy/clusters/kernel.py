"""Energies of clusters and Metropolis swaps, in compiled code (numba).

Arguments carry no types, as numba requires; `t` is an `Arrays` of `alloy.clusters.tables`, whose
`Tables` is the typed interface.
"""

# ruff: noqa: ANN001, ANN201, ANN202
# mypy: disable-error-code="no-untyped-def,untyped-decorator"

from __future__ import annotations

import numpy as np
from numba import njit


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
    """Make swap trials; return the change of energy (eV per cell) and the number accepted."""
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


@njit(cache=True)
def transmute(codes, trials, beta, linear, curvature, rng, t):
    """Give single sites another element; return the change of energy (eV per cell), and accepted.

    The weight of a decoration beside exp(−βE) is exp(Σ_A [linear_A N_A − curvature_A N_A²/N]).
    """
    energy, accepted, number = 0.0, 0, len(codes)
    counts = np.zeros(t.n_species, dtype=np.int64)
    for code in codes:
        counts[code] += 1
    for _ in range(trials):
        site = int(rng.random() * number)
        old = codes[site]
        new = int(rng.random() * (t.n_species - 1))
        if new >= old:
            new += 1
        before = _around(codes, site, t)
        codes[site] = new
        change = _around(codes, site, t) - before
        squares = curvature[new] * (2 * counts[new] + 1) - curvature[old] * (2 * counts[old] - 1)
        gain = linear[new] - linear[old] - squares / number - beta * change
        if gain >= 0.0 or rng.random() < np.exp(gain):
            energy += change
            accepted += 1
            counts[new] += 1
            counts[old] -= 1
        else:
            codes[site] = old
    return energy, accepted
