"""The local mongod, the connection to the database and the launchpad, and the workers."""

from __future__ import annotations

from hea_flows.services.connection import Connection, find_connection
from hea_flows.services.errors import DatabaseUnreachableError, MongodError

__all__ = ["Connection", "DatabaseUnreachableError", "MongodError", "find_connection"]
