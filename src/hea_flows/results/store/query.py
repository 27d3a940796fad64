"""Read documents from the store that jobflow writes to."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar, get_args, get_origin, overload

from jobflow import JobStore

from hea_flows.schemas import Document, StoredFile, kinds

D = TypeVar("D", bound=Document)

#: What a table shows of a field that lies in the data store and was not loaded.
STORED = "in the data store"
#: What tells runs of jobs apart; without _id the index holds it.
_RUN = {"uuid": 1, "index": 1, "_id": 0}
#: Runs that are looked up in one question.
_BATCH = 1000


class NotFoundError(ValueError):
    """No document, or more than one, has the uuid that was asked for."""


def is_blob(value: object) -> bool:
    """Return whether a value is jobflow's reference to an object in an additional store."""
    return isinstance(value, dict) and "blob_uuid" in value


def preview(output: Mapping[str, object] | Document) -> dict[str, object]:
    """Return a document in short: scalars as they are, long things by their length.

    Parameters
    ----------
    output
        A document, or the dictionary jobflow stored for it, blobs loaded or not.

    Returns
    -------
    fields
        Field to value: texts, numbers, None; lists and mappings of up to three scalars as they
        are and longer ones as a length; files without content; fields in the data store as
        `STORED`.
    """
    data = output.model_dump() if isinstance(output, Document) else output
    return {k: _short(v) for k, v in data.items() if not k.startswith("@")}


def _short(value: object) -> object:
    if is_blob(value):
        return STORED
    if isinstance(value, Mapping):
        inner = {k: v for k, v in value.items() if not str(k).startswith("@")}
        if "sha256" in inner and "content" in inner:  # a file: its name and checksum say enough
            del inner["content"]
        return inner if _are_few(inner.values()) else len(inner)
    if isinstance(value, list | tuple):
        return list(value) if _are_few(value) else len(value)
    return value


def _are_few(values: Collection[object]) -> bool:
    return len(values) <= 3 and not any(isinstance(v, Mapping | list | tuple) for v in values)


def decode(output: Mapping[str, Any]) -> Document:
    """Return the document of a stored dictionary.

    Fields that were not loaded get a stand-in: None, an empty list or mapping, or a `StoredFile`
    without content, whose checksum then fails on use.

    Raises
    ------
    ValueError
        If the dictionary is no document of a known kind.
    """
    kind = output.get("kind")
    cls = kinds().get(str(kind))
    if cls is None:
        msg = f"the stored output is no document (kind {kind!r}); accepted: {', '.join(kinds())}"
        raise ValueError(msg)
    data = {k: v for k, v in output.items() if not k.startswith("@")}
    for key, value in data.items():
        if is_blob(value):
            data[key] = _stand_in(cls.model_fields[key].annotation, key, data)
    return cls.model_validate(data)


def _stand_in(annotation: object, key: str, data: Mapping[str, object]) -> object:
    if type(None) in get_args(annotation):
        return None
    if annotation is StoredFile:
        model = data.get("model") if key == "model_file" else None
        digest = model.get("sha256") if isinstance(model, Mapping) else None
        return StoredFile(name=key, sha256=digest or "not loaded", content="")
    origin = get_origin(annotation) or annotation
    if origin in (list, dict, str):
        return origin()
    msg = f"field {key} lies in the data store and has no stand-in; load it"
    raise ValueError(msg)


def _with_uuid(stored: Mapping[str, Any]) -> Document:
    document = decode(stored["output"])
    return document if document.uuid else document.model_copy(update={"uuid": stored["uuid"]})


@overload
def documents(
    store: JobStore,
    kind: type[D],
    campaign: str | None = None,
    *,
    load: bool = False,
    newest: int | None = None,
    superseded: bool = False,
    **filters: object,
) -> list[D]: ...


@overload
def documents(
    store: JobStore,
    kind: str,
    campaign: str | None = None,
    *,
    load: bool = False,
    newest: int | None = None,
    superseded: bool = False,
    **filters: object,
) -> list[Document]: ...


def documents(
    store: JobStore,
    kind: str | type[Document],
    campaign: str | None = None,
    *,
    load: bool = False,
    newest: int | None = None,
    superseded: bool = False,
    **filters: object,
) -> Sequence[Document]:
    """Return the documents of a kind, oldest first.

    A job that is run again, or goes on as another one, writes a newer document under its uuid: only
    the newest counts.

    Parameters
    ----------
    store
        A connected store.
    kind
        Name of a kind, see `hea_flows.schemas.kinds`, or the class of its documents.
    campaign
        Name of the campaign; default all. Labels of another campaign that this one uses count.
    load
        Read the fields in the data store too (trajectories, weights, pages).
    newest
        How many at most, the newest of them; default all.
    superseded
        Return the documents that a newer one of the same job replaced, instead of those that count.
    filters
        Fields to be equal to a value; two underscores stand for a dot, so that
        ``structure__formula="Mo1Ta1S4"`` asks for one formula.

    Raises
    ------
    ValueError
        For an unknown kind, or a field that documents of this kind do not have.
    """
    classes = kinds()
    if not isinstance(kind, str):
        kind = str(kind.model_fields["kind"].default)
    if kind not in classes:
        msg = f"unknown kind {kind!r}; accepted: {', '.join(classes)}"
        raise ValueError(msg)
    fields = classes[kind].model_fields
    if unknown := sorted({f.split("__")[0] for f in filters} - set(fields)):
        msg = f"{kind} documents have no field {', '.join(unknown)}; accepted: {', '.join(fields)}"
        raise ValueError(msg)
    criteria: dict[str, Any] = {"output.kind": kind}
    if campaign is not None:
        criteria["output.campaign"] = campaign
        used = _labels_used(store, campaign) if kind == "label" else []
        if used:  # each with its kind, so that each has an index
            criteria = {"$or": [criteria, {"output.kind": kind, "uuid": {"$in": used}}]}
    criteria |= {f"output.{k.replace('__', '.')}": v for k, v in filters.items()}
    size = _BATCH if newest is None else min(newest, _BATCH)
    chosen = set(islice(_runs(store, criteria, size, superseded=superseded), newest))
    if not chosen:
        return []
    rows = store.query(
        {"uuid": {"$in": sorted(uuid for uuid, _ in chosen)}} | criteria,
        properties=["uuid", "index", "output"],
        load=load,
    )
    current = {(r["uuid"], r["index"]): r for r in rows if (r["uuid"], r["index"]) in chosen}
    return sorted(map(_with_uuid, current.values()), key=lambda d: (d.created_at, d.uuid))


def _runs(
    store: JobStore, criteria: Mapping[str, Any], size: int, *, superseded: bool
) -> Iterator[tuple[str, int]]:
    """Yield uuid and index of the outputs that match, newest first: those that count, or the rest.

    They are compared with the other runs of their jobs `size` at a time. A newer run of the same
    job hides an older one even if the newer does not match.
    """
    rows = store.query(
        dict(criteria), properties=_RUN | {"output.created_at": 1}, sort={"output.created_at": -1}
    )
    while batch := [(row["uuid"], row["index"]) for row in islice(rows, size)]:
        newest = _newest(store, batch)
        yield from (run for run in batch if (run[1] < newest[run[0]]) is superseded)


def _labels_used(store: JobStore, campaign: str) -> list[str]:
    """Return the uuids of labels that a campaign's datasets and test sets hold."""
    criteria = {"output.campaign": campaign, "output.kind": {"$in": ["dataset", "test_set"]}}
    rows = store.query(criteria, properties=["output.labels"])
    return sorted({uuid for row in rows for uuid in row["output"]["labels"].values()})


def _newest(store: JobStore, runs: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Return the newest index of each job, of these runs and of those in the store."""
    newest: dict[str, int] = {}
    for uuid, index in runs:
        newest[uuid] = max(index, newest.get(uuid, index))
    if newest:  # few jobs have other runs
        later = {"uuid": {"$in": list(newest)}, "index": {"$gt": min(newest.values())}}
        for row in store.query(later, properties=dict(_RUN)):
            newest[row["uuid"]] = max(row["index"], newest[row["uuid"]])
    return newest


def get_documents(
    store: JobStore, uuids: Sequence[str], *, load: bool = False
) -> dict[str, Document]:
    """Return the documents of full uuids in one query; uuids without a document are left out."""
    newest, known = _newest(store, [(uuid, 0) for uuid in uuids]), kinds()
    rows = store.query(
        {"uuid": {"$in": list(uuids)}}, properties=["uuid", "index", "output"], load=load
    )
    return {
        r["uuid"]: _with_uuid(r)
        for r in rows
        if r["index"] == newest[r["uuid"]]
        and isinstance(r["output"], Mapping)
        and r["output"].get("kind") in known
    }


def get_document(store: JobStore, uuid: str, *, load: bool = False) -> Document:
    """Return one document by its uuid, or by the first characters of it if they are unique.

    Raises
    ------
    NotFoundError
        If no document or several have it.
    """
    criteria = {"uuid": {"$regex": f"^{re.escape(uuid)}"}, "output.kind": {"$in": list(kinds())}}
    matches = sorted({row["uuid"] for row in store.query(criteria, properties=["uuid"])})
    if uuid in matches:
        matches = [uuid]
    if not uuid or not matches:
        msg = f"no document with uuid {uuid!r}; `hea-flows query` lists those there are"
        raise NotFoundError(msg)
    if len(matches) > 1:
        few = ", ".join(m[: len(uuid) + 6] for m in matches[:4])
        msg = f"uuid {uuid!r} is not unique, {len(matches)} documents begin so ({few}); give more"
        raise NotFoundError(msg)
    current = get_documents(store, matches, load=load)
    if not current:
        msg = f"uuid {matches[0]!r}: the newest run of this job wrote no document"
        raise NotFoundError(msg)
    return current[matches[0]]
