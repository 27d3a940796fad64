"""The rules of the rooms, counted by `benchmarks/house.py`."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "house.py"
#: `noqa: ANN401` comments that may stay, each with its reason.
MOST_UNTYPED = 40


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("house", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["house"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    del sys.modules["house"]
    return module


@pytest.fixture(scope="module")
def house(script: ModuleType) -> object:
    return script.House()


def test_a_room_has_few_modules(script: ModuleType, house: object) -> None:
    crowded = {r: n for r, n in house.modules_per_room().items() if n > script.MOST_MODULES}
    assert crowded == {}


def test_a_front_says_what_the_room_is_and_what_it_offers(house: object) -> None:
    assert house.rooms_without() == {}


def test_rooms_use_each_others_fronts(house: object) -> None:
    assert [f"{i.importer}:{i.line} {i.imported}" for i in house.reaches_inside()] == []


def test_no_import_cycle_between_modules(house: object) -> None:
    assert house.cycles() == []


def test_no_import_cycle_between_the_parts_of_a_room(house: object) -> None:
    assert house.room_cycles() == []


def test_few_values_without_a_type(house: object) -> None:
    assert house.suppressions()["ANN401"] < MOST_UNTYPED


def test_engines_and_families_have_no_optional_attributes(house: object) -> None:
    asked = [f"{d.where} {d.text}" for d in house.defaults() if d.on_implementation]
    assert asked == []


def test_the_counts_of_a_small_house(script: ModuleType, tmp_path: Path) -> None:
    """Each rule finds what breaks it, and nothing else."""
    files = {
        "__init__.py": '"""Root."""\n__all__ = ["a"]\n',
        "a/__init__.py": '"""Room a."""\nfrom pkg.a.one import x\n__all__ = ["x", "listed"]\n',
        "a/one.py": "# comment\nx = 1\n\n\ndef f():\n    '''Say.'''\n    from pkg.b import y\n",
        "a/listed.py": "",
        "a/inner/__init__.py": "",
        "a/inner/deep.py": "import pkg.a.one\n",  # a room may look into the one it lies in
        "b/__init__.py": "from pkg.a import x, listed\ny = 2\n",
        "b/two.py": (
            "from typing import TYPE_CHECKING\n"
            "from pkg.a.listed import z\n"
            "if TYPE_CHECKING:\n"
            "    from pkg.a.one import x\n"
            "    from pkg.b import three\n"
            "getattr(engine, 'check', None), getattr(engine, 'name'), getattr(layer, 'w', 0)\n"
            "z = 1  # noqa: ANN401, S101\n"
        ),
        "b/three.py": "import pkg.b.two\n",
    }
    for name, text in files.items():
        path = tmp_path / "pkg" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    small = script.House(tmp_path / "pkg")
    assert small.modules_per_room() == {"pkg.a": 2, "pkg.b": 2, "pkg.a.inner": 1}
    assert small.modules["pkg.a.one"].code_lines() == 3
    assert small.rooms_without() == {
        "pkg.a.inner": "docstring and __all__",
        "pkg.b": "docstring and __all__",
    }
    assert [(i.importer, i.imported) for i in small.reaches_inside()] == [
        ("pkg.b.two", "pkg.a.one.x")
    ]
    assert small.cycles() == [["pkg.a", "pkg.a.one", "pkg.b"], ["pkg.b.three", "pkg.b.two"]]
    assert small.room_cycles() == [["pkg.a", "pkg.b"], ["pkg.b.three", "pkg.b.two"]]
    assert small.suppressions() == {"": 1, "ANN401": 1, "S101": 1}
    (default,) = (d for d in small.defaults() if d.on_implementation)
    assert (default.where, default.text) == ("pkg/b/two.py:6", "getattr(engine, 'check', None)")
    assert len(small.defaults()) == 2


def test_cycles_are_the_strongly_connected_components(script: ModuleType) -> None:
    graph = {"a": "b", "b": "c", "c": "ad", "d": "e", "e": "d", "f": "f", "g": "a"}
    assert script.cycles(graph) == [["a", "b", "c"], ["d", "e"]]
    assert script.cycles({"a": "bc", "b": "d", "c": "d"}) == []


def test_the_files_that_contributors_are_sent_to_are_there() -> None:
    root = SCRIPT.parents[1]
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    sections = text[text.index("## Where code goes") : text.index("## Style")]
    paths = set(re.findall(r"`([\w./-]+(?:/|\.(?:py|html|toml|yaml|md)))`", sections))
    package = root / "src" / "hea_flows"
    missing = [
        path
        for path in sorted(paths)
        if "NAME" not in path and not (root / path).exists() and not (package / path).exists()
    ]
    assert len(paths) > 40
    assert missing == []
