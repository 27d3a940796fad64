from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ase.units import kB

from hea_flows.alloy.lattice.bonds import bond_counts, neighbour_pairs, species_codes
from hea_flows.alloy.lattice.prototypes import Alloy
from hea_flows.alloy.sampling.chains import Chain, reference_codes
from hea_flows.alloy.sampling.summary import (
    AveragedChain,
    ChainSummary,
    separation_of,
    summarise_temperatures,
)

ALLOY = Alloy(("Mo", "Ta", "V"))


def chain(temperature: float, run: int, energies: Any, species: list[list[str]]) -> Chain:
    """Return a chain through given decorations of a 3×3 cell."""
    pairs = neighbour_pairs(ALLOY, ((3, 0, 0), (0, 3, 0), (0, 0, 1)))
    codes = [species_codes(s, ALLOY.elements) for s in species]
    counts = np.array([bond_counts(c, pairs, 3) for c in codes])
    return Chain(
        temperature,
        0,
        run,
        np.asarray(energies, dtype=float),
        np.array([np.bincount(c, minlength=len(ALLOY.elements)) for c in codes]),
        {1: counts},
        {1: 0.0},
        tuple(species[0]),
        tuple(species[-1]),
        acceptance=0.5,
        exchange_acceptance=None,
        block=3,
        trials=3 * (len(species) - 1),
    )


def test_averages_errors_and_heat_capacity_of_known_chains() -> None:
    """Two runs that alternate between two states: every number by hand."""
    rows = ["Mo"] * 3 + ["Ta"] * 3 + ["V"] * 3  # stripes: each site has two like neighbours
    mixed = ["Mo", "Ta", "V"] * 3
    n, low, high = 4000, -1.0, -0.9
    rng = np.random.default_rng(0)
    draws = rng.random((2, n)) < 0.25
    chains = [
        chain(500, r, np.where(draws[r], high, low), [mixed if d else rows for d in draws[r]])
        for r in (0, 1)
    ]
    kept = [AveragedChain.of(c, ALLOY.elements, 99, shift=0.96) for c in chains]
    [record] = summarise_temperatures(kept, np.array([0.05, 0.07]))
    share = draws[:, 100:].mean()
    assert record.energy_mev == pytest.approx(1e3 * (low + 0.96 + 0.1 * share), rel=1e-12)
    by_run = draws[:, 100:].mean(axis=1)
    scatter = abs(by_run[0] - by_run[1]) / 2
    expected = 100 * np.sqrt(share * (1 - share) / (2 * (n - 100)))  # independent samples
    assert record.energy_error_mev == pytest.approx(max(expected, 100 * scatter), rel=0.1)
    assert record.effective_samples == pytest.approx(2 * (n - 100), rel=0.1)
    assert record.r_hat < 1.01
    assert record.converged
    [short] = summarise_temperatures(
        [replace(k, start=n - 20) for k in kept], np.array([0.05, 0.07])
    )
    assert not short.converged  # 40 samples
    variance = np.mean([0.01 * s * (1 - s) for s in by_run])
    assert record.heat_capacity == pytest.approx(9 * variance / (kB * 500) ** 2, rel=1e-9)
    # All of like bonds: stripes of one element have 3 of 27 bonds each; columns the same here.
    # Without order they would have 2/8 of the three neighbour shares of 9 sites.
    assert record.order_parameters["1"]["V-V"] == pytest.approx(3 / 27 - 2 / 8 / 3, abs=1e-12)
    assert record.order_parameters["1"].keys() == record.order_errors["1"].keys()
    assert record.warren_cowley["1"]["V-V"] == pytest.approx((2 / 8 / 3 - 3 / 27) * 9, abs=1e-12)
    first = ChainSummary.of(kept[0])
    assert (first.averaged_from, first.trials, first.block) == (100, 3 * (n - 1), 3)
    assert first.energy_mev == pytest.approx(1e3 * (low + 0.96 + 0.1 * by_run[0]), rel=1e-12)
    assert separation_of([record], dict.fromkeys(ALLOY.elements, 1 / 3), rng).reason == (
        "five temperatures are needed, there are 1"
    )


def test_free_energy_of_a_flat_energy_is_ideal() -> None:
    """Where the energy is the same everywhere, F = E − T k_B ln(9!/(3!)³)/9 at any temperature."""
    species = [["Mo"] * 3 + ["Ta"] * 3 + ["V"] * 3] * 20
    kept = [
        AveragedChain.of(chain(t, 0, [-1.0] * 20, species), ALLOY.elements, None, 1.02)
        for t in (200, 800)
    ]
    cold, hot = summarise_temperatures(kept, np.full(5, 0.02))
    entropy = kB * np.log(1680) / 9
    for record, t in ((cold, 200), (hot, 800)):
        assert record.free_energy_mev == pytest.approx(20 - 1e3 * t * entropy, rel=1e-9)
        assert record.ideal_free_energy_mev == pytest.approx(record.free_energy_mev, rel=1e-9)
        assert record.free_energy_error_mev == 0
        infinite = 20 - 1e3 * t * kB * np.log(3)
        assert record.ideal_infinite_mev == pytest.approx(infinite, rel=1e-9)


def test_references_are_pure_then_random_of_the_composition() -> None:
    codes = reference_codes({"Mo": 4, "Ta": 2}, 50, np.random.default_rng(3))
    assert codes.shape == (52, 6)
    assert codes[:2].tolist() == [[0] * 6, [1] * 6]
    assert set(codes[2:].sum(axis=1)) == {2}
    assert len({tuple(c) for c in codes[2:].tolist()}) > 10
    np.testing.assert_array_equal(
        codes, reference_codes({"Mo": 4, "Ta": 2}, 50, np.random.default_rng(3))
    )
