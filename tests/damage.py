"""Ways in which documents and what belongs to them are damaged in a MongoDB."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from bson import ObjectId
from gridfs import GridFS
from pymongo.database import Database

from hea_flows.services.connection import BLOBS, OUTPUTS, Connection

Db = Database[dict[str, Any]]


def blob_file(db: Db, uuid: str, role: str) -> dict[str, Any]:
    """Return the GridFS entry of a document's field."""
    [output] = [row["output"] for row in db[OUTPUTS].find({"uuid": uuid}).sort("index", -1)][:1]
    wanted = {"metadata.blob_uuid": output[role]["blob_uuid"]}
    entry = db[f"{BLOBS}.files"].find_one(wanted)
    assert entry is not None
    return entry


def rewrite(db: Db, uuid: str, role: str, change: Callable[[Any], None]) -> None:
    """Change the content of a field in GridFS, as a careless script would."""
    entry, files = blob_file(db, uuid, role), GridFS(db, BLOBS)
    stored = json.loads(files.get(entry["_id"]).read())
    change(stored["data"])
    files.delete(entry["_id"])
    files.put(json.dumps(stored).encode(), metadata=entry["metadata"])


def delete_chunk(db: Db, uuid: str, role: str) -> None:
    """Delete the content of a field, not its entry."""
    wanted: dict[str, ObjectId] = {"files_id": blob_file(db, uuid, role)["_id"]}
    assert db[f"{BLOBS}.chunks"].delete_many(wanted).deleted_count > 0


def delete_entry(db: Db, uuid: str, role: str) -> None:
    """Delete the entry of a field."""
    db[f"{BLOBS}.files"].delete_one({"_id": blob_file(db, uuid, role)["_id"]})


def set_fields(connection: Connection, uuid: str, **fields: object) -> None:
    """Change fields of a document; those set to ``...`` are removed."""
    change = {
        "$set": {f"output.{k}": v for k, v in fields.items() if v is not ...},
        "$unset": {f"output.{k}": "" for k, v in fields.items() if v is ...},
    }
    used = {operator: values for operator, values in change.items() if values}
    assert connection.database()[OUTPUTS].update_one({"uuid": uuid}, used).matched_count == 1
