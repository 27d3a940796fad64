"""Read stored outputs: fields in the data store are fetched and compared with their checksums."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from gridfs.errors import GridFSError
from jobflow import JobStore
from jobflow.utils.find import find_key
from pydantic import ValidationError

from hea_flows.config import validation_line
from hea_flows.schemas import Document, UnreadableDocumentError, is_blob, kinds

if TYPE_CHECKING:
    from jobflow.core.store import load_type
    from maggma.core import Sort, Store


class UnreadableDocumentWarning(UserWarning):
    """A document was left out because it cannot be read."""


def decode(output: Mapping[str, Any]) -> Document:
    """Return the document of a stored dictionary.

    Fields that were not loaded get a stand-in: None, an empty list or mapping, or a `StoredFile`
    without content, whose checksum then fails on use.

    Raises
    ------
    ValueError
        If the dictionary is no document of a known kind.
    UnreadableDocumentError
        If it is damaged, or newer than this version of hea-flows.
    """
    kind = output.get("kind")
    cls = kinds().get(str(kind))
    if cls is None:
        accepted = ", ".join(sorted(kinds()))
        msg = f"the stored output is no document (kind {kind!r}); accepted: {accepted}"
        raise ValueError(msg)
    try:
        return cls.model_validate(dict(output))
    except ValidationError as error:
        raise UnreadableDocumentError(output, validation_line(error)) from None


class CheckedStore(JobStore):
    """A job store that gives documents only if they are as they were stored.

    It does whatever else the class of `store` does.

    Parameters
    ----------
    store
        A connected store.
    unreadable
        Takes the errors of documents that cannot be read, whose output is None then; default
        they are raised.
    """

    additional_stores: dict[str, Store]

    def __new__(cls, store: JobStore, *_: object) -> Self:
        """Derive from the class of the store too."""
        return object.__new__(type(cls.__name__, (cls, type(store)), {}))

    def __init__(
        self, store: JobStore, unreadable: list[UnreadableDocumentError] | None = None
    ) -> None:
        vars(self).update(vars(store))
        self.unreadable = unreadable

    def query(
        self,
        criteria: dict[str, Any] | None = None,
        properties: dict[str, Any] | list[str] | None = None,
        sort: dict[str, Sort | int] | None = None,
        skip: int = 0,
        limit: int = 0,
        load: load_type | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Query as `JobStore.query` does; documents asked for whole are checked.

        Raises
        ------
        UnreadableDocumentError
            As the class says.
        """
        asked: dict[str, Any] = {"criteria": criteria, "properties": properties, "sort": sort}
        load = bool(self.load if load is None else load)
        whole = properties is None or "output" in properties
        for row in super().query(**asked, skip=skip, limit=limit, load=False):
            if whole and _is_document(row.get("output")):
                checked = self._checked(row, load=load)
                # What was compared need not be compared again where jobflow decodes it.
                row["output"] = checked and checked[0] | {
                    "blobs": [blob.model_dump() for blob in checked[1].blobs]
                }
            elif load and find_key(row, "blob_uuid"):
                asked["criteria"] = {"uuid": row["uuid"], "index": row["index"]}
                row |= next(super().query(**asked, load=True))  # noqa: PLW2901
            yield row

    def rows(
        self, criteria: dict[str, Any], fields: dict[str, int], *, newest_first: bool = False
    ) -> Iterator[dict[str, Any]]:
        """Yield outputs as they are stored, not checked."""
        asked: dict[str, Any] = {"criteria": criteria, "properties": fields}
        if newest_first:
            asked["sort"] = {"output.created_at": -1}
        rows: Iterator[dict[str, Any]] = super().query(**asked, load=False)
        return rows

    def documents(
        self, rows: Iterable[dict[str, Any]], runs: Collection[tuple[str, int]], *, load: bool
    ) -> Iterator[Document]:
        """Yield the readable documents of runs (uuid and index) among stored rows.

        Of a run that two processes wrote, one document is yielded.
        """
        left = set(runs)
        for row in rows:
            run = (row["uuid"], row["index"])
            if run not in left or not _is_document(row["output"]):
                continue
            if checked := self._checked(row, load=load):
                left.remove(run)
                yield checked[1]

    def _checked(
        self, row: dict[str, Any], *, load: bool
    ) -> tuple[dict[str, Any], Document] | None:
        """Return the stored dictionary, fields loaded, and its document; None if unreadable."""
        output = {**row["output"], "uuid": row["output"].get("uuid") or row["uuid"]}
        try:
            if load:
                output = self._loaded(output)
            document = decode(output)
        except UnreadableDocumentError as error:
            error.remedy = error.remedy or self._rerun(row)
            if self.unreadable is None:
                raise
            self.unreadable.append(error)
            return None
        return output, document

    def _loaded(self, output: dict[str, Any]) -> dict[str, Any]:
        """Return a stored dictionary with the content of its fields in the data store."""
        blobs = output.get("blobs")
        listed = blobs if isinstance(blobs, list) else []
        roles = {blob.get("role") for blob in listed if isinstance(blob, Mapping)}
        content = dict(output)
        for role, reference in output.items():
            if not is_blob(reference):
                continue
            # Documents without a version are from before there were checksums.
            if role not in roles and "schema_version" in output:
                reason = f"{role} lies in the data store without a checksum in the document"
                raise UnreadableDocumentError(output, reason)
            wanted = {"blob_uuid": reference["blob_uuid"]}
            store = self.additional_stores[reference["store"]]
            try:
                found = list(store.query(wanted, properties=["blob_uuid", "data"]))
            except (GridFSError, zlib.error, ValueError) as error:
                reason = f"{role} is damaged in the data store ({type(error).__name__}: {error})"
                raise UnreadableDocumentError(output, reason) from None
            if not found:
                raise UnreadableDocumentError(output, f"{role} is gone from the data store")
            # Bytes that are no JSON, and JSON of something else, fail the comparison.
            content[role] = found[0].get("data") if isinstance(found[0], Mapping) else found[0]
        return content

    def _rerun(self, row: dict[str, Any]) -> str:
        """Return how the job that wrote a document is run again."""
        same = {"uuid": row["uuid"], "index": row["index"]}
        stored = self.docs_store.query_one(same, ["metadata"]) or {}
        fw_id = (stored.get("metadata") or {}).get("fw_id")
        if fw_id is None:
            return "compute it again: its job was run without FireWorks, run its flow again"
        return f"compute it again: lpad rerun_fws -i {fw_id}"


def _is_document(output: object) -> bool:
    return isinstance(output, Mapping) and output.get("kind") in kinds()
