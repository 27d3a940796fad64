"""A campaign on the launchpad: submitted once, found again, finished by worker processes."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any

from fireworks import Workflow
from jobflow.managers.fireworks import flow_to_workflow

from hea_flows.config import Campaign
from hea_flows.flows.campaign import CampaignMaker, campaign_metadata
from hea_flows.runtime import seconds_left
from hea_flows.services import (
    Connection,
    FailedJob,
    Outage,
    Progress,
    campaign_progress,
    is_outage,
    recover_lost,
    start_workers,
    stop_workers,
    submit_once,
)
from hea_flows.services.workflows import jobs_query, retry_failed
from hea_flows.settings import get_settings

#: Seconds before the end of a batch job at which workers are stopped.
ENDING = 60.0
#: Seconds after which jobs that the workers of a run cannot run are not waited for any more.
STUCK = 30.0


class CampaignFailedError(RuntimeError):
    """Jobs of a campaign failed, so that results are missing."""


@dataclass(frozen=True)
class Submission:
    """A campaign on the launchpad.

    Parameters
    ----------
    fw_id
        A Firework of its workflow.
    existing
        Whether it was there already.
    rerun
        Fireworks that had failed and were made ready again.
    """

    fw_id: int
    existing: bool
    rerun: tuple[int, ...] = ()


def submit(
    campaign: Campaign, text: str, connection: Connection, *, again: bool = False
) -> Submission:
    """Put a campaign on the launchpad, or find it there by what its file says.

    Of several processes that submit the same campaign at once, one does and the others find it.

    Parameters
    ----------
    campaign, text
        As `hea_flows.config.load_campaign` returns them.
    connection
        The database.
    again
        Submit a second workflow even if there is one, and take no stored labels or models for it.
    """
    maker = CampaignMaker.from_campaign(campaign, reuse=not again)
    connection.activate()
    launchpad = connection.launchpad()
    metadata = campaign_metadata(campaign)

    def build() -> Workflow:
        # No store: a store holds a password, and workers have their own.
        flow = maker.make(campaign, text)
        return flow_to_workflow(flow, store=None, metadata=metadata)  # type: ignore[arg-type]

    submitted = submit_once(launchpad, metadata, build, again=again)
    if submitted.existing:
        rerun = retry_failed(launchpad, submitted.fw_id)
        return Submission(submitted.fw_id, existing=True, rerun=rerun)
    return Submission(submitted.fw_id, existing=False)


def run_workers(
    submission: Submission,
    connection: Connection,
    *,
    workers: int,
    on_progress: Callable[[Progress], None],
    poll: float = 1.0,
) -> Progress:
    """Finish a campaign with worker processes; workers that die are replaced.

    They take jobs of this campaign only, whatever else is on the launchpad. However this process
    ends, by SIGKILL too, they give their jobs back and leave with it. A database that stops
    answering is waited for; the local one is started again if it was killed.

    Parameters
    ----------
    submission
        The campaign.
    connection
        The database.
    workers
        Number of processes.
    on_progress
        Called about every `poll` seconds.

    Raises
    ------
    CampaignFailedError
        If the batch job that this runs in is about to end, jobs failed so that there is no report,
        or the rest needs a package that the workers lack; what was finished is kept. Other failed
        jobs (a label that is missing, a training) are in what is returned.
    DatabaseUnreachableError
        If the database stopped answering and stays away.
    """
    launchpad = connection.launchpad()
    progress = campaign_progress(launchpad, submission.fw_id)
    on_progress(progress)
    query = json.dumps(jobs_query(launchpad, submission.fw_id))
    start = partial(
        start_workers,
        connection=connection,
        query=query,
        idle_exit=False,
        poll=0.5,
        share=workers,
        outlive=False,
    )
    outage = Outage(connection, get_settings().reconnect_seconds, restart=True)
    processes: list[Any] = []
    moved = time.monotonic()
    before = _exit_on_signals()
    try:
        while not progress.over:
            moved = moved if progress.stuck else time.monotonic()
            _check_that_it_can_go_on(progress, moved)
            alive = [p for p in processes if p.poll() is None]
            died, processes = len(alive) < len(processes), alive
            try:
                if died:
                    recover_lost(launchpad)
                if (missing := workers - len(processes)) > 0:
                    processes += start(missing)
                time.sleep(poll)
                progress = campaign_progress(launchpad, submission.fw_id)
            except Exception as error:
                if not is_outage(error):
                    raise
                if not outage.outlast():
                    raise outage.error() from None
            on_progress(progress)
    finally:
        stop_workers(processes)
        with contextlib.suppress(Exception):
            recover_lost(launchpad)
        for number, handler in before.items():
            signal.signal(number, handler)
    if progress.failed and not progress.finished:
        raise failure(progress.missed or progress.failed)
    return progress


def _check_that_it_can_go_on(progress: Progress, moved: float) -> None:
    """Raise `CampaignFailedError` if time is up, or no worker here can run what is left.

    `moved` is when (`time.monotonic`) there last was a job for the workers.
    """
    if (left := seconds_left()) is not None and left < ENDING:
        msg = f"the batch job ends in {left:.0f} s; run again to go on"
        raise CampaignFailedError(msg)
    if time.monotonic() - moved > STUCK:
        first = progress.left[0]
        msg = (
            f"{len(progress.left)} jobs need what the workers of this run cannot import, first "
            f"Firework {first.fw_id} ({first.name}): {first.needs}; install it, or start a worker "
            "where it is; what was finished is kept, run again to go on"
        )
        raise CampaignFailedError(msg)


def _exit_on_signals() -> dict[int, Any]:
    """Let SIGTERM and SIGHUP end this process in order; return the handlers there were."""

    def leave(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        return {}
    return {
        n: signal.signal(n, leave)
        for n in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(n) == signal.SIG_DFL  # under nohup SIGHUP is ignored
    }


def failure(failed: tuple[FailedJob, ...]) -> CampaignFailedError:
    """Return the error that tells of jobs that failed."""
    first = failed[0]
    many = "1 job" if len(failed) == 1 else f"{len(failed)} jobs"
    return CampaignFailedError(
        f"{many} failed, first {first.name}: {first.error} "
        f"(log in {first.folder}); what was finished is kept, run again to retry"
    )
