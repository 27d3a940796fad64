from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from hea_flows.alloy.lattice.ordering import Ordering
from hea_flows.alloy.lattice.prototypes import Alloy
from hea_flows.alloy.sets.random_structures import (
    Supercell,
    check_random,
    is_repetition,
    random_counts,
    random_ordering,
    random_orderings,
    supercell_matrix,
)

METALS = ("Mo", "Ta", "Nb", "W", "V")
LAYER = Alloy(METALS)
FCC = Alloy(("Cu", "Au"), "fcc", None)


def test_supercell_matrix_reads_text_repetitions_and_matrices() -> None:
    wanted = ((4, 0, 0), (0, 3, 0), (0, 0, 1))
    assert supercell_matrix(LAYER, "4x3") == wanted
    assert supercell_matrix(LAYER, "4x3x1") == wanted
    assert supercell_matrix(LAYER, (4, 3)) == wanted
    assert supercell_matrix(LAYER, wanted) == wanted
    assert supercell_matrix(FCC, "2x2x3") == ((2, 0, 0), (0, 2, 0), (0, 0, 3))
    root3 = ((1, -1, 0), (1, 2, 0), (0, 0, 1))
    assert supercell_matrix(LAYER, root3) == root3


@pytest.mark.parametrize(
    ("alloy", "supercell", "message"),
    [
        (LAYER, "4*4", "'4\\*4' is not understood; write 4x4"),
        (LAYER, "4x4x2", "does not fit host 2H-MX2; give e.g. 4x4"),
        (LAYER, "0x4", "does not fit"),
        (LAYER, (4,), "does not fit"),
        (LAYER, (4.5, 2), "made of integers"),
        (LAYER, ((1, 0, 1), (0, 1, 0), (0, 0, 1)), "does not fit"),
        (FCC, "4x4", "does not fit host fcc; give e.g. 2x2x2"),
        (FCC, ((1, 0, 0), (2, 0, 0), (0, 0, 1)), "does not fit"),
    ],
)
def test_supercell_errors(alloy: Alloy, supercell: Supercell, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        supercell_matrix(alloy, supercell)


def test_random_counts_are_uniform_over_all_compositions() -> None:
    rng = np.random.default_rng(4)
    draws = 6000
    tally = Counter(tuple(random_counts(("Mo", "Ta", "W"), 5, rng).values()) for _ in range(draws))
    # Compositions of 5 in three positive parts: C(4, 2) = 6.
    assert len(tally) == 6
    assert all(sum(c) == 5 and min(c) >= 1 for c in tally)
    chi2 = sum((n - draws / 6) ** 2 / (draws / 6) for n in tally.values())
    assert chi2 < 15.1  # 1 % level at 5 degrees of freedom
    assert random_counts(("Mo",), 3, rng) == {"Mo": 3}
    assert random_counts(("Mo", "Ta"), 2, rng) == {"Mo": 1, "Ta": 1}
    with pytest.raises(ValueError, match="2 sites cannot hold 3"):
        random_counts(("Mo", "Ta", "W"), 2, rng)


def test_configurations_are_uniform_over_all_placements() -> None:
    rng = np.random.default_rng(8)
    tally = Counter(
        random_ordering(LAYER, "2x2", {"Mo": 2, "Ta": 2}, rng).species for _ in range(3000)
    )
    assert len(tally) == 6
    chi2 = sum((n - 500) ** 2 / 500 for n in tally.values())
    assert chi2 < 15.1


def test_random_ordering_has_the_counts_and_refuses_others() -> None:
    rng = np.random.default_rng(0)
    ordering = random_ordering(LAYER, "4x4", {"Mo": 9, "V": 7}, rng)
    assert ordering.counts == {"Mo": 9, "V": 7}
    assert ordering.supercell == ((4, 0, 0), (0, 4, 0), (0, 0, 1))
    with pytest.raises(ValueError, match="do not fill the 16 sites"):
        random_ordering(LAYER, "4x4", {"Mo": 9, "V": 8}, rng)
    with pytest.raises(ValueError, match="not of the alloy"):
        random_ordering(LAYER, "4x4", {"Mo": 9, "Ti": 7}, rng)


def test_same_seed_same_structures_and_no_duplicates() -> None:
    draw = [
        random_orderings(LAYER, "4x4", 30, METALS[:3], np.random.default_rng(5)) for _ in range(2)
    ]
    assert [o.species for o in draw[0]] == [o.species for o in draw[1]]
    assert len({o.id for o in draw[0]}) == 30
    assert all(o.components == ("Mo", "Nb", "Ta") for o in draw[0])
    assert len({tuple(o.counts.items()) for o in draw[0]}) > 10
    other = random_orderings(LAYER, "4x4", 30, METALS[:3], np.random.default_rng(6))
    assert {o.id for o in other} != {o.id for o in draw[0]}


HALF = {"Mo": (2, 2), "Ta": (2, 2)}


def test_all_distinct_decorations_of_a_small_cell_are_found_and_no_more() -> None:
    # 2x2 binaries with two and two: three placements up to translation, all equal by rotation.
    rng = np.random.default_rng(1)
    found = random_orderings(LAYER, "2x2", 1, ("Mo", "Ta"), rng, ranges=HALF)
    assert is_repetition(found[0])
    with pytest.raises(ValueError, match=r"found only 1 new .*\(6 placements\), asked for 2"):
        random_orderings(LAYER, "2x2", 2, ("Mo", "Ta"), rng, ranges=HALF)
    with pytest.raises(ValueError, match="found only 0"):
        random_orderings(LAYER, "2x2", 1, ("Mo", "Ta"), rng, ranges=HALF, exclude_repetitions=True)


def test_excluded_identities_are_not_drawn_again() -> None:
    rng = np.random.default_rng(2)
    seen: set[str] = set()
    first = random_orderings(LAYER, "3x1", 2, ("Mo", "Ta"), rng, exclude=seen)
    assert seen == {o.id for o in first}
    with pytest.raises(ValueError, match="found only 0 new"):
        random_orderings(LAYER, "3x1", 1, ("Mo", "Ta"), rng, exclude=seen)


def test_repetition() -> None:
    cell = ((2, 0, 0), (0, 2, 0), (0, 0, 1))
    assert is_repetition(Ordering(LAYER, cell, ("Mo", "Ta", "Ta", "Mo")))
    assert not is_repetition(Ordering(LAYER, cell, ("Mo", "Ta", "Ta", "Ta")))
    assert not is_repetition(Ordering(LAYER, ((1, 0, 0), (0, 1, 0), (0, 0, 1)), ("Mo",)))
    assert is_repetition(Ordering(LAYER, cell, ("Mo",) * 4))


def test_impossible_compositions_are_refused_before_drawing() -> None:
    rng = np.random.default_rng(2)
    with pytest.raises(ValueError, match="cannot hold 5"):
        random_orderings(LAYER, "2x2", 1, METALS, rng)


def test_compositions_are_drawn_within_ranges() -> None:
    rng = np.random.default_rng(2)
    ranges = {"Mo": (2, 8), "Ta": (1, 16), "V": (3, 3)}
    cells = random_orderings(LAYER, "4x4", 40, tuple(ranges), rng, ranges=ranges)
    assert {o.counts["V"] for o in cells} == {3}
    assert {o.counts["Mo"] for o in cells} == set(range(2, 9))


def test_decorations_at_the_alloys_own_ratio_are_checked() -> None:
    rng = np.random.default_rng(0)
    rich = Alloy(("Mo", "V"), composition={"Mo": 0.75, "V": 0.25})
    check_random(rich, "2x2", 1, rich.elements, rng)
    with pytest.raises(ValueError, match=r"found only 1 new .*\(4 placements\)"):
        check_random(rich, "2x2", 2, rich.elements, rng)
    with pytest.raises(ValueError, match="do not hold equal parts"):
        check_random(LAYER, "4x4", 2, METALS, rng)


def test_bulk_host() -> None:
    found = random_orderings(FCC, "2x2x2", 3, ("Cu", "Au"), np.random.default_rng(3))
    assert [o.n_sites for o in found] == [8, 8, 8]
    assert found[0].to_atoms().pbc.all()
