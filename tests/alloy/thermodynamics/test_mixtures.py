"""Mixtures of phases at any composition, against set partitions, vertices and closed forms."""

from __future__ import annotations

from itertools import combinations
from math import log, nan

import numpy as np
import pytest
from ase.units import kB

from hea_flows.alloy.composition import ideal_entropy
from hea_flows.alloy.lattice.prototypes import Alloy
from hea_flows.alloy.thermodynamics.decomposition import (
    decomposition_temperature,
    decompositions,
    transition_temperatures,
)
from hea_flows.alloy.thermodynamics.mixtures import PhasePool, competing_decompositions

METALS = ("Mo", "Ta", "Nb", "W", "V")


def subsets(elements: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [c for k in range(2, len(elements) + 1) for c in combinations(elements, k)]


def random_pool(n: int, seed: int) -> PhasePool:
    """Return phases of whole numbers of sites, and random enthalpies."""
    rng, elements = np.random.default_rng(seed), METALS[:n]
    whole = dict(zip(elements, rng.integers(1, 9, n).tolist(), strict=True))
    counts = {c: {e: whole[e] for e in c} for c in subsets(elements)}
    enthalpies = {c: float(rng.normal(0.0, 0.03)) for c in counts}
    return PhasePool.of(elements, counts, enthalpies, whole)


def vertices(pool: PhasePool) -> np.ndarray:
    """Return every mixture that is none of others: shares of n phases at most, (V, P)."""
    n, rows = len(pool.elements), []
    for chosen in combinations(range(len(pool.phases)), n):
        matrix = pool.fractions[list(chosen)].T
        if abs(np.linalg.det(matrix)) > 1e-9:
            shares = np.linalg.solve(matrix, pool.overall)
            if shares.min() > -1e-12:
                row = np.zeros(len(pool.phases))
                row[list(chosen)] = shares
                rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize("seed", range(4))
def test_mixtures_of_equal_parts_are_the_set_partitions(seed: int) -> None:
    """Over the phases of all partitions, with the enthalpies of a regular solution."""
    rng = np.random.default_rng(seed)
    omega = {p: rng.normal(0.08, 0.08) for p in combinations(METALS, 2)}
    table = {c: sum(omega[p] for p in combinations(c, 2)) / len(c) ** 2 for c in subsets(METALS)}
    pool = PhasePool.of(
        METALS, {c: dict.fromkeys(c, 2) for c in table}, table, dict.fromkeys(METALS, 5)
    )
    ours = transition_temperatures(pool.stable())
    partitions = transition_temperatures(decompositions(METALS, table))
    assert [d.name for _, d in ours] == [d.name for _, d in partitions]
    assert [t for t, _ in ours] == pytest.approx([t for t, _ in partitions], rel=1e-9)
    assert competing_decompositions(Alloy(METALS), {}, table) == decompositions(METALS, table)


def test_phases_that_share_elements_may_lie_below_every_partition() -> None:
    elements, a = METALS[:3], 0.02
    table = dict.fromkeys(combinations(elements, 2), -a) | {elements: 0.0}
    counts = {c: dict.fromkeys(c, 1) for c in table}
    pool = PhasePool.of(elements, counts, table, dict.fromkeys(elements, 1))
    cold, hot = pool.stable()
    assert cold.phases == (("Mo", "Ta"), ("Mo", "Nb"), ("Ta", "Nb"))
    assert cold.shares == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert hot.is_solid_solution
    assert decomposition_temperature([cold, hot]) == pytest.approx(a / (kB * log(1.5)))
    partitions = decomposition_temperature(decompositions(elements, table))
    assert partitions == pytest.approx(2 / 3 * a / (kB * (log(3) - 2 / 3 * log(2))))


@pytest.mark.parametrize(("n", "seed"), [(2, 0), (3, 1), (3, 2), (4, 3), (4, 4), (4, 5)])
def test_stable_mixtures_are_the_lowest_of_all_vertices(n: int, seed: int) -> None:
    pool = random_pool(n, seed)
    every, stable = vertices(pool), pool.stable()
    t = np.linspace(0.0, 3000.0, 601)
    lines = every @ pool.enthalpies - np.outer(t, every @ pool.entropies)
    ours = np.array([d.gibbs(t) for d in stable])
    np.testing.assert_allclose(ours.min(axis=0), lines.min(axis=1), rtol=0, atol=1e-9)
    for one in stable:
        shares = dict(zip(one.phases, one.shares, strict=True))
        rows = [pool.fractions[pool.phases.index(p)] for p in shares]
        np.testing.assert_allclose([*shares.values()] @ np.array(rows), pool.overall, atol=1e-9)
    one = stable[-1]
    assert one.is_solid_solution
    apart = [v for v in every if one.entropy - v @ pool.entropies > 1e-12]
    crossings = [
        (one.enthalpy - v @ pool.enthalpies) / (one.entropy - v @ pool.entropies) for v in apart
    ]
    expected = max(0.0, *crossings)
    assert decomposition_temperature(stable) == pytest.approx(expected, abs=1e-5)
    assert pool.depth == pytest.approx(-(every @ pool.enthalpies).min(), abs=1e-9)
    exact = pool.interval(0.0, np.random.default_rng(0), 3)
    assert (exact.low, exact.high) == pytest.approx((expected, expected), abs=1e-5)


def test_a_binary_in_closed_form() -> None:
    """T = H/S, and an error of H makes T Gaussian with width σ/S."""
    counts = {("Nb", "V"): {"Nb": 3, "V": 1}}
    pool = PhasePool.of(("Nb", "V"), counts, {("Nb", "V"): 0.03}, {"Nb": 6, "V": 2})
    entropy = -kB * (0.75 * log(0.75) + 0.25 * log(0.25))
    assert ideal_entropy([0.75, 0.25]) == pytest.approx(entropy)
    cold, hot = pool.stable()
    assert (cold.name, cold.shares, hot.name) == ("Nb + V", (0.75, 0.25), "(Nb,V)")
    assert decomposition_temperature([cold, hot]) == pytest.approx(0.03 / entropy)
    sigma, drawn = 0.002, np.random.default_rng(1).standard_normal((40, 3))[:, 2]
    low, median, high = np.quantile((0.03 + sigma * drawn) / entropy, [0.1, 0.5, 0.9])
    interval = pool.interval(sigma, np.random.default_rng(1), 40, level=0.8)
    assert (interval.low, interval.median, interval.high) == pytest.approx((low, median, high))
    assert interval.below == [(1.0, "Nb + V")]
    assert interval.share_none == 0


def test_what_rounded_phases_leave_over_is_in_the_mixture() -> None:
    """Phases have the composition that their cells hold: the rest stays an end member."""
    counts = {("Mo", "W"): {"Mo": 13, "W": 3}, ("Mo", "W", "V"): {"Mo": 8, "W": 2, "V": 6}}
    table = {("Mo", "W"): -0.01, ("Mo", "W", "V"): 0.02}
    pool = PhasePool.of(("Mo", "W", "V"), counts, table, counts["Mo", "W", "V"])
    cold, hot = pool.stable()
    assert cold.name == "(Mo,W) + W + V"
    assert cold.shares == pytest.approx((8 / 13, 2 / 16 - 8 / 13 * 3 / 16, 6 / 16))
    assert hot.shares == (1.0,)


def test_an_alloy_whose_one_phase_has_no_enthalpy() -> None:
    elements = ("Mo", "W", "V")
    counts = {("Mo", "W"): {"Mo": 1, "W": 1}, elements: dict.fromkeys(elements, 1)}
    pool = PhasePool.of(elements, counts, {("Mo", "W"): -0.01}, counts[elements])
    assert [d.name for d in pool.stable()] == ["(Mo,W) + V"]
    assert decomposition_temperature(pool.stable()) is None
    with pytest.raises(ValueError, match="no phase has the composition of the alloy"):
        pool.interval(0.001, np.random.default_rng(0), 10)


def test_phases_that_are_not_what_they_are_named_for() -> None:
    with pytest.raises(ValueError, match="phase Mo,W needs a finite enthalpy and these elements"):
        PhasePool.of(("Mo", "W"), {("Mo", "W"): {"Mo": 2, "W": 0}}, {("Mo", "W"): 0.0}, {"Mo": 1})
    with pytest.raises(ValueError, match="got nan eV/unit"):
        PhasePool.of(("Mo", "W"), {("Mo", "W"): {"Mo": 1, "W": 1}}, {("Mo", "W"): nan}, {"Mo": 1})
