"""How far the workflows of a launchpad are."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hea_flows.runtime import atomic_write, redact

if TYPE_CHECKING:
    from fireworks import LaunchPad

#: States in the order in which a job passes through them.
STATES = (
    "WAITING",
    "READY",
    "RESERVED",
    "RUNNING",
    "COMPLETED",
    "FIZZLED",
    "PAUSED",
    "DEFUSED",
    "ARCHIVED",
)
#: Key of a Firework's spec that marks jobs which make a campaign's results; labels are none.
RESULT = "_campaign_result"
#: Key of a ready Firework, beside its spec: what it needs and no worker so far could import.
NEEDS = "hea_flows_needs"
_OPEN = ("READY", "RESERVED", "RUNNING")
#: How jobflow begins to say that what a job takes was never made.
_MISSING = "Could not resolve reference"
#: Last line of progress of a running job, in its launch folder.
PROGRESS_FILE = "progress.txt"


def say(text: str) -> None:
    """Print one line of a running job, and leave it in its launch folder for `campaign_progress`.

    Outside of FireWorks it is printed only.
    """
    print(text, flush=True)  # noqa: T201  the worker's log
    if Path("FW.json").exists():
        atomic_write(Path(PROGRESS_FILE), text)


@dataclass(frozen=True)
class RunningJob:
    """A job that a worker has taken; `message` is the last line of its progress, if any."""

    fw_id: int
    name: str
    worker: str
    folder: str
    message: str = ""

    @property
    def step(self) -> str:
        """The first part of the message, which says how far the job is."""
        return self.message.partition(",")[0]


@dataclass(frozen=True)
class FailedJob:
    """A job that ended with an error, and the last line of the error.

    Parameters
    ----------
    fw_id, name, error, folder
        The Firework, its name, the line, and where it ran.
    last
        Whether no other job was to follow it: what it was to give is missing.
    uuid
        jobflow's.
    result
        Whether it was to give one of the campaign's results; a label is none.
    skipped
        Whether it could not run because jobs before it had failed, which the error then names.
    """

    fw_id: int
    name: str
    error: str
    folder: str
    last: bool = False
    uuid: str = ""
    result: bool = False
    skipped: bool = False


@dataclass(frozen=True)
class LeftJob:
    """A ready job that a worker has left to others, and what it needs that the worker lacks."""

    fw_id: int
    name: str
    needs: str


@dataclass(frozen=True)
class Progress:
    """The jobs of a workflow: how many are in each state, which run, which failed.

    `settled` is False if FireWorks was moving jobs on while they were counted, so that a job may
    be done and the next one not yet ready.
    """

    counts: dict[str, int]
    running: tuple[RunningJob, ...]
    failed: tuple[FailedJob, ...]
    settled: bool = True
    left: tuple[LeftJob, ...] = ()

    @property
    def stuck(self) -> bool:
        """Whether the only jobs that could run were left by workers that lack a package."""
        return bool(self.left) and len(self.left) == sum(self.counts.get(s, 0) for s in _OPEN)

    @property
    def total(self) -> int:
        """Number of jobs known so far; running jobs may add more."""
        return sum(self.counts.values())

    @property
    def completed(self) -> int:
        """Number of jobs done."""
        return self.counts.get("COMPLETED", 0)

    @property
    def over(self) -> bool:
        """Whether no job can run any more: all are done, or the rest waits for failed ones."""
        return self.settled and not any(self.counts.get(state, 0) for state in _OPEN)

    @property
    def finished(self) -> bool:
        """Whether the end was reached, whatever failed on the way."""
        stopped = self.counts.get("WAITING", 0) or any(job.last for job in self.failed)
        return self.over and not stopped

    @property
    def missed(self) -> tuple[FailedJob, ...]:
        """Jobs that failed by themselves and leave a result missing."""
        return tuple(job for job in self.failed if (job.result or job.last) and not job.skipped)


def campaign_progress(launchpad: LaunchPad, workflow_id: int | None = None) -> Progress:
    """Return the progress of one workflow, or of all.

    Parameters
    ----------
    launchpad
        FireWorks' launchpad.
    workflow_id
        Id of any Firework of the workflow; None for every workflow of the launchpad.

    Raises
    ------
    ValueError
        If the launchpad has no workflow with this Firework.
    """
    before = _workflows(launchpad, workflow_id)
    which: dict[str, Any] = {}
    if workflow_id is not None:
        if not before:
            msg = f"the launchpad has no workflow with the Firework {workflow_id}"
            raise ValueError(msg)
        which = {"fw_id": {"$in": before[0]["nodes"]}}
    fields = {"fw_id": 1, "name": 1, "state": 1, "launches": 1}
    fields |= {f"spec.{RESULT}": 1, "spec._tasks.job.uuid": 1, NEEDS: 1}
    fireworks = list(launchpad.fireworks.find(which, fields).sort("fw_id", 1))
    # FireWorks locks a workflow, changes its jobs one by one, dates it and unlocks it.
    settled = before == _workflows(launchpad, workflow_id) and not any(
        "locked" in workflow for workflow in before
    )
    counts = Counter(str(firework["state"]) for firework in fireworks)
    shown = [f for f in fireworks if f["state"] in {"RUNNING", "RESERVED", "FIZZLED"}]
    last = {f["fw_id"]: f["launches"][-1] for f in shown if f["launches"]}
    wanted = {"launch_id": {"$in": list(last.values())}}
    parts = {
        "launch_id": 1,
        "launch_dir": 1,
        "fworker.name": 1,
        "action.stored_data._exception._stacktrace": 1,
    }
    launches = {x["launch_id"]: x for x in launchpad.launches.find(wanted, parts)}
    parents = _parents(before)
    followed = {parent for each in parents.values() for parent in each}
    fizzled = {int(f["fw_id"]): str(f["name"]) for f in shown if f["state"] == "FIZZLED"}
    running, failed = [], []
    for firework in shown:
        launch = launches.get(last.get(firework["fw_id"]), {})
        job = int(firework["fw_id"]), str(firework["name"])
        folder = str(launch.get("launch_dir", ""))
        if firework["state"] == "FIZZLED":
            error, spec = _last_line(launch), firework["spec"]
            if skipped := _MISSING in error:
                causes = [fizzled[p] for p in parents.get(job[0], ()) if p in fizzled]
                error = f"not run, because it failed: {', '.join(sorted(causes))}"
            failed.append(
                FailedJob(
                    *job,
                    error,
                    folder,
                    last=job[0] not in followed,
                    uuid=str(next((t["job"]["uuid"] for t in spec["_tasks"] if "job" in t), "")),
                    result=bool(spec.get(RESULT)),
                    skipped=skipped,
                )
            )
        else:
            worker = launch.get("fworker", {}).get("name", "")
            running.append(RunningJob(*job, worker, folder, _said(folder)))
    left = tuple(
        LeftJob(int(f["fw_id"]), str(f["name"]), str(f[NEEDS]))
        for f in fireworks
        if f["state"] == "READY" and NEEDS in f
    )
    ordered = {state: counts[state] for state in STATES if counts[state]}
    return Progress(ordered, tuple(running), tuple(failed), settled, left)


def _workflows(launchpad: LaunchPad, workflow_id: int | None) -> list[dict[str, Any]]:
    which = {} if workflow_id is None else {"nodes": workflow_id}
    fields = {"nodes": 1, "links": 1, "locked": 1, "updated_on": 1}
    return list(launchpad.workflows.find(which, fields).sort("_id", 1))


def _said(folder: str) -> str:
    """Return what a job left in its folder; nothing where the folder is of another machine."""
    try:
        return (Path(folder) / PROGRESS_FILE).read_text(encoding="utf-8").strip() if folder else ""
    except OSError:
        return ""


def _parents(workflows: list[dict[str, Any]]) -> dict[int, list[int]]:
    parents: dict[int, list[int]] = {}
    for workflow in workflows:
        for parent, children in (workflow.get("links") or {}).items():
            for child in children:
                parents.setdefault(int(child), []).append(int(parent))
    return parents


def _last_line(launch: dict[str, Any]) -> str:
    stored = (launch.get("action") or {}).get("stored_data") or {}
    lines = str((stored.get("_exception") or {}).get("_stacktrace", "")).strip().splitlines()
    return redact(lines[-1].strip()) if lines else "its worker was lost too often"
