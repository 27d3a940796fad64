from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from ase.units import kB

from hea_flows.alloy.composition import (
    asked_and_held,
    cell_entropy,
    equal_counts,
    ideal_entropy,
    is_rounded,
    unequal_shares,
    whole_counts,
)
from hea_flows.alloy.lattice.prototypes import Alloy, mean_lattice_constant

METALS = ("Mo", "Ta", "Nb", "W", "V")
RICH = {"Mo": 0.4, "Ta": 0.2, "Nb": 0.2, "W": 0.1, "V": 0.1}


@pytest.mark.parametrize(
    ("shares", "n_sites", "counts"),
    [
        ({"Mo": 0.5, "Ta": 0.3, "W": 0.2}, 16, (8, 5, 3)),  # 8, 4.8, 3.2
        ({"Mo": 0.98, "Ta": 0.01, "W": 0.01}, 10, (8, 1, 1)),  # all stay present
        ({"Mo": 0.2, "Ta": 0.4, "W": 0.4}, 4, (1, 2, 1)),  # 0.8, 1.6, 1.6: first of equals
        ({"Mo": 0.3, "Ta": 0.3, "W": 0.4}, 25, (8, 7, 10)),  # 7.5 twice
        ({"Mo": 1.0}, 7, (7,)),
        (RICH, 100, (40, 20, 20, 10, 10)),
    ],
)
def test_rounding_keeps_every_element_and_the_sum(
    shares: dict[str, float], n_sites: int, counts: tuple[int, ...]
) -> None:
    assert tuple(whole_counts(shares, n_sites).values()) == counts


def test_the_rounded_composition_is_the_nearest_of_all() -> None:
    rng = np.random.default_rng(0)
    for n_sites in (4, 7, 9):
        every = np.array([c for c in product(range(1, n_sites + 1), repeat=3) if sum(c) == n_sites])
        for _ in range(50):
            shares = rng.dirichlet([0.7, 0.7, 0.7])
            counts = [*whole_counts(dict(zip(METALS, shares, strict=False)), n_sites).values()]
            distance = ((every - n_sites * shares) ** 2).sum(axis=1)
            assert ((counts - n_sites * shares) ** 2).sum() == pytest.approx(distance.min())


def test_equal_parts_are_never_rounded() -> None:
    assert equal_counts(METALS, 25) == dict.fromkeys(METALS, 5)
    with pytest.raises(ValueError, match=r"16 sites do not hold equal parts .* \(3.2 each\)"):
        equal_counts(METALS, 16)
    with pytest.raises(ValueError, match="4 sites cannot hold 5 elements"):
        equal_counts(METALS, 4)


def test_a_composition_of_other_elements_or_another_sum_is_refused() -> None:
    assert unequal_shares({"Ta": 0.4, "Mo": 0.6}, ("Mo", "Ta")) == {"Mo": 0.6, "Ta": 0.4}
    for given, message in (
        ({"Mo": 1.0}, "Ta is missing"),
        ({"Mo": 0.5, "Ta": 0.3, "W": 0.2}, "W is none of them"),
        ({"Mo": 0.5, "Ta": 0.4}, r"add up to 1, got \{Mo: 0.5, Ta: 0.4\} \(0.9\)"),
        ({"Mo": 1.0, "Ta": 0.0}, "above 0"),
        ({"Mo": float("nan"), "Ta": 1.0}, "above 0"),
    ):
        with pytest.raises(ValueError, match=message):
            unequal_shares(given, ("Mo", "Ta"))


def test_the_composition_of_an_alloy() -> None:
    alloy, equal = Alloy(METALS, composition=RICH), Alloy(METALS)
    assert alloy.counts(25) == {"Mo": 10, "Ta": 5, "Nb": 5, "W": 3, "V": 2}
    assert alloy.shares(("Mo", "W")) == {"Mo": 0.8, "W": 0.2}
    assert alloy.counts(10, ("W", "Mo")) == {"W": 2, "Mo": 8}
    assert equal.counts(25) == dict.fromkeys(METALS, 5)
    assert Alloy(METALS, composition=dict.fromkeys(METALS, 0.2)) == equal
    assert equal.composition == {}
    with pytest.raises(ValueError, match="V is missing"):
        Alloy(METALS, composition={"Mo": 0.4, "Ta": 0.2, "Nb": 0.2, "W": 0.2})


def test_a_mean_lattice_constant_is_that_of_the_composition() -> None:
    """Vegard: exactly the mean over the sites of a cell of that composition."""
    alloy = Alloy(METALS, composition=RICH)
    cells = {e: alloy.primitive(e).cell.array for e in METALS}
    expected = sum(x * alloy.lattice_constant(e) for e, x in RICH.items())
    assert mean_lattice_constant(alloy, cells) == pytest.approx(expected, rel=1e-12)
    equal = float(np.mean([alloy.lattice_constant(e) for e in METALS]))
    assert mean_lattice_constant(Alloy(METALS), cells) == pytest.approx(equal, rel=1e-12)


def test_what_was_asked_for_and_what_a_cell_holds_are_both_said() -> None:
    counts = whole_counts(RICH, 16)
    assert is_rounded(RICH, counts)
    assert not is_rounded(RICH, whole_counts(RICH, 100))
    assert asked_and_held({"Mo": 0.7, "V": 0.3}, whole_counts({"Mo": 0.7, "V": 0.3}, 9)) == (
        "asked for Mo 0.7, V 0.3; 9 sites hold Mo 6, V 3"
    )


def test_entropies_of_a_cell_and_of_the_infinite_alloy() -> None:
    assert cell_entropy([3, 3, 3]) == pytest.approx(kB * math.log(1680) / 9, rel=1e-12)
    assert cell_entropy([5]) == pytest.approx(0, abs=1e-18)
    assert cell_entropy([1, 0, 1]) == pytest.approx(kB * math.log(2) / 2, rel=1e-12)
    # Stirling: ln(100!/(20!)^5)/100 = ln 5 − 2 ln(2π·20)/100 + ln 5/200 + O(1/n²) from below.
    stirling = math.log(5) - (5 * math.log(40 * math.pi) - math.log(200 * math.pi)) / 200
    assert cell_entropy([20] * 5) / kB == pytest.approx(stirling, abs=5e-4)
    assert ideal_entropy([0.2] * 5) == pytest.approx(kB * math.log(5), rel=1e-12)
    assert ideal_entropy([1.0, 0.0]) == 0
    difference = 1e6 * (ideal_entropy([0.2] * 5) - cell_entropy([20] * 5))
    assert difference == pytest.approx(7.7, abs=0.05)  # meV/unit at 1000 K


@pytest.mark.parametrize("bad", [[], [0, 0], [3, -1], [2.5, 1]])
def test_counts_of_no_composition(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="whole numbers of sites"):
        cell_entropy(bad)
