"""Find jobs whose worker died, by its process rather than by a timeout of hours, and rerun them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
    max_losses: int = 5,
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
    rerun, finished, given_up = [], [], []
    for workflow in launchpad.workflows.find({"locked": {"$exists": True}}, {"nodes": 1}):
        break_stale_lock(launchpad, workflow["nodes"][0], lock_patience)
    limits = {"silent_after": silent_after, "ended_after": ended_after, "step": step}
    for lost in lost_launches(launchpad, **limits):
        if lost.finished:
            launchpad._refresh_wf(lost.fw_id)  # noqa: SLF001  # as detect_lostruns(refresh=True)
            finished.append(lost.fw_id)
            continue
        if not _claim(launchpad, lost):
            continue
        losses = {"fw_id": lost.fw_id, "hea_flows_lost": True}
        if launchpad.launches.count_documents(losses) >= max_losses:
            launchpad._refresh_wf(lost.fw_id)  # noqa: SLF001
            given_up.append(lost.fw_id)
        else:
            launchpad.rerun_fw(lost.fw_id)
            rerun.append(lost.fw_id)
    return Recovery(tuple(rerun), tuple(finished), tuple(given_up))


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
