from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jobflow import JobStore
from maggma.stores import MemoryStore

from hea_flows.results.report.inputs import ReportInputs
from hea_flows.results.store.query import (
    KINDS,
    STORED,
    NotFoundError,
    by_uuid,
    by_uuids,
    decode,
    documents,
    light,
)
from hea_flows.schemas import Document
from hea_flows.services.connection import Connection

BLOBS = {
    "label": ["trajectory"],
    "dataset": ["trajectories"],
    "training": ["model_file"],
    "montecarlo": ["series"],
}


def put(store: JobStore, document: Document, index: int = 1, *, output: object = None) -> None:
    """Store a document as jobflow's `Job.run` does."""
    store.update(
        {
            "uuid": document.uuid,
            "index": index,
            "output": document if output is None else output,
            "completed_at": "2026-01-01T00:00:00",
            "metadata": {},
            "hosts": [],
            "name": "job",
        },
        key=["uuid", "index"],
        save={"data": BLOBS.get(document.kind, [])},
    )


@pytest.fixture(scope="module")
def filled(documents: list[Document]) -> JobStore:
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    store.connect()
    for document in documents:
        put(store, document)
    return store


def test_every_kind_of_document_can_be_decoded() -> None:
    subclasses = {
        c for c in Document.__subclasses__() if c.__module__.startswith("hea_flows.schemas")
    }
    assert set(KINDS.values()) == subclasses
    assert {c.model_fields["kind"].default: c for c in subclasses} == KINDS


def same(a: Document, b: Document) -> bool:
    """Compare documents; MongoDB keeps times to the millisecond and returns them without a zone."""
    drop = {"created_at"}
    return a.model_dump(exclude=drop) == b.model_dump(exclude=drop)


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "report"])
def test_documents_come_back_as_they_were(
    store_documents: list[Document], filled: JobStore, kind: str
) -> None:
    expected = [d for d in store_documents if d.kind == kind]
    found = documents(filled, kind, load=True)
    assert [d.uuid for d in found] == [d.uuid for d in expected]
    assert all(same(a, b) for a, b in zip(found, expected, strict=True))


@pytest.fixture(scope="module")
def store_documents(documents: list[Document]) -> list[Document]:
    return documents


def test_big_fields_stay_in_the_data_store_until_asked_for(filled: JobStore) -> None:
    stored = filled.query_one({"output.kind": "dataset"})["output"]
    assert "blob_uuid" in stored["trajectories"]
    [dataset] = documents(filled, "dataset")
    assert dataset.trajectories == {}
    assert len(dataset.frames) == 105
    assert documents(filled, "label")[0].trajectory is None
    [tuned] = documents(filled, "training")
    assert tuned.model_file.sha256 == tuned.model.sha256
    [sampled] = documents(filled, "montecarlo")
    assert sampled.series.sha256 == "not loaded"
    [loaded] = documents(filled, "training", load=True)
    assert loaded.model_file.content == "d2VpZ2h0cw=="


def test_weights_that_were_not_loaded_cannot_be_used(filled: JobStore, tmp_path: Path) -> None:
    [tuned] = documents(filled, "training")
    with pytest.raises(ValueError, match="not used"):
        tuned.model_file.write_to(tmp_path)


def test_filters_name_fields_and_their_parts(filled: JobStore, inputs: ReportInputs) -> None:
    wanted = inputs.labels[7].structure
    [label] = documents(filled, "label", structure__formula=wanted.formula)
    assert label.structure == wanted
    assert len(documents(filled, "label", state="converged")) == 50
    assert len(documents(filled, "montecarlo", settings__runs=2, seed=0)) == 1
    assert len(documents(filled, "label", "toy")) == 52
    assert documents(filled, "label", "another campaign") == []


@pytest.mark.parametrize(
    ("kind", "filters", "message"),
    [
        ("labels", {}, "unknown kind 'labels'; accepted: campaign, structures, label"),
        ("label", {"temprature": 300}, "label documents have no field temprature; accepted: kind"),
    ],
)
def test_wrong_questions_are_answered_in_one_line(
    filled: JobStore, kind: str, filters: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as error:
        documents(filled, kind, **filters)
    assert "\n" not in str(error.value)


@pytest.fixture
def small(inputs: ReportInputs) -> JobStore:
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    store.connect()
    for label in inputs.labels[:3]:
        put(store, label)
    return store


def test_the_newest_run_of_a_job_counts(small: JobStore, inputs: ReportInputs) -> None:
    first = inputs.labels[0]
    put(small, first.model_copy(update={"energy": 0.9}), index=2)
    put(small, first.model_copy(update={"energy": 0.5}), index=10)
    assert by_uuid(small, first.uuid).energy == 0.5
    found = documents(small, "label")
    assert len(found) == 3
    assert found[0].energy == 0.5
    assert documents(small, "label", energy=0.9) == []  # no longer true


def test_a_job_replaced_by_something_else_is_no_document(
    small: JobStore, inputs: ReportInputs
) -> None:
    first = inputs.labels[0]
    put(small, first, index=2, output=[{"@class": "OutputReference", "uuid": "x"}])
    assert len(documents(small, "label")) == 2
    with pytest.raises(NotFoundError, match="newest run of this job wrote no document"):
        by_uuid(small, first.uuid)


def test_uuids_may_be_shortened_while_they_are_unique(
    filled: JobStore, inputs: ReportInputs
) -> None:
    assert same(by_uuid(filled, "f17e", load=True), inputs.trainings[0])
    assert by_uuid(filled, inputs.labels[3].uuid).uuid == inputs.labels[3].uuid
    with pytest.raises(NotFoundError, match="'1abe' is not unique, 52 documents begin so"):
        by_uuid(filled, "1abe")
    for unknown in ("dead", "", "."):
        with pytest.raises(NotFoundError, match="no document with uuid"):
            by_uuid(filled, unknown)


def test_many_uuids_in_one_question(filled: JobStore, inputs: ReportInputs) -> None:
    uuids = [d.uuid for d in inputs.labels]
    assert list(by_uuids(filled, [*uuids, "gone"])) == uuids


def test_a_document_without_uuid_takes_that_of_its_job(
    small: JobStore, inputs: ReportInputs
) -> None:
    anonymous = inputs.labels[4].model_copy(update={"uuid": ""})
    small.update({"uuid": "job-uuid", "index": 1, "output": anonymous})
    assert by_uuid(small, "job-uuid").uuid == "job-uuid"


def test_other_outputs_are_refused() -> None:
    with pytest.raises(ValueError, match="no document"):
        decode({"@class": "Structure", "kind": "lattice"})


def test_light_rows_hold_no_long_things(filled: JobStore) -> None:
    stored = filled.query_one({"output.kind": "dataset"})["output"]
    row = light(stored)
    assert row["trajectories"] == STORED
    assert row["n_frames"] == 35
    assert row["fractions"] == [0.8, 0.15, 0.05]
    assert row["seed"] == 42
    assert not any(k.startswith("@") for k in row)
    [dataset] = documents(filled, "dataset", load=True)
    assert light(dataset)["trajectories"] == 35
    [tuned] = documents(filled, "training", load=True)
    assert light(tuned)["model_file"] == {"name": "best.pt", "sha256": tuned.model.sha256}


def test_documents_live_in_a_real_mongodb(
    connection: Connection, store_documents: list[Document]
) -> None:
    store = connection.job_store()
    store.connect()
    kept = [d for d in store_documents if d.kind != "label"]
    for document in kept:
        put(store, document)
    [dataset] = documents(store, "dataset", "toy", load=True)
    assert same(dataset, next(d for d in kept if d.kind == "dataset"))
    assert documents(store, "dataset")[0].trajectories == {}
    assert same(by_uuid(store, "7e44"), next(d for d in kept if d.kind == "thermodynamics"))
    store.close()
