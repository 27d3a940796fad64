"""What campaigns run on: MongoDB, the launchpad, workers and the recovery of their lost jobs.

`mongod` is the local server, `workflows` asks the launchpad, `doctor` checks the machine.
"""

from __future__ import annotations

from hea_flows.services import mongod
from hea_flows.services.connection import Connection, find_connection
from hea_flows.services.errors import DatabaseUnreachableError, MongodError
from hea_flows.services.progress import (
    RESULT,
    FailedJob,
    Progress,
    RunningJob,
    campaign_progress,
    say,
)
from hea_flows.services.recovery import LostLaunch, Recovery, lost_launches, recover_lost
from hea_flows.services.workers import start_workers, stop_workers, worker_log, worker_loop

__all__ = [
    "RESULT",
    "Connection",
    "DatabaseUnreachableError",
    "FailedJob",
    "LostLaunch",
    "MongodError",
    "Progress",
    "Recovery",
    "RunningJob",
    "campaign_progress",
    "doctor",
    "find_connection",
    "lost_launches",
    "mongod",
    "recover_lost",
    "say",
    "start_workers",
    "stop_workers",
    "worker_log",
    "worker_loop",
    "workflows",
]
