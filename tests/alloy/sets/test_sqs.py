from __future__ import annotations

import random
from itertools import combinations

import numpy as np
import pytest
from icet.tools.structure_generation import _get_sqs_cluster_vector
from mchammer.calculators import compare_cluster_vectors

from hea_flows.alloy.clusters.space import cluster_space, cluster_vectors, neighbour_distance
from hea_flows.alloy.lattice.ordering import Ordering
from hea_flows.alloy.lattice.prototypes import Alloy
from hea_flows.alloy.sets.random_structures import random_orderings
from hea_flows.alloy.sets.shares import exactly
from hea_flows.alloy.sets.sqs import (
    random_alloy_vector,
    special_quasirandom,
    sqs_objective,
    supercell_shapes,
)

METALS = ("Mo", "Ta", "Nb", "W", "V")
LAYER = Alloy(METALS)
PAIR = ("Mo", "Ta")


def test_nearest_neighbour_distances() -> None:
    assert neighbour_distance(LAYER) == pytest.approx(3.18)
    assert neighbour_distance(Alloy(("Cu",), "fcc", None)) == pytest.approx(3.61 / np.sqrt(2))
    a = Alloy(("Mo",), "bcc", None).lattice_constant("Mo")
    assert neighbour_distance(Alloy(("Mo",), "bcc", None)) == pytest.approx(a * np.sqrt(3) / 2)


@pytest.mark.parametrize(
    ("alloy", "fractions"),
    [
        (LAYER, {"Mo": 0.1, "Ta": 0.2, "Nb": 0.3, "W": 0.25, "V": 0.15}),
        (LAYER, {"Nb": 0.3, "V": 0.7}),
        (Alloy(("Cu", "Au"), "fcc", None), {"Cu": 0.25, "Au": 0.75}),
    ],
)
def test_vector_of_the_random_alloy(alloy: Alloy, fractions: dict[str, float]) -> None:
    space = cluster_space(alloy, [8.6, 5.7], tuple(fractions))
    expected = _get_sqs_cluster_vector(space, {"A": fractions})
    found = random_alloy_vector(space, alloy, fractions)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_cluster_vectors_are_those_of_identical_structures_only() -> None:
    space = cluster_space(LAYER, [8.6, 5.7], PAIR)
    small = Ordering(LAYER, ((2, 0, 0), (0, 1, 0), (0, 0, 1)), PAIR)
    large = Ordering(LAYER, ((2, 0, 0), (0, 2, 0), (0, 0, 1)), ("Mo", "Mo", "Ta", "Ta"))
    other = Ordering(LAYER, ((2, 0, 0), (0, 2, 0), (0, 0, 1)), ("Mo", "Ta", "Ta", "Ta"))
    vectors = cluster_vectors(space, [small, large, other])
    assert vectors.shape == (3, len(space))
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-12)
    assert np.abs(vectors[0] - vectors[2]).max() > 0.1
    with pytest.raises(ValueError, match="needs two elements"):
        cluster_space(LAYER, [5.0], ("Mo",))
    with pytest.raises(ValueError, match=r"reach the next layer; stay below 18\.1"):
        cluster_space(LAYER, [19.0])


@pytest.mark.parametrize(
    # Inequivalent sublattices of the hexagonal lattice, OEIS A003051.
    ("size", "number"),
    list(enumerate((1, 1, 2, 3, 2, 3, 3, 5, 4, 4, 3, 8), start=1)),
)
def test_supercell_shapes_follow_the_known_sequence(size: int, number: int) -> None:
    shapes = supercell_shapes(LAYER, size)
    assert all(round(abs(np.linalg.det(np.array(s)))) == size for s in shapes)
    assert len({Ordering(LAYER, s, ("Mo",) * size).id for s in shapes}) == len(shapes) == number


def all_objectives(size: int) -> list[float]:
    """Objectives of every equimolar decoration of every supercell shape, by brute force."""
    d = neighbour_distance(LAYER)
    space = cluster_space(LAYER, [2.7 * d, 1.8 * d], PAIR)
    target = random_alloy_vector(space, LAYER, dict.fromkeys(PAIR, 0.5))
    objectives = []
    for shape in supercell_shapes(LAYER, size):
        for chosen in combinations(range(size), size // 2):
            species = tuple("Mo" if i in chosen else "Ta" for i in range(size))
            vector = cluster_vectors(space, [Ordering(LAYER, shape, species)])[0]
            objectives.append(compare_cluster_vectors(vector, target, space.as_list))
    return objectives


@pytest.mark.parametrize("size", [2, 4, 6])
def test_small_sqs_is_the_best_of_all_decorations(size: int) -> None:
    ordering, objective = special_quasirandom(LAYER, size, PAIR, np.random.default_rng(0))
    assert ordering.counts == {"Mo": size // 2, "Ta": size // 2}
    assert objective == pytest.approx(min(all_objectives(size)), abs=1e-9)


def test_same_seed_same_structure_and_global_generators_stay_untouched() -> None:
    random.seed(123)
    np.random.seed(123)  # noqa: NPY002
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    first = special_quasirandom(LAYER, "5x5", METALS, np.random.default_rng(3), n_steps=300)
    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002
    random.seed(99)
    again = special_quasirandom(LAYER, "5x5", METALS, np.random.default_rng(3), n_steps=300)
    assert again[0].species == first[0].species
    assert again[1] == first[1]
    other = special_quasirandom(LAYER, "5x5", METALS, np.random.default_rng(4), n_steps=300)
    assert other[0].species != first[0].species


def test_sqs_is_closer_to_random_than_random_cells_are() -> None:
    rng = np.random.default_rng(1)
    ordering, objective = special_quasirandom(LAYER, "5x5", METALS, rng)
    assert ordering.counts == dict.fromkeys(sorted(METALS), 5)
    assert ordering.supercell == ((5, 0, 0), (0, 5, 0), (0, 0, 1))
    d = neighbour_distance(LAYER)
    space = cluster_space(LAYER, [2.7 * d, 1.8 * d])
    target = random_alloy_vector(space, LAYER, dict.fromkeys(METALS, 0.2))
    cells = random_orderings(LAYER, "5x5", 40, METALS, rng, ranges=dict.fromkeys(METALS, (5, 5)))
    others = [
        compare_cluster_vectors(v, target, space.as_list) for v in cluster_vectors(space, cells)
    ]
    assert objective < 0.8 * min(others)


@pytest.mark.parametrize("elements", [("Ta", "Mo"), METALS])
def test_the_objective_is_read_back_from_the_structure(elements: tuple[str, ...]) -> None:
    cell = "4x4" if len(elements) == 2 else "5x5"
    ordering, objective = special_quasirandom(
        LAYER, cell, sorted(elements), np.random.default_rng(3), n_steps=50
    )
    assert sqs_objective(ordering) == pytest.approx(objective, abs=1e-12)
    assert sqs_objective(Ordering(LAYER, ordering.supercell, ("V",) * ordering.n_sites)) == 0


def test_end_points_are_trivial_and_impossible_compositions_refused() -> None:
    rng = np.random.default_rng(0)
    ordering, objective = special_quasirandom(LAYER, "2x2", ("V",), rng)
    assert (ordering.species, objective) == (("V",) * 4, 0.0)
    with pytest.raises(ValueError, match="do not hold equal parts"):
        special_quasirandom(LAYER, "4x4", METALS, rng)
    with pytest.raises(ValueError, match="at least one site, got size 0"):
        special_quasirandom(LAYER, 0, PAIR, rng)
    with pytest.raises(ValueError, match="not of the alloy"):
        special_quasirandom(LAYER, "2x2", ("Mo", "Ti"), rng)


def test_bulk_sqs() -> None:
    alloy = Alloy(("Cu", "Au"), "fcc", None)
    ordering, _ = special_quasirandom(
        alloy,
        4,
        ("Cu", "Au"),
        np.random.default_rng(0),
        shares={"Cu": 0.25, "Au": 0.75},
        cutoffs=[4.0],
        n_steps=200,
    )
    assert ordering.counts == {"Au": 3, "Cu": 1}


@pytest.mark.parametrize("shares", [None, {"Mo": 0.5, "Ta": 0.3, "V": 0.2}])
def test_sqs_of_an_alloy_at_its_own_or_another_ratio(shares: dict[str, float] | None) -> None:
    """As near to the random alloy of that composition as to no other, and rounded."""
    alloy = Alloy(("Mo", "Ta", "V"), composition={"Mo": 0.5, "Ta": 0.25, "V": 0.25})
    ordering, objective = special_quasirandom(
        alloy, "4x4", alloy.elements, np.random.default_rng(2), shares=shares, n_steps=1000
    )
    assert ordering.counts == ({"Mo": 8, "Ta": 5, "V": 3} if shares else {"Mo": 8, "Ta": 4, "V": 4})
    assert sqs_objective(ordering) == pytest.approx(objective, abs=1e-12)
    drawn = random_orderings(
        alloy,
        "4x4",
        20,
        alloy.elements,
        np.random.default_rng(1),
        ranges=exactly(ordering.counts),
    )
    assert objective < min(sqs_objective(o) for o in drawn)
