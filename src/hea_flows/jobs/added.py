"""Jobs that a job adds: the same ones whenever it runs, so that a rerun replaces their documents.

jobflow gives a new job a random uuid. The documents of the jobs that a rerun adds would stand
beside those of the first run, all as if they were valid.
"""

from __future__ import annotations

import json

from jobflow import CURRENT_JOB, Flow, Job
from monty.json import MontyDecoder, MontyEncoder

from hea_flows.jobs.reuse import uuid_of


def name_added(job: Job, what: str) -> Job:
    """Give a job that the current one adds its uuid, and return it; references come afterwards.

    Parameters
    ----------
    job
        The job.
    what
        What tells it from others that the current job adds.
    """
    if (current := CURRENT_JOB.job) is not None:
        job.set_uuid(_uuid(current, what))
    return job


def name_all_added(flow: Flow) -> Flow:
    """Return the flow that the current job adds, the uuids of its jobs given in their order."""
    if (current := CURRENT_JOB.job) is None:
        return flow
    text = json.dumps(flow, cls=MontyEncoder)
    for number, uuid in enumerate(flow.job_uuids):
        if uuid != current.uuid:  # the same job, to be run again
            text = text.replace(uuid, _uuid(current, str(number)))
    renamed: Flow = json.loads(text, cls=MontyDecoder)
    return renamed


def _uuid(current: Job, what: str) -> str:
    return uuid_of(f"{what}, added by {current.uuid}, {current.index}")
