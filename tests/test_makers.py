"""Every Maker is a value: it survives JSON, and powerups change what they should."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fireworks import Workflow
from jobflow import Flow, Job, Maker
from jobflow.managers.fireworks import flow_to_workflow

from hea_flows.config import load_campaign
from hea_flows.flows import (
    CampaignMaker,
    GrowthDecisionMaker,
    GrowthMaker,
    GrowthStepMaker,
    LabellingMaker,
    LearningMaker,
)
from hea_flows.jobs.campaign import CampaignFileMaker
from hea_flows.jobs.labelling.labels import LabelsMaker, StartMaker
from hea_flows.jobs.labelling.structures import StructuresMaker
from hea_flows.jobs.learning.benchmark import BenchmarkMaker
from hea_flows.jobs.learning.committee import CommitteeMaker
from hea_flows.jobs.learning.dataset import DatasetMaker
from hea_flows.jobs.learning.test_set import TestSetMaker
from hea_flows.jobs.learning.train import TrainMaker
from hea_flows.jobs.phases import PhaseDiagramMaker
from hea_flows.jobs.report import ReportMaker
from hea_flows.jobs.sampling.montecarlo import MonteCarloMaker
from hea_flows.jobs.thermodynamics.maker import ThermodynamicsMaker
from hea_flows.reference.archive import ArchiveMaker
from hea_flows.reference.atomate2 import Atomate2Maker
from hea_flows.reference.gpaw import GPAWMaker
from hea_flows.reference.synthetic import SyntheticMaker
from hea_flows.reference.vasp import VaspMaker
from hea_flows.testing import check_maker

MAKERS = [
    ArchiveMaker,
    Atomate2Maker,
    BenchmarkMaker,
    CampaignFileMaker,
    CampaignMaker,
    CommitteeMaker,
    TestSetMaker,
    DatasetMaker,
    GrowthDecisionMaker,
    TrainMaker,
    GPAWMaker,
    GrowthMaker,
    GrowthStepMaker,
    LabellingMaker,
    LabelsMaker,
    LearningMaker,
    MonteCarloMaker,
    PhaseDiagramMaker,
    ReportMaker,
    StartMaker,
    StructuresMaker,
    SyntheticMaker,
    ThermodynamicsMaker,
    VaspMaker,
]
CONFIGS = Path(__file__).parents[1] / "configs"
QUICKSTART = CONFIGS / "quickstart.yaml"
GROWING = """\
name: growing
alloy: {elements: [Mo, Ta, Nb]}
structures:
  - {set: 1(1)+2(3)}
  - {set: 2(2), labels: {engine: archive, options: {calculation: static}}}
test_sets: {B: 2(4)}
model: chgnet:0.3.0
grow: {sets: [1(1)+2(2), 3(3)], test_set: B, seeds: [4, 2]}
thermodynamics:
  {sqs: {2: 2x1, 3: 3x1}, random_supercell: 3x3, n_random: 10, sqs_labels: reference}
"""


@pytest.mark.parametrize("maker", MAKERS, ids=lambda m: m.__name__)
def test_makers_survive_json(maker: type[Maker]) -> None:
    check_maker(maker())


@pytest.mark.parametrize("name", ["quickstart.yaml", "studies/example.yaml", "growing.yaml"])
def test_the_maker_of_a_whole_campaign_is_a_value(name: str, tmp_path: Path) -> None:
    path = CONFIGS / name
    if not path.exists():
        path = tmp_path / name
        path.write_text(GROWING)
    campaign, text = load_campaign(path)
    maker = CampaignMaker.from_campaign(campaign)
    again = check_maker(maker)
    names = [job.name for job in jobs_of(again.make(campaign, text))]
    assert sorted(names) == sorted(job.name for job in jobs_of(maker.make(campaign, text)))


def test_update_kwargs_reaches_the_makers_of_entries() -> None:
    campaign, text = load_campaign(CONFIGS / "studies" / "example.yaml")
    maker = CampaignMaker.from_campaign(campaign)
    changed = maker.update_kwargs({"seed": 99}, class_filter=BenchmarkMaker)
    assert isinstance(changed, CampaignMaker)
    flow = changed.make(campaign, text)
    benchmarks = [j.maker for j in jobs_of(flow) if isinstance(j.maker, BenchmarkMaker)]
    assert len(benchmarks) == len(maker.models) + len(maker.foundations) + len(maker.joined)
    assert {m.seed for m in benchmarks} == {99}


def quickstart() -> Flow:
    campaign, text = load_campaign(QUICKSTART)
    return CampaignMaker.from_campaign(campaign).make(campaign, text)


def jobs_of(flow: Flow) -> list[Job]:
    return [job for job, _ in flow.iterflow()]


def test_a_workflow_keeps_its_makers_and_holds_no_store() -> None:
    flow = quickstart()
    workflow = Workflow.from_dict(
        json.loads(json.dumps(flow_to_workflow(flow).to_dict(), default=str))
    )
    before = {job.uuid: job for job in jobs_of(flow)}
    assert len(workflow.fws) == len(before)
    for firework in workflow.fws:
        [task] = firework.tasks
        assert task["store"] is None
        job = task["job"]
        assert job.maker == before[job.uuid].maker
        assert job.name == before[job.uuid].name
        assert firework.spec["campaign"] == "quickstart"


def test_sets_are_labelled_in_the_order_of_the_file() -> None:
    priorities = {
        job.name: job.config.manager_config.get("_priority", 0) for job in jobs_of(quickstart())
    }
    held_out = "random(2x2, n=2, components=2..4)"
    training = f"1(1)+2(2)+2(3)+3(3)+2(4)[Mo,Ta,Nb,W] - {held_out}"
    first, second = priorities[f"labels {training}"], priorities[f"labels {held_out}"]
    assert first > second > priorities["report"] == 0


def test_update_maker_kwargs_reaches_the_right_jobs() -> None:
    flow = quickstart()
    flow.update_maker_kwargs({"seed": 99}, class_filter=MonteCarloMaker)
    seeds = {j.name: j.maker.seed for j in jobs_of(flow) if hasattr(j.maker, "seed")}
    chains = {name: seed for name, seed in seeds.items() if name.startswith("monte carlo")}
    assert set(chains.values()) == {99}
    assert seeds["dataset"] == 23


def test_one_job_samples_all_temperatures_and_runs() -> None:
    [maker] = [j.maker for j in jobs_of(quickstart()) if isinstance(j.maker, MonteCarloMaker)]
    assert len(maker.monte_carlo.temperatures) == 6
    assert maker.seed == 23
