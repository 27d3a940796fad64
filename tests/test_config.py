from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from hea_flows.config import load_campaign, text_sha256

CONFIGS = Path(__file__).parents[1] / "configs"
GOOD = {
    "name": "a",
    "alloy": {"elements": ["Mo", "W"]},
    "structures": [{"set": "1(1)+2(2)"}],
}


def write(path: Path, **changes: object) -> Path:
    path.write_text(yaml.safe_dump(GOOD | changes))
    return path


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_campaign_loads(path: Path) -> None:
    if path.stem == "sets":
        pytest.skip("named sets, not a campaign")
    campaign, text = load_campaign(path)
    assert campaign.alloy.elements == ("Mo", "Ta", "Nb", "W", "V")
    assert text == path.read_text()
    assert text_sha256(text) == text_sha256(path.read_text())


def test_defaults_are_the_protocol_of_the_paper(tmp_path: Path) -> None:
    campaign, _ = load_campaign(write(tmp_path / "a.yaml"))
    assert campaign.dataset.fractions == (0.80, 0.15, 0.05)
    weights = campaign.training.weights
    assert (weights.energy, weights.forces, weights.stress) == (100, 10, 1)
    assert campaign.training.amsgrad


def test_one_word_makes_another_model(tmp_path: Path) -> None:
    tuned, _ = load_campaign(write(tmp_path / "a.yaml", model="chgnet:0.3.0"))
    scratch, _ = load_campaign(write(tmp_path / "b.yaml", model="mace"))
    assert tuned.model is not None
    assert scratch.model is not None
    assert (tuned.model.family, tuned.model.name, tuned.model.is_foundation) == (
        "chgnet",
        "0.3.0",
        True,
    )
    assert (scratch.model.family, scratch.model.is_foundation) == ("mace", False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alloy": {"elements": ["Mo", "Xx"]}}, "unknown element 'Xx'"),
        ({"alloy": {"elements": ["Mo", "Fe"]}}, "no lattice constant known for FeS2 in 2H-MX2"),
        (
            {"alloy": {"elements": ["Mo"], "prototype": "3H"}},
            "unknown prototype '3H'; accepted: 2H",
        ),
        ({"structures": [{"set": "3(3)"}]}, "only 2 are in use"),
        ({"structures": [{"set": "random(3x3, n=1, components=2, equimolar)"}]}, "9 sites"),
        ({"structures": [{"set": "2(2"}]}, "position"),
        ({"dataset": {"fractions": [0.5, 0.1, 0.1]}}, r"add up to 1, got \[0.5, 0.1, 0.1\]"),
        ({"training": {"epochs": 0}}, "greater than or equal to 1"),
        ({"training": {"epoch": 3}}, "Extra inputs are not permitted"),
        ({"monte_carlo": {"temperatures": [300]}}, "need a model"),
        (
            {"model": "chgnet:0.3.0", "monte_carlo": {"temperatures": [-1]}},
            "temperatures must be positive",
        ),
    ],
)
def test_what_cannot_be_is_told_before_anything_runs(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        load_campaign(write(tmp_path / "a.yaml", **changes))


def test_files_that_are_no_campaign(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no campaign file at"):
        load_campaign(tmp_path / "none.yaml")
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: [1")
    with pytest.raises(ValueError, match="is not valid YAML"):
        load_campaign(bad)
    bad.write_text("- a\n- b")
    with pytest.raises(ValueError, match=re.escape("must hold keys such as name")):
        load_campaign(bad)


def test_a_dataset_is_looked_up_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text("{}")
    labels = {"engine": "archive", "options": {"dataset": "card.json"}}
    campaign, _ = load_campaign(write(tmp_path / "a.yaml", labels=labels))
    assert campaign.labels.options["dataset"] == str(tmp_path / "card.json")
