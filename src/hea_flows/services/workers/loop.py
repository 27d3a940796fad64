"""What a worker does: run the ready jobs of a launchpad, one after the other."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from hea_flows.runtime import OutOfTimeError, is_disk_full, seconds_left
from hea_flows.services.connection import Connection
from hea_flows.services.errors import JobInterruptedError, MissingPackageError, is_outage
from hea_flows.services.outages import Outage
from hea_flows.services.processes import ProcessIdentity
from hea_flows.services.recovery import PROCESS_KEY, give_back, recover_lost
from hea_flows.services.workers.queue import JobQueue
from hea_flows.settings import get_settings

if TYPE_CHECKING:
    from fireworks import FWorker, LaunchPad

PING_SECONDS = 30
_RECOVER_SECONDS = 30.0
#: Seconds for which a job that found the disk full is left alone.
_DISK_SECONDS = 30.0
#: Seconds between two looks at the process that a worker leaves with.
_WATCH_SECONDS = 0.5


class WorkerStoppedError(JobInterruptedError):
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
    leave_with: int | None = None,
) -> int:
    """Run ready jobs until there is nothing to do; return how many were run.

    The connection is activated in this process. SIGTERM or SIGINT ends the loop: the running job is
    interrupted and given back to the launchpad. The loop also ends after a calculation that stopped
    before the time limit of its batch job. An idle worker reruns the jobs of dead ones (see
    `recover_lost`).

    A database that stops answering is waited for (`reconnect_seconds` of the settings): what a job
    has done is stored then, and a job that was cut off by it runs again, as one does that found the
    disk full. A job that needs a package which this process lacks is left to other workers.

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
    leave_with
        Id of the parent process; when it is gone, however it ended, the worker gives its job back
        and exits.

    Raises
    ------
    DatabaseUnreachableError
        If the database does not answer, or stops answering and stays away; the running job is then
        recovered by other workers.
    """
    import jobflow

    from hea_flows.services.workers.store import WorkerJobStore

    connection.ping()
    connection.activate()
    connection.ensure_indexes()
    launchpad = connection.launchpad()
    process = ProcessIdentity.current()
    fworker = _fworker(process, category, query)
    queue = JobQueue(launchpad, fworker.query)
    queue.check()
    with _quiet_fireworks(), _stop_signals(leave_with) as stop:
        outage = Outage(connection, get_settings().reconnect_seconds, lambda: stop.wanted)
        launchpad.outlast = outage.outlast
        jobflow.SETTINGS.JOB_STORE = WorkerJobStore.of(connection.job_store(), outage.outlast)
        worker = _Worker(launchpad, process, fworker, queue, stop)
        worker.limits = _Limits(idle_exit, poll, max_launches, max_idle, leave_before)
        OutOfTimeError.happened = False
        while True:
            try:
                if not worker.turn():
                    break
            except JobInterruptedError as error:
                worker.interrupt(error)
            except Exception as error:
                if not (is_outage(error) or is_disk_full(error)):
                    raise
                worker.interrupted = error
            if is_disk_full(worker.interrupted):
                stop.wait(_DISK_SECONDS)
            if is_outage(worker.interrupted) and not outage.outlast():
                if stop.wanted:
                    break
                raise outage.error() from None
    return worker.launched


@dataclass(frozen=True)
class _Limits:
    """When a worker leaves by itself, see `worker_loop`."""

    idle_exit: bool = True
    poll: float = 2.0
    max_launches: int | None = None
    max_idle: float | None = None
    leave_before: float = 0.0


@dataclass
class _Worker:
    """A worker between two jobs: how many it has run, how long it has been idle."""

    launchpad: LaunchPad
    process: ProcessIdentity
    fworker: FWorker
    queue: JobQueue
    stop: _Stop
    limits: _Limits = field(default_factory=_Limits)
    launched: int = 0
    #: Turns without a job.
    idle: int = 0
    worked: float = field(default_factory=time.monotonic)
    recovered: float = -_RECOVER_SECONDS
    #: The job being run, and what interrupted it.
    fw_id: int | None = None
    interrupted: BaseException | None = None

    def turn(self) -> bool:
        """Run a job or wait for one; return False to leave."""
        if self.interrupted is not None:
            lost = is_outage(self.interrupted) or is_disk_full(self.interrupted)
            give_back(self.launchpad, self.process, lost=lost)
            if isinstance(self.interrupted, MissingPackageError) and self.fw_id is not None:
                self.queue.refuse(self.fw_id, self.interrupted.need)
            self.interrupted = None
        if self._is_over():
            return False
        self.fw_id = self.queue.next()
        if self.fw_id is not None:
            if _launch(self.launchpad, self.fworker, self.fw_id):
                self._count()
            return True
        if time.monotonic() - self.recovered > _RECOVER_SECONDS:
            self.recovered = time.monotonic()
            if recover_lost(self.launchpad):
                return True
        self.idle = 0 if self.queue.may_grow() else self.idle + 1
        # Twice, because a finished job is marked a moment before its children are.
        if self.limits.idle_exit and self.idle > 1:
            return False
        idle_seconds = time.monotonic() - self.worked
        if self.limits.max_idle is not None and idle_seconds > self.limits.max_idle:
            return False
        self.stop.wait(min(self.limits.poll, 0.5) if self.idle else self.limits.poll)
        return True

    def interrupt(self, error: JobInterruptedError) -> None:
        """Note that the job was interrupted; the next turn gives it back."""
        self.interrupted = error
        self._count()

    def _count(self) -> None:
        self.launched, self.idle, self.worked = self.launched + 1, 0, time.monotonic()

    def _is_over(self) -> bool:
        left = seconds_left()
        return (
            self.stop.wanted
            or self.launched == self.limits.max_launches
            or OutOfTimeError.happened
            or (left is not None and left < self.limits.leave_before)
        )


def _fworker(
    process: ProcessIdentity,
    category: str | Sequence[str] | None,
    query: Mapping[str, Any] | None,
) -> FWorker:
    from fireworks import FWorker

    categories = category if isinstance(category, str) else list(category or [])
    return FWorker(
        name=f"{process.host}:{process.pid}",
        category=categories or "",
        query=dict(query or {}),
        env={PROCESS_KEY: asdict(process)},
    )


def _launch(launchpad: LaunchPad, fworker: FWorker, fw_id: int) -> bool:
    """Run a job in a folder of its own; return False if another worker was quicker."""
    from fireworks import FWorker
    from fireworks.core.rocket_launcher import launch_rocket

    from hea_flows.services.launchpad import LOG_LEVEL

    only = FWorker(fworker.name, fworker.category, {"fw_id": fw_id}, fworker.env)
    here = Path.cwd()
    folder = get_settings().data_dir / "launches" / fworker.name.replace(":", "-")
    launch = folder / f"{datetime.now(UTC):%Y-%m-%d-%H-%M-%S-%f}"
    launch.mkdir(parents=True)
    os.chdir(launch)
    traceback = io.StringIO()
    try:
        ran = bool(launch_rocket(launchpad, only, strm_lvl=LOG_LEVEL, err_file=traceback))
        sys.stderr.write(traceback.getvalue())  # of a job that failed, not of one interrupted
    finally:
        os.chdir(here)
        if launch.is_dir() and not any(launch.iterdir()):
            launch.rmdir()
    return ran


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
    interrupted: bool = False
    over: bool = False

    def wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self.wanted and (left := end - time.monotonic()) > 0:
            time.sleep(min(0.2, left))


@contextmanager
def _stop_signals(leave_with: int | None) -> Iterator[_Stop]:
    """Stop on SIGTERM and SIGINT; interrupt the job, but not what FireWorks writes."""
    stop = _Stop()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.wanted = True
        while not stop.interrupted and frame is not None:
            if frame.f_code.co_name == "run_task":
                stop.interrupted = True
                msg = f"signal {number}"
                raise WorkerStoppedError(msg)
            frame = frame.f_back

    def watch() -> None:
        """Stop when the parent is gone; say it again to a job that was just being started."""
        while not stop.over:
            if stop.wanted or (leave_with is not None and os.getppid() != leave_with):
                os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(_WATCH_SECONDS)

    handled = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, on_signal) for number in handled}
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield stop
    finally:
        stop.over = True
        watcher.join()
        for number, handler in before.items():
            signal.signal(number, handler)
