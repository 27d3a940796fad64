"""What a study's file asks for: sets labelled once, models, test sets; and mistakes in it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from hea_flows.alloy.sets.named import parse
from hea_flows.cli.errors import describe
from hea_flows.config import (
    Campaign,
    CampaignPlan,
    SetPlan,
    find_campaign_file,
    load_campaign,
    plan_campaign,
)
from hea_flows.flows.campaign import CampaignMaker

CONFIGS = Path(__file__).parents[2] / "configs"
STUDIES = sorted((CONFIGS / "studies").glob("*.yaml"))
METALS = ("Mo", "Ta", "Nb", "W", "V")
GOOD: dict[str, Any] = {
    "name": "a",
    "seed": 4,
    "alloy": {"elements": ["Mo", "Ta", "Nb"]},
    "model": "chgnet:0.3.0",
    "models": [{"name": "m", "set": "1(1)+2(2)"}],
    "test_sets": {"B": "2(2)"},
}


def made(**changes: Any) -> CampaignPlan:
    return plan_campaign(Campaign.model_validate(GOOD | changes))


def structures(campaign: Campaign, *expressions: str) -> set[str]:
    """Return the ids of sets, built without the package's own cache."""
    host = campaign.alloy.to_alloy()
    return {o.id for text in expressions for o in parse(text).build(host, campaign.seed)}


def labelled(work: CampaignPlan) -> list[str]:
    """Return the structures that label jobs are made for, as `LabelsMaker` chooses them."""
    ids = []
    for one in work.sets:
        known = {i for before in work.labelled_before(one) for i in before.ids}
        ids += [i for i in one.ids if i not in known]
    return ids


def names(sets: Iterable[SetPlan]) -> list[str]:
    return [one.name for one in sets]


def test_the_quick_start_trains_one_model_and_compares_it_with_its_foundation() -> None:
    campaign, _ = load_campaign(CONFIGS / "quickstart.yaml")
    work = plan_campaign(campaign)
    assert [(s.uses, len(s.ids)) for s in work.sets] == [(["training"], 131), (["held-out"], 6)]
    first, second = work.sets
    [model] = work.models
    assert (model.name, model.sets, model.model.name) == ("quickstart", (first,), "0.3.0")
    assert model.title == "quickstart"
    assert list(work.foundations) == ["chgnet-0.3.0"]
    assert [(d.name, d.sets) for d in work.test_sets] == [
        ("held-out", (second,)),
        ("training", (first,)),
    ]
    # The sets share no structure; end points of the held-out cells are those of the other set.
    assert work.labelled_before(second) == []
    assert work.label_sources([second]) == [second]
    assert work.label_sources([second], end_points=True) == [first, second]


@pytest.mark.parametrize(
    ("study", "sets", "n_structures", "trained", "foundations"),
    [
        ("example", 5, 15 + 6 + 12, [15, 15, 8, 15], 3),
        # Of R(4x4)x1, x4, x18 and 18 more, all but two are new to the 40 enumerated.
        ("binary", 8, 2 + 40 + 1 + 4 + 18 + 18 - 2, [5, 13, 42, 3, 6, 20], 0),
        ("foundations", 3, 150 + 80 + 131, [], 3),
        ("from-scratch", 3, 5 + 426 + 80, [131] * 3 + [431] * 3, 0),
    ],
)
def test_studies_of_the_paper_label_every_structure_once(
    study: str, sets: int, n_structures: int, trained: list[int], foundations: int
) -> None:
    campaign, _ = load_campaign(CONFIGS / "studies" / f"{study}.yaml")
    work = plan_campaign(campaign)
    assert len(work.sets) == sets
    ids = labelled(work)
    assert len(ids) == len(set(ids)) == n_structures
    if n_structures < 100:  # building the large ones again takes too long
        assert set(ids) == structures(campaign, *campaign.expressions())
    assert [sum(len(one.ids) for one in model.sets) for model in work.models] == trained
    assert len(work.foundations) == foundations
    for test_set in work.test_sets:
        sources = work.label_sources(test_set.sets, end_points=True)
        [one] = test_set.sets
        assert {i for s in sources for i in s.ids} >= {*one.ids, *structures(campaign, "1(1)")}


@pytest.mark.parametrize("path", STUDIES, ids=lambda p: p.stem)
def test_studies_share_their_random_structures_and_are_found_by_name(path: Path) -> None:
    """The large ones are not built here: they take most of a minute."""
    campaign = Campaign.model_validate(yaml.safe_load(path.read_text()))
    assert campaign.name == path.stem
    shipped = path.stem in ("example", "pbe", "pbe-sevennet")  # labels
    assert campaign.seed == (23 if shipped else 1)
    assert campaign.alloy.elements == (("Mo", "Ta") if path.stem == "binary" else METALS)
    assert campaign.labels.engine == ("archive" if shipped else "synthetic")
    assert all(e.set is None or e.set.startswith("1(1)+") for e in campaign.models)
    assert find_campaign_file(Path(f"studies/{path.stem}")) == path
    assert find_campaign_file(Path(f"studies/{path.name}")) == path


def test_models_of_figures_4_and_5() -> None:
    curve, cross = (
        Campaign.model_validate(yaml.safe_load((CONFIGS / "studies" / name).read_text()))
        for name in ("learning-curve.yaml", "cross-database.yaml")
    )
    plain = [e.name for e in curve.models if "%" not in e.name]
    assert plain == [
        *(f"Model {n}" for n in range(1, 17)),
        *(f"Cluster expansion, Model {n}" for n in (1, 2, 4, 16)),
    ]
    drawn = {e.set: e.seeds for e in curve.models if "%" in e.name}
    assert drawn == {
        f"1(1)+anneal(model-4, {share}%, draw={draw})": [1, 2, 3]
        for share in (50, 25)
        for draw in (1, 2, 3)
    }
    assert [e.name for e in cross.models] == [
        *(f"Model {n}" for n in (1, 2, 4, 8, 16)),
        *("R1", "R2", "R3"),
    ]
    assert {k: d.set for k, d in cross.test_sets.items()} == {
        f"Database {n}": f"database-{n}" for n in (1, 2, 3)
    }


def test_structures_of_several_sets_are_labelled_with_the_first() -> None:
    models = [
        {"name": "small", "set": "2(2)"},
        {"name": "large", "set": "1(1)+2(2)+3(3)"},
        {"name": "large again", "set": "1(1)+2(2)+3(3)", "training": {"epochs": 3}},
        {"name": "otherwise", "set": "2(2)", "labels": {"engine": "gpaw"}},
    ]
    work = made(models=models, test_sets={"B": "2(2)", "C": "2(3)"})
    assert [s.uses for s in work.sets] == [
        ["small", "B"],
        ["large", "large again"],
        ["otherwise"],
        ["C"],
    ]
    small, large, otherwise, third = work.sets
    assert names(work.sets) == ["2(2)", "1(1)+2(2)+3(3)", "2(2) (2)", "2(3)"]
    assert [work.labelled_before(one) for one in work.sets] == [[], [small], [], []]
    assert [m.sets for m in work.models] == [(small,), (large,), (large,), (otherwise,)]
    assert work.label_sources([large]) == [small, large]
    # End points of the same labels if there are any, else the first there are.
    assert work.label_sources([third], end_points=True) == [large, third]
    assert work.label_sources([otherwise], end_points=True) == [large, otherwise]
    assert len(labelled(work)) == 3 + (3 + 3) + 3 + 12


def test_end_points_come_from_the_set_that_labels_them() -> None:
    """Sets that name end points which an earlier set labels do not hold labels of them."""
    work = made(
        models=[{"name": "m", "set": "1(1)+2(2)"}, {"name": "n", "set": "1(1)+2(3)"}],
        test_sets={"B": "2(3)"},
    )
    first, second, third = work.sets
    assert names(work.sets) == ["1(1)+2(2)", "1(1)+2(3)", "2(3)"]
    assert work.label_sources([third]) == [second, third]
    assert work.label_sources([third], end_points=True) == [first, second, third]
    assert work.label_sources([second]) == [first, second]


def test_a_model_per_seed_and_changes_of_its_training() -> None:
    models = [
        {"name": "m", "set": "1(1)+2(2)", "seeds": [5, 3]},
        {"name": "n", "set": "1(1)+2(2)", "training": {"epochs": 9}, "model": "mace"},
        {"name": "as it is"},
    ]
    work = made(models=models, training={"epochs": 4, "seed": 7})
    assert [(m.title, m.settings.seed, m.settings.epochs, m.model.title) for m in work.models] == [
        ("m, seed 5", 5, 4, "chgnet-0.3.0"),
        ("m, seed 3", 3, 4, "chgnet-0.3.0"),
        ("n", 7, 9, "mace-scratch"),
    ]
    assert {k: v.title for k, v in work.foundations.items()} == {"as it is": "chgnet-0.3.0"}


REPLAY = {"kind": "replay", "file": "frames.xyz"}


@pytest.mark.parametrize(
    ("training", "of_entry", "seed", "draw"),
    [
        ({}, {}, 4, None),
        ({"epochs": 3}, {"epochs": 4}, 4, None),
        ({"seed": 0}, {"epochs": 4}, 0, None),
        ({"seed": 7}, {"seed": 9}, 9, None),
        ({"method": REPLAY}, {}, 4, 4),
        ({"method": REPLAY, "seed": 7}, {}, 7, 4),
        ({"method": REPLAY | {"seed": 0}}, {}, 4, 0),
        ({}, {"method": REPLAY}, 4, 4),
        ({"method": REPLAY}, {"method": REPLAY | {"seed": 1}}, 4, 1),
    ],
)
def test_the_seed_of_a_campaign_reaches_what_gives_none(
    training: dict[str, Any], of_entry: dict[str, Any], seed: int, draw: int | None
) -> None:
    [model] = made(
        training=training, models=[{"name": "m", "set": "1(1)+2(2)", "training": of_entry}]
    ).models
    assert model.settings.seed == seed
    assert getattr(model.settings.method, "seed", None) == draw
    own = {"structures": [{"set": "1(1)+2(2)"}], "models": [], "test_sets": {}}
    [model] = made(training=training, **own).models
    assert model.settings.seed == training.get("seed", 4)
    grow = {"sets": ["1(1)+2(2)", "2(3)"], "test_set": "B"}
    growth = made(training=training, models=[], test_sets={"B": "2(4)"}, grow=grow).growth
    assert growth is not None
    assert [settings.seed for settings in growth.trainings] == [4, 5]


def test_seeds_of_a_growth_are_those_of_its_section() -> None:
    grow = {"sets": ["1(1)+2(2)", "2(3)"], "test_set": "B", "seeds": [0, 9]}
    growth = made(models=[], test_sets={"B": "2(4)"}, grow=grow).growth
    assert growth is not None
    assert [settings.seed for settings in growth.trainings] == [0, 9]


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda p: p.stem)
def test_shipped_files_give_their_models_seeds(path: Path) -> None:
    """Their numbers do not hang on the campaign's seed."""
    file = yaml.safe_load(path.read_text())
    training = file.get("training") or {} if isinstance(file, dict) else {}
    for entry in file.get("models", []):
        given = entry.get("seeds") or {**training, **entry.get("training", {})}.get("seed")
        assert given or "set" not in entry, entry["name"]
    if file.get("model") and file.get("structures"):
        assert "seed" in training


def test_the_model_of_monte_carlo_and_thermodynamics_is_named() -> None:
    models = [
        {"name": "m", "set": "1(1)+2(2)", "seeds": [5, 3]},
        {"name": "n", "set": "1(1)+2(3)", "model": "mace"},
    ]
    more: dict[str, Any] = {
        "monte_carlo": {"temperatures": [300], "supercell": "3x3"},
        "thermodynamics": {"sqs": {2: "2x1", 3: "3x1"}, "random_supercell": "3x3", "n_random": 9},
    }

    def used(**names: str) -> tuple[str, str]:
        sections = {k: v | ({"model": names[k]} if k in names else {}) for k, v in more.items()}
        campaign = Campaign.model_validate(GOOD | {"models": models} | sections)
        maker = CampaignMaker.from_campaign(campaign)
        assert maker.monte_carlo is not None
        assert maker.thermodynamics is not None
        return maker.monte_carlo.model, maker.thermodynamics.model

    assert used() == ("m, seed 5", "m, seed 5")
    assert used(monte_carlo="n") == ("n", "m, seed 5")
    assert used(monte_carlo="m", thermodynamics="n") == ("m, seed 5", "n")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"monte_carlo": {"temperatures": [300], "model": "other"}},
            "monte_carlo: there is no model 'other'; models of this campaign: m",
        ),
        (
            {
                "models": [{"name": "m", "set": "1(1)+2(2)"}, {"name": "as it is"}],
                "thermodynamics": {"model": "else"},
            },
            "thermodynamics: there is no model 'else'; models of this campaign: m, as it is",
        ),
        ({"test_sets": {}}, "models need test sets to be compared with, for example Database 2"),
        ({"models": [], "test_sets": {}}, "nothing to do: give structures, or models"),
        ({"model": None}, "model 'm' has no parent: give its model, or one for the campaign"),
        (
            {"models": [{"name": "m", "model": "mace"}]},
            "model 'm' has no set and mace alone is untrained; give one",
        ),
        ({"models": [{"name": "m", "seeds": [1]}]}, "has no set, so it is not trained"),
        ({"models": [{"name": "m", "training": {"epochs": 3}}]}, "has no set, so it is not"),
        (
            {"models": [{"name": "m", "set": "2(2)", "seeds": [1, 1]}]},
            "every seed once, got [1, 1]",
        ),
        (
            {"models": [{"name": "m", "set": "2(2)", "seeds": [1], "training": {"seed": 1}}]},
            "model 'm': give seeds, or training.seed, not both",
        ),
        (
            {"models": [{"name": "m", "set": "2(2)"}, {"name": "m", "set": "1(1)"}]},
            "models: the name 'm' is given twice; use seeds for several of one kind",
        ),
        (
            {"structures": [{"set": "1(1)"}], "models": [{"name": "a", "set": "2(2)"}]},
            "models: 'a' is what the campaign's own model is called; rename one",
        ),
        (
            {"models": [{"name": "m", "set": "2(2)", "training": {"epoch": 3}}]},
            "model 'm': training.epoch: extra inputs are not permitted; accepted: epochs,",
        ),
        (
            {"models": [{"name": "m", "set": "2(2)", "training": {"learning_rate": 0}}]},
            "model 'm': training.learning_rate: input should be greater than 0",
        ),
        ({"models": [{"set": "2(2)"}]}, "models.0.name is missing"),
        ({"models": [{"name": "m", "set": "2(2"}]}, "set expression '2(2', position 4"),
        ({"test_sets": {"B": "model-99"}}, "no set is called 'model-99'; did you mean"),
        ({"test_sets": {"B": {"set": "2(2)", "relax": True}}}, "test_sets.B.relax is no key"),
        ({"test_sets": {"B": {}}}, "test_sets.B.set is missing"),
        (
            {"test_sets": {"training": "2(2)"}, "structures": [{"set": "1(1)"}]},
            "test_sets: 'training' is what structures are called; rename it",
        ),
        (
            {"models": [], "thermodynamics": {}},
            "monte_carlo, thermodynamics, phase_diagram need a model: give model, for example",
        ),
    ],
)
def test_mistakes_are_told_in_one_line(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError) as caught:
        Campaign.model_validate(GOOD | changes)
    told = describe(caught.value)
    assert told is not None
    assert line in told[0]
    assert "\n" not in told[0]


def test_the_study_of_the_documentation_is_one() -> None:
    text = (CONFIGS.parent / "docs" / "studies.md").read_text()
    campaign = Campaign.model_validate(yaml.safe_load(text.split("```yaml\n")[1].split("```")[0]))
    work = plan_campaign(campaign)
    assert [(t.name, t.settings.seed, t.settings.learning_rate) for t in work.models] == [
        *(("Binaries", seed, 1e-3) for seed in (1, 2)),
        ("Slower", 1, 3e-4),
        *((name, 1, 1e-3) for name in ("From scratch", "Larger")),
    ]
    assert [(d.name, d.relaxed) for d in work.test_sets] == [
        ("Binaries", True),
        ("Held out", True),
        ("Unrelaxed", False),
    ]
    for test_set in work.test_sets:
        sources = work.label_sources(test_set.sets, end_points=True)
        assert any(one.end_points for one in sources)


def test_the_method_of_a_growth_is_checked_before_anything_runs() -> None:
    grow = {"sets": ["1(1)+2(2)", "2(3)"], "test_set": "B"}
    campaign = Campaign.model_validate(
        GOOD
        | {
            "models": [],
            "test_sets": {"B": "2(4)"},
            "grow": grow,
            "training": {"method": {"kind": "lora"}},
        }
    )
    with pytest.raises(ValueError, match=r"chgnet has no training method 'lora'; accepted: all"):
        CampaignMaker.from_campaign(campaign)


def test_models_that_would_share_a_name_are_refused() -> None:
    both = [
        {"name": "a", "set": "1(1)+2(2)", "seeds": [1, 2]},
        {"name": "a, seed 1", "set": "1(1)+2(2)"},
    ]
    with pytest.raises(ValueError, match="two would be called 'a, seed 1'; rename one of them"):
        made(models=both)
