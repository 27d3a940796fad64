from __future__ import annotations

import random
from collections import Counter
from fractions import Fraction
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from hea_flows.alloy.lattice.prototypes import Alloy
from hea_flows.alloy.sets.enumeration import enumerate_orderings
from hea_flows.alloy.sets.named import (
    NamedSet,
    SetError,
    load_named_sets,
    named_sets_path,
    parse,
    set_summary,
)
from hea_flows.alloy.sets.random_structures import is_repetition

METALS = ("Mo", "Ta", "Nb", "W", "V")
LAYER = Alloy(METALS)
FCC = Alloy(("Cu", "Au", "Ag"), "fcc", None)
#: Random draw of seed 42 that must stay as it is.
KNOWN_DRAW = ["MTWWMWMTT", "WMTMWTWMT"]


def ids(expression: str, seed: int = 0, alloy: Alloy = LAYER) -> list[str]:
    return [o.id for o in parse(expression).build(alloy, seed)]


@pytest.mark.parametrize(
    ("name", "structures", "sites", "by_size"),
    [
        ("database-1", 150, 5400, {(2, 36): 150}),
        ("database-2", 80, 1280, {(n, 16): 20 for n in (2, 3, 4, 5)}),
        ("database-3", 131, 495, {(1, 1): 5, (2, 2): 10, (3, 3): 30, (4, 4): 50, (5, 5): 36}),
        ("model-1", 10, 20, {(2, 2): 10}),
        ("model-2", 40, 110, {(2, 2): 10, (3, 3): 30}),
        ("model-3", 90, 310, {(2, 2): 10, (3, 3): 30, (4, 4): 50}),
        ("model-4", 126, 490, {(2, 2): 10, (3, 3): 30, (4, 4): 50, (5, 5): 36}),
        ("model-5", 50, 140, {(2, 2): 10, (2, 3): 40}),
        ("model-6", 130, 460, {(2, 2): 10, (2, 3): 40, (2, 4): 80}),
        ("model-7", 80, 230, {(2, 2): 10, (2, 3): 40, (3, 3): 30}),
        ("model-8", 340, 1270, {(2, 2): 10, (2, 3): 40, (2, 4): 80, (3, 3): 30, (3, 4): 180}),
        ("model-9", 130, 430, {(2, 2): 10, (2, 3): 40, (3, 3): 30, (4, 4): 50}),
        ("model-10", 310, 1150, {(2, 2): 10, (2, 3): 40, (3, 3): 30, (3, 4): 180, (4, 4): 50}),
        ("model-11", 210, 750, {(2, 2): 10, (2, 3): 40, (2, 4): 80, (3, 3): 30, (4, 4): 50}),
        (
            "model-12",
            390,
            1470,
            {(2, 2): 10, (2, 3): 40, (2, 4): 80, (3, 3): 30, (3, 4): 180, (4, 4): 50},
        ),
        ("model-13", 166, 610, {(2, 2): 10, (2, 3): 40, (3, 3): 30, (4, 4): 50, (5, 5): 36}),
        (
            "model-14",
            346,
            1330,
            {(2, 2): 10, (2, 3): 40, (3, 3): 30, (3, 4): 180, (4, 4): 50, (5, 5): 36},
        ),
        (
            "model-15",
            246,
            930,
            {(2, 2): 10, (2, 3): 40, (2, 4): 80, (3, 3): 30, (4, 4): 50, (5, 5): 36},
        ),
        (
            "model-16",
            426,
            1650,
            {(2, 2): 10, (2, 3): 40, (2, 4): 80, (3, 3): 30, (3, 4): 180, (4, 4): 50, (5, 5): 36},
        ),
        ("E-2-4", 3, 10, {(2, 2): 1, (2, 4): 2}),
        ("E-2-4-6", 11, 58, {(2, 2): 1, (2, 4): 2, (2, 6): 8}),
        ("E-2-4-6-8", 40, 290, {(2, 2): 1, (2, 4): 2, (2, 6): 8, (2, 8): 29}),
        ("R-4x4-x1", 1, 16, {(2, 16): 1}),
        ("R-4x4-x4", 4, 64, {(2, 16): 4}),
        ("R-4x4-x18", 18, 288, {(2, 16): 18}),
        ("R1", 32, 465, {(2, 2): 10, (3, 9): 10, (4, 36): 5, (5, 25): 7}),
        (
            "R2",
            82,
            1665,
            {(2, 2): 10, (2, 16): 30, (3, 9): 10, (3, 36): 20, (4, 36): 5, (5, 25): 7},
        ),
        ("R3", 20, 500, {(5, 25): 20}),
    ],
)
def test_named_sets_have_the_numbers_of_the_paper(
    name: str, structures: int, sites: int, by_size: dict[tuple[int, int], int]
) -> None:
    summary = set_summary(parse(name).build(LAYER, 3))
    assert (summary.structures, summary.sites, summary.by_size) == (structures, sites, by_size)


def test_every_named_set_is_listed_above_and_described() -> None:
    sets = load_named_sets()
    assert len(sets) == 28
    for name, entry in sets.items():
        assert entry.name == name
        assert entry.label
        assert entry.description
        assert bool(entry.note) == entry.inferred
    assert named_sets_path().name == "sets.yaml"


def test_model_4_is_even_over_the_combinations() -> None:
    summary = set_summary(parse("model-4").build(LAYER))
    each = {2: 1, 3: 3, 4: 10, 5: 36}
    assert summary.by_combination == {
        c: each[n] for n in each for c in sorted(combinations(sorted(METALS), n))
    }
    assert next(iter(summary.by_combination)) == ("Mo", "Nb")


def test_test_set_1_is_three_of_each_binary_and_concentration() -> None:
    orderings = parse("database-1").build(LAYER, 0)
    tally = Counter((o.components, Fraction(min(o.counts.items())[1], 36)) for o in orderings)
    assert tally == {
        (pair, Fraction(i, 6)): 3
        for pair in combinations(sorted(METALS), 2)
        for i in (1, 2, 3, 4, 5)
    }


def test_test_set_2_draws_combinations_and_concentrations() -> None:
    orderings = parse("database-2").build(LAYER, 1)
    for n in (2, 3, 4):
        chosen = {o.components for o in orderings if len(o.components) == n}
        assert len(chosen) > 3
    compositions = {tuple(o.counts.items()) for o in orderings if len(o.components) == 5}
    assert len(compositions) > 15


def test_concentrations_without_combinations_are_counted_per_concentration() -> None:
    orderings = parse("random(4x4, n=6, components=2, x=1/4..3/4)").build(LAYER, 0)
    assert Counter(min(o.counts.items())[1] for o in orderings) == {4: 6, 8: 6, 12: 6}
    assert len({o.components for o in orderings}) > 3


def test_enumerated_terms_are_the_enumeration() -> None:
    expected = [
        o.id for c in combinations(sorted(METALS), 3) for o in enumerate_orderings(LAYER, c, 3)
    ]
    assert ids("3(3)") == expected
    assert ids("2(2..4)") == ids("2(2,3,4)") == ids("2(4,3,2,2)")
    assert ids("1(1)[Mo]") == [o.id for o in enumerate_orderings(LAYER, ("Mo",), 1)]
    assert len(ids("E(4)")) == 10 * 2 + 5 * 10  # binaries 2+2 and quaternaries 1+1+1+1
    assert len(ids("E(4, components=4)")) == 50
    assert len(ids("E(2,3)[Mo,Ta,W]")) == 3 + 3


def test_union_difference_and_brackets() -> None:
    assert set(ids("2(2)+3(3)")) == set(ids("2(2)")) | set(ids("3(3)"))
    assert ids("2(2)+2(2)") == ids("2(2)")
    assert len(ids("model-16 - model-4")) == 300
    assert ids("(model-6 - model-1 - 2(3,4))[Mo,Ta,W]") == []
    assert set(ids("model-2 - 2(2)")) == set(ids("3(3)"))
    assert ids("2(2)-2(2)+3(3)") == ids("3(3)")
    assert ids("2(2)-(2(2)+3(3))") == []
    assert ids("2(2)+3(3)-3(3)") == ids("2(2)")


def test_restriction_to_elements() -> None:
    assert len(ids("2(2)[Mo,Ta,W]")) == 3
    assert len(ids("model-2[W,Mo,Ta]")) == 3 + 3
    small = Alloy(("Mo", "Ta"))
    assert ids("(2(2)+2(3))[Ta,Mo]") == ids("2(2,3)", alloy=small)
    draw = "random(4x4, n=3, components=2)"
    assert ids(f"{draw}[Ta,Mo]") == ids(draw, alloy=small)
    assert ids("2(2)[Mo,W][Mo,Ta,W]") == ids("2(2)[Mo,W]")
    with pytest.raises(SetError, match="Ta not in use here; accepted: Mo, W"):
        ids("2(2)[Mo,Ta][Mo,W]")
    # Restricted draws of different pairs are independent: not one pattern with other names.
    first, second = (
        parse(f"random(4x4, n=1, components=2, equimolar)[{e}]").build(LAYER)[0]
        for e in ("Mo,Ta", "Mo,W")
    )
    rename = {"Ta": "W"}
    assert tuple(rename.get(s, s) for s in first.species) != second.species


def test_same_seed_same_structures_whatever_else_is_drawn() -> None:
    draw = "random(4x4, n=5, components=2..3)"
    first = ids(draw, 7)
    assert first == ids(draw, 7) == ids(" random( 4x4 ,components = 2..3,n=5 )", 7)
    assert first != ids(draw, 8)
    assert ids(f"random(3x3, n=4) + 2(2) + {draw}", 7)[-10:] == first
    assert ids(f"{draw} + random(3x3, n=4)", 7)[:10] == first
    assert set(ids("R1", 7)) <= set(ids("R2", 7))
    twice = ids(f"{draw} + random(4x4, n=5, components=2..3, draw=1)", 7)
    assert len(twice) == 20
    assert twice[:10] == first


def test_order_of_the_elements_and_global_generators_do_not_matter() -> None:
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    state = np.random.get_state()[1].tolist()  # noqa: NPY002
    text = (
        "random(4x4, n=3, components=2..4) + sqs(2x2, components=2, steps=50)"
        " + anneal(model-1, 50%, steps=50)"
    )
    here = ids(text)
    assert np.random.get_state()[1].tolist() == state  # noqa: NPY002
    random.seed(1)
    assert ids(text, alloy=Alloy(METALS[::-1])) == here


def test_known_draw_does_not_drift() -> None:
    """A change of this text means that recorded seeds give other structures than before."""
    found = parse("random(3x3, n=2, components=3, equimolar)[Mo,Ta,W]").build(LAYER, 42)
    assert ["".join(s[0] for s in o.species) for o in found] == KNOWN_DRAW


def test_primitive_excludes_repetitions() -> None:
    assert len(ids("random(2x2, n=1, components=2..3, per=combination)")) == 20
    found = parse("random(2x2, n=1, components=2, primitive, per=combination)").build(LAYER)
    assert len(found) == 10
    assert not any(is_repetition(o) for o in found)


def test_sqs_terms() -> None:
    orderings = parse("sqs(4x4, components=2, steps=100)").build(LAYER)
    assert {o.components for o in orderings} == set(combinations(sorted(METALS), 2))
    assert all(set(o.counts.values()) == {8} for o in orderings)
    one = parse("sqs(4x4, components=2, steps=100)[Mo,Ta]").build(LAYER)[0]
    assert one.id == next(o.id for o in orderings if o.components == ("Mo", "Ta"))
    by_x = parse("sqs(4x4, components=2, x=1/4..3/4, steps=100)[Mo,Ta]").build(LAYER)
    assert [o.counts["Mo"] for o in by_x] == [4, 8, 12]
    assert parse("sqs(6)[Mo,Ta,W]").build(LAYER)[0].n_sites == 6


def test_annealed_subsets() -> None:
    pool = ids("model-2")
    half = ids("anneal(model-2, 50%, steps=300)")
    assert len(half) == 20
    assert [i for i in pool if i in half] == half
    assert len(ids("anneal(model-2, 7, steps=10)")) == 7
    assert half != ids("anneal(model-2, 50%, steps=300)", seed=1)
    assert half != ids("anneal(model-2, 50%, steps=300, draw=1)")
    assert half == ids("anneal(2(2) + 3(3), 50%, steps=300)")


def test_bulk_host() -> None:
    orderings = parse("random(2x2x2, n=2, components=2) + 2(2) + 1(1)").build(FCC)
    assert set_summary(orderings).by_size == {(1, 1): 3, (2, 2): 6, (2, 8): 2}


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        (" 2( 3,2 )+3(3)", "2(2,3) + 3(3)"),
        ("2(2)-(3(3)+4(4))", "2(2) - (3(3) + 4(4))"),
        ("2(2)[Ta,Mo]", "2(2)[Mo,Ta]"),
        ("(2(2)+3(3))[W,Ta,Mo]", "(2(2) + 3(3))[Mo,Ta,W]"),
        ("Model-2", "2(2) + 3(3)"),
        (
            "random(6×6,per=combination,x=1/6..5/6,components=2,n=3)",
            "random(6x6, n=3, components=2, x=1/6..5/6, per=combination)",
        ),
        ("random(4x4,x=2/8,components=2)", "random(4x4, n=1, components=2, x=1/4)"),
        ("random(4x4,primitive,draw=2)", "random(4x4, n=1, primitive, draw=2)"),
        ("random(4x4, equimolar, n = 2)", "random(4x4, n=2, equimolar)"),
        ("sqs(25,components=2..5)", "sqs(25, components=2..5)"),
        ("anneal(model-1,50%)", "anneal(2(2), 50%)"),
        ("anneal(model-1,5,draw=1,steps=9)", "anneal(2(2), 5, steps=9, draw=1)"),
        ("sqs(4x4,draw=1,steps=9)", "sqs(4x4, steps=9, draw=1)"),
        ("E(2,4,components=2)", "E(2,4, components=2)"),
    ],
)
def test_canonical_text_reads_back(text: str, canonical: str) -> None:
    assert parse(text).canonical == canonical
    assert parse(canonical).canonical == canonical
    assert parse(canonical).term == parse(text).term


def test_fractions_of_a_range() -> None:
    terms = {
        text: parse(f"random(6x6, components=2, x={text})").term.fractions
        for text in ("1/6..5/6", "1/3..5/6", "1/2", "1/4..3/4")
    }
    assert terms["1/6..5/6"] == tuple(Fraction(i, 6) for i in range(1, 6))
    assert terms["1/3..5/6"] == tuple(Fraction(i, 6) for i in range(2, 6))
    assert terms["1/2"] == (Fraction(1, 2),)
    assert terms["1/4..3/4"] == tuple(Fraction(i, 4) for i in (1, 2, 3))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "position 1: expected N(sizes), E(…), random(…), sqs(…), anneal(…), dataset(…), a"),
        ("2(2,3", "position 6: expected ), found the end"),
        ("2(2)]", "position 5: expected +, - or the end, found ]"),
        ("2(2) & 3(3)", "position 6: '&' has no meaning here"),
        ("0(1)", "position 1: the number of components must be at least 1, got 0"),
        ("2(0)", "position 3: a size must be at least 1, got 0"),
        ("2(2)+3(2)", "position 8: 2 cells cannot hold 3 components"),
        ("2(4..2)", "position 6: the range 4..2 runs backwards"),
        ("2(2)[Mo,Mo]", "position 5: an element is named twice"),
        ("modl-4", "position 1: no set is called 'modl-4'; did you mean model-4"),
        ("zzz", "no set is called 'zzz'; see configs/sets.yaml"),
        ("model-4-2(2)", "put blanks around a minus that follows a name"),
        ("sqs", "no set is called 'sqs'"),
        ("random(4, n=2)", "position 8: expected a supercell such as 4x4 or 2x2x2, found 4"),
        ("random(0x4)", "repetitions are 1 to 9999"),
        (
            "random(4x4, m=2)",
            "random has no option 'm'; accepted: n=, components=, x=, grid=, equimolar",
        ),
        ("random(4x4, n=2, n=3)", "option 'n' is given twice"),
        ("random(4x4, n=0)", "must be at least 1, got 0"),
        ("random(4x4, x=1/2)", "add components=2"),
        ("random(4x4, components=2, x=5/6..1/6)", "runs upwards between 0 and 1"),
        ("random(4x4, components=2, x=3/2)", "runs upwards between 0 and 1"),
        ("random(4x4, components=2, x=1/2, equimolar)", "give one of equimolar, x"),
        ("random(4x4, per=element)", "per= accepts combination"),
        ("random(4x4, components=2, x=1/2, grid=4)", "position 1: give one of grid, x"),
        ("random(4x4, x={Mo: 0.4, V: 0.5})", "position 15: exact shares add up to 1, got 0.9"),
        ("random(4x4, x={Mo: 0.7, V: 0.5..0.6})", "the shares add up to 1.2 at least"),
        ("random(4x4, x={Mo: 0.5..0.4})", "the share of Mo is from 0 to 1, and a range runs up"),
        ("random(4x4, x={Mo: 1.5})", "the share of Mo is from 0 to 1"),
        ("random(4x4, x={Mo: 0.5, Mo: 0.5})", "Mo is named twice"),
        ("random(4x4, x={})", "expected an element, found }"),
        ("random(4x4, x={Mo 0.5})", "expected :, found 0.5"),
        ("random(4x4, x={Mo: 0.1234567890123})", "at most 9 characters"),
        ("random(4x4, components=2, x={Mo: 1})", "x= names the elements: leave out components="),
        ("sqs(4x4, x={Mo: 0.2..0.5})", "an sqs has one composition"),
        ("random(4x4, x=0.4)", "add components=2, or name the elements"),
        ("anneal(2(2), 120%)", "at most 100%"),
        ("anneal(2(2))", "expected ,, found )"),
    ],
)
def test_unreadable_text(text: str, message: str) -> None:
    with pytest.raises(SetError) as error:
        parse(text)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"set expression {text!r}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("7(7)", "7(7) (position 1): asks for 7 components, but only 5 are in use (Mo, Nb, Ta, V"),
        ("2(2)[Xx]", "2(2)[Xx] (position 5): Xx not in use here; accepted: Mo, Nb, Ta, V, W"),
        ("1(1) + 3(3)[Mo,W]", "3(3) (position 8): asks for 3 components, but only 2 are in use"),
        ("model-3[Mo,W]", "3(3) (position 1): asks for 3"),
        ("E(3)[Mo,Ta]", "no size is a multiple"),
        ("random(4x4, equimolar)", "16 sites do not hold equal parts"),
        ("random(2x2)", "4 sites cannot hold 5 elements"),
        ("random(4x4x4)", "does not fit host 2H-MX2"),
        ("random(2x1, n=2, components=2, per=combination)", "found only 1 new distinct"),
        ("sqs(4x4)", "16 sites do not hold equal parts of Mo, Nb, Ta, V, W"),
        ("random(4x4, x={Mo: 1/2, Ti: 1/2})", "Ti not in use here; accepted: Mo, Nb, Ta, V, W"),
        ("random(2x2, x={Mo: 0.3..0.4})[Mo,V]", "no composition of 4 sites has these shares"),
        ("random(2x1, x={Mo: 0.4, V: 0.3, W: 0.3})", "2 sites cannot hold 3 elements"),
        ("random(9x9, grid=40)", "grid=40 has 82251 compositions of 5 elements; accepted: 1 to"),
        ("random(9x9, grid=4)", "grid=4 has 0 compositions of 5 elements"),
        ("anneal(2(2), 11)", "anneal(2(2), 11) (position 1): cannot choose 11 of 10 structures"),
    ],
)
def test_sets_that_cannot_be_built(text: str, message: str) -> None:
    expression = parse(text)
    with pytest.raises(SetError) as error:
        expression.build(LAYER)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_own_named_sets() -> None:
    own = {"mine": "2(2) + theirs", "theirs": NamedSet("theirs", "3(3)"), "loop": "1(1)+loop"}
    assert parse("MINE", own).canonical == "2(2) + 3(3)"
    with pytest.raises(SetError, match="position 6: set 'loop' refers to itself"):
        parse("loop", own)
    with pytest.raises(SetError, match="no set is called 'model-4'"):
        parse("model-4", own)
    with pytest.raises(SetError, match="of set 'bad', position 3: expected"):
        parse("bad", {"bad": "2(x)"})
    with pytest.raises(ValueError, match="seed must not be negative"):
        parse("2(2)").build(LAYER, -1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b\n", "expected a mapping of names to sets, got list"),
        ("a: 2(2)\n", "set 'a' needs at least 'expression"),
        ("a: {label: A}\n", "set 'a' needs at least 'expression"),
        ("a: {expression: 2(2), colour: red}\n", "'colour': 'red' not accepted; keys: expression"),
        ("a: {expression: 2(2), inferred: 'yes'}\n", "'inferred': 'yes' not accepted"),
        ("a: {expression: 22}\n", "'expression': 22 not accepted"),
    ],
)
def test_files_of_named_sets_are_checked(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "sets.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"sets\.yaml") as error:
        load_named_sets(path)
    assert message in str(error.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no file of named sets at"):
        load_named_sets(tmp_path / "none.yaml")
