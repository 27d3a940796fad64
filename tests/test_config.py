from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from hea_flows.alloy.sampling import ExchangeLadder
from hea_flows.config import MonteCarloSpec, load_campaign, text_sha256, validation_line
from hea_flows.schemas import (
    AlloySpec,
    AllWeights,
    Frozen,
    LoRA,
    Replay,
    TrainingSettings,
)

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
    bulk = {"bcc-mo-nb-ta-w": ("Mo", "Nb", "Ta", "W"), "carbide": ("Ti", "Zr", "Nb", "Ta")}
    assert campaign.alloy.elements == bulk.get(path.stem, ("Mo", "Ta", "Nb", "W", "V"))
    assert text == path.read_text()
    assert text_sha256(text) == text_sha256(path.read_text())


def test_defaults_are_the_protocol_of_the_paper(tmp_path: Path) -> None:
    campaign, _ = load_campaign(write(tmp_path / "a.yaml"))
    assert campaign.dataset.fractions is None
    weights = campaign.training.weights
    assert (weights.energy, weights.forces, weights.stress) == (100, 10, 1)
    assert campaign.training.amsgrad


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"Mo": 0.7, "W": 0.2}, r"alloy: .*add up to 1, got \{Mo: 0.7, W: 0.2\} \(0.9\)"),
        ({"Mo": 1.0}, "alloy: .*W is missing"),
        ({"Mo": 0.5, "W": 0.3, "V": 0.2}, "alloy: .*V is none of them"),
        ({"Mo": "half", "W": 0.5}, "alloy.composition.Mo is 'half'; input should be a valid num"),
    ],
)
def test_a_composition_that_is_none_of_the_alloy(
    tmp_path: Path, shares: dict[str, float], message: str
) -> None:
    alloy = {"elements": ["Mo", "W"], "composition": shares}
    with pytest.raises(ValidationError) as error:
        load_campaign(write(tmp_path / "a.yaml", alloy=alloy))
    assert re.search(message, validation_line(error.value))


def test_the_composition_of_a_campaign_goes_where_nothing_else_is_said(tmp_path: Path) -> None:
    alloy = {"elements": ["Mo", "W"], "composition": {"W": 0.25, "Mo": 0.75}}
    campaign, _ = load_campaign(write(tmp_path / "a.yaml", alloy=alloy))
    host = campaign.alloy.to_alloy()
    assert host.composition == {"Mo": 0.75, "W": 0.25}
    assert AlloySpec.of(host).composition == {"Mo": 0.75, "W": 0.25}
    assert campaign.alloy.any_composition.to_alloy().shares() == {"Mo": 0.5, "W": 0.5}
    chains = MonteCarloSpec(temperatures=[300.0], supercell="4x4")
    assert chains.cell(host)[1] == {"Mo": 12, "W": 4}
    chains = MonteCarloSpec(
        temperatures=[300.0], supercell="4x4", composition={"Mo": 0.5, "W": 0.5}
    )
    assert chains.cell(host)[1] == {"Mo": 8, "W": 8}


def test_one_word_makes_another_model(tmp_path: Path) -> None:
    tuned, _ = load_campaign(write(tmp_path / "a.yaml", model="chgnet:0.3.0"))
    scratch, _ = load_campaign(write(tmp_path / "b.yaml", model="mace"))
    assert tuned.model is not None
    assert scratch.model is not None
    assert (tuned.model.family, tuned.model.name, tuned.model.pretrained) == (
        "chgnet",
        "0.3.0",
        True,
    )
    assert (scratch.model.family, scratch.model.pretrained) == ("mace", False)


def test_a_method_by_its_name_or_its_fields(tmp_path: Path) -> None:
    def training(value: object) -> TrainingSettings:
        path = write(tmp_path / "a.yaml", model="mace:small", training=value)
        return load_campaign(path)[0].training

    assert training({}).method == AllWeights()
    assert training({}).offsets == "fit"
    assert training({"method": "lora"}).method == LoRA(rank=4, alpha=1.0)
    assert training({"method": {"kind": "frozen", "through": "products"}}).method == Frozen(
        through="products"
    )
    assert training({"offsets": {"Mo": -1.5}}).offsets == {"Mo": -1.5}
    replay = {"kind": "replay", "file": "frames.extxyz", "weight": 0.5}
    assert training({"method": replay}).method == Replay(file="frames.extxyz", weight=0.5)
    (tmp_path / "frames.extxyz").touch()  # beside the campaign file
    found = training({"method": replay}).method
    assert found == Replay(file=str((tmp_path / "frames.extxyz").resolve()), weight=0.5)
    assert TrainingSettings.from_dict(training({"method": replay}).as_dict()).method == found


def test_a_model_of_a_study_has_its_own_method(tmp_path: Path) -> None:
    (tmp_path / "frames.extxyz").touch()
    replay = {"kind": "replay", "file": "frames.extxyz"}
    entries = [
        {"name": "m", "set": "1(1)+2(2)"},
        {"name": "b", "set": "1(1)+2(2)", "training": {"method": replay}},
    ]
    campaign, _ = load_campaign(
        write(
            tmp_path / "a.yaml",
            model="mace:small",
            models=entries,
            test_sets={"d": "2(2)"},
            training={"method": "lora", "epochs": 7},
        )
    )
    first, second = (campaign.settings_of(entry) for entry in campaign.models)
    assert (first.method, first.epochs) == (LoRA(), 7)
    assert (second.method, second.epochs) == (
        Replay(file=str((tmp_path / "frames.extxyz").resolve())),
        7,
    )
    built = TrainingSettings(method=LoRA())  # not read from a file: nothing of it is "set"
    assert TrainingSettings(**built.model_dump(exclude_unset=True)).method == LoRA()


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
        ({"training": {"weights": {"energy": -1}}}, "greater than or equal to 0"),
        (
            {"training": {"learning_rate": 1e-5, "final_weights": {}}},
            "it stays at 1e-05 .*: lower final_learning_rate, or leave out final_weights",
        ),
        ({"training": {"epoch": 3}}, "Extra inputs are not permitted"),
        (
            {"training": {"method": "lorra"}},
            "expected tags: 'all', 'frozen', 'lora', 'replay'",
        ),
        ({"training": {"method": "replay"}}, "training.method.replay.file\n  Field required"),
        ({"training": {"offsets": "guess"}}, "should be 'fit' or 'none'"),
        ({"monte_carlo": {"temperatures": [300]}}, "need a model"),
        (
            {"model": "chgnet:0.3.0", "monte_carlo": {"temperatures": [-1]}},
            "greater than 0",
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


LADDER = {"from": 200, "to": 1600, "acceptance": 0.3}


def monte_carlo(**given: Any) -> MonteCarloSpec:
    return MonteCarloSpec.model_validate(given)


def test_a_ladder_of_temperatures_is_geometric() -> None:
    assert monte_carlo(temperatures={"from": 200, "to": 1600, "n": 4}).temperatures == [
        200,
        400,
        800,
        1600,
    ]
    assert monte_carlo(temperatures=[900, 300]).temperatures == [300, 900]


def test_a_ladder_by_acceptance_is_kept_as_it_was_asked_for() -> None:
    spec = monte_carlo(temperatures={"from": 200, "to": 1600, "acceptance": 0.3})
    asked = ExchangeLadder(lowest=200, highest=1600, acceptance=0.3)
    assert spec.temperatures == asked
    assert spec.sampling.temperatures == asked
    assert MonteCarloSpec.from_dict(spec.as_dict()) == spec


def test_the_paper_samples_single_swaps_and_averages_the_last_3000() -> None:
    spec = monte_carlo(temperatures=[400], preset="paper")
    left_out, steps = spec.average_from, spec.burn_in + spec.steps
    assert (spec.method, spec.runs, steps, left_out) == ("swaps", 4, 5000, 2000)
    assert not spec.exchange
    assert MonteCarloSpec.from_dict(spec.as_dict()) == spec


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"temperatures": []}, "at least 1 item"),
        ({"temperatures": [300, 300.0]}, r"every one once, got \[300.0, 300.0\]"),
        ({"temperatures": [float("nan")]}, "finite number"),
        ({"temperatures": {"from": 9, "to": 3, "n": 4}}, "rise from above 0 K in 2 steps or more"),
        ({"temperatures": {"from": 9, "to": 12, "n": 1}}, "rise from above 0 K in 2 steps or more"),
        ({"temperatures": {"from": 9, "to": 12}}, r"a list \(K\), or \{from: 200, to: 1600, n: 8"),
        ({"temperatures": {"from": 9, "to": 12, "n": 2.5}}, "a list"),
        ({"temperatures": {"from": "a", "to": 12, "n": 2}}, "a list"),
        ({"temperatures": LADDER | {"n": 4}}, "acceptance: 0.3}; got"),
        ({"temperatures": LADDER | {"acceptance": "x"}}, "acceptance: 0.3}; got"),
        ({"temperatures": LADDER | {"acceptance": 1}}, "above 0 and at most 0.9, got"),
        ({"temperatures": LADDER | {"acceptance": 0}}, "above 0 and at most 0.9, got"),
        ({"temperatures": LADDER | {"to": 9}}, "rise from above 0 K in 2 steps or more"),
        ({"temperatures": LADDER, "exchange": False}, "but exchange is off; turn it on"),
        ({"temperatures": LADDER, "preset": "paper"}, r"\(preset paper has none\)"),
        ({"shells": [1, 1]}, "shells: every one once"),
        ({"shells": [0]}, "greater than or equal to 1"),
        ({"steps": 100, "average_from": 95}, "fewer than 8 of 100 steps"),
        ({"preset": "papers"}, "preset 'papers' is unknown; accepted: paper"),
        ({"preset": "paper", "steps": 10}, "sets steps itself; leave out steps, or the preset"),
        ({"method": "moves"}, "'nested' or 'swaps'"),
        ({"max_hours": 0}, "greater than 0"),
    ],
)
def test_sampling_that_cannot_be_is_told(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        monte_carlo(**{"temperatures": [300]} | given)


@pytest.mark.parametrize(
    ("supercell", "message"),
    [("4x4", "16 sites"), ("2x2x3", "does not fit host"), ("4", "is not understood")],
)
def test_a_cell_that_does_not_fit_is_told(supercell: str, message: str) -> None:
    host = AlloySpec(elements=("Mo", "Ta", "V")).to_alloy()
    with pytest.raises(ValueError, match=message):
        monte_carlo(temperatures=[300], supercell=supercell).cell(host)
