"""Read documents from the store that jobflow writes to."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar, overload

from jobflow import JobStore

from hea_flows.results.store.reading import CheckedStore, UnreadableDocumentWarning
from hea_flows.schemas import Document, UnreadableDocumentError, is_blob, kinds

D = TypeVar("D", bound=Document)

#: What a table shows of a field that lies in the data store and was not loaded.
STORED = "in the data store"
#: What tells runs of jobs apart; without _id the index holds it.
_RUN = {"uuid": 1, "index": 1, "_id": 0}
#: Runs that are looked up in one question.
_BATCH = 1000


class NotFoundError(ValueError):
    """No document, or more than one, has the uuid that was asked for."""


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


@overload
def documents(
    store: JobStore,
    kind: type[D],
    campaign: str | None = None,
    *,
    load: bool = False,
    newest: int | None = None,
    superseded: bool = False,
    unreadable: list[UnreadableDocumentError] | None = None,
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
    unreadable: list[UnreadableDocumentError] | None = None,
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
    unreadable: list[UnreadableDocumentError] | None = None,
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
    unreadable
        Takes the errors of documents that are left out because they are damaged or newer than this
        version of hea-flows; default a warning for each.
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
        msg = f"unknown kind {kind!r}; accepted: {', '.join(sorted(classes))}"
        raise ValueError(msg)
    fields = classes[kind].model_fields
    if unknown := sorted({f.split("__")[0] for f in filters} - set(fields)):
        msg = f"{kind} documents have no field {', '.join(unknown)}; accepted: {', '.join(fields)}"
        raise ValueError(msg)
    wanted = {"output.kind": kind} | {
        f"output.{key.replace('__', '.')}": value for key, value in filters.items()
    }
    errors: list[UnreadableDocumentError] = [] if unreadable is None else unreadable
    checked = CheckedStore(store, errors)
    few = newest is not None or superseded  # read whole once they are chosen
    columns = _RUN | {"output.created_at" if few else "output": 1}
    own = {} if campaign is None else {"output.campaign": campaign}
    rows = checked.rows(wanted | own, columns, newest_first=few)
    if campaign is not None and kind == "label":
        kept = list(rows)
        foreign = _labels_used(store, campaign) - {row["uuid"] for row in kept}
        used = wanted | {"uuid": {"$in": sorted(foreign)}}
        kept += checked.rows(used, columns) if foreign else ()
        rows = iter(sorted(kept, key=_created_at, reverse=True))
    found = [] if few else list(rows)
    size = _BATCH if newest is None else min(newest, _BATCH)
    runs = _runs(store, rows if few else iter(found), size, superseded=superseded)
    chosen = set(islice(runs, newest))
    if few and chosen:
        found = list(checked.rows(wanted | _jobs(chosen), _RUN | {"output": 1}))
    chosen_documents = list(checked.documents(found, chosen, load=load))
    if unreadable is None:
        _warn(errors)
    return sorted(chosen_documents, key=lambda d: (d.created_at, d.uuid))


def _created_at(row: Mapping[str, Any]) -> str:
    return str(row["output"].get("created_at", ""))


def _runs(
    store: JobStore, rows: Iterator[dict[str, Any]], size: int, *, superseded: bool
) -> Iterator[tuple[str, int]]:
    """Yield uuid and index of those outputs that count, or of the rest.

    They are compared with the other runs of their jobs `size` at a time. A newer run of the same
    job hides an older one even if the newer does not match.
    """
    while batch := [(row["uuid"], row["index"]) for row in islice(rows, size)]:
        newest = _newest(store, batch)
        yield from (run for run in batch if (run[1] < newest[run[0]]) is superseded)


def _jobs(runs: Iterable[tuple[str, int]]) -> dict[str, Any]:
    return {"uuid": {"$in": sorted(uuid for uuid, _ in runs)}}


def _warn(errors: Iterable[UnreadableDocumentError]) -> None:
    for error in errors:
        warnings.warn(str(error), UnreadableDocumentWarning, stacklevel=3)


def _labels_used(store: JobStore, campaign: str) -> set[str]:
    """Return the uuids of labels that a campaign's datasets and test sets hold."""
    criteria = {"output.campaign": campaign, "output.kind": {"$in": ["dataset", "test_set"]}}
    rows = store.query(criteria, properties=["output.labels"])
    tables = (row.get("output", {}).get("labels") for row in rows)
    return {u for table in tables if isinstance(table, Mapping) for u in table.values()}


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
    store: JobStore,
    uuids: Sequence[str],
    *,
    load: bool = False,
    unreadable: list[UnreadableDocumentError] | None = None,
) -> dict[str, Document]:
    """Return the documents of full uuids; uuids without a readable document are left out.

    `load` and `unreadable` are those of `documents`.
    """
    errors: list[UnreadableDocumentError] = [] if unreadable is None else unreadable
    checked = CheckedStore(store, errors)
    runs = set(_newest(store, [(uuid, 0) for uuid in uuids]).items())
    found = checked.rows(_jobs(runs), _RUN | {"output": 1})
    chosen = {d.uuid: d for d in checked.documents(found, runs, load=load)}
    if unreadable is None:
        _warn(errors)
    return chosen


def get_document(store: JobStore, uuid: str, *, load: bool = False) -> Document:
    """Return one document by its uuid, or by the first characters of it if they are unique.

    Raises
    ------
    NotFoundError
        If no document or several have it.
    UnreadableDocumentError
        If it is damaged, or newer than this version of hea-flows.
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
    unreadable: list[UnreadableDocumentError] = []
    current = get_documents(store, matches, load=load, unreadable=unreadable)
    if unreadable:
        raise unreadable[0]
    if not current:
        msg = f"uuid {matches[0]!r}: the newest run of this job wrote no document"
        raise NotFoundError(msg)
    return current[matches[0]]
