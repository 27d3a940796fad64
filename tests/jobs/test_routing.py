"""Every job of a campaign carries the category of the workers that may take it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jobflow import Flow, JobStore
from jobflow.managers.fireworks import flow_to_workflow
from maggma.stores import MemoryStore

from hea_flows.config import LabelSpec, StartSpec, load_campaign
from hea_flows.flows import launch
from hea_flows.flows.campaign import CampaignMaker
from hea_flows.jobs.labelling.labels import LabelsMaker, fan_out
from hea_flows.jobs.labelling.structures import StructuresMaker
from hea_flows.jobs.routing import CPU, route
from hea_flows.schemas import AlloySpec
from hea_flows.services.connection import Connection
from hea_flows.services.workers import worker_loop

QUICKSTART = Path(__file__).parents[2] / "configs" / "quickstart.yaml"
#: Jobs whose category is the same in every campaign, by the beginning of their names.
ALWAYS_CPU = ("campaign file", "structures", "labels", "dataset", "test set", "report")
TWO_ENGINES = """\
name: routed
alloy: {elements: [Mo, Nb]}
structures:
  - set: 1(1)
  - {set: 2(2), use: held-out, labels: {engine: gpaw, start: {model: chgnet:0.3.0}}}
labels: {engine: vasp, start: {model: mace:small, rattle: 0.02}}
model: chgnet:0.3.0
monte_carlo: {supercell: 2x2, temperatures: [300, 600], steps: 8, burn_in: 2}
thermodynamics: {sqs: {2: 2x1}, sqs_steps: 10, random_supercell: 4x2, n_random: 2}
"""


def specs(flow: Flow) -> dict[str, dict[str, Any]]:
    """Return the specs of the Fireworks of a flow, by the jobs' names."""
    workflow = flow_to_workflow(flow, store=None)  # type: ignore[arg-type]
    return {fw.name: dict(fw.spec) | {"job": fw.tasks[0]["job"]} for fw in workflow.fws}


@pytest.fixture
def two_engines(tmp_path: Path) -> Path:
    path = tmp_path / "routed.yaml"
    path.write_text(TWO_ENGINES)
    return path


@pytest.mark.parametrize("name", ["quickstart", "two engines"])
def test_every_job_that_is_submitted_has_its_category(name: str, two_engines: Path) -> None:
    path = two_engines if name == "two engines" else QUICKSTART
    campaign, text = load_campaign(path)
    found = specs(CampaignMaker.from_campaign(campaign).make(campaign, text))
    assert len(found) > 8
    for job, spec in found.items():
        expected = CPU if job.startswith(ALWAYS_CPU) else "chgnet"
        assert (job, spec["_category"]) == (job, expected)
    learning = {job for job, spec in found.items() if spec["_category"] == "chgnet"}
    beginnings = {job.split()[0] for job in learning}
    assert beginnings == {"fine-tune", "benchmark", "monte", "thermodynamics"}
    # Sets are labelled in the order of the file.
    order = [spec["_priority"] for job, spec in found.items() if job.startswith("labels")]
    sets = [spec["_priority"] for job, spec in found.items() if job.startswith("structures")]
    assert sorted(order) == sorted(sets) == list(range(1, len(campaign.structures) + 1))


def replaced(labels: LabelSpec, **config: Any) -> Flow:
    """Run the job that fans out a set; return the flow that takes its place."""
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    store.connect()
    structures: Any = StructuresMaker().make("1(1)+2(2)", AlloySpec(elements=("Mo", "Nb")))
    job: Any = LabelsMaker(labels=labels).make(structures.run(store).output)
    job.append_name(" 1(1)+2(2)", dynamic=False)
    job.update_metadata({"campaign": "x"})
    flow: Flow = fan_out(job, **config).run(store).replace
    return flow


@pytest.mark.parametrize(
    ("engine", "category"), [("vasp", "vasp"), ("gpaw", "gpaw"), ("archive", CPU)]
)
def test_jobs_of_a_fan_out_carry_their_engines_category(engine: str, category: str) -> None:
    found = specs(replaced(LabelSpec(engine=engine), _priority=7, _queueadapter={"nodes": 2}))
    assert len(found) == 4
    for job, spec in found.items():
        expected = CPU if job == "store_inputs" else category
        assert (job, spec["_category"]) == (job, expected)
        assert spec["_priority"] == 7
        assert spec["_queueadapter"] == {"nodes": 2}
        assert spec["job"].metadata == {"campaign": "x"}
    assert "store_inputs" in found
    formulas = {job.split()[-1] for job in found if job != "store_inputs"}
    assert formulas == {"Mo1S2", "Nb1S2", "Mo1Nb1S4"}


def test_jobs_that_load_a_potential_carry_its_family() -> None:
    start = StartSpec.model_validate({"model": "mace:small"})
    found = specs(replaced(LabelSpec(engine="vasp", start=start), _priority=2))
    categories = {job: spec["_category"] for job, spec in found.items()}
    assert categories.pop("store_inputs") == CPU
    for job, category in categories.items():
        assert category == ("mace" if job.startswith("start geometry") else "vasp")
    assert sorted(categories.values()) == ["mace"] * 3 + ["vasp"] * 3
    assert {spec["_priority"] for spec in found.values()} == {2}


def test_parts_of_a_large_set_carry_their_categories_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hea_flows.jobs.labelling.labels.PART", 2)
    start = StartSpec.model_validate({"model": "mace:small"})
    parts = specs(replaced(LabelSpec(engine="gpaw", start=start), _priority=4))
    names = ["labels 1(1)+2(2) 1-2 of 3", "labels 1(1)+2(2) 3-3 of 3"]
    assert sorted(parts) == [*names, "store_inputs"]
    assert {(spec["_category"], spec["_priority"]) for spec in parts.values()} == {(CPU, 4)}
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    store.connect()
    found = specs(parts[names[0]]["job"].run(store).replace)
    categories = {job: spec["_category"] for job, spec in found.items()}
    assert categories.pop("store_inputs") == CPU
    assert sorted(categories.values()) == ["gpaw"] * 2 + ["mace"] * 2
    assert {spec["_priority"] for spec in found.values()} == {4}
    assert {spec["job"].metadata["campaign"] for spec in found.values()} == {"x"}


def test_a_route_keeps_what_a_job_says_to_its_manager() -> None:
    job: Any = StructuresMaker().make("1(1)", AlloySpec(elements=("Mo",)))
    job.config.manager_config = {"_fworker": "here", "_priority": 1}
    assert route(job, "mace", _priority=5) is job
    assert job.config.manager_config == {"_fworker": "here", "_priority": 5, "_category": "mace"}


@pytest.mark.slow
def test_workers_take_the_jobs_of_their_category_only(
    connection: Connection, tmp_path: Path
) -> None:
    """A campaign with VASP and a start potential, workers of each category in turn."""
    pytest.importorskip("chgnet")
    path = tmp_path / "x.yaml"
    path.write_text(
        "name: x\nalloy: {elements: [Mo]}\nstructures: [{set: 1(1)}]\n"
        "labels: {engine: vasp, start: {model: chgnet:0.3.0}}\n"
    )
    campaign, text = load_campaign(path)
    launch.submit(campaign, text, connection)
    fireworks = connection.launchpad().fireworks

    def states() -> dict[str, tuple[str, str]]:
        return {f["name"]: (f["spec"]["_category"], f["state"]) for f in fireworks.find({})}

    assert worker_loop(connection, category="chgnet", max_idle=0, poll=0.05) == 0
    assert worker_loop(connection, category=CPU, max_idle=0, poll=0.05) == 3
    waiting = {
        "campaign file": (CPU, "COMPLETED"),
        "structures 1(1)": (CPU, "COMPLETED"),
        "labels 1(1)": (CPU, "COMPLETED"),
        "start geometry Mo1S2": ("chgnet", "READY"),
        "vasp Mo1S2": ("vasp", "WAITING"),
        "store_inputs": (CPU, "WAITING"),
        "dataset": (CPU, "WAITING"),
        "report": (CPU, "WAITING"),
    }
    assert states() == waiting
    assert worker_loop(connection, category=["vasp", "gpaw", CPU], max_idle=0, poll=0.05) == 0
    assert worker_loop(connection, category="chgnet", max_idle=0, poll=0.05) == 1
    assert states() == waiting | {
        "start geometry Mo1S2": ("chgnet", "COMPLETED"),
        "vasp Mo1S2": ("vasp", "READY"),
    }
    assert worker_loop(connection, category=[CPU, "chgnet"], max_idle=0, poll=0.05) == 0
    assert {
        f["spec"]["_priority"] for f in fireworks.find({"name": {"$regex": "Mo1S2|store"}})
    } == {1}
