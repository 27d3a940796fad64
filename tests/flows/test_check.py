"""What would fail only hours after a campaign is submitted is told before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from hea_flows.config import load_campaign
from hea_flows.flows import CampaignCheck, CampaignMaker, CampaignRefusedError, check_campaign
from hea_flows.jobs.estimate import PartEstimate, estimate_parts
from hea_flows.potentials import Timing

pytest.importorskip("chgnet")

GOOD: dict[str, Any] = {
    "name": "good",
    "alloy": {"elements": ["Mo", "Ta"]},
    "structures": [{"set": "1(1)+2(2)"}, {"set": "2(2)", "use": "held-out"}],
    "model": "chgnet:0.3.0",
}
CHAINS = {"temperatures": [300, 600], "supercell": "4x4"}


def check(folder: Path, **changes: object) -> CampaignCheck:
    path = folder / "campaign.yaml"
    path.write_text(yaml.safe_dump(GOOD | changes))
    return check_campaign(path)


def found(result: CampaignCheck, kind: str = "error") -> list[str]:
    return [str(one) for one in result.findings if one.kind == kind]


@pytest.mark.usefixtures("machine")
def test_nothing_is_wrong(tmp_path: Path) -> None:
    phases = {"random_supercell": "4x4", "n_random": 100}
    result = check(tmp_path, monte_carlo=CHAINS, thermodynamics=phases)
    assert {one.kind for one in result.findings} == {"note"}
    campaign, text = result.require(here=True)
    assert (campaign.name, text) == ("good", result.file.read_text())


@pytest.mark.usefixtures("machine")
def test_licences_are_named_or_asked_for(tmp_path: Path) -> None:
    models = [
        {"name": "CHGNet", "model": "chgnet:0.3.0"},
        {"name": "EMT", "model": {"family": "ase", "callable": "ase.calculators.emt:EMT"}},
        {
            "name": "LJ",
            "model": {
                "family": "ase",
                "callable": "ase.calculators.lj:LennardJones",
                "licence": "LGPL",
            },
        },
    ]
    result = check(tmp_path, models=models, test_sets={"t": "1(1)+2(2)"})
    notes = found(result, "note")
    assert "model chgnet-0.3.0: licence: modified BSD" in notes
    assert "model ase-LennardJones: licence: LGPL" in notes
    [asked] = [one for one in notes if one.startswith("model ase-EMT: ")]
    assert "its licence is not known here; write it down" in asked


LATE = {
    "sqs": (
        {"thermodynamics": {"sqs": {2: "3x3"}, "random_supercell": "4x4"}},
        "thermodynamics: the SQS of 2 elements, sqs: {2: 3x3}: 9 sites do not hold equal parts",
    ),
    "host": (
        {"thermodynamics": {"sqs": {2: "2x2x2"}, "random_supercell": "4x4"}},
        "supercell [2, 2, 2] does not fit host 2H-MX2",
    ),
    "random": (
        {"thermodynamics": {"random_supercell": "2x2", "n_random": 500}},
        "thermodynamics: n_random: 500, random_supercell: 2x2: found only 1 new distinct",
    ),
    "composition": (
        {"monte_carlo": CHAINS | {"supercell": "3x3"}},
        "monte_carlo: 9 sites do not hold equal parts",
    ),
    "shares": (
        {"monte_carlo": CHAINS | {"composition": {"Mo": 0.5, "V": 0.5}}},
        "monte_carlo: composition {Mo: 0.5, V: 0.5} must name exactly the elements Mo, Ta; Ta is",
    ),
    "vacuum": (
        {
            "alloy": {"elements": ["Mo", "Ta"], "vacuum": 5.0},
            "monte_carlo": CHAINS,
        },
        "monte_carlo: cutoffs 9.9, 6.7 Å reach the next layer; stay below 8.1 Å, or raise the",
    ),
    "name of a model": ({"model": "chgnet:9.9"}, "model chgnet: unknown chgnet model '9.9'"),
    "end points": (
        {"structures": [{"set": "2(2)"}]},
        "training on 2(2): no label of the end point of Mo, Ta; mixing energies need all of them",
    ),
    "settings": (
        {
            "structures": [
                {"set": "1(1)"},
                {"set": "2(2)", "labels": {"engine": "synthetic"}},
            ]
        },
        "training on 1(1) + 2(2): labels of different settings never mix; found ",
    ),
    "archive": (
        {"alloy": {"elements": ["Ti", "Zr"]}},
        "training on 1(1)+2(2): no structure has a label; nothing to train on",
    ),
    "missing": (
        {
            "structures": [{"set": "1(1)+2(2,3,4)"}],
            "dataset": {"max_missing": 0},
        },
        "structures have no label, dataset.max_missing allows 0",
    ),
    "run_vasp": (
        {"labels": {"engine": "vasp", "options": {"run_vasp": {"max_error": 3}}}},
        "labels by vasp: run_vasp has no argument max_error; accepted: ",
    ),
}


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(("changes", "line"), LATE.values(), ids=LATE)
def test_what_was_found_hours_later(tmp_path: Path, changes: dict[str, Any], line: str) -> None:
    result = check(tmp_path, **changes)
    assert any(line in one for one in found(result)), result.findings
    with pytest.raises(CampaignRefusedError, match=r"^\S*campaign\.yaml: ") as caught:
        result.require(here=False)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("machine")
def test_compositions_that_cells_do_not_hold_are_told(tmp_path: Path) -> None:
    result = check(
        tmp_path,
        alloy={"elements": ["Mo", "Ta"], "composition": {"Mo": 0.7, "Ta": 0.3}},
        structures=[
            {"set": "1(1)+2(2)"},
            {"set": "random(3x3, n=2, x={Mo: 0.4, Ta: 0.6})", "use": "held-out"},
        ],
        monte_carlo=CHAINS | {"supercell": "4x4", "composition": {"Mo": 0.25, "Ta": 0.75}},
        thermodynamics={"sqs": {2: "5x2"}, "random_supercell": "3x3", "n_random": 2},
    )
    assert [one for one in found(result, "note") if "composition" in one] == [
        "sets: composition asked for Mo 0.4, Ta 0.6; 9 sites hold Mo 4, Ta 5",
        "thermodynamics: composition 3x3: asked for Mo 0.7, Ta 0.3; 9 sites hold Mo 6, Ta 3",
    ]
    assert not result.refused(here=False)


@pytest.mark.usefixtures("machine")
def test_all_errors_are_told_at_once(tmp_path: Path) -> None:
    result = check(
        tmp_path,
        structures=[{"set": "1(1)+3(3)"}, {"set": "random(2x2, n=9)"}],
        labels={"engine": "abinit"},
        models=[{"name": "m", "model": "chgnt:1"}],
        test_sets={"t": "2(2)"},
        monte_carlo=CHAINS | {"supercell": "3x3"},
        thermodynamics={"random_supercell": "3x3"},
    )
    parts = ["sets", "sets", "labels by abinit", "model m", "monte_carlo", "thermodynamics"]
    assert [one.part for one in result.findings if one.kind == "error"] == parts
    with pytest.raises(CampaignRefusedError, match=r"\(and 5 more, see hea-flows check "):
        result.require(here=False)
    keys = check(tmp_path, nome="x", seed=-1, alloy=5)
    assert len(keys.findings) == 3
    assert keys.campaign is None


@pytest.mark.usefixtures("machine")
def test_a_machine_without_vasp_submits_but_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("pymatgen.io.vasp.inputs.SETTINGS", {"PMG_VASP_PSP_DIR": str(tmp_path)})
    result = check(tmp_path, labels={"engine": "vasp"})
    assert found(result) == []
    program, *potcars = found(result, "here")
    assert program.startswith("labels by vasp: VASP's command ")
    elements = [line.partition(" for ")[2].partition(":")[0] for line in potcars]
    assert elements == ["Mo", "Ta", "S"]
    assert all("Set PMG_VASP_PSP_DIR" in line for line in potcars)
    result.require(here=False)
    with pytest.raises(CampaignRefusedError, match=r"VASP's command .* \(and 3 more"):
        result.require(here=True)


@pytest.mark.usefixtures("machine")
def test_labels_that_an_archive_lacks_and_weights_are_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nequix = pytest.importorskip("hea_flows.potentials.nequix.family")
    monkeypatch.setenv("HOME", str(tmp_path))
    result = check(
        tmp_path,
        structures=[{"set": "1(1)+2(2,3,4)"}],
        test_sets={"t": "2(2)"},
        models=[{"name": "foundation", "model": "nequix:mp-1"}],
    )
    assert found(result) == []
    weights, labels = found(result, "warning")
    url = nequix.FOUNDATIONS["mp-1"].url
    assert weights == (f"model nequix-mp-1: it is not in the cache; a worker will download {url}")
    assert labels.startswith("set 1(1)+2(2,3,4): archive has no label of ")
    assert labels.endswith("; they are left out")


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    "name",
    ["quickstart", "figure6", "held-out", "vasp", "pbe-dataset", "bcc-mo-nb-ta-w", "carbide"],
)
def test_shipped_campaigns_pass(name: str) -> None:
    file = Path(__file__).parents[2] / "configs" / f"{name}.yaml"
    assert found(check_campaign(file)) == []


def test_the_makers_refuse_the_same(tmp_path: Path) -> None:
    check(tmp_path, monte_carlo=CHAINS | {"supercell": "3x3"})
    campaign, _ = load_campaign(tmp_path / "campaign.yaml")
    with pytest.raises(ValueError, match="9 sites do not hold equal parts"):
        CampaignMaker.from_campaign(campaign)


@pytest.mark.usefixtures("machine")
def test_the_work_of_every_part_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timing = Timing(evaluation=0.01, lattice=0.001)
    monkeypatch.setattr("hea_flows.jobs.estimate.measure", lambda *_, **__: timing)
    result = check(
        tmp_path,
        structures=[{"set": "1(1)"}, {"set": "2(2)", "use": "held-out"}],
        labels={"engine": "synthetic", "options": {"calculation": "static"}},
        dataset={"fractions": [1, 0, 0]},
        training={"epochs": 10},
        benchmark={"relaxed": False},
        monte_carlo=CHAINS | {"runs": 3, "steps": 80, "burn_in": 20, "method": "swaps"},
        thermodynamics={"random_supercell": "4x4", "n_random": 10, "max_steps": 5},
    )
    campaign, _ = result.require(here=True)
    parts = estimate_parts(campaign)
    basis = "chgnet-0.3.0 measured here: 10 ms per atom"
    # 2 frames of 3 atoms, 10 epochs, 3.7 evaluations each; training and held-out set compared:
    # 2 · 3 + 1 · 6 atoms; 6 chains of 101 energies, 100 random ones and 2 end members of 48 atoms,
    # relaxed in 3 steps, and 15 coordinates of each compound displaced twice; 2 end members, an SQS
    # and 10 random cells of 16 units, relaxed in 5 moves.
    assert parts == [
        PartEstimate("training of good", "2 frames, at most 10 epochs", pytest.approx(2.22), basis),
        PartEstimate("benchmark of good", "3 structures", pytest.approx(0.12), basis),
        PartEstimate("benchmark of chgnet-0.3.0", "3 structures", pytest.approx(0.12), basis),
        PartEstimate(
            "Monte Carlo",
            "6 chains of 100 steps, 48 atoms, relaxed",
            pytest.approx(0.01 * 48 * (4 * (6 * 101 + 102) + 2 * 2 * 15)),
            basis,
        ),
        PartEstimate(
            "thermodynamics",
            "1 SQS, 10 random cells, relaxed",
            pytest.approx(0.01 * 3 * (2 + 16 + 160) * 6),
            basis,
        ),
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("model", ["chgnet:0.3.0", "chgnet", "mace"])
def test_a_model_is_timed(tmp_path: Path, model: str) -> None:
    if model == "mace":
        pytest.importorskip("mace")
    result = check(tmp_path, model=model, monte_carlo=CHAINS)
    for part in estimate_parts(result.require(here=True)[0]):
        assert part.seconds is not None
        assert part.seconds > 0, part
