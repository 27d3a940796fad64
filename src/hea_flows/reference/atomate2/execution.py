"""The jobs of a Maker, run one after the other in this process; none that is done is done again."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jobflow import CURRENT_JOB, Flow, Job, JobStore
from jobflow.core.reference import find_and_resolve_references
from maggma.stores import MemoryStore
from monty.json import MontyDecoder, MontyEncoder, jsanitize

from hea_flows.reference.scratch import end_orphans, inside
from hea_flows.runtime import OutOfTimeError, atomic_write, seconds_left, too_late

_FLOW = "flow.json"
#: Fields of a job's document that references to it need.
_DOCUMENT = ("uuid", "index", "output")


class _OwnStore(JobStore):
    """Outputs of one flow, whole: jobs may name stores for their big fields, which are not here."""

    def update(self, docs: Any, key: Any = None, save: Any = None) -> None:  # noqa: ANN401, ARG002  jobflow's
        super().update(docs, key=key, save=False)


class _StoppedError(Exception):
    """A job says that what comes after it has no sense."""


def run_flow(folder: Path, make: Callable[[], Job | Flow]) -> Any:  # noqa: ANN401  any output
    """Return the output of a job or a flow, as plain data; a second call goes on where one ended.

    The flow is kept in the folder, and what each job gave as soon as it is done. A job runs in a
    folder of its own; one that was interrupted begins again.

    Parameters
    ----------
    folder
        Folder of this flow.
    make
        Makes it, if the folder has none.

    Returns
    -------
    output
        Objects are dictionaries with ``@module`` and ``@class``. If the flow has no output, that of
        its last job.

    Raises
    ------
    OutOfTimeError
        If the batch job ends before another job would; each call runs at least one.
    """
    path = folder / _FLOW
    if not path.is_file():
        made = make()
        atomic_write(path, _text(Flow([made], made.output) if isinstance(made, Job) else made))
    flow = json.loads(path.read_text(), cls=MontyDecoder)
    store = _OwnStore(MemoryStore())
    store.connect()
    end_orphans(folder)
    reason = ""
    with _other_current_job():
        try:
            _run(flow, folder, store, [])
        except _StoppedError as stop:
            reason = str(stop)
    output = flow.output if flow.output is not None else flow.jobs[-1].output
    try:
        resolved = find_and_resolve_references(output, store)
    except (ValueError, KeyError):
        if reason:
            raise RuntimeError(reason) from None
        raise
    return jsanitize(resolved, strict=True, enum_values=True)


def _run(flow: Flow, folder: Path, store: JobStore, seconds: list[float]) -> None:
    """Run the jobs of a flow, and of the flows that they add, in jobflow's order."""
    for job, _ in flow.iterflow():
        path = folder / f"{job.uuid}-{job.index}.json"
        if path.is_file():
            text = path.read_text()
        else:
            if seconds and too_late(left := seconds_left(), max(seconds)):
                msg = f"{left:.0f} s are left, not enough for {job.name}; another job goes on"
                raise OutOfTimeError(msg)
            clock = time.perf_counter()
            text = _text(_result(job, folder / path.stem, store))
            seconds.append(time.perf_counter() - clock)
        result = json.loads(text)
        if not result["stops"]:  # what did not end well is tried again by another label
            atomic_write(path, text)
        store.update(result["document"])
        for added in MontyDecoder().process_decoded(result["added"]):
            _run(added, folder, store, seconds)
        if result["stops"]:
            msg = f"job {job.name!r} did not end well and stopped those after it"
            raise _StoppedError(msg)


def _result(job: Job, folder: Path, store: JobStore) -> dict[str, Any]:
    """Run a job in a new folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with inside(folder):
        response = job.run(store=store)
    document = store.query_one({"uuid": job.uuid, "index": job.index}) or {}
    return {
        "document": {name: document[name] for name in _DOCUMENT},
        "added": [f for f in (response.replace, response.detour, response.addition) if f],
        "stops": bool(response.stop_children or response.stop_jobflow),
    }


@contextmanager
def _other_current_job() -> Iterator[None]:
    """Let jobs run within one, which jobflow takes for the current one again afterwards."""
    before = CURRENT_JOB.job, CURRENT_JOB.store
    try:
        yield
    finally:
        CURRENT_JOB.job, CURRENT_JOB.store = before


def _text(value: object) -> str:
    return json.dumps(value, cls=MontyEncoder)
