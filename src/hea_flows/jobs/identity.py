"""What a result depends on, as one hash: the same work is found again instead of done again."""

from __future__ import annotations

import hashlib
import json
from typing import Any, TypeVar
from uuid import UUID, uuid5

from jobflow import CURRENT_JOB, OutputReference, job
from monty.json import MontyEncoder

from hea_flows.schemas import Document

D = TypeVar("D", bound=Document)

_NAMESPACE = UUID("6f0b6f6a-6b5e-5d0c-9a53-5b3b0b1d7f11")
_NOT_SCIENCE = ("@version", "name")


def identity(**content: Any) -> str:  # noqa: ANN401
    """Return the sha256 of what a result depends on: records, Makers, plain values.

    Versions and names of Makers do not count; the names of anything else do.
    """
    plain = json.loads(json.dumps(content, cls=MontyEncoder))
    return hashlib.sha256(json.dumps(_science(plain), sort_keys=True).encode()).hexdigest()


def uuid_of(key: str) -> str:
    """Return the uuid of the job whose result has an identity."""
    return str(uuid5(_NAMESPACE, key))


def stored(criteria: dict[str, Any]) -> list[str]:
    """Return the uuids of stored outputs, newest last; none where the job has no store."""
    store = CURRENT_JOB.store
    if store is None:
        return []
    rows = store.query(criteria, properties=["uuid", "output.created_at"])
    return [r["uuid"] for r in sorted(rows, key=lambda r: str(r["output"].get("created_at", "")))]


def found_again(cls: type[D], kind: str, key: str) -> D | None:
    """Return the newest document of a kind with an identity, big fields too."""
    uuids = stored({"output.kind": kind, "output.identity": key})
    if not uuids:
        return None
    output = CURRENT_JOB.store.get_output(uuids[-1], load=True)
    return cls.model_validate(output if isinstance(output, dict) else output.model_dump())


@job
def stored_documents(uuids: list[str]) -> list[OutputReference]:
    """Stand for documents that are in the store, in a flow that is made while others run.

    Such a flow may not refer to jobs of elsewhere.
    """
    return [OutputReference(uuid) for uuid in uuids]


def _science(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        maker = str(value.get("@class", "")).endswith("Maker")  # a ModelSpec's name is science
        left_out = _NOT_SCIENCE if maker else ("@version",)
        return {k: _science(v) for k, v in value.items() if k not in left_out}
    if isinstance(value, list):
        return [_science(v) for v in value]
    return value
