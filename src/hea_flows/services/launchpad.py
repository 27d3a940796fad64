"""A FireWorks launchpad that is ready for use and never shows its password."""

from __future__ import annotations

from pathlib import Path

from fireworks import LaunchPad
from pymongo.errors import DuplicateKeyError

#: FireWorks' loggers write to the standard output from this level on.
LOG_LEVEL = "ERROR"


class QuietLaunchPad(LaunchPad):  # type: ignore[misc]  # FireWorks has no types
    """A launchpad that logs errors only and whose text form has no password."""

    def __repr__(self) -> str:
        """Name the database; FireWorks would print the password."""
        return f"<launchpad {self.name!r}>"

    __str__ = __repr__


def open_launchpad(uri: str, database: str) -> QuietLaunchPad:
    """Return the launchpad in a database of a server, initialised."""
    launchpad = QuietLaunchPad(host=uri, name=database, uri_mode=True, strm_lvl=LOG_LEVEL)
    return _initialised(launchpad)


def load_launchpad(path: Path) -> QuietLaunchPad:
    """Return the launchpad that a my_launchpad.yaml describes, initialised."""
    theirs = LaunchPad.from_file(str(path))
    theirs.connection.close()
    options = {**theirs.to_dict(), "strm_lvl": LOG_LEVEL}
    options.pop("_fw_name", None)
    return _initialised(QuietLaunchPad(**options))


def _initialised(launchpad: QuietLaunchPad) -> QuietLaunchPad:
    """Give a new database its counters and indices, as `lpad reset` does, but delete nothing."""
    if launchpad.fw_id_assigner.find_one({}) is None:
        first = {"next_fw_id": 1, "next_launch_id": 1}
        try:  # with FireWorks' own _id, so that only one of two processes can add it
            launchpad.fw_id_assigner.update_one({"_id": -1}, {"$setOnInsert": first}, upsert=True)
        except DuplicateKeyError:
            pass
        else:
            launchpad.tuneup()
    return launchpad
