"""A launchpad that is ready for use, patient with the database, silent about its password."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pymongo
from fireworks import FWAction, LaunchPad
from fireworks.core.launchpad import LockedWorkflowError, WFLock
from pymongo.errors import ConnectionFailure, DuplicateKeyError, ExecutionTimeout

from hea_flows.runtime import is_disk_full
from hea_flows.services.errors import JobInterruptedError, is_outage
from hea_flows.services.launchpad.bulk import BulkLaunchPad
from hea_flows.services.recovery import break_stale_lock, finish_update

#: Level from which FireWorks' loggers write to standard output.
LOG_LEVEL = "ERROR"


#: Seconds that a ping may take; the next one follows soon.
_PING_SECONDS = 10.0


class QuietLaunchPad(BulkLaunchPad):
    """A launchpad that logs errors only, outlasts the database, and whose `repr` has no password.

    FireWorks takes a database that does not answer for a failure of the job, and ends the process
    where it cannot write that. Here a job that is interrupted does not fail (`JobInterruptedError`
    leaves FireWorks and the worker gives the job back), and what a job has done is written once the
    database answers.
    """

    #: Waits until the database answers; returns False if it does not.
    outlast: Callable[[], bool] = staticmethod(lambda: False)

    def complete_launch(
        self, launch_id: int, action: FWAction | None = None, state: str = "COMPLETED"
    ) -> dict[str, Any]:
        """Write how a job ended.

        Raises
        ------
        JobInterruptedError
            If it did not end but was interrupted, or the database stays away.
        """
        error = sys.exception()
        if isinstance(error, JobInterruptedError):
            raise error
        if state == "FIZZLED" and (is_outage(error) or is_disk_full(error)):
            raise JobInterruptedError from error
        while True:
            try:
                return dict(super().complete_launch(launch_id, action, state))
            except Exception as failure:
                if not is_outage(failure):
                    raise
                if not self.outlast():
                    raise JobInterruptedError from failure
                with suppress(ConnectionFailure):
                    for firework in list(self.fireworks.find({"launches": launch_id})):
                        break_stale_lock(self, firework["fw_id"], _PING_SECONDS)
                        finish_update(self, firework["fw_id"])

    def ping_launch(self, *args: object, **kwargs: object) -> None:
        """Note that a job is running; a ping that the database does not take is left out."""
        with suppress(ConnectionFailure, ExecutionTimeout), pymongo.timeout(_PING_SECONDS):
            super().ping_launch(*args, **kwargs)

    def _refresh_wf(self, fw_id: int) -> None:
        """Update a workflow; a database that goes away is no failure of the Firework."""
        try:
            with WFLock(self, fw_id):
                workflow = self.get_wf_by_fw_id_lzyfw(fw_id)
                self._update_wf(workflow, workflow.refresh(fw_id))
        except LockedWorkflowError:
            return  # `recover_lost` does it
        except Exception as error:
            if is_outage(error):
                raise
            # FireWorks' own way to record what else happens.
            super()._refresh_wf(fw_id)

    def __repr__(self) -> str:
        """Name the database; FireWorks would print the password."""
        return f"<launchpad {self.name!r}>"

    __str__ = __repr__


@cache
def open_launchpad(uri: str, database: str, pid: int) -> QuietLaunchPad:  # noqa: ARG001
    """Return the initialised launchpad in a database of a server; one per process."""
    return _initialised(QuietLaunchPad(host=uri, name=database, uri_mode=True, strm_lvl=LOG_LEVEL))


@cache
def load_launchpad(path: Path, pid: int) -> QuietLaunchPad:  # noqa: ARG001
    """Return the initialised launchpad of a my_launchpad.yaml; one per process."""
    given = LaunchPad.from_file(str(path))
    given.connection.close()
    options = {**given.to_dict(), "strm_lvl": LOG_LEVEL}
    options.pop("_fw_name", None)
    return _initialised(QuietLaunchPad(**options))


def _initialised(launchpad: QuietLaunchPad) -> QuietLaunchPad:
    """Give a new database its counters and indexes, as `lpad reset` does, but delete nothing."""
    try:
        counters = launchpad.fw_id_assigner.find_one({})
    except BaseException:
        launchpad.connection.close()
        raise
    if counters is None:
        first = {"next_fw_id": 1, "next_launch_id": 1}
        try:  # a fixed _id, so that only one of two processes can add it
            launchpad.fw_id_assigner.update_one({"_id": -1}, {"$setOnInsert": first}, upsert=True)
        except DuplicateKeyError:
            pass
        else:
            launchpad.tuneup()
    return launchpad
