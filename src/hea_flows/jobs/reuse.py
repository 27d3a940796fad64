"""What a result depends on, as one hash: work that is in the store is not done again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar
from uuid import UUID, uuid5

from jobflow import CURRENT_JOB, OutputReference, job
from monty.json import MontyEncoder

from hea_flows.provenance import provenance
from hea_flows.results.store import get_document
from hea_flows.schemas import Document, UnreadableDocumentError, kinds

D = TypeVar("D", bound=Document)
R = TypeVar("R")

_NAMESPACE = UUID("6f0b6f6a-6b5e-5d0c-9a53-5b3b0b1d7f11")
_NOT_SCIENCE = ("@version", "name")


def identity(**content: object) -> str:
    """Return the sha256 of what a result depends on: records, Makers, plain values.

    Versions and names of Makers do not count; the names of anything else do.
    """
    plain = json.loads(json.dumps(content, cls=MontyEncoder))
    return hashlib.sha256(json.dumps(_science(plain), sort_keys=True).encode()).hexdigest()


def uuid_of(key: str) -> str:
    """Return the uuid of the job whose result has an identity."""
    return str(uuid5(_NAMESPACE, key))


def stored(criteria: Mapping[str, object]) -> list[str]:
    """Return the uuids of stored outputs, newest last; none where the job has no store."""
    store = CURRENT_JOB.store
    if store is None:
        return []
    rows = store.query(dict(criteria), properties=["uuid", "output.created_at"])
    return [r["uuid"] for r in sorted(rows, key=lambda r: str(r["output"].get("created_at", "")))]


def reuse_or(
    compute: Callable[[], R],
    cls: type[D],
    key: str,
    *,
    reuse: bool = True,
    sources: Mapping[str, Document | Sequence[Document] | None],
    **fields: object,
) -> D | R:
    """Return the newest stored document of an identity as this job's own, or what is computed.

    One that cannot be read is computed again.

    Parameters
    ----------
    compute
        Computes the result if the store has none.
    cls, key
        Class and `identity` of the document.
    reuse
        Whether the store is asked at all.
    sources
        What this job was given, by role; a document that is reused becomes one more source.
    fields
        Fields that this job decides itself, such as the name.
    """
    kind = cls.model_fields["kind"].default
    if not reuse or not (uuids := stored({"output.kind": kind, "output.identity": key})):
        return compute()
    try:
        document = load_document(cls, uuids[-1])
    except UnreadableDocumentError:
        return compute()
    own = provenance(**sources, reused=document) | {"versions": document.versions}
    return document.model_copy(update=own | fields)


def load_document(cls: type[D], given: D | str) -> D:
    """Return a document that is given, or that of a job by its uuid, big fields too.

    A job that goes on after a time limit is added while others run, and may not refer to jobs of
    elsewhere: it is given uuids.
    """
    if not isinstance(given, str):
        return given
    document = get_document(CURRENT_JOB.store, given, load=True)
    if not isinstance(document, cls):
        wanted = " or ".join(kind for kind, one in kinds().items() if issubclass(one, cls))
        msg = f"{given} is a document of kind {document.kind}; accepted is one of kind {wanted}"
        raise ValueError(msg)  # noqa: TRY004  the uuid is wrong, not a type
    return document


@job
def stored_documents(uuids: list[str]) -> list[OutputReference]:
    """Stand for documents that are in the store, in a flow that is made while others run.

    Such a flow may not refer to jobs of elsewhere.
    """
    return [OutputReference(uuid) for uuid in uuids]


def _science(value: object) -> object:
    if isinstance(value, dict):
        maker = str(value.get("@class", "")).endswith("Maker")  # a ModelSpec's name is science
        left_out = _NOT_SCIENCE if maker else ("@version",)
        return {k: _science(v) for k, v in value.items() if k not in left_out}
    if isinstance(value, list):
        return [_science(v) for v in value]
    return value
