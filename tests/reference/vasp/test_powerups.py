"""atomate2's powerups and jobflow's updates change the engine as they change atomate2's Makers."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from atomate2.vasp.jobs.base import BaseVaspMaker
from atomate2.vasp.powerups import (
    add_metadata_to_flow,
    update_user_incar_settings,
    update_user_kpoints_settings,
    update_user_potcar_functional,
    update_user_potcar_settings,
    update_vasp_custodian_handlers,
)
from custodian.vasp.handlers import VaspErrorHandler
from jobflow import Flow, Job
from monty.json import MontyDecoder, MontyEncoder
from pymatgen.io.vasp import Kpoints

from hea_flows.alloy.lattice.ordering import Ordering
from hea_flows.alloy.lattice.prototypes import Alloy
from hea_flows.config import LabelSpec, load_campaign
from hea_flows.flows.campaign import CampaignMaker
from hea_flows.flows.labelling import LabellingMaker
from hea_flows.jobs.labelling.labels import LabelsMaker
from hea_flows.provenance import settings_id
from hea_flows.reference.vasp.maker import VaspMaker
from hea_flows.schemas import AlloySpec, LabelDoc, StructureEntry

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
ALLOY = Alloy(("Mo", "Nb"))
SPEC = AlloySpec(elements=("Mo", "Nb"))
MO = Ordering(ALLOY, ((1, 0, 0), (0, 1, 0), (0, 0, 1)), ("Mo",))
DEFAULT_ID = "e7043c3a14c1"
MESH = Kpoints.gamma_automatic((5, 5, 1))

#: A powerup, whether it changes the physics, and what shows that it arrived.
POWERUPS: dict[str, tuple[Callable[[Any], Any], bool, Callable[[LabelDoc], bool]]] = {
    "cut-off": (
        lambda x: update_user_incar_settings(x, {"ENCUT": 600}),
        True,
        lambda d: d.inputs["INCAR"]["ENCUT"] == 600,
    ),
    "cores": (
        lambda x: update_user_incar_settings(x, {"NCORE": 4, "ALGO": "Normal"}),
        False,
        lambda d: (d.inputs["INCAR"]["NCORE"], d.inputs["INCAR"]["ALGO"]) == (4, "Normal"),
    ),
    "same cut-off": (
        lambda x: update_user_incar_settings(x, {"ENCUT": 520}),
        False,
        lambda d: d.inputs["INCAR"]["ENCUT"] == 520,
    ),
    "mesh": (
        lambda x: update_user_kpoints_settings(x, MESH),
        True,
        lambda d: d.inputs["KPOINTS"].splitlines()[2:] == ["Gamma", "5 5 1"],
    ),
    "density": (
        lambda x: update_user_kpoints_settings(x, {"reciprocal_density": 40}),
        True,
        lambda d: d.inputs["KPOINTS"].splitlines()[2:] == ["Gamma", "7 7 1"],
    ),
    "POTCAR generation": (
        lambda x: update_user_potcar_functional(x, "PBE_54"),
        True,
        lambda d: d.settings["potcar_functional"] == "PBE_54",
    ),
    "same POTCARs": (
        lambda x: update_user_potcar_settings(x, {"Mo": "Mo_pv"}),
        False,
        lambda d: d.inputs["POTCAR"][0] == "PAW_PBE Mo_pv 01Jan2000",
    ),
}


def through_json(obj: Any) -> Any:
    return json.loads(json.dumps(obj, cls=MontyEncoder), cls=MontyDecoder)


def id_of(maker: VaspMaker) -> str:
    return settings_id(maker.rule())


def labels_of(outputs: dict[str, Any]) -> list[LabelDoc]:
    return [x for x in outputs.values() if isinstance(x, LabelDoc)]


@pytest.mark.parametrize("powerup", POWERUPS)
def test_powerups_on_a_maker(powerup: str, standin: Any) -> None:
    change, physics, arrived = POWERUPS[powerup]
    before = standin.maker(calculation="static")
    maker = change(before)
    assert isinstance(maker, VaspMaker)
    assert (id_of(maker) != DEFAULT_ID) is physics
    assert id_of(before) == DEFAULT_ID  # powerups copy
    label = standin.label(MO, through_json(maker))
    assert label.state == "converged"
    assert arrived(label)
    assert label.settings_id == id_of(maker)


@pytest.mark.parametrize("powerup", POWERUPS)
def test_powerups_on_a_job_of_a_maker_and_of_a_flow(powerup: str) -> None:
    change, physics, _ = POWERUPS[powerup]
    for flow in (one_job(VaspMaker()), Flow([one_job(VaspMaker())])):
        changed = change(flow)
        [job] = [changed] if isinstance(changed, Job) else changed.jobs
        assert id_of(job.maker) == id_of(change(VaspMaker()))
        assert id_of(job.function.__self__) == id_of(job.maker)
        assert (id_of(job.maker) != DEFAULT_ID) is physics


def one_job(maker: VaspMaker) -> Job:
    job: Any = maker.make(StructureEntry.from_ordering(MO), SPEC)
    return job


@pytest.fixture
def campaign(tmp_path: Path) -> Flow:
    """Return a labelling campaign of the two end points with VASP."""
    file = tmp_path / "ends.yaml"
    file.write_text(
        "name: ends\nalloy: {elements: [Mo, Nb]}\nstructures: [{set: 1(1)}]\nlabels:\n"
        "  engine: vasp\n  options:\n    calculation: static\n"
        "    run_vasp: {custodian_kwargs: {polling_time_step: 0.05, monitor_freq: 2}}\n"
    )
    spec, text = load_campaign(file)
    return CampaignMaker.from_campaign(spec).make(spec, text)


@pytest.mark.slow
def test_powerups_on_a_whole_campaign_reach_the_jobs_that_it_makes_later(
    campaign: Flow, standin: Any
) -> None:
    campaign = update_user_incar_settings(campaign, {"ENCUT": 600, "NCORE": 4})
    campaign = update_user_kpoints_settings(campaign, MESH)
    campaign = update_user_potcar_functional(campaign, "PBE_54")
    campaign = update_vasp_custodian_handlers(campaign, (VaspErrorHandler(),))
    campaign = add_metadata_to_flow(campaign, {"project": "layers", "batch": 7})
    campaign.update_maker_kwargs({"name": "renamed"}, class_filter=VaspMaker)
    job_names = [job.name for job, _ in campaign.iterflow()]
    outputs = standin.run(campaign)
    labels = labels_of(outputs)
    assert sorted(d.structure.formula for d in labels) == ["Mo1S2", "Nb1S2"]
    assert len(outputs) == len(job_names) + 2
    expected = update_user_incar_settings(VaspMaker(), {"ENCUT": 600})
    expected = update_user_kpoints_settings(expected, MESH)
    expected = update_user_potcar_functional(expected, "PBE_54")
    for label in labels:
        assert label.state == "converged"
        incar = label.inputs["INCAR"]
        assert (incar["ENCUT"], incar["NCORE"], incar["ISMEAR"]) == (600, 4, 0)
        assert label.inputs["KPOINTS"].splitlines()[2:] == ["Gamma", "5 5 1"]
        assert label.settings_id == id_of(expected)
        assert label.task is not None
        document = json.loads(gzip.decompress(label.task.read()))
        assert (document["project"], document["batch"]) == ("layers", 7)
        folder = Path(label.directory.partition(":")[2])
        log = json.loads(gzip.decompress((folder / "custodian.json.gz").read_bytes()))
        assert len(log) == 1
    [dataset] = [x for x in outputs.values() if getattr(x, "kind", None) == "dataset"]
    assert dataset.settings_id == id_of(expected)
    assert len(dataset.frames) == 2


@pytest.mark.slow
def test_updates_of_jobflow_reach_the_jobs_that_a_flow_makes_later(standin: Any) -> None:
    spec = LabelSpec(engine="vasp", options={"passes": 2})
    flow = LabellingMaker.from_spec(spec, seed=1).make("1(1)", AlloySpec(elements=("Mo",)))
    flow.update_maker_kwargs({"calculation": "static"}, class_filter=VaspMaker)
    quick = {"polling_time_step": 0.05, "monitor_freq": 2}
    flow.update_maker_kwargs(
        {"_set": {"run_vasp_kwargs->custodian_kwargs": quick}},
        class_filter=BaseVaspMaker,
        dict_mod=True,
    )
    flow.update_maker_kwargs({"mesh": [6, 6, 1]}, class_filter=VaspMaker)
    [label] = labels_of(standin.run(flow))
    assert label.calculation == "static"
    assert label.inputs["KPOINTS"].splitlines()[3] == "6 6 1"
    assert label.settings_id == id_of(VaspMaker(mesh=(6, 6, 1))) != DEFAULT_ID
    assert len(standin.launches()) == 1


def test_handlers_replace_custodians(standin: Any) -> None:
    standin.faults({"kind": "zbrent"}, None)
    job = one_job(standin.maker(passes=1, run_vasp={"max_errors": 1}))
    job = update_vasp_custodian_handlers(job, ())
    label = standin.run(job)[job.uuid]
    assert label.state == "converged"
    # Nobody knew ZBRENT: the run crashed, and the next attempt went on.
    assert label.corrections == [
        "attempt 0: VASP ended without complete output; restarted from the last geometry"
    ]


MAKERS: dict[str, Callable[[], VaspMaker]] = {
    "default": VaspMaker,
    "static": lambda: VaspMaker(calculation="static", passes=1),
    "options": lambda: VaspMaker.from_options(
        incar={"ENCUT": 600, "MAGMOM": {"V": 3}},
        mesh=(6, 6, 1),
        potcar_functional="PBE_54",
        potcars={"W": "W_sv"},
        run_vasp={"max_errors": 3, "custodian_kwargs": {"polling_time_step": 1}},
    ),
    "mesh": lambda: update_user_kpoints_settings(VaspMaker(), MESH),
    "density": lambda: update_user_kpoints_settings(VaspMaker(), {"reciprocal_density": 20}),
}


@pytest.mark.parametrize("name", MAKERS)
def test_makers_survive_json(name: str) -> None:
    maker = MAKERS[name]()
    for again in (through_json(maker), VaspMaker.from_dict(maker.as_dict())):
        assert again == maker
        assert isinstance(again.mesh, tuple)
        assert id_of(again) == id_of(maker)
        assert through_json(again.as_dict()) == through_json(maker.as_dict())
        written = [m.maker_for(MO).input_set_generator for m in (maker, again)]
        assert written[0] == written[1]


def test_handlers_survive_json() -> None:
    job = update_vasp_custodian_handlers(one_job(VaspMaker()), (VaspErrorHandler(),))
    handlers = through_json(job).maker.vasp.run_vasp_kwargs["handlers"]
    assert [type(handler) for handler in handlers] == [VaspErrorHandler]


def test_a_fan_out_survives_json_with_its_updates() -> None:
    spec = LabelSpec(engine="vasp", options={"incar": {"ENCUT": 600}})
    flow = LabellingMaker.from_spec(spec, seed=1).make("1(1)", SPEC)
    flow = through_json(update_user_incar_settings(flow, {"SIGMA": 0.1}))
    [fan_out] = [job for job in flow.jobs if isinstance(job.maker, LabelsMaker)]
    assert fan_out.maker.labels == spec
    engine = fan_out.maker.reference
    assert id_of(engine) == id_of(VaspMaker.from_options(incar={"ENCUT": 600, "SIGMA": 0.1}))
