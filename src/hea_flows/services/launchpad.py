"""FireWorks launchpads that are ready for use and never show their password."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from fireworks import LaunchPad
from pymongo.errors import DuplicateKeyError

#: Level from which FireWorks' loggers write to standard output.
LOG_LEVEL = "ERROR"


class QuietLaunchPad(LaunchPad):  # type: ignore[misc]  # FireWorks has no types
    """A launchpad that logs errors only and whose `repr` has no password."""

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
