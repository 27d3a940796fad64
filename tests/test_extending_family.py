"""A model family from outside the package: the one of docs/extending.md at work."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from hea_flows import plugins
from hea_flows.alloy.lattice import Alloy
from hea_flows.potentials import decoration_energies, family
from hea_flows.testing.families import ALLOY, SETTINGS, check_family

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"


@pytest.fixture
def morse(monkeypatch: pytest.MonkeyPatch) -> Any:
    [code] = [b for b in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
              if "class MorseFamily" in b]  # fmt: skip
    assert len([line for line in code.splitlines() if line.strip()]) < 40
    names: dict[str, Any] = {}
    exec(compile(code, str(PAGE), "exec"), names)  # noqa: S102  our own page
    monkeypatch.setitem(plugins.FAMILIES.registered, "morse", plugins.Row(names["MorseFamily"]))
    return names


@pytest.mark.parametrize("alloy", [ALLOY, Alloy(("Cu", "Au"), prototype="fcc")])
def test_the_family_of_the_page_passes(morse: Any, alloy: Alloy, tmp_path: Path) -> None:
    model = check_family(family("morse"), tmp_path, alloy=alloy)
    energies = decoration_energies(model, alloy, [[2, 0, 0], [0, 1, 0], [0, 0, 1]], 3.2,
                                   mode="relaxed", max_steps=1)  # fmt: skip
    assert energies.name == "relaxed, a = 3.2 Å"
    with pytest.raises(ValueError, match="unknown morse architecture entry 'x'; accepted: cutoff"):
        family("morse", architecture={"x": 1}).train(None, [], [], [], SETTINGS, tmp_path / "x")


@pytest.mark.parametrize("fault", ["forces", "order", "checksum"])
def test_a_fault_of_a_family_is_reported(
    morse: Any, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    potential, kind = morse["MorsePotential"], morse["MorseFamily"]
    if fault == "forces":
        predict = potential.predict

        def wrong(self: Any, batch: Any, **options: Any) -> Any:
            output = predict(self, batch, **options)
            return output if output.forces is None else replace(output, forces=1.01 * output.forces)

        monkeypatch.setattr(potential, "predict", wrong)
        words = "forces are not derivatives of the energy"
    elif fault == "order":
        energies = potential.energies

        def first(self: Any, batch: Any, positions: Any, strains: Any) -> Any:
            return energies(self, batch, positions, strains) + 1e-2 * batch.inputs.species[0]

        monkeypatch.setattr(potential, "energies", first)
        words = "differ|depends"
    else:
        monkeypatch.setattr(kind, "resolve", lambda self, spec: spec)
        words = "no ValueError was raised"
    with pytest.raises(AssertionError, match=words):
        check_family(family("morse"), tmp_path)
