"""What a campaign file may ask for: refused in one line before anything is built."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from pydantic import ValidationError

from hea_flows.config import load_campaign, validation_line
from hea_flows.inputs import LimitError

BASE = """\
name: a
alloy: {elements: [Mo, W]}
structures: [{set: "1(1)+2(2)"}]
model: chgnet:0.3.0
"""
MONTE_CARLO = "monte_carlo: {temperatures: [300], "
LADDER = "monte_carlo: {temperatures: {from: 200, to: 1600, n: "


@pytest.fixture
def refusal(machine: Path, tmp_path: Path) -> object:
    def load(text: str) -> str:
        path = tmp_path / "a.yaml"
        path.write_text(text)
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(ValueError) as error:
            load_campaign(path)
        assert sorted(tmp_path.rglob("*")) == before
        line = str(error.value)
        if isinstance(error.value, ValidationError):
            line = validation_line(error.value)
        assert "\n" not in line
        assert len(line) < 500
        return line

    return load


@pytest.mark.parametrize(
    ("added", "message"),
    [
        ("seed: 1\nseed: 2\n", "line 6: the key 'seed' is given twice, first in line 5"),
        ("monte_carlo: {temperatures: [300, true]}\n", "temperatures.list.1 is True; input should"),
        (MONTE_CARLO + "steps: true}\n", "monte_carlo.steps is True; input should be a number, no"),
        (
            MONTE_CARLO + "steps: 1" + "0" * 400 + "}\n",
            "steps is a number of 401 digits; numbers h",
        ),
        (
            MONTE_CARLO + "energy_error: 1" + "0" * 400 + "}\n",
            "energy_error is a number of 401 digits; numbers ha",
        ),
        (MONTE_CARLO + "steps: 1" + "0" * 5000 + "}\n", "cannot be read as int"),
        (
            MONTE_CARLO + "runs: 2000}\n",
            "monte_carlo.runs is 2000; input should be less than or eq",
        ),
        (LADDER + "30000000}}\n", "in 2 steps or more, at most 1000, got {'from': 200"),
        (LADDER + "1e400}}\n", "temperatures are a list (K)"),
        (LADDER + "true}}\n", "temperatures are a list (K)"),
        (MONTE_CARLO + "supercell: 1000x1000}\n", "monte_carlo.supercell: '1000x1000' has 1,000,0"),
        ("training: {learning_rate: 1.0e+308}\n", "learning_rate is 1e+308; input should be less"),
        ("training: {epochs: true}\n", "training.epochs is True; input should be a number"),
        ("training: {weights: {energy: false}}\n", "weights.energy is False; input should be a nu"),
        ("training: {offsets: {Mo: true}}\n", "training.offsets"),
        ("thermodynamics: {n_random: 100000000}\n", "n_random is 100000000; input should be less"),
        ("title: " + "a" * 5000 + "\n", "title is 'aaaa"),
        (f"test_sets: {{{'a' * 900}: 2(2)}}\n", "at most 100 characters"),
        ("test_sets: {b: '2(20)'}\n", "set '2(20)' has 367,000 structures; at most 20,000 are ac"),
        ("test_sets: {b: 'random(1000x1000, n=1)'}\n", "s to build; at most 300 are accepted"),
        ("test_sets: {b: '1(1..999999999999)'}\n", "a size has at most 9 digits"),
        (f"grow: {{sets: [{', '.join(['1(1)'] * 200)}], test_set: b}}\n", "grow.sets is ['1(1)'"),
        ("a" * 900 + ": 1\n", "is no key of Campaign"),
        ("1: 2\n", "1"),
    ],
)
def test_refused_in_one_line(refusal: object, added: str, message: str) -> None:
    assert message in refusal(BASE + added)


def test_a_long_name(refusal: object) -> None:
    line = refusal(BASE.replace("name: a", f"name: {'a' * 5000}"))
    assert line.endswith("…; string should have at most 60 characters")


def test_sets_are_added_up(refusal: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEA_FLOWS_MAX_SET_SECONDS", "60")
    tests = ", ".join(f"t{n}: 'sqs(6x6, draw={n})'" for n in range(1, 60))
    line = refusal(f"{BASE}test_sets: {{{tests}}}\n")
    assert line.startswith("the sets take about ")
    assert line.endswith("at most 60 are accepted (HEA_FLOWS_MAX_SET_SECONDS raises the limit)")


def test_a_setting_raises_a_limit(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(BASE.replace("1(1)+2(2)", "1(1)+2(2,3)"))
    load_campaign(path)
    monkeypatch.setenv("HEA_FLOWS_MAX_STRUCTURES", "6")
    with pytest.raises(LimitError, match="has 7 structures; at most 6 are accepted"):
        load_campaign(path)


def test_three_gigabytes_are_not_read(refusal: object, tmp_path: Path, machine: Path) -> None:
    path = tmp_path / "b.yaml"
    with path.open("wb") as file:
        file.truncate(3_000_000_000)
    tracemalloc.start()
    with pytest.raises(LimitError, match=r"at most 400,000 are accepted \(HEA_FLOWS_MAX_YAML_VAL"):
        load_campaign(path)
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
