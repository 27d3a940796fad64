from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jobflow import JobStore
from stored_campaign import memory_store, put

from hea_flows.results.store import (
    STORED,
    CampaignDocuments,
    NotFoundError,
    decode,
    documents,
    get_document,
    get_documents,
    preview,
    trace,
)
from hea_flows.schemas import DatasetDoc, Document, LabelDoc, MonteCarloDoc, TrainingDoc
from hea_flows.services.connection import Connection


def same(a: Document, b: Document) -> bool:
    """Compare documents; MongoDB keeps times to the millisecond and returns them without a zone."""
    drop = {"created_at"}
    return a.model_dump(exclude=drop) == b.model_dump(exclude=drop)


@pytest.mark.parametrize(
    "kind", ["benchmark", "dataset", "label", "montecarlo", "training", "thermodynamics"]
)
def test_documents_come_back_as_they_were(
    inputs: CampaignDocuments, filled: JobStore, kind: str
) -> None:
    expected = [d for d in inputs.all if d.kind == kind]
    stored = documents(filled, kind, load=True)
    assert all(same(a, b) for a, b in zip(stored, expected, strict=True))


def test_big_fields_stay_in_the_data_store_until_asked_for(filled: JobStore) -> None:
    stored = filled.query_one({"output.kind": "dataset"})["output"]
    assert "blob_uuid" in stored["trajectories"]
    [dataset] = documents(filled, DatasetDoc)
    assert dataset.trajectories == {}
    assert len(dataset.frames) == 105
    assert documents(filled, LabelDoc)[0].trajectory is None
    [tuned] = documents(filled, TrainingDoc)
    assert tuned.model_file.sha256 == tuned.model.sha256
    [sampled] = documents(filled, MonteCarloDoc)
    assert sampled.series.sha256 == "not loaded"
    [loaded] = documents(filled, TrainingDoc, load=True)
    assert loaded.model_file.content == "d2VpZ2h0cw=="


def test_weights_that_were_not_loaded_cannot_be_used(filled: JobStore, tmp_path: Path) -> None:
    [tuned] = documents(filled, TrainingDoc)
    with pytest.raises(ValueError, match="not used"):
        tuned.model_file.write_to(tmp_path)


def test_filters_name_fields_and_their_parts(filled: JobStore, inputs: CampaignDocuments) -> None:
    wanted = inputs.labels[7].structure
    [label] = documents(filled, LabelDoc, structure__formula=wanted.formula)
    assert label.structure == wanted
    assert len(documents(filled, LabelDoc, state="converged")) == 50
    assert len(documents(filled, MonteCarloDoc, settings__runs=2, seed=0)) == 1
    assert len(documents(filled, LabelDoc, "toy")) == 52
    assert documents(filled, LabelDoc, "another campaign") == []


@pytest.mark.parametrize(
    ("kind", "filters", "message"),
    [
        ("labels", {}, "unknown kind 'labels'; accepted: benchmark, campaign, committee"),
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
def small(inputs: CampaignDocuments) -> JobStore:
    return memory_store(inputs.labels[:3])


def test_the_newest_run_of_a_job_counts(small: JobStore, inputs: CampaignDocuments) -> None:
    first = inputs.labels[0]
    put(small, first.model_copy(update={"energy": 0.9}), index=2)
    put(small, first.model_copy(update={"energy": 0.5}), index=10)
    assert get_document(small, first.uuid).energy == 0.5
    found = documents(small, "label")
    assert len(found) == 3
    assert found[0].energy == 0.5
    assert documents(small, "label", energy=0.9) == []  # no longer true


def test_superseded_documents_are_shown_if_asked_for(
    small: JobStore, inputs: CampaignDocuments
) -> None:
    first = inputs.labels[0]
    put(small, first.model_copy(update={"energy": 0.9}), index=2)
    put(small, first.model_copy(update={"energy": 0.5}), index=10)
    old = documents(small, LabelDoc, superseded=True)
    assert [d.energy for d in old] == [first.energy, 0.9]
    assert documents(small, LabelDoc, superseded=True, energy=0.5) == []


def test_the_newest_of_many(filled: JobStore, inputs: CampaignDocuments) -> None:
    newest = sorted(inputs.labels, key=lambda d: (d.created_at, d.uuid))[-3:]
    assert [d.uuid for d in documents(filled, LabelDoc, newest=3)] == [d.uuid for d in newest]
    assert len(documents(filled, LabelDoc, "toy", newest=3)) == 3
    assert len(documents(filled, LabelDoc, newest=1000)) == len(inputs.labels)


def test_the_newest_are_counted_without_superseded_ones(
    small: JobStore, inputs: CampaignDocuments
) -> None:
    for index in range(2, 6):
        put(small, inputs.labels[2], index=index)
    assert len(documents(small, LabelDoc, newest=3)) == 3


def test_two_writers_of_one_run_make_one_document(
    small: JobStore, inputs: CampaignDocuments
) -> None:
    row = dict(small.query_one({"uuid": inputs.labels[0].uuid}))
    del row["_id"]
    small.docs_store._collection.insert_one(row)
    assert len(documents(small, LabelDoc)) == 3


def test_a_job_replaced_by_something_else_is_no_document(
    small: JobStore, inputs: CampaignDocuments
) -> None:
    first = inputs.labels[0]
    put(small, first, index=2, output=[{"@class": "OutputReference", "uuid": "x"}])
    assert len(documents(small, "label")) == 2
    with pytest.raises(NotFoundError, match="newest run of this job wrote no document"):
        get_document(small, first.uuid)


def test_uuids_may_be_shortened_while_they_are_unique(
    filled: JobStore, inputs: CampaignDocuments
) -> None:
    assert same(get_document(filled, "f17e", load=True), inputs.trainings[0])
    assert get_document(filled, inputs.labels[3].uuid).uuid == inputs.labels[3].uuid
    with pytest.raises(NotFoundError, match="'1abe' is not unique, 52 documents begin so"):
        get_document(filled, "1abe")
    for unknown in ("dead", "", "."):
        with pytest.raises(NotFoundError, match="no document with uuid"):
            get_document(filled, unknown)


def test_many_uuids_in_one_question(filled: JobStore, inputs: CampaignDocuments) -> None:
    uuids = [d.uuid for d in inputs.labels]
    assert list(get_documents(filled, [*uuids, "gone"])) == uuids


def test_a_document_without_uuid_takes_that_of_its_job(
    small: JobStore, inputs: CampaignDocuments
) -> None:
    anonymous = inputs.labels[4].model_copy(update={"uuid": ""})
    small.update({"uuid": "job-uuid", "index": 1, "output": anonymous})
    assert get_document(small, "job-uuid").uuid == "job-uuid"


def test_other_outputs_are_refused() -> None:
    with pytest.raises(ValueError, match="no document"):
        decode({"@class": "Structure", "kind": "lattice"})


def test_a_preview_holds_no_long_things(filled: JobStore) -> None:
    stored = filled.query_one({"output.kind": "dataset"})["output"]
    row = preview(stored)
    assert row["trajectories"] == STORED
    assert row["n_frames"] == 35
    assert row["fractions"] == [0.8, 0.15, 0.05]
    assert row["seed"] == 42
    assert not any(k.startswith("@") for k in row)
    [dataset] = documents(filled, DatasetDoc, load=True)
    assert preview(dataset)["trajectories"] == 35
    [tuned] = documents(filled, TrainingDoc, load=True)
    assert preview(tuned)["model_file"] == {"name": "best.pt", "sha256": tuned.model.sha256}


def test_documents_live_in_a_real_mongodb(database: JobStore, inputs: CampaignDocuments) -> None:
    [dataset] = documents(database, DatasetDoc, "toy", load=True)
    assert same(dataset, inputs.datasets[0])
    assert documents(database, DatasetDoc)[0].trajectories == {}
    assert same(get_document(database, "7e44"), inputs.thermodynamics[0])


QUESTIONS: dict[str, Callable[[JobStore], object]] = {
    "kind": lambda s: documents(s, "benchmark"),
    "kind and campaign": lambda s: documents(s, "benchmark", "toy"),
    "labels of a campaign, and those it uses": lambda s: documents(s, LabelDoc, "toy"),
    "superseded": lambda s: documents(s, DatasetDoc, "toy", superseded=True),
    "newest": lambda s: documents(s, TrainingDoc, newest=1, load=True),
    "structure": lambda s: documents(s, LabelDoc, structure__structure_id="x"),
    "formula": lambda s: documents(s, LabelDoc, "toy", structure__formula="Mo1S2"),
    "beginning of a uuid": lambda s: get_document(s, "7e44"),
    "sources": lambda s: trace(s, "7e44"),
    "what is reused": lambda s: list(s.query({"output.kind": "label", "output.identity": "x"})),
    "failures": lambda s: list(s.query({"output.workflow": "x"})),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_question_reads_a_whole_collection(
    database: JobStore, connection: Connection, inputs: CampaignDocuments, question: str
) -> None:
    for label in inputs.labels:
        put(database, label)
    connection.ensure_indexes()
    raw = connection.database()
    raw.command("profile", 2)
    QUESTIONS[question](database)
    raw.command("profile", 0)
    asked = list(raw["system.profile"].find({"ns": {"$regex": r"\.outputs(_blobs\.files)?$"}}))
    plans = [row["planSummary"] for row in asked if "planSummary" in row]
    assert plans
    assert [plan for plan in plans if "COLLSCAN" in plan] == []
