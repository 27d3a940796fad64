"""Fields of documents that lie in the data store: their checksums, and what stands for them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import get_args, get_origin

from monty.json import jsanitize
from pydantic import Field

from hea_flows.schemas.files import StoredFile
from hea_flows.schemas.record import Record


class UnreadableDocumentError(RuntimeError):
    """A stored document is damaged, or newer than this version of hea-flows.

    Parameters
    ----------
    stored
        The dictionary that jobflow stored.
    reason
        What is wrong with it.
    remedy
        What to do, as far as it is known.
    """

    def __init__(self, stored: Mapping[str, object], reason: str, remedy: str = "") -> None:
        self.kind = str(stored.get("kind"))
        self.uuid = str(stored.get("uuid") or "")
        self.reason = reason
        self.remedy = remedy
        structure = stored.get("structure")
        #: Of a label, as far as it can be read.
        self.structure_id = (
            str(structure.get("structure_id")) if isinstance(structure, Mapping) else None
        )
        super().__init__(reason)

    def __str__(self) -> str:
        """Name the document, the reason and the remedy in one line."""
        line = f"{self.kind} {self.uuid} cannot be read: {self.reason}"
        return f"{line}; {self.remedy}" if self.remedy else line


class Blob(Record):
    """The checksum of a field that lies in the data store."""

    role: str = Field(description="Name of the field.")
    sha256: str = Field(description="Of the content, see `content_sha256`.")


def is_blob(value: object) -> bool:
    """Return whether a value is jobflow's reference to an object in an additional store."""
    return isinstance(value, dict) and "blob_uuid" in value


def content_sha256(content: object) -> str:
    """Return the sha256 of a field's content, whatever store it passes through.

    It is that of the JSON text with sorted keys and without spaces. Python writes a float as the
    shortest text that reads back as the same number, so the content has the same checksum before
    it is stored and after it was read from GridFS, S3 (msgpack), BSON or a JSON file.
    """
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=jsanitize)
    return hashlib.sha256(text.encode()).hexdigest()


def stand_in(annotation: object, role: str, stored: Mapping[str, object]) -> object:
    """Return what stands for a field that was not loaded.

    None, an empty list or mapping, or a `StoredFile` without content, whose checksum fails on use.

    Raises
    ------
    ValueError
        If nothing can stand for a field of this type.
    """
    if type(None) in get_args(annotation):
        return None
    if annotation is StoredFile:
        model = stored.get("model") if role == "model_file" else None
        digest = model.get("sha256") if isinstance(model, Mapping) else None
        return StoredFile(name=role, sha256=digest or "not loaded", content="")
    origin = get_origin(annotation) or annotation
    if isinstance(origin, type) and origin in (list, dict, str):
        return origin()
    msg = f"field {role} lies in the data store and has no stand-in; load it"
    raise ValueError(msg)
