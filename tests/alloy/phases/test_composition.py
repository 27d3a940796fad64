from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from ase.units import kB
from scipy.special import gammaln, logsumexp
from triangular_ising import ALLOY, LINEAR, Ising

from hea_flows.alloy.phases import CompositionFreeEnergy, composition_free_energy
from hea_flows.alloy.sampling import Sampler, SamplingSettings, VariableComposition

STATES = np.array(list(product(range(2), repeat=12)), dtype=np.int64)
BETA = 1 / (kB * 700.0)


MODEL = Ising(4, 3)


def exact() -> CompositionFreeEnergy:
    exponents = -BETA * MODEL.energies(STATES)
    sites = STATES.sum(axis=1)
    return CompositionFreeEnergy(
        BETA, np.array([-logsumexp(exponents[sites == n]) for n in range(13)])
    )


def sampled(ensemble: str) -> CompositionFreeEnergy:
    if ensemble == "semi-grand":
        points = [LINEAR + x for x in (-0.15, -0.05, 0.0, 0.05, 0.15)]
        chosen = VariableComposition.semi_grand(ALLOY, [{"V": p} for p in points])
        weights = [BETA * p * np.arange(13) for p in points]
    else:
        points = [0.2, -0.5, -1.0, -1.5, -2.2]
        chosen = VariableComposition.variance_constrained(ALLOY, 2.0, [{"V": p} for p in points])
        weights = [-2.0 * 12 * (np.arange(13) / 12 + p / 2) ** 2 for p in points]
    settings = SamplingSettings(temperatures=[700.0], runs=2, steps=4000, burn_in=100)
    sampler = Sampler(MODEL, ALLOY, MODEL.cell, chosen, settings, 1, training=40, cutoffs=(1.1,))
    while not sampler.finished:
        sampler.advance()
    chains = sampler.chains()
    return composition_free_energy(
        BETA, [c.numbers[:, 1] for c in chains], [weights[c.point] for c in chains]
    )


@pytest.mark.physics
@pytest.mark.parametrize("ensemble", ["semi-grand", "variance-constrained"])
def test_free_energies_equal_enumeration(ensemble: str) -> None:
    found, expected = sampled(ensemble), exact()
    difference = found.values - expected.values
    difference -= difference.mean()
    assert np.abs(difference).max() < 0.12  # k_B T; of some 10,000 samples per composition or fewer
    assert np.abs(found.excess - expected.excess).max() < 0.001  # eV per site
    for potential in (LINEAR - 0.02, LINEAR + 0.04):
        mean = found.weights(potential) @ np.arange(13)
        assert mean == pytest.approx(expected.weights(potential) @ np.arange(13), abs=0.15)


def test_without_interactions_there_is_no_excess() -> None:
    n = np.arange(101)
    ideal = -(gammaln(101) - gammaln(n + 1) - gammaln(101 - n))
    free = CompositionFreeEnergy(BETA, ideal + 0.3 * n)
    np.testing.assert_allclose(free.excess, 0.0, atol=1e-12)
    x = 1 / (1 + np.exp(0.3))
    assert free.weights(0.0) @ n == pytest.approx(100 * x)


def test_exact_shares_are_recovered_from_exact_histograms() -> None:
    """Histograms in proportion to the weights give back the free energy to rounding."""
    expected = exact()
    weights = [BETA * p * np.arange(13) for p in (LINEAR - 0.1, LINEAR, LINEAR + 0.1)]
    numbers = []
    for w in weights:
        shares = np.exp(w - expected.values - logsumexp(w - expected.values))
        numbers.append(np.repeat(np.arange(13), np.rint(1e7 * shares).astype(int)))
    found = composition_free_energy(BETA, numbers, weights)
    difference = found.values - expected.values
    assert np.ptp(difference) < 1e-2
    assert np.ptp(difference[2:-2]) < 2e-4


def test_histograms_that_share_nothing_are_refused() -> None:
    w = np.zeros(11)
    with pytest.raises(ValueError, match="chains at sites 7–9 share no composition"):
        composition_free_energy(
            1.0, [np.array([1, 2]), np.array([7, 9]), np.array([2, 3])], [w] * 3
        )
    with pytest.raises(ValueError, match="more sites of an element than the cell's 10"):
        composition_free_energy(1.0, [np.array([11])], [w])
    with pytest.raises(ValueError, match="each chain needs its weights"):
        composition_free_energy(1.0, [], [])
