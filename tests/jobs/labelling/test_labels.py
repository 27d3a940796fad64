"""Fanning out: one job per structure, in parts where the set is large."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jobflow import Flow, JobStore, run_locally
from jobflow.managers.fireworks import flow_to_workflow
from maggma.stores import MemoryStore

from hea_flows.alloy.sets.named import parse
from hea_flows.config import LabelSpec
from hea_flows.jobs.labelling import labels as module
from hea_flows.jobs.labelling.labels import LabelsMaker, fan_out
from hea_flows.schemas import AlloySpec, LabelDoc, StructureEntry, StructuresDoc

ALLOY = AlloySpec(elements=("Mo", "Ta", "Nb", "W"))


@pytest.fixture
def structures() -> StructuresDoc:
    """The six pairs of four metals, and an end point twice over."""
    orderings = parse("2(2)+1(1)").build(ALLOY.to_alloy(), 0)
    entries = [StructureEntry.from_ordering(o) for o in orderings]
    return StructuresDoc(
        uuid="of-the-set",
        alloy=ALLOY,
        expression="2(2)+1(1)",
        seed=0,
        n_structures=len(entries),
        structures=entries,
    )


def _run(structures: StructuresDoc, folder: Path) -> tuple[Any, JobStore]:
    """Label locally; return the fan-out job and the store."""
    job = fan_out(LabelsMaker(labels=LabelSpec(engine="archive")).make(structures), _priority=3)
    job.update_metadata({"campaign": "test"})
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    run_locally(
        Flow([job]),
        store=store,
        log=False,
        ensure_success=True,
        root_dir=folder,
        create_folders=True,
    )
    return job, store


@pytest.mark.parametrize("part", [3, 5, 10, 100])
def test_the_parts_of_a_large_set_make_one_list(
    structures: StructuresDoc, part: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "PART", part)
    job, store = _run(structures, tmp_path)
    found = [LabelDoc.model_validate(x) for x in store.get_output(job.uuid, load=True)]
    assert [d.structure for d in found] == structures.structures
    assert {d.state for d in found} == {"converged"}
    assert all(d.trajectory is not None for d in found)
    assert {d.campaign for d in found} == {"test"}
    assert all(d.sources == {"structures": ["of-the-set"]} for d in found)
    names = [d["name"] for d in store.query({}, ["name"])]
    parts = [name for name in names if " of " in name]
    n = len(structures.structures)
    assert len(parts) == (0 if part >= n else -(-n // part))
    assert sum(name.startswith("archive") for name in names) == n


def test_jobs_of_parts_carry_their_own_categories(
    structures: StructuresDoc, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PART", 4)
    maker = LabelsMaker(labels=LabelSpec(engine="vasp"))
    job = fan_out(maker.make(structures), _priority=3)
    store = JobStore(MemoryStore())
    store.connect()
    replaced = job.run(store).replace
    specs = [fw.spec for fw in flow_to_workflow(replaced).fws]
    assert [spec["_category"] for spec in specs] == ["cpu"] * 4  # three parts and the list
    part = replaced.jobs[0]
    assert part.name == "labels 1-4 of 10"
    labels = flow_to_workflow(part.run(store).replace).fws
    assert [fw.spec["_category"] for fw in labels] == ["vasp"] * 4 + ["cpu"]
    assert {fw.spec["_priority"] for fw in labels} == {3}


def test_a_label_carries_its_structure_and_no_other(structures: StructuresDoc) -> None:
    """What FireWorks stores of 1000 labels grows with the labels, not with their square."""
    maker = LabelsMaker(labels=LabelSpec(engine="archive"))
    response = LabelsMaker.make.original(maker, structures)
    for job, entry in zip(response.replace.jobs, structures.structures, strict=True):
        text = str(job.as_dict())
        others = [e.structure_id for e in structures.structures if e != entry]
        assert entry.structure_id in text
        assert not any(other in text for other in others)


def test_labels_do_not_depend_on_the_composition_of_the_alloy(structures: StructuresDoc) -> None:
    maker = LabelsMaker(labels=LabelSpec(engine="synthetic"))
    shares = {"Mo": 0.4, "Ta": 0.3, "Nb": 0.2, "W": 0.1}
    rich = structures.model_copy(update={"alloy": ALLOY.model_copy(update={"composition": shares})})
    identities = maker._identities(rich)
    assert len(identities) == len(structures.structures)
    assert identities == maker._identities(structures)
