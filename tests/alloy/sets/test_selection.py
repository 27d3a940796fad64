from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from icet.tools.training_set_generation import structure_selection_annealing

from hea_flows.alloy.clusters.space import cluster_space, cluster_vectors, neighbour_distance
from hea_flows.alloy.lattice.ordering import Ordering
from hea_flows.alloy.lattice.prototypes import Alloy
from hea_flows.alloy.sets.enumeration import enumerate_orderings
from hea_flows.alloy.sets.selection import annealed_subset
from hea_flows.alloy.sets.sqs import untouched_global_generators

METALS = ("Mo", "Ta", "Nb", "W", "V")
LAYER = Alloy(METALS)


@pytest.fixture(scope="module")
def diagonal() -> list[Ordering]:
    return [
        o
        for n in (2, 3, 4, 5)
        for c in combinations(METALS, n)
        for o in enumerate_orderings(LAYER, c, n)
    ]


@pytest.fixture(scope="module")
def binaries() -> list[Ordering]:
    return [o for n in (2, 3, 4) for o in enumerate_orderings(LAYER, ("Mo", "Ta"), n)]


def test_small_pool_gives_the_best_of_all_subsets(binaries: list[Ordering]) -> None:
    cutoffs = [3.5]  # zerolet, singlet, nearest pair
    vectors = cluster_vectors(cluster_space(LAYER, cutoffs, ("Mo", "Ta")), binaries)
    best = min(np.linalg.cond(vectors[list(c)]) for c in combinations(range(len(binaries)), 4))
    rng = np.random.default_rng(0)
    chosen, condition = annealed_subset(LAYER, binaries, 4, rng, cutoffs=cutoffs, n_steps=2000)
    assert condition == pytest.approx(best, rel=1e-9)
    assert condition == pytest.approx(np.linalg.cond(vectors[chosen]), rel=1e-9)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == 4


def test_condition_is_not_worse_than_that_of_icet(diagonal: list[Ordering]) -> None:
    cutoffs = [2.1 * neighbour_distance(LAYER)]
    space = cluster_space(LAYER, cutoffs)
    atoms = [o.to_atoms(a=LAYER.lattice_constant("Mo")) for o in diagonal]
    for cell in atoms:
        cell.pbc = True
    with untouched_global_generators():
        np.random.seed(0)  # noqa: NPY002
        indices, _ = structure_selection_annealing(space, atoms, 63, 2000)
    vectors = cluster_vectors(space, diagonal)
    theirs = np.linalg.cond(vectors[np.asarray(indices)])
    rng = np.random.default_rng(0)
    chosen, ours = annealed_subset(LAYER, diagonal, 63, rng, n_steps=2000)
    assert ours == pytest.approx(np.linalg.cond(vectors[chosen]), rel=1e-6)
    assert ours < 1.05 * theirs
    shuffled = [np.linalg.cond(vectors[rng.permutation(126)[:63]]) for _ in range(200)]
    assert ours < min(shuffled)


def test_same_seed_same_subset_without_global_generators(diagonal: list[Ordering]) -> None:
    np.random.seed(1)  # noqa: NPY002
    state = np.random.get_state()[1].tolist()  # noqa: NPY002
    runs = [
        annealed_subset(LAYER, diagonal, 32, np.random.default_rng(s), n_steps=200)
        for s in (1, 1, 2)
    ]
    assert np.random.get_state()[1].tolist() == state  # noqa: NPY002
    assert runs[0] == runs[1]
    assert runs[0][0] != runs[2][0]


def test_directions_that_no_candidate_spans_are_left_out(diagonal: list[Ordering]) -> None:
    # 55 parameters, but small cells span 26 of them: the plain matrix is singular.
    d = neighbour_distance(LAYER)
    cutoffs = [1.1 * d, 1.1 * d]
    vectors = cluster_vectors(cluster_space(LAYER, cutoffs), diagonal)
    assert vectors.shape[1] == 55
    assert np.linalg.matrix_rank(vectors) == 26
    rng = np.random.default_rng(0)
    chosen, condition = annealed_subset(LAYER, diagonal, 63, rng, cutoffs=cutoffs, n_steps=1000)
    assert condition < 20
    values = np.linalg.svd(vectors[chosen], compute_uv=False)
    assert condition == pytest.approx(values[0] / values[25], rel=1e-6)


def test_whole_pool_and_impossible_sizes(binaries: list[Ordering]) -> None:
    rng = np.random.default_rng(0)
    chosen, _ = annealed_subset(LAYER, binaries, len(binaries), rng)
    assert chosen == list(range(len(binaries)))
    for n in (0, len(binaries) + 1):
        with pytest.raises(ValueError, match=f"cannot choose {n} of 13"):
            annealed_subset(LAYER, binaries, n, rng)
