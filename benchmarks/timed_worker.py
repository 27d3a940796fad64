"""A worker that writes down where its time goes after its first label: timed_worker.py FILE."""

from __future__ import annotations

import functools
import importlib
import json
import sys
import threading
import time
import types
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_LABEL = "label: the document"
#: Where a part begins, as module:name, and what it is called. The time of a part that begins
#: within another one is counted for the inner one only.
_PARTS = {
    "fireworks.core.launchpad:LaunchPad.checkout_fw": "FireWorks: take a job",
    "fireworks.core.launchpad:LaunchPad.complete_launch": "FireWorks: complete a job",
    "fireworks.core.launchpad:LaunchPad.ping_launch": "FireWorks: ping",
    "jobflow.managers.fireworks:JobFiretask.run_task": "jobflow: read the job",
    "jobflow.core.job:Job.run": "jobflow: run the job",
    "jobflow.core.store:JobStore.connect": "jobflow: connect the store",
    "jobflow.core.store:JobStore.update": "jobflow: write the document",
    "maggma.stores.gridfs:GridFSStore.update": "jobflow: write the big fields (GridFS)",
    "hea_flows.reference.vasp.maker:_require_vasp": "label: look for VASP and POTCARs",
    "hea_flows.reference.base:label_document": _LABEL,
    "hea_flows.reference.vasp.maker:label": "label: the rest",
    "hea_flows.reference.vasp.run:read_runs": "label: read the frames",
    "hea_flows.reference.vasp.frames:read_runs": "label: read the frames",
    "hea_flows.reference.vasp.run:end_orphans": "label: look for orphans",
    "atomate2.vasp.jobs.base:write_vasp_input_set": "atomate2: write inputs",
    "atomate2.vasp.jobs.base:get_vasp_task_document": "atomate2: TaskDoc",
    "atomate2.vasp.jobs.base:gzip_output_folder": "atomate2: compress",
    "atomate2.vasp.jobs.base:run_vasp": "custodian: the rest",
    "custodian.vasp.jobs:VaspJob.setup": "custodian: prepare VASP",
    "custodian.vasp.jobs:VaspJob.run": "custodian: prepare VASP",
    "custodian.vasp.jobs:VaspJob.postprocess": "custodian: prepare VASP",
    "custodian.custodian:Custodian._do_check": "custodian: handlers",
    "custodian.vasp.validators:VasprunXMLValidator.check": "custodian: validators",
    "custodian.vasp.validators:VaspFilesValidator.check": "custodian: validators",
}


class Clock:
    """Count the seconds of parts, the inner ones out of the outer ones."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.stack: list[str] = []
        self.since = time.perf_counter()

    def turn(self) -> None:
        """Count what passed for the innermost part."""
        now = time.perf_counter()
        if self.stack:
            self.seconds[self.stack[-1]] += now - self.since
        self.since = now

    def timed(self, part: str, function: Callable[P, T]) -> Callable[P, T]:
        """Return the function with its time counted as a part."""

        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> T:
            if threading.current_thread() is not threading.main_thread():
                return function(*args, **kwargs)  # FireWorks' ping
            self.turn()
            self.stack.append(part)
            try:
                return function(*args, **kwargs)
            finally:
                self.turn()
                self.stack.pop()

        return run


def main() -> None:
    """Work until nothing is left."""
    clock = Clock()
    for where, part in _PARTS.items():
        module, _, path = where.partition(":")
        owner: Any = importlib.import_module(module)
        *inside, name = path.split(".")
        for step in inside:
            owner = getattr(owner, step)
        setattr(owner, name, clock.timed(part, getattr(owner, name)))
    # Custodian's sleep alone, not everybody's.
    sleep = clock.timed("VASP", time.sleep)
    custodian: Any = importlib.import_module("custodian.custodian")
    custodian.time = types.SimpleNamespace(**vars(time) | {"sleep": sleep})
    from hea_flows.services import workers
    from hea_flows.services.connection import find_connection

    launch = clock.timed("worker: the rest", workers._launch)  # noqa: SLF001
    warm = False

    def launched(*args: Any, **kwargs: Any) -> bool:  # noqa: ANN401
        nonlocal warm
        done = launch(*args, **kwargs)
        if not warm and _LABEL in clock.seconds:
            clock.seconds.clear()
            warm = True
        return done

    workers._launch = launched  # noqa: SLF001
    workers.worker_loop(find_connection(), poll=0.5)
    Path(sys.argv[1]).write_text(json.dumps(clock.seconds))


if __name__ == "__main__":
    main()
