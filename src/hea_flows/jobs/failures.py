"""Why a result is missing: a job that fails leaves the reason in the store.

FireWorks keeps it too; jobflow's `run_locally`, and other managers, keep a log at most.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from traceback import format_exception_only
from typing import ParamSpec, TypeVar

from jobflow import CURRENT_JOB, Job

from hea_flows.jobs.inputs import reading_job
from hea_flows.jobs.reuse import uuid_of
from hea_flows.runtime import redact
from hea_flows.services import FailedJob

P = ParamSpec("P")
R = TypeVar("R")


def result_job(**options: object) -> Callable[[Callable[P, R]], Callable[..., Job]]:
    """Return `reading_job` for a job that makes a result of a campaign.

    Where it fails, one line of the reason is stored before the error goes on its way; see
    `stored_failures`. The job has its store in ``CURRENT_JOB.store``.

    Parameters
    ----------
    options
        As `jobflow.job` takes them.
    """

    def decorate(function: Callable[P, R]) -> Callable[..., Job]:
        @wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return function(*args, **kwargs)
            except Exception as error:
                with suppress(Exception):  # the error itself matters more
                    _store_failure(error)
                raise

        return reading_job(run, **options)

    return decorate


def _store_failure(error: Exception) -> None:
    current = CURRENT_JOB.job
    lines = "".join(format_exception_only(error)).strip().splitlines()
    failure = {
        "failed_job": current.uuid,
        "failed_index": current.index,
        "workflow": current.hosts[-1] if current.hosts else "",
        "job_name": current.name,
        "error": redact(lines[-1].strip()),
        "folder": str(Path.cwd()),
    }
    row = {
        "uuid": uuid_of(f"failure of {current.uuid}, {current.index}"),
        "index": 1,
        "name": f"failure of {current.name}",
        "metadata": current.metadata,
        "output": failure,
    }
    CURRENT_JOB.store.update(row)


def stored_failures() -> dict[str, FailedJob]:
    """Return the failed result jobs of the workflow of the current job, by uuid.

    What a later run made up for is left out.
    """
    store, current = CURRENT_JOB.store, CURRENT_JOB.job
    if store is None or current is None or not current.hosts:
        return {}
    rows = [row["output"] for row in store.query({"output.workflow": current.hosts[-1]})]
    done: dict[str, int] = {}
    wanted = {"uuid": {"$in": [row["failed_job"] for row in rows]}}
    for row in store.query(wanted, properties=["uuid", "index"]):
        done[row["uuid"]] = max(row["index"], done.get(row["uuid"], 0))
    return {
        row["failed_job"]: FailedJob(
            fw_id=0,
            name=row["job_name"],
            error=row["error"],
            folder=row["folder"],
            uuid=row["failed_job"],
            result=True,
        )
        for row in rows
        if row["failed_index"] > done.get(row["failed_job"], 0)
    }
