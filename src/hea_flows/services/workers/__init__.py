"""Workers: processes that run the ready jobs of a launchpad, one after the other."""

from __future__ import annotations

from hea_flows.services.workers.loop import worker_loop
from hea_flows.services.workers.packages import missing_package
from hea_flows.services.workers.start import (
    start_workers,
    stop_workers,
    thread_environment,
    worker_log,
)

__all__ = [
    "missing_package",
    "start_workers",
    "stop_workers",
    "thread_environment",
    "worker_log",
    "worker_loop",
]
