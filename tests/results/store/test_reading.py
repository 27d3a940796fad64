"""What is read from a real MongoDB is what was stored, or one line says what is wrong with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import damage
import pytest
from command import cli
from jobflow import JobStore
from maggma.stores import GridFSStore, JSONStore, MemoryStore, MongoStore, S3Store
from stored_campaign import put

from hea_flows.results.report.summary import problems, summary
from hea_flows.results.store import (
    CampaignDocuments,
    UnreadableDocumentWarning,
    documents,
    get_document,
    render_tree,
    trace,
)
from hea_flows.schemas import (
    CampaignDoc,
    Document,
    LabelDoc,
    ReportDoc,
    StoredFile,
    TrainingDoc,
    UnreadableDocumentError,
    content_sha256,
)
from hea_flows.services.connection import OUTPUTS, Connection

REPORT = ReportDoc(
    uuid="4e904700-0000-4000-8000-000000000000",
    campaign="toy",
    title="toy",
    summary={},
    html=StoredFile.from_bytes("toy.html", b"<html></html>"),
)
#: A number or letter of every field in the data store.
ROLES: dict[str, tuple[str, Callable[[Any], None]]] = {
    "label": ("trajectory", lambda x: x["energies"].__setitem__(-1, x["energies"][-1] + 0.5)),
    "dataset": ("trajectories", lambda x: next(iter(x.values()))["forces"][0][0].reverse()),
    "test_set": ("trajectories", lambda x: x.popitem()),
    "montecarlo": ("series", lambda x: x.update(content="AA" + x["content"][2:])),
    "training": ("model_file", lambda x: x.update(content="AAAA" + x["content"][4:])),
    "report": ("html", lambda x: x.update(name="other.html")),
}


@pytest.fixture
def toy(connection: Connection, documents: list[Document]) -> list[Document]:
    """Store the campaign, each document with a Firework of its own."""
    everything = [*documents, REPORT]
    with connection.job_store() as store:
        for fw_id, document in enumerate(everything, 1):
            put(store, document)
            uuid = {"uuid": document.uuid}
            connection.database()[OUTPUTS].update_one(uuid, {"$set": {"metadata.fw_id": fw_id}})
    return everything


@pytest.fixture
def store(connection: Connection, toy: list[Document]) -> Iterator[JobStore]:
    with connection.job_store() as store:
        yield store


@pytest.mark.parametrize("kind", ROLES)
@pytest.mark.parametrize(
    ("damaged", "reason"),
    [
        ("altered", "is not what was stored"),
        ("without its chunks", "is damaged in the data store"),
        ("without its entry", "is gone from the data store"),
    ],
)
def test_a_damaged_field_is_named_with_the_command_that_computes_it_again(
    connection: Connection,
    store: JobStore,
    toy: list[Document],
    kind: str,
    damaged: str,
    reason: str,
) -> None:
    (role, change), db = ROLES[kind], connection.database()
    fw_id, document = next((i, d) for i, d in enumerate(toy, 1) if d.kind == kind)
    if damaged == "altered":
        damage.rewrite(db, document.uuid, role, change)
    elif damaged == "without its chunks":
        damage.delete_chunk(db, document.uuid, role)
    else:
        damage.delete_entry(db, document.uuid, role)
    with pytest.raises(UnreadableDocumentError) as caught:
        get_document(store, document.uuid, load=True)
    line = str(caught.value)
    assert line.startswith(f"{kind} {document.uuid} cannot be read: {role} {reason}")
    assert line.endswith(f"; compute it again: lpad rerun_fws -i {fw_id}")
    assert "\n" not in line
    # Of many documents it is left out and named, and those that do not need the field have it.
    unreadable: list[UnreadableDocumentError] = []
    n = sum(d.kind == kind for d in toy)
    assert len(documents(store, kind, load=True, unreadable=unreadable)) == n - 1
    assert [str(error) for error in unreadable] == [line]
    with pytest.warns(UnreadableDocumentWarning) as told:
        documents(store, kind, load=True)
    assert [str(w.message) for w in told] == [line]
    assert len(documents(store, kind)) == n
    assert get_document(store, document.uuid).uuid == document.uuid


def test_checksums_lie_in_the_document_and_are_kept_while_fields_are_not_loaded(
    connection: Connection, store: JobStore, toy: list[Document]
) -> None:
    label = next(d for d in toy if isinstance(d, LabelDoc))
    assert label.trajectory is not None
    sha256 = content_sha256(label.trajectory.model_dump())
    row = connection.database()[OUTPUTS].find_one({"uuid": label.uuid})
    assert row is not None
    assert row["output"]["blobs"] == [{"role": "trajectory", "sha256": sha256}]
    small = get_document(store, label.uuid)
    assert [(b.role, b.sha256) for b in small.blobs] == [("trajectory", sha256)]
    assert small.model_dump()["blobs"] == row["output"]["blobs"]
    whole = get_document(store, label.uuid, load=True)
    assert whole.blobs == []  # computed when it is stored again
    assert whole.model_dump()["blobs"] == row["output"]["blobs"]


def test_a_checksum_that_is_gone_is_noticed(
    connection: Connection, store: JobStore, toy: list[Document]
) -> None:
    label = next(d for d in toy if isinstance(d, LabelDoc))
    damage.set_fields(connection, label.uuid, blobs=[])
    with pytest.raises(UnreadableDocumentError, match=r"trajectory lies .* without a checksum"):
        get_document(store, label.uuid, load=True)


class Bucket:
    """What `S3Store` asks of boto3, in memory."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}

    def upload_fileobj(self, *, Fileobj: BytesIO, Key: str, ExtraArgs: object) -> None:
        self.content[Key] = Fileobj.read()

    def Object(self, key: str) -> Any:  # noqa: N802
        content = self.content[key]

        class Stored:
            def get(self) -> dict[str, Any]:
                return {"Body": type("Body", (), {"read": lambda _: content})()}

        return Stored()


def data_store(kind: str, connection: Connection, tmp_path: Path) -> Any:
    assert connection.uri is not None
    uri, name = connection.uri.get_secret_value(), connection.database_name
    if kind.startswith("GridFS"):
        return GridFSStore(name, "blobs", uri=uri, compression=kind == "GridFS, compressed")
    if kind == "S3":
        index = MongoStore(name, "index", uri=uri, key="blob_uuid")
        store = S3Store(index, "bucket", compress=True, key="blob_uuid")
        store.s3 = Mock()
        store.s3_bucket = Bucket()
        store._get_bucket = lambda: store.s3_bucket
        return store
    return MemoryStore() if kind == "memory" else JSONStore(str(tmp_path / "b.json"), False)


@pytest.mark.parametrize("kind", ["GridFS", "GridFS, compressed", "S3", "memory", "JSON"])
def test_a_checksum_survives_every_store(
    connection: Connection, documents: list[Document], tmp_path: Path, kind: str
) -> None:
    """The numbers that are hardest to write: signed zero, denormals, no number, whole floats."""
    label = next(d for d in documents if isinstance(d, LabelDoc)).model_copy(deep=True)
    assert label.trajectory is not None
    label.trajectory.forces[0][0] = [-0.0, 5e-324, 1 / 3]
    label.trajectory.stresses[0] = [1e22, 1e-7, 123456789012345680.0, 1.0, math.inf, math.nan]
    docs = connection.job_store().docs_store
    store = JobStore(docs, additional_stores={"data": data_store(kind, connection, tmp_path)})
    store.connect()
    put(store, label)
    again = get_document(store, label.uuid, load=True)
    store.close()
    assert isinstance(again, LabelDoc)
    assert again.trajectory is not None
    assert repr(again.trajectory) == repr(label.trajectory)


def _labels(toy: list[Document]) -> list[LabelDoc]:
    return [d for d in toy if isinstance(d, LabelDoc)]


def test_a_newer_or_damaged_document_does_not_hide_the_others(
    connection: Connection, store: JobStore, toy: list[Document], tmp_path: Path
) -> None:
    labels = _labels(toy)[5:]
    first = 1 + toy.index(labels[0])
    changes: dict[str, dict[str, object]] = {
        "its schema version is 2, this hea-flows reads up to 1": {"schema_version": 2, "new": 3.0},
        "structure is missing": {"structure": ...},
        "energy is 'low'; input should be a valid number, unable to parse string as a number": {
            "energy": "low"
        },
        "colour is no key of LabelDoc": {"colour": "red"},
        "blobs is 5; input should be a valid list": {"blobs": 5},
        "blobs.0.sha256 is missing": {"blobs": [{"role": "trajectory"}]},
    }
    for label, change in zip(labels, changes.values(), strict=False):
        damage.set_fields(connection, label.uuid, **change)
    remedies = [f"compute it again: lpad rerun_fws -i {first + i}" for i in range(len(changes))]
    remedies[0] = "update hea-flows"
    lines = [
        f"label {label.uuid} cannot be read: {reason}; {remedy}"
        for label, reason, remedy in zip(labels, changes, remedies, strict=False)
    ]
    unreadable: list[UnreadableDocumentError] = []
    assert len(documents(store, LabelDoc, "toy", unreadable=unreadable)) == 46
    assert sorted(str(error) for error in unreadable) == lines
    with pytest.raises(UnreadableDocumentError, match="update hea-flows"):
        get_document(store, labels[0].uuid)

    # On the command line, and in what is made of documents.
    said = cli(connection, "query", "--kind", "label", "--campaign", "toy")
    assert all(line in said for line in lines)
    assert "6 label documents left out" in said
    assert "6 label documents left out" in cli(connection, "hull", "--campaign", "toy")
    figures = cli(connection, "figures", "--campaign", "toy", "--which", "1a", "-o", str(tmp_path))
    assert "6 label documents left out" in figures
    tree = render_tree(trace(store, next(d for d in toy if d.kind == "dataset").uuid))
    assert any("energy is 'low'" in str(c.label) for b in tree.children for n in b.children
               for c in n.children)  # fmt: skip


def test_a_report_names_and_counts_what_cannot_be_read(
    store: JobStore, connection: Connection, toy: list[Document]
) -> None:
    label = _labels(toy)[7]
    damage.set_fields(connection, label.uuid, schema_version=3)
    unreadable: list[UnreadableDocumentError] = []
    labels = documents(store, LabelDoc, unreadable=unreadable)
    inputs = CampaignDocuments(labels=labels, unreadable=unreadable)
    assert summary(inputs)["unreadable"] == 1
    assert (label.structure.structure_id, "", "left out of the report", str(unreadable[0])) in (
        problems(inputs)
    )


def test_a_damaged_dataset_does_not_hide_the_labels_of_a_campaign(
    store: JobStore, connection: Connection, toy: list[Document]
) -> None:
    for document in toy:
        if document.kind in {"dataset", "test_set"}:
            damage.set_fields(
                connection, document.uuid, labels=[] if document.kind == "dataset" else ...
            )
    assert len(documents(store, LabelDoc, "toy")) == 52


def test_a_document_from_before_versions_is_read_with_its_fields(
    connection: Connection, store: JobStore, toy: list[Document]
) -> None:
    """There were no checksums then either."""
    for document in toy:
        damage.set_fields(connection, document.uuid, schema_version=..., blobs=...)
    for document in toy:
        again = get_document(store, document.uuid, load=True)
        same = repr(again.model_copy(update={"created_at": document.created_at})) == repr(document)
        assert same, document.kind
        assert again.schema_version == document.schema_version


def test_a_newer_kind_of_document_is_refused_in_memory_too() -> None:
    document = CampaignDoc(name="a", config="", config_sha256="")
    with pytest.raises(UnreadableDocumentError, match="schema version is 2"):
        CampaignDoc.from_dict(document.as_dict() | {"schema_version": 2})


def test_altered_numbers_are_noticed_where_jobflow_decodes(documents: list[Document]) -> None:
    """A runner that reads the store itself, such as jobflow-remote's, gets no altered field."""
    stored = next(d for d in documents if isinstance(d, LabelDoc)).as_dict()
    stored["trajectory"]["energies"][1] += 0.5
    with pytest.raises(UnreadableDocumentError, match="trajectory is not what was stored"):
        LabelDoc.from_dict(stored)


def test_an_export_refuses_altered_labels_of_its_dataset(
    connection: Connection, toy: list[Document], tmp_path: Path
) -> None:
    """0.5 eV more in one frame, in GridFS only."""
    dataset = next(d for d in toy if d.kind == "dataset")
    held_out = next(
        x for x in _labels(toy) if x.trajectory and x.uuid not in dataset.sources["labels"]
    )
    used = next(x for x in _labels(toy) if x.uuid in dataset.sources["labels"])
    path = tmp_path / "toy.extxyz"
    damage.rewrite(connection.database(), held_out.uuid, *ROLES["label"])
    said = cli(connection, "export", "dataset", str(path), "--campaign", "toy")
    assert "50 structures" not in said
    assert "49 structures, 147 frames" in said
    assert f"label {held_out.uuid} cannot be read: trajectory is not what was stored" in said
    assert (
        f"left out: label {held_out.uuid}, trajectory is not" in (tmp_path / "toy.json").read_text()
    )
    path.unlink()
    (tmp_path / "toy.json").unlink()

    damage.rewrite(connection.database(), used.uuid, *ROLES["label"])
    for name, code in (("toy.extxyz", "refused"), ("all.json", "written")):
        said = cli(connection, "export", "dataset", str(tmp_path / name), "--campaign", "toy",
                   check=False)  # fmt: skip
        assert f"label {used.uuid} cannot be read: trajectory is not what was stored" in said
        assert "2 label documents left out" in said
        assert (tmp_path / name).exists() == (code == "written")
    assert "48 structures, 144 frames" in said


@pytest.mark.parametrize(("kind", "verb"), [("training", "model"), ("montecarlo", "chains")])
def test_an_export_of_a_damaged_file_is_one_line(
    connection: Connection, toy: list[Document], tmp_path: Path, kind: str, verb: str
) -> None:
    role, change = ROLES[kind]
    fw_id, document = next((i, d) for i, d in enumerate(toy, 1) if d.kind == kind)
    damage.rewrite(connection.database(), document.uuid, role, change)
    output = tmp_path / "out"
    said = cli(connection, "export", verb, str(output), "--campaign", "toy", check=False)
    assert f"{kind} {document.uuid} cannot be read: {role} is not what was stored" in said
    assert f"lpad rerun_fws -i {fw_id}" in said
    assert "Traceback" not in said
    assert not output.exists()


def test_names_in_other_fields_stay_where_they_are(
    connection: Connection, toy: list[Document]
) -> None:
    """jobflow moves fields by name; a code's input may have the same name."""
    label = _labels(toy)[0].model_copy(
        update={"uuid": "another", "inputs": {"task": {"trajectory": 5}}}
    )
    with connection.job_store() as store:
        put(store, label)
        again = get_document(store, "another")
    assert isinstance(again, LabelDoc)
    assert again.inputs == {"task": {"trajectory": 5}}
    assert TrainingDoc.in_store() == [["output", "model_file"]]
