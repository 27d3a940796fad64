"""What reruns leave in a real MongoDB: found, counted, and removed if nobody can need it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from bson import ObjectId
from fireworks import FWorker
from jobflow import Flow, Job, JobStore
from jobflow.managers.fireworks import flow_to_workflow
from maggma.stores import MemoryStore
from stored_campaign import put

from hea_flows.cli import main
from hea_flows.results.store import (
    CampaignDocuments,
    documents,
    find_leftovers,
    get_document,
    remove_leftovers,
)
from hea_flows.schemas import DatasetDoc, kinds
from hea_flows.services import workflows
from hea_flows.services.connection import Connection


def _age(store: JobStore, days: int = 1) -> None:
    """Make all blobs older."""
    files = store.additional_stores["data"]._files_collection
    for row in files.find():
        before = {"uploadDate": row["uploadDate"] - timedelta(days=days)}
        files.update_one({"_id": row["_id"]}, {"$set": before})


def _blobs(store: JobStore) -> tuple[int, int]:
    data = store.additional_stores["data"]
    return data._files_collection.count_documents({}), data._chunks_collection.count_documents({})


def _everything(store: JobStore) -> list[str]:
    return [repr(d) for kind in kinds() for d in documents(store, kind, load=True)]


def test_a_database_without_reruns_has_none(database: JobStore) -> None:
    _age(database)
    assert not find_leftovers(database)
    assert find_leftovers(database).spared == 0


def test_reruns_leave_blobs_and_other_runs_of_a_job_leave_documents(
    database: JobStore, inputs: CampaignDocuments
) -> None:
    [training], [dataset] = inputs.trainings, inputs.datasets
    put(database, training)  # a rerun of the job writes the same row, but new blobs
    put(database, dataset, index=2)  # the job went on as another one
    _age(database)
    before, blobs = _everything(database), _blobs(database)[0]
    found = find_leftovers(database)
    assert found.kinds == {"dataset": 1}
    n_of = database.additional_stores["data"]._files_collection.count_documents
    assert len(found.blobs) == (
        n_of({"metadata.job_uuid": training.uuid}) / 2
        + n_of({"metadata.job_uuid": dataset.uuid}) / 2
    )
    sizes = {row["_id"]: row["length"] for row in database.additional_stores["data"]._fs.query({})}
    assert all(sizes[blob.key] == blob.size for blob in found.blobs)
    assert found.documents[0].size > 1000

    assert [d.uuid for d in documents(database, DatasetDoc, superseded=True)] == [dataset.uuid]
    remove_leftovers(database, found)
    assert not find_leftovers(database)
    assert documents(database, DatasetDoc, superseded=True) == []
    assert _everything(database) == before
    assert _blobs(database)[0] == blobs - len(found.blobs)
    assert get_document(database, training.uuid, load=True).model_file.read() == b"weights"


def test_what_was_just_written_is_left_alone(database: JobStore, inputs: CampaignDocuments) -> None:
    put(database, inputs.trainings[0])
    found = find_leftovers(database)
    assert not found
    assert found.spared > 0
    _age(database)
    started = datetime.now(UTC) - timedelta(days=2)
    assert find_leftovers(database, running_since=started).spared == found.spared
    started = datetime.now(UTC) - timedelta(hours=2)
    assert len(find_leftovers(database, running_since=started).blobs) == found.spared


def test_blobs_of_other_projects_are_not_looked_at(database: JobStore) -> None:
    row = {"uuid": "foreign", "index": 1, "output": {"trajectories": [1.0] * 9}, "metadata": {}}
    for _ in range(2):
        database.update(row, key=["uuid", "index"], save={"data": ["trajectories"]})
    database.update(row | {"index": 2}, key=["uuid", "index"])
    _age(database)
    assert not find_leftovers(database)


def test_what_a_killed_writer_left_is_found(database: JobStore) -> None:
    chunks = database.additional_stores["data"]._chunks_collection
    old = ObjectId.from_datetime(datetime.now(UTC) - timedelta(days=1))
    for files_id in (old, ObjectId()):
        chunks.insert_many({"files_id": files_id, "n": n, "data": b"x" * 500} for n in range(3))
    n = _blobs(database)
    found = find_leftovers(database)
    assert [(part.key, part.size) for part in found.unfinished] == [(old, 1500)]
    assert found.spared == 1
    remove_leftovers(database, found)
    assert _blobs(database) == (n[0], n[1] - 3)


def test_prune_says_what_it_would_remove_and_removes_it_with_yes(
    database: JobStore, inputs: CampaignDocuments, capsys: pytest.CaptureFixture[str]
) -> None:
    put(database, inputs.trainings[0])
    put(database, inputs.datasets[0], index=2)
    _age(database)
    n = len(find_leftovers(database).blobs)
    blobs = _blobs(database)
    capsys.readouterr()
    assert main(["db", "prune"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("superseded documents: 1 (0.0 MB): dataset 1")
    assert said[1].startswith(f"blobs of no document: {n} (")
    assert said[2:] == ["unfinished blobs: 0 (0.0 MB)", "remove them: hea-flows db prune --yes"]
    assert _blobs(database) == blobs
    assert main(["db", "prune", "--yes"]) == 0
    assert capsys.readouterr().out.splitlines()[3:] == ["removed"]
    assert _blobs(database)[0] == blobs[0] - n
    assert main(["db", "prune"]) == 0
    assert "remove them" not in capsys.readouterr().out


def test_prune_spares_what_a_running_job_may_own(
    database: JobStore,
    connection: Connection,
    inputs: CampaignDocuments,
    capsys: pytest.CaptureFixture[str],
) -> None:
    put(database, inputs.trainings[0])
    _age(database)
    launchpad = connection.launchpad()
    assert workflows.running_since(launchpad) is None
    launchpad.add_wf(flow_to_workflow(Flow([Job(max, function_args=(1, 2))])))
    launchpad.checkout_fw(FWorker("a"), str(Path.cwd()), host="h", ip="i")
    since = workflows.running_since(launchpad)
    assert since is not None
    assert abs(datetime.now(UTC) - since) < timedelta(minutes=1)
    long_ago = (datetime.now(UTC) - timedelta(days=3)).isoformat()
    launchpad.launches.update_one({}, {"$set": {"state_history.0.created_on": long_ago}})
    blobs = _blobs(database)
    capsys.readouterr()
    assert main(["db", "prune", "--yes"]) == 0
    assert "blobs, since a running job may own them" in capsys.readouterr().out
    assert _blobs(database) == blobs


def test_blobs_elsewhere_are_refused_in_one_line(database: JobStore) -> None:
    elsewhere = JobStore(database.docs_store, additional_stores={"data": MemoryStore()})
    with pytest.raises(ValueError, match="blobs are in a MemoryStore; leftovers are") as error:
        find_leftovers(elsewhere)
    assert "\n" not in str(error.value)
