"""How long a label takes beside its VASP: custodian, TaskDoc, frames, FireWorks, jobflow.

A real mongod, worker processes and the whole path of a label; VASP is the stand-in of the tests.
Overhead of a label = wall time of a worker per label - time in which the executable ran.

    python benchmarks/label_overhead.py --small            # one minute or two
    python benchmarks/label_overhead.py                    # 10, 100 and 1000 structures: an hour
    python benchmarks/label_overhead.py --parts            # where the overhead goes
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from own_machine import ALLOY, STRUCTURES, load, own_machine, print_table, spread
from vasp_standin import environment

if TYPE_CHECKING:
    from hea_flows.services.connection import Connection

_TIMED_WORKER = Path(__file__).with_name("timed_worker.py")
_HEADER = (
    "n", "passes", "workers", "label", "VASP", "overhead", "CPU worker", "CPU mongod", "fan-out",
    "dataset", "report",
)  # fmt: skip
_FEW = 50


@dataclass(frozen=True)
class Case:
    """One measurement.

    Parameters
    ----------
    structures, passes, workers
        How many structures, relaxations of each, and worker processes.
    quick
        See `own_machine`.
    parts
        Whether the one worker writes down where its time goes.
    """

    structures: int
    passes: int
    workers: int
    quick: bool = True
    parts: bool = False


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--structures", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--passes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--workers", type=int, nargs="+", default=[1])
    parser.add_argument("--small", action="store_true", help="8 structures, 1 and 2 passes")
    parser.add_argument(
        "--parts", action="store_true", help="tell where the time of 20 labels goes"
    )
    parser.add_argument(
        "--chgnet", action="store_true", help="the stand-in's own potential, not harmonic wells"
    )
    given = parser.parse_args()
    if given.small:
        given.structures = [8]
    if given.parts:
        given.structures, given.workers = [min(given.structures[0] * 2, 20)], [1]
    cases = [
        Case(n, passes, workers, quick=not given.chgnet, parts=given.parts)
        for workers in given.workers
        for passes in given.passes
        for n in given.structures
    ]
    rows = []
    for case in cases:
        print(f"{case.structures} structures, passes {case.passes}, {load()}", flush=True)
        rows.append(measure(case))
        print_table(_HEADER, rows[-1:])
    print(f"\nseconds per label; goal: overhead of at most 1.5 with one pass ({load()})")
    print_table(_HEADER, rows)


def measure(case: Case) -> tuple[Any, ...]:
    """Label structures and return a row of the table."""
    with own_machine(quick=case.quick) as folder:
        from hea_flows.services.connection import find_connection
        from hea_flows.services.progress import campaign_progress

        connection = find_connection(start_local=True)
        launchpad = connection.launchpad()
        _submit(case, connection)
        workers = _start(case, connection, folder)
        samples = _wait(workers, folder)
        fireworks = launchpad.fireworks.find({}, {"fw_id": 1, "name": 1})
        names = {f["fw_id"]: f["name"].split()[0] for f in fireworks}
        done: dict[str, list[tuple[float, float]]] = {}
        for launch in launchpad.launches.find({"state": "COMPLETED"}, {"action": 0}):
            moments = _moment(launch, "RUNNING"), _moment(launch, "COMPLETED")
            done.setdefault(names[launch["fw_id"]], []).append(moments)
        n, labels = case.structures, done.get("vasp", [])
        states = launchpad.fireworks.distinct("state")
        if len(labels) != n or states != ["COMPLETED"]:
            failed = [f"{job.name}: {job.error}" for job in campaign_progress(launchpad).failed]
            msg = f"{len(labels)} of {n} labels were made; {'; '.join(failed[:3]) or states}\n"
            msg += (folder / "worker.log").read_text()[-2000:] if case.parts else ""
            raise RuntimeError(msg)
        starts = environment.launches(folder / "vasp")
        if case.parts:
            _print_parts(folder / "parts.json", n, starts)
        # From the first label to the job that puts them into one list: all that FireWorks does.
        first = min(begin for begin, _ in labels)
        last = max(begin for begin, _ in done["store_inputs"])
        executable = sum(x["seconds"] for x in starts) / n
        total = (last - first) * case.workers / n
        cpu = [(_at(samples[who], last) - _at(samples[who], first)) / n for who in samples]
        jobs = ("labels", "dataset", "report")
        others = [sum(end - begin for begin, end in done.get(name, ())) for name in jobs]
        return (n, case.passes, case.workers, total, executable, total - executable, *cpu, *others)


def _submit(case: Case, connection: Connection) -> None:
    """Submit the labels, and what a campaign makes of them if end points are among them."""
    from jobflow import Flow, OnMissing
    from jobflow.core.job import store_inputs
    from jobflow.managers.fireworks import flow_to_workflow

    from hea_flows.alloy.sets import parse
    from hea_flows.config import LabelSpec
    from hea_flows.jobs.campaign import CampaignFileMaker
    from hea_flows.jobs.labelling import LabelsMaker, fan_out
    from hea_flows.jobs.learning.dataset import DatasetMaker
    from hea_flows.jobs.report import ReportMaker
    from hea_flows.schemas import AlloySpec, StructureEntry, StructuresDoc

    alloy = AlloySpec(**ALLOY)
    everything = parse(STRUCTURES).build(alloy.to_alloy(), 0)
    ends = [o for o in everything if o.n_sites == 1] if case.structures > _FEW else []
    chosen = ends + spread([o for o in everything if o.n_sites > 1], case.structures - len(ends))
    entries = [StructureEntry.from_ordering(o) for o in chosen]
    found = StructuresDoc(
        alloy=alloy, expression=STRUCTURES, seed=0, n_structures=len(entries), structures=entries
    )
    options = {"passes": case.passes}
    maker = LabelsMaker(labels=LabelSpec(engine="vasp", options=options))
    given: Any = store_inputs(found)
    jobs: list[Any] = [given, fan_out(maker.make(given.output))]
    if ends:
        labels = [jobs[1].output]
        file: Any = CampaignFileMaker().make("benchmark", "")
        dataset: Any = DatasetMaker().make(alloy, labels, [], [given.output])
        report: Any = ReportMaker().make(file.output, [given.output], labels, dataset.output)
        for job in (dataset, report):
            job.config.on_missing_references = OnMissing.NONE
        jobs += [file, dataset, report]
    connection.activate()
    connection.launchpad().add_wf(flow_to_workflow(Flow(jobs)))


def _start(case: Case, connection: Connection, folder: Path) -> list[Any]:
    from hea_flows.services.workers import start_workers

    if not case.parts:
        return list(start_workers(case.workers, connection, poll=0.5))
    log = (folder / "worker.log").open("wb")
    command = [sys.executable, str(_TIMED_WORKER), str(folder / "parts.json")]
    variables = os.environ | connection.environment()
    return [subprocess.Popen(command, env=variables, stdout=log, stderr=log)]  # noqa: S603


def _wait(workers: list[Any], folder: Path) -> dict[str, list[tuple[float, float]]]:
    """Wait for the workers; return when they and mongod had computed how many seconds.

    The executables, children of the workers, are not counted.
    """
    from hea_flows.services import mongod

    server = psutil.Process(mongod.status(folder / "data").pid)
    spent: dict[int, float] = {}
    samples: dict[str, list[tuple[float, float]]] = {"workers": [], "mongod": []}
    try:
        while alive := [w for w in workers if w.poll() is None]:
            for worker in alive:
                try:
                    spent[worker.pid] = _cpu(psutil.Process(worker.pid))
                except psutil.NoSuchProcess:
                    continue
            samples["workers"].append((time.time(), sum(spent.values())))
            samples["mongod"].append((time.time(), _cpu(server)))
            time.sleep(0.2)
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.kill()
    return samples


def _at(samples: list[tuple[float, float]], moment: float) -> float:
    """Return what had been computed at a moment."""
    return float(np.interp(moment, *zip(*samples, strict=True)))


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _moment(launch: dict[str, Any], state: str) -> float:
    entry = next(x for x in launch["state_history"] if x["state"] == state)
    at: datetime = datetime.fromisoformat(str(entry["created_on"]))
    return at.timestamp()


def _print_parts(path: Path, n: int, starts: list[dict[str, Any]]) -> None:
    """Print the parts of all labels but the first, in which the worker reads its tables."""
    found = json.loads(path.read_text())
    folders = [Path(x["directory"]).parent for x in starts]
    others = [x["seconds"] for x, at in zip(starts, folders, strict=True) if at != folders[0]]
    found["custodian: sees late that VASP has ended"] = found.pop("VASP") - sum(others)
    rows = [(name, 1000 * seconds / (n - 1)) for name, seconds in found.items()]
    rows.sort(key=lambda row: -row[1])
    print_table(("part", "ms/label"), rows)


if __name__ == "__main__":
    main()
