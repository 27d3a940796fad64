"""What a job is given: documents of other jobs, checked as they are read."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from jobflow import CURRENT_JOB, Job, JobConfig, JobStore, OnMissing, job

from hea_flows.results.store import CheckedStore
from hea_flows.schemas import UnreadableDocumentError


class ReadingJob(Job):
    """A job whose documents are as they were stored when it starts.

    It fails on one that cannot be read, unless it takes what there is
    (`hea_flows.jobs.routing.run_despite_missing_inputs`): then None stands for it, and
    `unreadable_inputs` says why.
    """

    def resolve_args(
        self,
        store: JobStore,
        inplace: bool = True,  # noqa: FBT001
        wrap_resolved: bool = False,  # noqa: FBT001
    ) -> Job:
        """Resolve references as jobflow does, from a `CheckedStore`."""
        self.unreadable: list[UnreadableDocumentError] = []
        lenient = self.config.on_missing_references == OnMissing.NONE
        checked = CheckedStore(store, self.unreadable if lenient else None)
        try:
            return super().resolve_args(checked, inplace, wrap_resolved)
        except AttributeError:  # it asks for a field of the document that None stands for
            if self.unreadable:
                raise self.unreadable[0] from None
            raise


def reading_job(function: Callable[..., object], **options: Any) -> Callable[..., Job]:  # noqa: ANN401  jobflow's own
    """Return `jobflow.job` for a job that reads documents; it has its store in ``CURRENT_JOB``."""
    make = job(function, config=JobConfig(expose_store=True), **options)

    @wraps(make)
    def make_reading(*args: object, **kwargs: object) -> Job:
        made = make(*args, **kwargs)
        made.__class__ = ReadingJob  # the decorator of jobflow makes no other
        return made

    return make_reading


def unreadable_inputs() -> list[UnreadableDocumentError]:
    """Return why documents that the current job was to be given could not be read."""
    current = CURRENT_JOB.job
    return list(current.unreadable) if isinstance(current, ReadingJob) else []
