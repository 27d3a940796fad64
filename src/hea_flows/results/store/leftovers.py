"""What reruns leave in the database: documents that do not count any more, blobs of nobody.

A job that runs again replaces its document, and jobflow stores the big fields anew under other
names: the blobs of the first run stay, and nothing refers to them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby, islice
from typing import Any, TypeVar

from bson import ObjectId
from jobflow import JobStore
from maggma.stores import GridFSStore
from pymongo.collection import Collection

from hea_flows.schemas import kinds

T = TypeVar("T")
Rows = Collection[dict[str, Any]]

#: Blobs younger than this are nobody's yet.
YOUNG = timedelta(minutes=10)
_BATCH = 500


@dataclass(frozen=True)
class Leftover:
    """A document or blob that may be removed; `what` is a document's kind."""

    key: ObjectId
    size: int
    what: str = "blob"


@dataclass(frozen=True)
class Leftovers:
    """What may be removed.

    Parameters
    ----------
    documents
        Documents that a newer one of the same job replaced.
    blobs
        Blobs that the document of their job does not refer to.
    unfinished
        Parts of blobs whose writer died.
    spared
        How many blobs would be among them, but are so young that a running job may own them.
    """

    documents: tuple[Leftover, ...]
    blobs: tuple[Leftover, ...]
    unfinished: tuple[Leftover, ...]
    spared: int

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.documents or self.blobs or self.unfinished)

    @property
    def kinds(self) -> Counter[str]:
        """How many documents there are of each kind."""
        return Counter(document.what for document in self.documents)


def find_leftovers(store: JobStore, running_since: datetime | None = None) -> Leftovers:
    """Return what may be removed from a connected store.

    Only documents of `hea_flows.schemas.kinds` and blobs of jobs that wrote one are looked at, so
    that other projects may use the same database.

    Parameters
    ----------
    store
        The store.
    running_since
        When the oldest running job was started; what was written since then is left alone.

    Raises
    ------
    ValueError
        If blobs are not in GridFS.
    """
    before = datetime.now(UTC) - YOUNG
    if running_since is not None:
        before = min(before, running_since)
    documents = tuple(_superseded(store))
    gone = {document.key for document in documents}
    blobs, young = [], 0
    for row in _unused(store, gone):
        if row["uploadDate"].replace(tzinfo=UTC) < before:
            blobs.append(Leftover(row["_id"], row["length"]))
        else:
            young += 1
    unfinished = list(_unfinished(store))
    old = tuple(part for part in unfinished if part.key.generation_time < before)
    return Leftovers(documents, tuple(blobs), old, young + len(unfinished) - len(old))


def remove_leftovers(store: JobStore, leftovers: Leftovers) -> None:
    """Remove what was found; after an interruption the rest is found again."""
    for group in _batches(leftovers.documents):
        _outputs(store).delete_many({"_id": {"$in": [document.key for document in group]}})
    files, chunks = _blobs(store)
    for group in _batches((*leftovers.blobs, *leftovers.unfinished)):
        keys = [blob.key for blob in group]
        files.delete_many({"_id": {"$in": keys}})
        chunks.delete_many({"files_id": {"$in": keys}})


def _superseded(store: JobStore) -> Iterator[Leftover]:
    outputs, known = _outputs(store), kinds()
    fields = {"uuid": 1, "kind": "$output.kind", "size": {"$bsonSize": "$$ROOT"}}
    several: list[dict[str, Any]] = [  # sorted, so that the index is all that is read
        {"$sort": {"uuid": 1}},
        {"$group": {"_id": "$uuid", "n": {"$sum": 1}}},
        {"$match": {"n": {"$gt": 1}}},
    ]
    for group in _batches(row["_id"] for row in outputs.aggregate(several)):
        rows = outputs.aggregate(
            [
                {"$match": {"uuid": {"$in": group}}},
                {"$sort": {"uuid": 1, "index": 1, "completed_at": 1, "_id": 1}},
                {"$project": fields},
            ]
        )
        for _, runs in groupby(rows, key=lambda row: row["uuid"]):
            for row in list(runs)[:-1]:
                if row.get("kind") in known:
                    yield Leftover(row["_id"], row["size"], row["kind"])


def _unused(store: JobStore, gone: set[ObjectId]) -> Iterator[dict[str, Any]]:
    """Yield the blobs of our jobs that no output refers to, but for the outputs that go."""
    outputs, known = _outputs(store), kinds()
    files = _blobs(store)[0].find({}, {"metadata": 1, "length": 1, "uploadDate": 1})
    for group in _batches(f for f in files if "job_uuid" in f.get("metadata", {})):
        jobs = list({file["metadata"]["job_uuid"] for file in group})
        ours: set[str] = set()
        used: set[str] = set()
        for row in outputs.find({"uuid": {"$in": jobs}}, {"uuid": 1, "output": 1}):
            output = row["output"]
            if isinstance(output, Mapping) and output.get("kind") in known:
                ours.add(row["uuid"])
            if row["_id"] not in gone:
                used |= set(_references(output))
        for file in group:
            if file["metadata"]["job_uuid"] in ours and file["metadata"]["blob_uuid"] not in used:
                yield file


def _references(output: object) -> Iterator[str]:
    if isinstance(output, Mapping):
        if "blob_uuid" in output:
            yield str(output["blob_uuid"])
        inner: Iterable[object] = output.values()
    else:
        inner = output if isinstance(output, list) else ()
    for value in inner:
        yield from _references(value)


def _unfinished(store: JobStore) -> Iterator[Leftover]:
    files, chunks = _blobs(store)
    pipeline: list[dict[str, Any]] = [
        {"$sort": {"files_id": 1, "n": 1}},
        {"$group": {"_id": "$files_id"}},
        {"$lookup": {"from": files.name, "localField": "_id", "foreignField": "_id", "as": "file"}},
        {"$match": {"file": []}},
    ]
    for row in chunks.aggregate(pipeline):
        size = {"$group": {"_id": None, "size": {"$sum": {"$binarySize": "$data"}}}}
        for total in chunks.aggregate([{"$match": {"files_id": row["_id"]}}, size]):
            yield Leftover(row["_id"], total["size"], "unfinished blob")


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, _BATCH)):
        yield batch


def _outputs(store: JobStore) -> Rows:
    outputs: Rows = store.docs_store._collection  # noqa: SLF001
    return outputs


def _blobs(store: JobStore) -> tuple[Rows, Rows]:
    """Return the collections of a GridFS store: files, and their chunks."""
    untyped: Any = store
    blobs = untyped.additional_stores["data"]
    if not isinstance(blobs, GridFSStore):
        msg = (
            f"blobs are in a {type(blobs).__name__}; leftovers are looked for in a GridFSStore "
            "only, remove them with that store's own means"
        )
        raise ValueError(msg)  # noqa: TRY004  # what a user configured
    return blobs._files_collection, blobs._chunks_collection  # noqa: SLF001
