"""Workers: processes that run the ready jobs of a launchpad, one after the other."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from bson.errors import BSONError
from pymongo.errors import OperationFailure

from hea_flows.runtime import OutOfTimeError, seconds_left
from hea_flows.services.connection import Connection
from hea_flows.services.processes import ProcessIdentity
from hea_flows.services.recovery import PROCESS_KEY, TAKEN, recover_lost
from hea_flows.settings import get_settings

if TYPE_CHECKING:
    from fireworks import FWorker, LaunchPad

PING_SECONDS = 30
_RECOVER_SECONDS = 30.0
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class WorkerStoppedError(BaseException):
    """A worker was stopped in the middle of a job; the job is given back."""


def worker_loop(
    connection: Connection,
    *,
    category: str | Sequence[str] | None = None,
    query: Mapping[str, Any] | None = None,
    idle_exit: bool = True,
    poll: float = 2.0,
    max_launches: int | None = None,
    max_idle: float | None = None,
    leave_before: float = 0.0,
) -> int:
    """Run ready jobs until there is nothing to do; return how many were run.

    The connection is activated in this process. SIGTERM or SIGINT ends the loop: the running job is
    interrupted and given back to the launchpad. The loop also ends after a calculation that stopped
    before the time limit of its batch job. An idle worker reruns the jobs of dead ones (see
    `recover_lost`).

    Parameters
    ----------
    connection
        Where the jobs are.
    category
        Take only jobs of this category, or of these (`_category` in `JobConfig.manager_config`);
        None takes all.
    query
        Take only Fireworks that match this MongoDB query, for example {"spec.campaign": "a"}.
    idle_exit
        Exit when no job for this worker can become ready any more; otherwise stay.
    poll
        Seconds between two looks at an empty launchpad.
    max_launches
        Exit after this many jobs.
    max_idle
        Exit after this many idle seconds, even if jobs may still become ready.
    leave_before
        Exit this many seconds before the end of the batch job (see `seconds_left`).

    Raises
    ------
    DatabaseUnreachableError
        If the database does not answer.
    ValueError
        If MongoDB does not take the query.
    """
    connection.ping()
    connection.activate()
    connection.ensure_indexes()
    launchpad = connection.launchpad()
    fworker = _fworker(category, query)
    _check_query(launchpad, fworker.query)
    folder = get_settings().data_dir / "launches" / fworker.name.replace(":", "-")
    launched = 0
    idle = 0
    worked = time.monotonic()
    recovered = -_RECOVER_SECONDS
    OutOfTimeError.happened = False
    with _quiet_fireworks(), _stop_signals() as stop:
        while not (stop.wanted or launched == max_launches or OutOfTimeError.happened):
            if (left := seconds_left()) is not None and left < leave_before:
                break
            if _ready(launchpad, fworker.query) and _launch(launchpad, fworker, folder):
                launched, idle, worked = launched + 1, 0, time.monotonic()
                if stop.wanted:
                    _give_back(launchpad, fworker)
                continue
            if time.monotonic() - recovered > _RECOVER_SECONDS:
                recovered = time.monotonic()
                if recover_lost(launchpad):
                    continue
            idle = 0 if _may_become_ready(launchpad, fworker) else idle + 1
            # Twice, because a finished job is marked a moment before its children are.
            if idle_exit and idle > 1:
                break
            if max_idle is not None and time.monotonic() - worked > max_idle:
                break
            stop.wait(min(poll, 0.5) if idle else poll)
    return launched


def start_workers(
    n: int,
    connection: Connection,
    *,
    category: str | Sequence[str] | None = None,
    query: str | None = None,
    idle_exit: bool = True,
    poll: float = 2.0,
) -> list[subprocess.Popen[bytes]]:
    """Start workers as processes that outlive this one; `worker_log` names their logs.

    Each gets an equal share of the cores as threads, unless OMP_NUM_THREADS is set.

    Parameters
    ----------
    n
        Number of workers.
    connection
        Where the jobs are.
    category, idle_exit, poll
        See `worker_loop`.
    query
        The query of `worker_loop` as JSON.
    """
    if n < 1:
        msg = f"{n} workers were requested; accepted is 1 or more"
        raise ValueError(msg)
    threads = str(max(1, _cores() // n))
    threading = {name: os.environ.get("OMP_NUM_THREADS", threads) for name in _THREADS}
    environment = {**threading, **os.environ, **connection.environment()}
    environment.pop("JOBFLOW_JOB_STORE", None)
    command = [sys.executable, "-m", "hea_flows", "worker", "--poll", str(poll)]
    command += ["--idle-exit" if idle_exit else "--stay"]
    for one in [category] if isinstance(category, str) else category or []:
        command += ["--category", one]
    if query is not None:
        command += ["--query", query]
    logs = worker_log(0).parent
    logs.mkdir(parents=True, exist_ok=True)
    workers = []
    for i in range(n):
        name = logs / f"starting-{os.getpid()}-{i}.log"
        with name.open("wb") as log:
            worker = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        name.replace(worker_log(worker.pid))
        workers.append(worker)
    return workers


def stop_workers(workers: Sequence[subprocess.Popen[bytes]], timeout: float = 30.0) -> None:
    """Let workers give their jobs back and exit; kill them after `timeout` seconds."""
    for worker in workers:
        worker.terminate()
    deadline = time.monotonic() + timeout
    for worker in workers:
        try:
            worker.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def worker_log(pid: int) -> Path:
    """Return the log file of a worker that `start_workers` started."""
    return get_settings().data_dir / "logs" / f"worker-{pid}.log"


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _fworker(category: str | Sequence[str] | None, query: Mapping[str, Any] | None) -> FWorker:
    from fireworks import FWorker

    process = ProcessIdentity.current()
    categories = category if isinstance(category, str) else list(category or [])
    return FWorker(
        name=f"{process.host}:{process.pid}",
        category=categories or "",
        query=dict(query or {}),
        env={PROCESS_KEY: asdict(process)},
    )


def _check_query(launchpad: LaunchPad, query: dict[str, Any]) -> None:
    """Raise `ValueError` for a query that MongoDB does not take; which ones only it knows."""
    try:
        _any(launchpad, query, "READY")
    except (OperationFailure, BSONError, OverflowError, UnicodeError) as error:
        details = error.details if isinstance(error, OperationFailure) else None
        reason = (details or {}).get("errmsg", str(error))
        msg = f"MongoDB does not take the worker's query: {reason}"
        raise ValueError(msg) from None


def _ready(launchpad: LaunchPad, query: dict[str, Any]) -> bool:
    return _any(launchpad, query, "READY")


def _any(launchpad: LaunchPad, query: dict[str, Any], *states: str) -> bool:
    in_state = {**query, "state": {"$in": states}}
    return launchpad.fireworks.find_one(in_state, {"_id": 1}) is not None


def _may_become_ready(launchpad: LaunchPad, fworker: FWorker) -> bool:
    """Return whether a job for this worker is ready, or another job may still release one.

    FireWorks' own `future_run_exists` overlooks jobs that a running job may add, and jobs that
    one of another category may release.
    """
    own = fworker.query
    scope = {key: value for key, value in own.items() if key != "spec._category"}
    if _any(launchpad, scope, *TAKEN) or _any(launchpad, own, "READY"):
        return True
    if launchpad.workflows.find_one({"locked": {"$exists": True}}, {"_id": 1}) is not None:
        return True
    return _any(launchpad, scope, "READY") and _any(launchpad, own, "WAITING")


def _launch(launchpad: LaunchPad, fworker: FWorker, folder: Path) -> bool:
    """Run one ready job in a folder of its own; return False if none was left."""
    from fireworks.core.rocket_launcher import launch_rocket

    from hea_flows.services.launchpad import LOG_LEVEL

    here = Path.cwd()
    launch = folder / f"{datetime.now(UTC):%Y-%m-%d-%H-%M-%S-%f}"
    launch.mkdir(parents=True)
    os.chdir(launch)
    try:
        return bool(launch_rocket(launchpad, fworker, strm_lvl=LOG_LEVEL))
    finally:
        os.chdir(here)
        if launch.is_dir() and not any(launch.iterdir()):
            launch.rmdir()


def _give_back(launchpad: LaunchPad, fworker: FWorker) -> None:
    """Rerun the job that `WorkerStoppedError` interrupted."""
    mine = {"fworker.name": fworker.name}
    interrupted = re.compile(WorkerStoppedError.__name__)
    trace = {"action.stored_data._exception._stacktrace": interrupted}
    launch = launchpad.launches.find_one({**mine, **trace}, {"fw_id": 1}, sort=[("launch_id", -1)])
    if launch is not None and _any(launchpad, {"fw_id": launch["fw_id"]}, "FIZZLED"):
        launchpad.rerun_fw(launch["fw_id"])


@contextmanager
def _quiet_fireworks() -> Iterator[None]:
    """Let FireWorks ping twice a minute and log errors only, as its configuration file could."""
    from fireworks.core import rocket

    from hea_flows.services.launchpad import LOG_LEVEL

    before = rocket.PING_TIME_SECS, rocket.ROCKET_STREAM_LOGLEVEL
    rocket.PING_TIME_SECS, rocket.ROCKET_STREAM_LOGLEVEL = PING_SECONDS, LOG_LEVEL
    try:
        yield
    finally:
        rocket.PING_TIME_SECS, rocket.ROCKET_STREAM_LOGLEVEL = before


@dataclass
class _Stop:
    """Whether a signal asked to stop; an Event would deadlock if set while it is waited for."""

    wanted: bool = False

    def wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self.wanted and (left := end - time.monotonic()) > 0:
            time.sleep(min(0.2, left))


@contextmanager
def _stop_signals() -> Iterator[_Stop]:
    """Stop on SIGTERM and SIGINT; interrupt the job, but not what FireWorks writes."""
    stop = _Stop()

    def on_signal(number: int, frame: FrameType | None) -> None:
        first = not stop.wanted
        stop.wanted = True
        while first and frame is not None:
            if frame.f_code.co_name == "run_task":
                msg = f"signal {number}"
                raise WorkerStoppedError(msg)
            frame = frame.f_back

    handled = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, on_signal) for number in handled}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
