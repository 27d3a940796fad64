"""Times in which the database does not answer, and waiting for their end."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from hea_flows.services import mongod
from hea_flows.services.connection import Connection
from hea_flows.services.errors import DatabaseUnreachableError, MongodError

#: Seconds between two attempts to reach the database.
_POLL = 0.5


@dataclass
class Outage:
    """Waits for a database that stopped answering, for some time and no longer.

    Parameters
    ----------
    connection
        The database.
    patience
        Seconds to wait.
    stopped
        Says whether waiting became pointless.
    restart
        Whether to start the local mongod again if it was killed.
    lasting
        Whether the database did not come back; then nobody waits again.
    """

    connection: Connection
    patience: float
    stopped: Callable[[], bool] = field(default=lambda: False)
    restart: bool = False
    lasting: bool = False

    def outlast(self) -> bool:
        """Wait until the database answers; return False if it does not."""
        deadline = time.monotonic() + self.patience
        while not (self.lasting or self.stopped()):
            if self.restart and self.connection.source == "local":
                with suppress(MongodError):
                    mongod.start()
            with suppress(DatabaseUnreachableError):
                self.connection.ping(timeout=max(_POLL, min(5.0, self.patience)))
                return True
            self.lasting = time.monotonic() > deadline
            time.sleep(0.0 if self.lasting else _POLL)
        return False

    def error(self) -> DatabaseUnreachableError:
        """Return what to say when it lasts."""
        return DatabaseUnreachableError(
            f"{self.connection} has not answered for {self.patience:.0f} s; what ran is given back "
            "as soon as it answers and a worker runs (HEA_FLOWS_RECONNECT_SECONDS: wait longer)"
        )
