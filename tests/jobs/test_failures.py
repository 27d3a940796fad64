"""A job that fails leaves its reason in the store, until a later run makes up for it."""

from __future__ import annotations

from dataclasses import dataclass

from jobflow import CURRENT_JOB, Flow, Job, JobConfig, JobStore, Maker, job, run_locally
from maggma.stores import MemoryStore

from hea_flows.jobs.failures import result_job, stored_failures
from hea_flows.jobs.routing import run_despite_missing_inputs

BROKEN: list[Exception] = []


@dataclass
class FragileMaker(Maker):
    """Fail as `BROKEN` says."""

    name: str = "fragile"

    @result_job()
    def make(self, value: int) -> int:
        """Return a value."""
        if BROKEN:
            raise BROKEN[0]
        return value


@job(config=JobConfig(expose_store=True))
def failed(_: int | None) -> dict[str, str]:
    """Return the reasons of the jobs that failed, by their names."""
    assert CURRENT_JOB.job is not None
    return {failure.name: failure.error for failure in stored_failures().values()}


def flow_of() -> tuple[Flow, Job, Job]:
    fragile = FragileMaker().make(3)
    last = run_despite_missing_inputs(failed(fragile.output))
    return Flow([fragile, last]), fragile, last


def test_a_reason_is_stored_and_the_error_goes_on() -> None:
    store = JobStore(MemoryStore())
    store.connect()
    BROKEN[:] = [ValueError("at\nmongodb://me:secret@there is nothing")]
    flow, fragile, last = flow_of()
    run_locally(flow, store=store, log=False)
    assert store.get_output(last.uuid) == {"fragile": "mongodb://***@there is nothing"}
    assert store.count({"uuid": fragile.uuid}) == 0  # what takes its output gets None
    # Another workflow does not hear of it, nor the same one once the job has run.
    BROKEN.clear()
    other, _, its_last = flow_of()
    run_locally(other, store=store, log=False, ensure_success=True)
    assert store.get_output(its_last.uuid) == {}
    run_locally(flow, store=store, log=False, ensure_success=True)
    assert store.get_output(last.uuid) == {}
    assert store.get_output(fragile.uuid) == 3
