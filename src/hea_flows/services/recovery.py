"""Find jobs whose worker died, by its process rather than by a timeout of hours, and rerun them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from hea_flows.services.batch import unfinished_jobs
from hea_flows.services.processes import ProcessIdentity

if TYPE_CHECKING:
    from fireworks import LaunchPad

#: States of a Firework or a launch that some worker has taken.
TAKEN = ("RUNNING", "RESERVED")
#: Key of a worker's process identity in its FWorker's env.
PROCESS_KEY = "hea_flows_process"
#: Seconds without a ping after which a worker on another host counts as dead.
SILENT_SECONDS = 3600.0
#: The same if its batch job has ended: two pings. A node that the batch system gave up may still
#: be running the job, but then it pings.
ENDED_SECONDS = 60.0
#: Seconds that a live worker may need between taking, running and finishing a job.
STEP_SECONDS = 60.0
#: Seconds after which a Firework that no workflow holds was left by a process that died.
ORPHAN_SECONDS = 300.0
#: How often a job may be lost.
MAX_LOSSES = 5

#: `unfinished_jobs`, asked once per cluster and user.
_Queue = Callable[[str, int], dict[int, int] | None]


@dataclass(frozen=True)
class LostLaunch:
    """A job that was taken and that no worker is running.

    Parameters
    ----------
    fw_id, name
        The Firework and its name.
    launch_id
        Its launch; None if the worker died before writing one, or after finishing it.
    finished
        Whether the launch is finished and only the Firework's update is missing.
    reason
        Why it counts as lost.
    """

    fw_id: int
    name: str
    launch_id: int | None
    finished: bool
    reason: str


@dataclass(frozen=True)
class Recovery:
    """Ids of the Fireworks that were lost, by what was done with them."""

    rerun: tuple[int, ...] = ()
    finished: tuple[int, ...] = ()
    given_up: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        """Whether any job was lost."""
        return bool(self.rerun or self.finished or self.given_up)


def lost_launches(
    launchpad: LaunchPad,
    *,
    silent_after: float = SILENT_SECONDS,
    ended_after: float = ENDED_SECONDS,
    step: float = STEP_SECONDS,
) -> list[LostLaunch]:
    """Return the taken jobs whose worker is dead.

    A worker of this package records the identity of its process, and of its SLURM job, in its
    launches. On this host that says at once whether the process lives. A worker on another host
    pings twice a minute; once it is silent, SLURM is asked whether its job is still running, and
    only where SLURM cannot be asked does silence alone decide. Launches of FireWorks' own
    `rlaunch` record no identity and are left to `lpad detect_lostruns`.

    Parameters
    ----------
    launchpad
        FireWorks' launchpad.
    silent_after
        Seconds without a ping after which a worker on another host counts as dead.
    ended_after
        The same if its SLURM job has ended or was requeued.
    step
        Seconds after which a job that is taken without a launch counts as lost.
    """
    fields = {"fw_id": 1, "name": 1, "state": 1, "updated_on": 1}
    taken = list(launchpad.fireworks.find({"state": {"$in": TAKEN}}, fields))
    launches: dict[int, list[dict[str, Any]]] = {firework["fw_id"]: [] for firework in taken}
    wanted = {"fw_id": {"$in": list(launches)}}
    # The action can be large and is not needed.
    for launch in launchpad.launches.find(wanted, {"action": 0}):
        launches[launch["fw_id"]].append(launch)
    queue = cache(unfinished_jobs)
    reasons = {
        launch["launch_id"]: _reason_lost(launch, silent_after, ended_after, queue)
        for group in launches.values()
        for launch in group
        if launch["state"] in TAKEN
    }
    return [
        lost
        for firework in taken
        for lost in _lost(firework, launches[firework["fw_id"]], reasons, step)
    ]


def recover_lost(
    launchpad: LaunchPad,
    *,
    silent_after: float = SILENT_SECONDS,
    ended_after: float = ENDED_SECONDS,
    step: float = STEP_SECONDS,
    max_losses: int = MAX_LOSSES,
    lock_patience: float = 30.0,
) -> Recovery:
    """Rerun the lost jobs, and only those.

    Several processes may do so at once: only the one that changes a launch's state acts on it.

    Parameters
    ----------
    launchpad
        FireWorks' launchpad.
    silent_after, ended_after, step
        See `lost_launches`.
    max_losses
        A job that was lost this often (it may exhaust memory) becomes FIZZLED instead.
    lock_patience
        Seconds after which an unused lock of a workflow counts as left by a dead worker.
    """
    rerun: list[int] = []
    finished: list[int] = []
    given_up: list[int] = []
    for workflow in launchpad.workflows.find({"locked": {"$exists": True}}, {"nodes": 1}):
        if break_stale_lock(launchpad, workflow["nodes"][0], lock_patience):
            finish_update(launchpad, workflow["nodes"][0])
    limits = {"silent_after": silent_after, "ended_after": ended_after, "step": step}
    for lost in lost_launches(launchpad, **limits):
        if lost.finished:
            launchpad._refresh_wf(lost.fw_id)  # noqa: SLF001  # as detect_lostruns(refresh=True)
            finished.append(lost.fw_id)
            continue
        if not _claim(launchpad, lost):
            continue
        (rerun if _rerun(launchpad, lost.fw_id, max_losses) else given_up).append(lost.fw_id)
    return Recovery(tuple(rerun), tuple(finished), tuple(given_up))


def give_back(launchpad: LaunchPad, process: ProcessIdentity, *, lost: bool = False) -> None:
    """Make the jobs ready again that a process has taken and does not run any more.

    Parameters
    ----------
    launchpad
        FireWorks' launchpad.
    process
        A worker that is between two jobs.
    lost
        Whether they count as lost (see `recover_lost`); a job that was stopped on purpose does not.
    """
    mine = {f"fworker.env.{PROCESS_KEY}": asdict(process), "state": {"$in": TAKEN}}
    mark = {"state": "FIZZLED", "hea_flows_lost": lost}
    for launch in list(launchpad.launches.find(mine, {"launch_id": 1, "fw_id": 1})):
        still = {"launch_id": launch["launch_id"], "state": {"$in": TAKEN}}
        if launchpad.launches.update_one(still, {"$set": mark}).modified_count:
            _rerun(launchpad, launch["fw_id"], MAX_LOSSES)


def finish_update(launchpad: LaunchPad, fw_id: int) -> None:
    """Do an update of a workflow again that was cut off, and that nobody else is doing.

    FireWorks writes new and changed Fireworks before the workflow, which holds their links and
    states: what differs there was cut off. A job that is done already would not add its jobs again,
    so it is set back before the workflow is refreshed.
    """
    workflow = launchpad.workflows.find_one({"nodes": fw_id}, {"nodes": 1, "fw_states": 1})
    states = {int(node): state for node, state in (workflow.get("fw_states") or {}).items()}
    differing = []
    these = {"fw_id": {"$in": workflow["nodes"]}}
    for firework in list(launchpad.fireworks.find(these, {"fw_id": 1, "state": 1})):
        state, noted = firework["state"], states.get(firework["fw_id"])
        if noted in {state, None}:
            continue
        differing.append(firework["fw_id"])
        before = {("READY", "WAITING"): "WAITING"}.get((state, noted))
        if state in {"COMPLETED", "FIZZLED"}:
            before = "RUNNING"
        if before is not None:
            still = {"fw_id": firework["fw_id"], "state": state}
            launchpad.fireworks.update_one(still, {"$set": {"state": before}})
    for one in differing:
        launchpad._refresh_wf(one)  # noqa: SLF001
    remove_orphans(launchpad)


def remove_orphans(launchpad: LaunchPad) -> None:
    """Remove Fireworks that no workflow holds, unless they are new (`ORPHAN_SECONDS`).

    FireWorks writes new Fireworks first and their workflow afterwards; who dies in between leaves
    jobs that nobody can run. Whoever does the update again writes them anew.
    """
    nodes = {
        node
        for workflow in launchpad.workflows.find({}, {"nodes": 1})
        for node in workflow["nodes"]
    }
    fireworks = launchpad.fireworks.find({}, {"fw_id": 1, "created_on": 1})
    orphans = [
        f["fw_id"]
        for f in fireworks
        if f["fw_id"] not in nodes and _age(f["created_on"]) > ORPHAN_SECONDS
    ]
    launchpad.fireworks.delete_many({"fw_id": {"$in": orphans}})


def break_stale_lock(launchpad: LaunchPad, fw_id: int, patience: float) -> bool:
    """Remove the lock of a Firework's workflow if it stays unused for `patience` seconds.

    A worker that is killed while it updates a workflow leaves the lock behind, and FireWorks then
    lets everybody wait five minutes and fail.

    Returns
    -------
    Whether the lock was removed.
    """
    locked = {"nodes": fw_id, "locked": {"$exists": True}}
    first = launchpad.workflows.find_one(locked, {"updated_on": 1})
    if first is None:
        return False
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        time.sleep(min(0.1, patience))
        now = launchpad.workflows.find_one(locked, {"updated_on": 1})
        if now is None or now["updated_on"] != first["updated_on"]:
            return False
    unchanged = {"_id": first["_id"], "updated_on": first["updated_on"]}
    removed = launchpad.workflows.update_one(unchanged, {"$unset": {"locked": True}})
    return bool(removed.modified_count)


def _rerun(launchpad: LaunchPad, fw_id: int, max_losses: int) -> bool:
    """Make a job ready again that a worker had, unless it was lost too often."""
    losses = {"fw_id": fw_id, "hea_flows_lost": True}
    if launchpad.launches.count_documents(losses) >= max_losses:
        launchpad._refresh_wf(fw_id)  # noqa: SLF001  makes it FIZZLED, as its launch is
        return False
    launchpad.rerun_fw(fw_id)
    return True


def _lost(
    firework: dict[str, Any], launches: list[dict[str, Any]], reasons: dict[int, str], step: float
) -> Iterator[LostLaunch]:
    fw_id, name = int(firework["fw_id"]), str(firework.get("name", ""))
    active = [launch for launch in launches if launch["state"] in TAKEN]
    for launch in active:
        if reason := reasons[launch["launch_id"]]:
            yield LostLaunch(fw_id, name, int(launch["launch_id"]), finished=False, reason=reason)
    if active or _age(firework["updated_on"]) < step:
        return
    # The Firework is taken but no launch is active: the worker died before or after its launch.
    done = any(launch["state"] == "COMPLETED" for launch in launches)
    reason = "finished, but not recorded" if done else "taken, but never launched"
    yield LostLaunch(fw_id, name, None, finished=done, reason=reason)


def _claim(launchpad: LaunchPad, lost: LostLaunch) -> bool:
    """Mark a lost launch; return False if somebody else did, or if it has finished meanwhile."""
    if lost.launch_id is None:
        state = {"fw_id": lost.fw_id, "state": {"$in": TAKEN}}
        now = {"$set": {"updated_on": datetime.now(UTC)}}
        before = launchpad.fireworks.find_one_and_update(state, now, {"updated_on": 1})
        return before is not None and _age(before["updated_on"]) > 1
    state = {"launch_id": lost.launch_id, "state": {"$in": TAKEN}}
    claim = {"$set": {"state": "FIZZLED", "hea_flows_lost": True}}
    return bool(launchpad.launches.update_one(state, claim).modified_count)


def _reason_lost(
    launch: dict[str, Any], silent_after: float, ended_after: float, queue: _Queue
) -> str:
    env = (launch.get("fworker") or {}).get("env") or {}
    process = ProcessIdentity.from_dict(env.get(PROCESS_KEY) or {})
    if process is None:
        return ""
    if process.on_this_host:
        return "" if process.alive else f"process {process.pid} of this host is gone"
    if launch["state"] != "RUNNING":
        return ""
    silent = max((_age_of_state(entry) for entry in launch["state_history"][-1:]), default=0.0)
    if (batch := process.batch) and silent > ended_after:
        jobs = queue(batch.cluster, batch.user)
        if jobs is not None:
            running = jobs.get(batch.number) == batch.restarts
            return "" if running else f"SLURM job {batch.number} on {process.host} has ended"
    if silent > silent_after:
        return f"process {process.pid} of {process.host} has been silent for {silent / 60:.0f} min"
    return ""


def _age_of_state(entry: dict[str, Any]) -> float:
    return _age(entry.get("updated_on") or entry["created_on"])


def _age(moment: datetime | str) -> float:
    return (datetime.now(UTC) - utc(moment)).total_seconds()


def utc(moment: datetime | str) -> datetime:
    """Return a time that FireWorks wrote, in UTC, as a date or as text."""
    at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return at if at.tzinfo else at.replace(tzinfo=UTC)
