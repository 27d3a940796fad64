"""Putting a campaign on a launchpad once, whoever submits it and however often.

A campaign's key is the `_id` of its entry in the collection `campaigns`, which names its workflow.
A workflow is written first, with its first jobs held back, and then entered: one process succeeds,
the others remove what they wrote. What a process that died has left is removed by the next one.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pymongo.errors import DuplicateKeyError

from hea_flows.services.processes import ProcessIdentity

if TYPE_CHECKING:
    from fireworks import LaunchPad, Workflow
    from pymongo.collection import Collection

#: Name of the collection, in the launchpad's database.
CAMPAIGNS = "campaigns"
#: After this time what a process of another host has not entered counts as left by a dead one.
_ABANDONED = timedelta(hours=1)


@dataclass(frozen=True)
class SubmittedWorkflow:
    """A Firework of a campaign's workflow, and whether the workflow was there already."""

    fw_id: int
    existing: bool


def submit_once(
    launchpad: LaunchPad,
    metadata: Mapping[str, str],
    build: Callable[[], Workflow],
    *,
    again: bool = False,
) -> SubmittedWorkflow:
    """Add a campaign's workflow to a launchpad, or find it there.

    Parameters
    ----------
    launchpad
        FireWorks' launchpad.
    metadata
        What all its jobs and its workflow carry; two submissions with the same are one campaign.
    build
        Returns the workflow, and is called only if there is none.
    again
        Replace the campaign's workflow by a new one, which every later submission then finds.
    """
    entries: Collection[dict[str, Any]] = launchpad.db[CAMPAIGNS]
    key = {"_id": {name: metadata[name] for name in sorted(metadata)}}
    _clear_abandoned(launchpad, entries, key)
    while True:
        entry = entries.find_one(key) or {}
        before = entry.get("fw_id")
        if not again and before is not None and _is_valid(launchpad, before, metadata):
            _release(launchpad, before)
            return SubmittedWorkflow(int(before), existing=True)
        ours = _write(launchpad, entries, key, build())
        entered = {"$set": {"fw_id": ours.first}, "$unset": {ours.field: True}}
        still = {**key, ours.field: {"$exists": True}}
        if not again:
            still["fw_id"] = before
        if entries.update_one(still, entered).modified_count:
            _release(launchpad, ours.first)
            return SubmittedWorkflow(ours.first, existing=False)
        _remove(launchpad, ours.first, ours.number)
        entries.update_one(key, {"$unset": {ours.field: True}})


@dataclass(frozen=True)
class _Draft:
    """A workflow that is written but not entered: its first Firework, their number, its field."""

    first: int
    number: int
    field: str


def _write(
    launchpad: LaunchPad,
    entries: Collection[dict[str, Any]],
    key: Mapping[str, Any],
    workflow: Workflow,
) -> _Draft:
    """Write a workflow of which no job can start; note first what is going to be written."""
    number = len(workflow.id_fw)
    first = int(launchpad.get_new_fw_id(quantity=number))
    draft = _Draft(first, number, f"drafts.{uuid.uuid4().hex}")
    note = {"process": asdict(ProcessIdentity.current()), "first": first, "number": number}
    noted = {"$set": {draft.field: {**note, "written": datetime.now(UTC)}}}
    try:
        entries.update_one(key, noted, upsert=True)
    except DuplicateKeyError:  # another process has just made the entry
        entries.update_one(key, noted)
    fireworks = sorted(workflow.id_fw.values(), key=lambda firework: firework.fw_id)
    ids = {}
    for new, firework in enumerate(fireworks, start=first):
        ids[firework.fw_id] = new
        firework.fw_id = new
    workflow._reassign_ids(ids)  # noqa: SLF001  as LaunchPad.add_wf
    launchpad.workflows.insert_one(workflow.to_db_dict())
    launchpad.fireworks.insert_many(firework.to_db_dict() for firework in fireworks)
    return draft


def _release(launchpad: LaunchPad, fw_id: int) -> None:
    """Let the first jobs of a workflow start, unless they may already."""
    workflow = launchpad.workflows.find_one({"nodes": fw_id}, {"nodes": 1, "links": 1})
    later = {child for children in workflow["links"].values() for child in children}
    roots = [node for node in workflow["nodes"] if node not in later]
    held = {"fw_id": {"$in": roots}, "state": "WAITING"}
    for firework in list(launchpad.fireworks.find(held, {"fw_id": 1})):
        launchpad._refresh_wf(firework["fw_id"])  # noqa: SLF001  makes it READY


def _is_valid(launchpad: LaunchPad, fw_id: int, metadata: Mapping[str, str]) -> bool:
    """Return whether a workflow is still there and was not given up."""
    wanted: dict[str, Any] = {f"metadata.{name}": value for name, value in metadata.items()}
    wanted |= {"nodes": fw_id, "state": {"$nin": ["ARCHIVED", "DEFUSED"]}}
    return launchpad.workflows.find_one(wanted, {"_id": 1}) is not None


def _clear_abandoned(
    launchpad: LaunchPad, entries: Collection[dict[str, Any]], key: Mapping[str, Any]
) -> None:
    """Remove what processes wrote that died before they entered it."""
    for token, draft in ((entries.find_one(key) or {}).get("drafts") or {}).items():
        process = ProcessIdentity.from_dict(draft["process"])
        if process is not None and process.on_this_host:
            abandoned = not process.alive
        else:
            written = draft["written"].replace(tzinfo=UTC)
            abandoned = datetime.now(UTC) - written > _ABANDONED
        field = f"drafts.{token}"
        # First the note: without it a process that lives after all cannot enter its workflow.
        gone = {**key, field: {"$exists": True}}
        if abandoned and entries.update_one(gone, {"$unset": {field: True}}).modified_count:
            _remove(launchpad, draft["first"], draft["number"])


def _remove(launchpad: LaunchPad, first: int, number: int) -> None:
    written = {"$gte": first, "$lt": first + number}
    launchpad.fireworks.delete_many({"fw_id": written})
    launchpad.workflows.delete_many({"nodes": first})
