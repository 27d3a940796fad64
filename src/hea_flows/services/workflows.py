"""Workflows on a launchpad: tried again, asked for their jobs and for what failed."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from hea_flows.services.connection import find_connection
from hea_flows.services.errors import DatabaseUnreachableError
from hea_flows.services.progress import FailedJob, campaign_progress
from hea_flows.services.recovery import TAKEN, recover_lost, utc

if TYPE_CHECKING:
    from fireworks import LaunchPad


def retry_failed(launchpad: LaunchPad, fw_id: int) -> tuple[int, ...]:
    """Make the lost and the failed jobs of a workflow ready again; return those that had failed.

    Parameters
    ----------
    launchpad
        FireWorks' launchpad.
    fw_id
        A Firework of the workflow.
    """
    recover_lost(launchpad)
    # FireWorks reruns what follows a job with it, the report too.
    progress = campaign_progress(launchpad, fw_id)
    failed = tuple(job.fw_id for job in progress.failed if not job.skipped)
    for one in failed:
        launchpad.rerun_fw(one)
    return failed


def running_since(launchpad: LaunchPad) -> datetime | None:
    """Return when the oldest job that is taken now was taken; None if none is."""
    taken = {"state": {"$in": TAKEN}}
    moments = [
        *(f["updated_on"] for f in launchpad.fireworks.find(taken, {"updated_on": 1})),
        *(
            launch["state_history"][0]["created_on"]
            for launch in launchpad.launches.find(taken, {"state_history": {"$slice": 1}})
            if launch["state_history"]
        ),
    ]
    return min(map(utc, moments), default=None)


def jobs_query(launchpad: LaunchPad, fw_id: int) -> dict[str, str]:
    """Return the query of a workflow's jobs, those that its jobs add included."""
    workflow = launchpad.workflows.find_one({"nodes": fw_id}, {"metadata": 1})
    return {f"spec.{key}": value for key, value in workflow["metadata"].items()}


def failed_results(workflow_id: int) -> dict[str, FailedJob] | None:
    """Return the failed jobs of a workflow that were to give a result, by jobflow's uuid.

    None if the workflow is on no launchpad that this process finds.
    """
    try:
        progress = campaign_progress(find_connection().launchpad(), workflow_id)
    except (ValueError, FileNotFoundError, DatabaseUnreachableError):
        return None
    return {job.uuid: job for job in progress.failed if job.result}
