"""What campaigns run on: MongoDB, the launchpad, workers and the recovery of their lost jobs.

`mongod` is the local server, `workflows` asks the launchpad, `doctor` checks the machine.
"""

from __future__ import annotations

from hea_flows.services import mongod
from hea_flows.services.connection import Connection, find_connection
from hea_flows.services.errors import DatabaseUnreachableError, MongodError, is_outage
from hea_flows.services.outages import Outage
from hea_flows.services.progress import (
    RESULT,
    FailedJob,
    Progress,
    RunningJob,
    campaign_progress,
    say,
)
from hea_flows.services.recovery import LostLaunch, Recovery, lost_launches, recover_lost
from hea_flows.services.submission import SubmittedWorkflow, submit_once
from hea_flows.services.workers import (
    start_workers,
    stop_workers,
    thread_environment,
    worker_log,
    worker_loop,
)

__all__ = [
    "RESULT",
    "Connection",
    "DatabaseUnreachableError",
    "FailedJob",
    "LostLaunch",
    "MongodError",
    "Outage",
    "Progress",
    "Recovery",
    "RunningJob",
    "SubmittedWorkflow",
    "campaign_progress",
    "doctor",
    "find_connection",
    "is_outage",
    "lost_launches",
    "mongod",
    "recover_lost",
    "say",
    "start_workers",
    "stop_workers",
    "submit_once",
    "thread_environment",
    "worker_log",
    "worker_loop",
    "workflows",
]
