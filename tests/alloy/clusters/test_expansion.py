from __future__ import annotations

import numpy as np
import pytest

from hea_flows.alloy.clusters.expansion import fit_expansion, zero_expansion
from hea_flows.alloy.clusters.space import cluster_space
from hea_flows.alloy.clusters.tables import Clusters
from hea_flows.alloy.lattice.prototypes import Alloy

ALLOY = Alloy(("Mo", "Ta", "V"))
CLUSTERS = Clusters.of(cluster_space(ALLOY, [7.0, 3.5]), ALLOY, np.diag([5, 5, 1]))


def decorations(number: int, seed: int) -> np.ndarray:
    rng, filling = np.random.default_rng(seed), np.repeat([0, 1, 2], [9, 8, 8])
    return np.array([rng.permutation(filling) for _ in range(number)])


def test_a_cluster_expansion_is_found_again() -> None:
    rng = np.random.default_rng(0)
    truth = CLUSTERS.tables(rng.normal(scale=0.01, size=1 + len(CLUSTERS.functions)))
    codes, fresh = decorations(200, 1), decorations(20, 2)
    energies = np.array([truth.energy(c) for c in codes]) / 25
    expansion = fit_expansion(CLUSTERS, CLUSTERS.vectors(codes), energies)
    assert expansion.rmse < 1e-7
    for row in fresh:
        assert expansion.tables.energy(row) == pytest.approx(truth.energy(row), abs=1e-5)


def test_noise_is_not_fitted() -> None:
    """Energies that know nothing of the decoration: predictions stay near their mean."""
    codes, fresh = decorations(60, 3), decorations(50, 4)
    noise = np.random.default_rng(5).normal(2.0, 0.01, size=60)
    expansion = fit_expansion(CLUSTERS, CLUSTERS.vectors(codes), noise)
    predicted = np.array([expansion.tables.energy(c) for c in fresh]) / 25
    assert np.abs(predicted - noise.mean()).max() < 0.02


def test_energies_that_are_all_the_same_are_found_again() -> None:
    codes = decorations(8, 6)
    expansion = fit_expansion(CLUSTERS, CLUSTERS.vectors(codes), [-7.25] * 8)
    assert [expansion.tables.energy(c) for c in codes] == [-7.25 * 25] * 8
    assert expansion.rmse == 0


def test_flat_and_refusals() -> None:
    codes = decorations(3, 6)
    assert zero_expansion(CLUSTERS).tables.energy(codes[0]) == 0
    vectors = CLUSTERS.vectors(codes)
    with pytest.raises(ValueError, match="two finite energies or more, got 1"):
        fit_expansion(CLUSTERS, vectors[:1], [0.1])
    with pytest.raises(ValueError, match="finite"):
        fit_expansion(CLUSTERS, vectors, [0.1, np.nan, 0.2])
