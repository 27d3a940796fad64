from __future__ import annotations

import pytest

from hea_flows.alloy.lattice import Alloy
from hea_flows.alloy.sets import SetCost, load_named_sets, parse
from hea_flows.inputs import LimitError

LAYER = Alloy(("Mo", "Ta", "Nb", "W", "V"))
BCC = Alloy(("Mo", "Ta", "Nb", "W", "V"), "bcc", None)
STRUCTURES = r"at most 20,000 are accepted \(HEA_FLOWS_MAX_STRUCTURES raises the limit\)"
SECONDS = r"s to build; at most 300 are accepted \(HEA_FLOWS_MAX_SET_SECONDS raises the limit\)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2(20)", rf"set '2\(20\)' has 3,670,000 structures; {STRUCTURES}"),
        ("5(9)", rf"has 200,806 structures; {STRUCTURES}"),
        ("E(2..40)", rf"has about 10\^24 structures; {STRUCTURES}"),
        ("E(1..200, components=2..5)", STRUCTURES),
        ("model-4 + 2(30)", STRUCTURES),
        ("anneal(2(20), 63)", STRUCTURES),
        ("2(20)[Mo,W] - 1(1)", STRUCTURES),
        ("random(4x4, n=999999999)", rf"has 999,999,999 structures; {STRUCTURES}"),
        ("random(6x6, n=200, components=2, x=1/36..35/36, per=combination)", STRUCTURES),
        ("random(1000x1000, n=1)", SECONDS),
        ("random(9999x9999, n=1)", SECONDS),
        ("sqs(30x30, steps=999999999)", SECONDS),
        ("sqs(100x100)", SECONDS),
        ("sqs(30x30, components=2..5)", SECONDS),
        ("anneal(2(2), 50%, steps=999999999)", SECONDS),
        ("1(199,200)", "s to build"),
    ],
)
def test_what_is_out_of_reach_is_refused_before_it_is_built(text: str, message: str) -> None:
    alloy = BCC if text.startswith("1(") else LAYER
    with pytest.raises(LimitError, match=message) as error:
        parse(text).build(alloy)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", load_named_sets())
def test_named_sets_are_affordable(name: str) -> None:
    cost = parse(name).cost(LAYER)
    assert 0 < cost.structures < 2_000
    assert cost.seconds < 100


@pytest.mark.parametrize(
    ("text", "built", "bound"),
    [
        ("1(1)", 5, 5),
        ("2(2,3)", 50, 50),
        ("1(1)+2(2)+3(3)+4(4)+5(5)", 131, 131),
        ("1(1..3)", 5, 5),
        ("E(2,4)[Mo,Ta]", 3, 6),
        ("random(2x2, n=2, components=2)", 2, 2),
        ("random(4x4, n=1, components=2, x=1/4..3/4, per=combination)", 30, 30),
        ("anneal(2(2), 50%)", 5, 10),
        ("2(2) - 2(2)", 0, 20),
        ("2(2)[Mo,W]", 1, 1),
    ],
)
def test_the_bound_of_structures(text: str, built: int, bound: int) -> None:
    expression = parse(text)
    assert expression.cost(LAYER).structures == bound
    assert len(expression.build(LAYER)) == built


def test_a_cost_of_nothing_is_nothing() -> None:
    """Six of five elements: `build` says what is wrong."""
    assert parse("6(200)").cost(LAYER) == SetCost()
    with pytest.raises(ValueError, match="asks for 6 components, but only 5 are in use"):
        parse("6(200)").build(LAYER)


def test_a_limit_that_is_given_is_used() -> None:
    expression = parse("2(2)")
    assert expression.check(LAYER, SetCost(10, 1.0)) == expression.cost(LAYER)
    with pytest.raises(LimitError, match="has 10 structures; at most 9 are accepted"):
        expression.build(LAYER, most=SetCost(9, 1.0))
    assert len(expression.build(LAYER, most=None)) == 10


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1(1..999999999999)", "a size has at most 9 digits, got 999999999999"),
        ("2(1000)", "sizes are at most 200 cells, got 1000"),
        ("E(2..1000)", "sizes are at most 200 cells"),
        ("sqs(5000)", "sizes are at most 200 cells"),
        ("99999999999(2)", "number of components has at most 9 digits"),
        ("random(4x4, n=" + "9" * 4000 + ")", "a number for n= has at most 9 digits, got 99999"),
        ("random(99999x4, n=1)", "supercell 99999x4: repetitions are 1 to 9999"),
        ("random(6x6, components=2, x=1/999999..999998/999999)", "at most 200 concentrations"),
        ("(" * 5000, "brackets are inside each other"),
        ("+".join(["1(1)"] * 300), "a set has at most 200 terms"),
        ("1(1)" + "[Mo]" * 300, "a set has at most 200 terms"),
        ("2(2)+" * 5000, "at most 5000 characters, got 25000"),
        ("x" * 4000, "no set is called 'xxx"),
    ],
)
def test_expressions_have_an_end(text: str, message: str) -> None:
    with pytest.raises(ValueError) as error:
        parse(text)
    assert message in str(error.value)
    assert len(str(error.value)) < 300
