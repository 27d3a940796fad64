"""Compositions by element, in ranges and on grids."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import product
from math import comb

import numpy as np
import pytest

from hea_flows.alloy.lattice.prototypes import Alloy
from hea_flows.alloy.sets.named import Expression, parse
from hea_flows.alloy.sets.shares import (
    Shares,
    drawn_counts,
    exactly,
    n_compositions,
    simplex_points,
)

METALS = ("Mo", "Ta", "Nb", "W", "V")
LAYER = Alloy(METALS)
RICH = "x={Mo: 0.4, Ta: 0.2, Nb: 0.2, W: 0.1, V: 0.1}"


def counts(expression: Expression, alloy: Alloy = LAYER) -> list[dict[str, int]]:
    return [o.counts for o in expression.build(alloy, 1)]


def test_exact_shares_are_rounded_to_what_the_cell_holds_and_both_are_said() -> None:
    expression = parse(f"random(5x5, n=3, {RICH})")
    assert expression.canonical == (
        "random(5x5, n=3, x={Mo: 2/5, Nb: 1/5, Ta: 1/5, V: 1/10, W: 1/10})"
    )
    assert counts(expression) == [{"Mo": 10, "Nb": 5, "Ta": 5, "V": 3, "W": 2}] * 3
    cost = expression.cost(LAYER)
    assert cost.structures == 3
    assert cost.rounded == (
        "asked for Mo 0.4, Nb 0.2, Ta 0.2, V 0.1, W 0.1; 25 sites hold Mo 10, Nb 5, Ta 5, V 3, W 2",
    )
    assert parse(f"random(10x10, {RICH})").cost(LAYER).rounded == ()


def test_exact_shares_name_all_elements_that_there_are() -> None:
    expression = parse("random(4x4, n=2, x={V: 1/4, Mo: 0.75}) + sqs(4x4, x={W: 0.5, Mo: 1/2})")
    assert counts(expression) == [{"Mo": 12, "V": 4}] * 2 + [{"Mo": 8, "W": 8}]
    assert "+" not in parse("random(4x4, x={V: 0.25, Mo: 0.75})").canonical
    same = ("random(4x4, x={V: 0.250, Mo: 3/4})", "random(4x4, x={Mo: 0.75, V: 0.25})")
    assert len({parse(text).canonical for text in same}) == 1


def test_ranges_leave_the_other_elements_in_use_free() -> None:
    expression = parse("random(4x4, n=60, x={Mo: 0.2..0.5, V: 0.125..0.125})[Mo,Ta,V]")
    assert expression.canonical == "random(4x4, n=60, x={Mo: 1/5..1/2, V: 1/8})[Mo,Ta,V]"
    drawn = counts(expression)
    assert {c["V"] for c in drawn} == {2}
    assert {c["Mo"] for c in drawn} == {4, 5, 6, 7, 8}  # 3.2 to 8
    assert all(min(c.values()) >= 1 and len(c) == 3 for c in drawn)


@pytest.mark.parametrize(
    "ranges", [{"A": (1, 4), "B": (2, 3), "C": (1, 9)}, {"A": (1, 9), "B": (1, 9)}]
)
def test_compositions_within_ranges_are_counted_and_drawn_evenly(
    ranges: dict[str, tuple[int, int]],
) -> None:
    every = [c for c in product(*(range(a, b + 1) for a, b in ranges.values())) if sum(c) == 9]
    assert n_compositions(ranges, 9) == len(every)
    rng = np.random.default_rng(0)
    n = 300 * len(every)
    seen = Counter(tuple(drawn_counts(ranges, 9, rng).values()) for _ in range(n))
    assert set(seen) == set(every)
    chi2 = sum((k - 300) ** 2 / 300 for k in seen.values())
    assert chi2 < len(every) - 1 + 3.5 * (2 * (len(every) - 1)) ** 0.5
    assert n_compositions(exactly({"A": 4, "B": 5}), 9) == 1
    assert n_compositions(exactly({"A": 4, "B": 4}), 9) == 0


@pytest.mark.parametrize(("k", "divisions"), [(1, 3), (2, 6), (3, 7), (5, 9)])
def test_a_grid_holds_every_composition_of_all_elements_once(k: int, divisions: int) -> None:
    points = simplex_points(METALS[:k], divisions)
    rows = {tuple(round(divisions * x) for x in p.values()) for p in points}
    assert len(rows) == len(points) == comb(divisions - 1, k - 1)
    assert all(sum(r) == divisions and min(r) >= 1 for r in rows)


def test_grids_of_combinations() -> None:
    """Three ternary points of a fourth, and each element pair at three points."""
    expression = parse("sqs(4x4, components=3, grid=4, steps=10)[Mo,Ta,V]")
    assert counts(expression) == [
        {"Mo": a, "Ta": b, "V": c} for a, b, c in ((4, 4, 8), (4, 8, 4), (8, 4, 4))
    ]
    pairs = parse("random(4x4, n=2, components=2, grid=4, per=combination)[Mo,Ta,V]")
    assert Counter(tuple(c.items()) for c in counts(pairs)) == {
        ((a, n), (b, 16 - n)): 2
        for a, b in (("Mo", "Ta"), ("Mo", "V"), ("Ta", "V"))
        for n in (4, 8, 12)
    }
    assert pairs.cost(LAYER).structures == 18


def test_sqs_are_at_the_alloys_own_ratio() -> None:
    alloy = Alloy(("Mo", "Ta", "V"), composition={"Mo": 0.5, "Ta": 0.25, "V": 0.25})
    expression = parse("sqs(4x4, steps=10) + sqs(3x3, components=2, steps=10)")
    assert counts(expression, alloy) == [
        {"Mo": 8, "Ta": 4, "V": 4},
        {"Mo": 6, "Ta": 3},
        {"Mo": 6, "V": 3},
        {"Ta": 5, "V": 4},
    ]
    assert expression.cost(alloy).rounded == ("asked for Ta 0.5, V 0.5; 9 sites hold Ta 5, V 4",)


def test_an_annealed_part_of_one_composition() -> None:
    """Its point functions do not vary, which does not make it singular."""
    chosen = counts(parse(f"anneal(random(5x5, n=12, {RICH}), 50%, steps=200)"))
    assert chosen == [{"Mo": 10, "Nb": 5, "Ta": 5, "V": 3, "W": 2}] * 6


def test_what_is_out_of_reach_is_refused_before_it_is_built() -> None:
    """A grid with many compositions, a large number of cells: counted, not built."""
    cost = parse("random(30x30, n=1000, components=5, grid=10)").cost(LAYER)
    assert cost.structures == 126_000
    assert parse("random(40x40, n=5, x={Mo: 0..0.5})").cost(LAYER).structures == 5
    huge = parse("random(9999x9999, n=3, x={Mo: 0.1..0.5})").cost(LAYER)
    assert (huge.structures, huge.seconds > 1e6) == (3, True)
    shares = Shares((("Mo", Fraction(0), Fraction(1, 2)),))
    assert shares.site_ranges(("Mo", "V"), 10) == {"Mo": (1, 5), "V": (1, 10)}
