"""A campaign on the launchpad: submitted once, found again, finished by worker processes."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
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
    Progress,
    campaign_progress,
    recover_lost,
    start_workers,
    stop_workers,
    submit_once,
)
from hea_flows.services.workflows import jobs_query, retry_failed

#: Seconds before the end of a batch job at which workers are stopped.
ENDING = 60.0


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

    They take jobs of this campaign only, whatever else is on the launchpad. On SIGTERM, and when
    the terminal closes, they give their jobs back and leave with this process.

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
        If the batch job that this runs in is about to end, or jobs failed so that there is no
        report; what was finished is kept. Other failed jobs (a label that is missing, a training)
        are in what is returned.
    """
    launchpad = connection.launchpad()
    progress = campaign_progress(launchpad, submission.fw_id)
    on_progress(progress)
    query = json.dumps(jobs_query(launchpad, submission.fw_id))
    processes: list[Any] = []
    before = _exit_on_signals()
    try:
        while not progress.over:
            if (left := seconds_left()) is not None and left < ENDING:
                msg = f"the batch job ends in {left:.0f} s; run again to go on"
                raise CampaignFailedError(msg)
            alive = [p for p in processes if p.poll() is None]
            if len(alive) < len(processes):
                recover_lost(launchpad)
            if len(alive) < workers:
                missing = workers - len(alive)
                alive += start_workers(missing, connection, query=query, idle_exit=False, poll=0.5)
            processes = alive
            time.sleep(poll)
            progress = campaign_progress(launchpad, submission.fw_id)
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
