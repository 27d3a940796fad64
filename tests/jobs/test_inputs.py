"""What jobs are given is what was stored; what cannot be read is left out, or named in one line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import damage
import pytest
from command import cli
from jobflow import CURRENT_JOB, Flow, Job, JobStore, OutputReference, run_locally
from jobflow.managers.fireworks import flow_to_workflow
from stored_campaign import campaign_documents, memory_store

from hea_flows.config import LabelSpec
from hea_flows.flows.labelling import LabellingMaker
from hea_flows.jobs.inputs import reading_job, unreadable_inputs
from hea_flows.jobs.labelling.collect import collect
from hea_flows.jobs.learning.dataset import DatasetMaker
from hea_flows.jobs.reuse import load_document, reuse_or
from hea_flows.jobs.routing import run_despite_missing_inputs
from hea_flows.results.store import documents
from hea_flows.schemas import (
    AlloySpec,
    DatasetDoc,
    Document,
    LabelDoc,
    StructuresDoc,
    TrainingDoc,
    UnreadableDocumentError,
)
from hea_flows.services.connection import Connection

ALLOY = AlloySpec(elements=("Mo", "Ta", "W"))


@pytest.fixture
def everything() -> list[Document]:
    return campaign_documents()


@pytest.fixture
def store(everything: list[Document]) -> JobStore:
    return memory_store(everything)


def _uuid(everything: list[Document], kind: str, position: int = 0) -> str:
    return [d for d in everything if d.kind == kind][position].uuid


def _alter(store: JobStore, uuid: str, role: str, change: Callable[[Any], None]) -> None:
    blobs = store.additional_stores["data"]
    output = store.query_one({"uuid": uuid}, ["output"])["output"]
    blob = blobs.query_one({"blob_uuid": output[role]["blob_uuid"]})
    change(blob["data"])
    blobs.update(blob, key="blob_uuid")


def _more(trajectory: dict[str, Any]) -> None:
    trajectory["energies"][0] += 0.5


def _run(job: Job, store: JobStore) -> Any:
    options = {"log": False, "raise_immediately": True, "allow_external_references": True}
    run_locally(job, store=store, **options)
    return store.get_output(job.uuid)


def energies(labels: list[LabelDoc | None]) -> list[Any]:
    """Return the first energy of each label, and what could not be read."""
    told = [str(error) for error in unreadable_inputs()]
    return [[x.trajectory.energies[0] if x and x.trajectory else None for x in labels], told]


def test_a_job_gets_the_fields_of_documents(store: JobStore, everything: list[Document]) -> None:
    labels = [d for d in everything if isinstance(d, LabelDoc) and d.trajectory][:3]
    values, told = _run(reading_job(energies)([OutputReference(x.uuid) for x in labels]), store)
    assert values == [x.trajectory.energies[0] for x in labels if x.trajectory]
    assert told == []


def test_a_job_fails_in_one_line_on_an_altered_field(
    store: JobStore, everything: list[Document]
) -> None:
    uuid = _uuid(everything, "label", 7)
    _alter(store, uuid, "trajectory", _more)
    job = reading_job(energies)([OutputReference(uuid)])
    with pytest.raises(UnreadableDocumentError, match="trajectory is not what was stored") as error:
        _run(job, store)
    assert str(error.value).endswith("its job was run without FireWorks, run its flow again")


def test_a_job_that_takes_what_there_is_goes_on_without_it(
    store: JobStore, everything: list[Document]
) -> None:
    uuids = [_uuid(everything, "label", i) for i in range(5)]
    _alter(store, uuids[0], "trajectory", _more)
    blob = store.query_one({"uuid": uuids[1]}, ["output"])["output"]["trajectory"]
    store.additional_stores["data"].remove_docs({"blob_uuid": blob["blob_uuid"]})
    for uuid, change in ((uuids[2], {"schema_version": 9}), (uuids[3], {"energy": "low"})):
        row = store.query_one({"uuid": uuid})
        store.update({**row, "output": row["output"] | change})
    job = run_despite_missing_inputs(
        reading_job(energies)([OutputReference(u) for u in [*uuids, "no such job"]])
    )
    values, told = _run(job, store)
    assert [x is None for x in values] == [True, True, True, True, False, True]
    assert len(told) == 4
    for uuid, reason, line in zip(
        uuids,
        ("not what was", "is gone", "version is 9", "energy is 'low'"),
        sorted(told),
        strict=False,
    ):
        assert line.startswith(f"label {uuid} cannot be read: ")
        assert reason in line


def count(n_frames: dict[str, int]) -> int:
    """Return how many structures there are."""
    return len(n_frames)


def test_a_field_of_what_cannot_be_read_is_one_line(
    store: JobStore, everything: list[Document]
) -> None:
    uuid = _uuid(everything, "dataset")
    _alter(store, uuid, "trajectories", lambda x: x.clear())
    job = run_despite_missing_inputs(reading_job(count)(OutputReference(uuid).n_frames))
    with pytest.raises(UnreadableDocumentError, match=f"dataset {uuid} cannot be read"):
        _run(job, store)


def train_again(uuid: str, wrong: str) -> str:
    """Return whether a model is trained or taken from the store."""
    with pytest.raises(ValueError, match="is a document of kind dataset; accepted is one of kind"):
        load_document(TrainingDoc, wrong)
    key = "fine-tuned model"
    document = reuse_or(lambda: "trained", TrainingDoc, key, sources={}, uuid=CURRENT_JOB.job.uuid)
    return document if isinstance(document, str) else document.sources["reused"][0]


def test_a_damaged_model_is_trained_again(store: JobStore, everything: list[Document]) -> None:
    """The command that computes it again is a rerun of its job, which looks into the store."""
    uuid, dataset = _uuid(everything, "training"), _uuid(everything, "dataset")
    assert _run(reading_job(train_again)(uuid, dataset), store) == uuid
    _alter(store, uuid, "model_file", lambda x: x.update(content="AAAA"))
    assert _run(reading_job(train_again)(uuid, dataset), store) == "trained"


def test_a_dataset_names_labels_that_cannot_be_read(everything: list[Document]) -> None:
    labels = [d for d in everything if isinstance(d, LabelDoc)]
    [sets] = [d for d in everything if isinstance(d, StructuresDoc)]
    lost = labels[9]
    error = UnreadableDocumentError(lost.model_dump(), "trajectory is gone", "rerun")
    collected = collect([[None if x is lost else x for x in labels]], [sets], [error])
    assert collected.excluded[lost.structure.structure_id] == (
        f"{lost.structure.formula}: label {lost.uuid} cannot be read: trajectory is gone; rerun"
    )
    assert len(collected.labels) == 49


@pytest.mark.slow
def test_the_command_of_the_message_computes_labels_again(
    connection: Connection, tmp_path: Path
) -> None:
    """A dataset goes on without labels that were damaged, and has them again after the command."""
    labelling = LabellingMaker.from_spec(LabelSpec(engine="archive"), seed=1).make(
        "2(2)+1(1)", ALLOY
    )
    output = labelling.output
    dataset = DatasetMaker().make(ALLOY, [output["labels"]], [output["structures"]])
    flow = Flow([labelling, run_despite_missing_inputs(dataset)])
    launchpad, db = connection.launchpad(), connection.database()
    launchpad.add_wf(flow_to_workflow(flow, store=None))
    cli(connection, "worker", "--idle-exit")
    with connection.job_store() as store:
        mixed = [x for x in documents(store, LabelDoc) if len(x.structure.counts) > 1]
        assert len(mixed) >= 3
        [before] = documents(store, DatasetDoc, load=True)
        altered, gone, newer = mixed[:3]
        damage.rewrite(db, altered.uuid, "trajectory", _more)
        damage.delete_entry(db, gone.uuid, "trajectory")
        damage.set_fields(connection, newer.uuid, schema_version=7)

        def collect_again(*commands: str) -> DatasetDoc:
            for command in commands:
                lpad, *arguments = command.split()
                pad = connection.folder / "my_launchpad.yaml"
                program = Path(sys.executable).with_name(lpad)
                subprocess.run([program, "-l", pad, *arguments], check=True, capture_output=True)
            cli(connection, "worker", "--idle-exit")
            return documents(store, DatasetDoc, load=True)[-1]

        [row] = db.outputs.find({"uuid": before.uuid})
        without = collect_again(f"lpad rerun_fws -i {row['metadata']['fw_id']}")
        assert without.n_structures == before.n_structures - 3
        lines = {
            label.uuid: without.excluded[label.structure.structure_id]
            for label in (altered, gone, newer)
        }
        assert "trajectory is not what was stored" in lines[altered.uuid]
        assert "trajectory is gone from the data store" in lines[gone.uuid]
        assert "its schema version is 7, this hea-flows reads up to 1" in lines[newer.uuid]

        commands = [lines[x.uuid].rpartition("compute it again: ")[2] for x in (altered, gone)]
        again = collect_again(*commands)
        assert list(again.excluded) == [newer.structure.structure_id]
        for label in (altered, gone):
            key = label.structure.structure_id
            assert again.trajectories[key] == before.trajectories[key]
