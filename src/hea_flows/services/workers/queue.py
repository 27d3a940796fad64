"""The jobs that a worker may take, one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bson.errors import BSONError
from pymongo.errors import OperationFailure

from hea_flows.services.progress import NEEDS, say
from hea_flows.services.recovery import TAKEN, remove_orphans
from hea_flows.services.workers.packages import missing_package

if TYPE_CHECKING:
    from fireworks import LaunchPad


@dataclass
class JobQueue:
    """Ready jobs of a launchpad that this process can run.

    Parameters
    ----------
    launchpad
        FireWorks' launchpad.
    query
        MongoDB query of the Fireworks that the worker takes.
    refused
        Ids of Fireworks that need a package which this process lacks.
    """

    launchpad: LaunchPad
    query: Mapping[str, Any]
    refused: set[int] = field(default_factory=set)

    def check(self) -> None:
        """Raise `ValueError` for a query that MongoDB does not take; which ones only it knows."""
        try:
            self._any(self._own("READY"))
        except (OperationFailure, BSONError, OverflowError, UnicodeError) as error:
            details = error.details if isinstance(error, OperationFailure) else None
            reason = (details or {}).get("errmsg", str(error))
            msg = f"MongoDB does not take the worker's query: {reason}"
            raise ValueError(msg) from None

    def next(self) -> int | None:
        """Return the ready Firework of highest priority, or None."""
        from fireworks.fw_config import SORT_FWS

        order = [("spec._priority", -1)]
        if (by_age := {"FIFO": 1, "FILO": -1}.get(SORT_FWS.upper())) is not None:
            order.append(("created_on", by_age))
        fields = {"fw_id": 1, "spec": 1}
        orphans: list[int] = []
        while ready := self.launchpad.fireworks.find_one(
            self._own("READY", orphans), fields, sort=order
        ):
            fw_id = int(ready["fw_id"])
            if need := missing_package(ready["spec"]):
                self.refuse(fw_id, need)
            elif self.launchpad.workflows.find_one({"nodes": fw_id}, {"_id": 1}) is None:
                orphans.append(fw_id)  # its workflow is being written, or never was
            else:
                return fw_id
        if orphans:
            remove_orphans(self.launchpad)
        return None

    def refuse(self, fw_id: int, need: str) -> None:
        """Leave a Firework to workers that have what it needs, and note there what that is."""
        self.refused.add(fw_id)
        firework = self.launchpad.fireworks.find_one_and_update(
            {"fw_id": fw_id}, {"$set": {NEEDS: need}}, {"name": 1, "spec._category": 1}
        )
        category = firework["spec"].get("_category", "none")
        say(
            f"Firework {fw_id} ({firework['name']}, category {category}) needs {need}, which this "
            "worker cannot import; the job stays for a worker that has it"
        )

    def may_grow(self) -> bool:
        """Return whether a job for this worker is ready, or another job may still release one.

        FireWorks' own `future_run_exists` overlooks jobs that a running job may add, and jobs that
        one of another category may release.
        """
        scope = {key: value for key, value in self.query.items() if key != "spec._category"}
        if self._any({**scope, "state": {"$in": TAKEN}}) or self._any(self._own("READY")):
            return True
        if self.launchpad.workflows.find_one({"locked": {"$exists": True}}, {"_id": 1}) is not None:
            return True
        return self._any({**scope, "state": "READY"}) and self._any(self._own("WAITING"))

    def _own(self, state: str, orphans: Iterable[int] = ()) -> dict[str, Any]:
        others = [*self.refused, *orphans]
        own = {**self.query, "state": state}
        return {"$and": [own, {"fw_id": {"$nin": others}}]} if others else own

    def _any(self, query: Mapping[str, Any]) -> bool:
        return self.launchpad.fireworks.find_one(query, {"_id": 1}) is not None
