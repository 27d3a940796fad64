from __future__ import annotations

import os
import posixpath
import threading
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fireworks import FWAction, FWorker, LaunchPad
from jobflow import job
from jobflow.managers.fireworks import flow_to_workflow

from hea_flows.services import progress
from hea_flows.services.batch import BatchJob
from hea_flows.services.connection import Connection
from hea_flows.services.processes import ProcessIdentity, is_alive
from hea_flows.services.progress import campaign_progress
from hea_flows.services.recovery import (
    PROCESS_KEY,
    Recovery,
    break_stale_lock,
    lost_launches,
    recover_lost,
)
from hea_flows.services.workers import worker_loop

HERE = ProcessIdentity.current()
DEAD = replace(HERE, started=HERE.started - 1)  # the number was given to another process
REMOTE = replace(HERE, host="elsewhere")


@pytest.fixture
def launchpad(connection: Connection) -> LaunchPad:
    return connection.launchpad()


def _two(launchpad: LaunchPad) -> tuple[int, int]:
    first = job(posixpath.basename)("/a/b")
    second = job(posixpath.basename)(first.output)
    ids = sorted(launchpad.add_wf(flow_to_workflow([first, second])).values())
    return ids[1], ids[0]  # FireWorks counts backwards


def _take(launchpad: LaunchPad, mark: ProcessIdentity | None, state: str = "RUNNING") -> int:
    env = {} if mark is None else {PROCESS_KEY: asdict(mark)}
    _, launch_id = launchpad.checkout_fw(FWorker("w", env=env), "/a/b", state=state)
    return int(launch_id)


def _states(launchpad: LaunchPad) -> list[str]:
    return [fw["state"] for fw in launchpad.fireworks.find().sort("fw_id", -1)]


def _ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


def test_marks() -> None:
    assert HERE.alive
    assert not DEAD.alive
    assert not replace(HERE, boot="before the restart").alive
    assert not replace(HERE, pid=2**22 + 1).alive
    assert ProcessIdentity.from_dict(asdict(HERE)) == HERE
    batched = replace(HERE, batch=BatchJob("a", 1, 0, 2))
    assert ProcessIdentity.from_dict(asdict(batched)) == batched
    old = {key: value for key, value in asdict(HERE).items() if key != "batch"}
    assert ProcessIdentity.from_dict(old) == replace(HERE, batch=None)
    assert ProcessIdentity.from_dict({"host": "a"}) is None
    with pytest.raises(ValueError, match="runs on elsewhere"):
        _ = REMOTE.alive


def test_a_zombie_is_dead() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    while is_alive(pid):
        time.sleep(0.01)
    os.kill(pid, 0)  # the system still knows it
    os.waitpid(pid, 0)


def test_the_argument_tells_programs_apart() -> None:
    assert is_alive(os.getpid())
    assert not is_alive(os.getpid(), "/some/dbpath")


@pytest.mark.parametrize("state", ["RUNNING", "RESERVED"])
def test_dead_live_remote_and_foreign_workers(launchpad: LaunchPad, state: str) -> None:
    ids = {}
    for name, mark in (("dead", DEAD), ("live", HERE), ("remote", REMOTE), ("foreign", None)):
        first, _ = _two(launchpad)
        launch = _take(launchpad, mark, state)
        assert launchpad.launches.find_one({"launch_id": launch})["fw_id"] == first
        ids[name] = first
    assert [lost.fw_id for lost in lost_launches(launchpad)] == [ids["dead"]]
    assert recover_lost(launchpad) == Recovery(rerun=(ids["dead"],))
    assert launchpad.fireworks.find_one({"fw_id": ids["dead"]})["state"] == "READY"
    assert _states(launchpad).count(state) == 3
    assert recover_lost(launchpad) == Recovery()


def test_silent_worker_of_another_host(launchpad: LaunchPad) -> None:
    first, _ = _two(launchpad)
    launch = _take(launchpad, REMOTE)
    launchpad.ping_launch(launch, _ago(1000))
    assert lost_launches(launchpad, silent_after=1100) == []
    (lost,) = lost_launches(launchpad, silent_after=900)
    assert (lost.fw_id, lost.reason) == (
        first,
        f"process {HERE.pid} of elsewhere has been silent for 17 min",
    )


def test_where_no_queue_can_be_asked_silence_decides(
    launchpad: LaunchPad, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With a queue: tests/clusters."""
    monkeypatch.setenv("PATH", str(tmp_path))
    _two(launchpad)
    launch = _take(launchpad, replace(REMOTE, batch=BatchJob("a", 1, 0, os.getuid())))
    launchpad.ping_launch(launch, _ago(1000))
    assert lost_launches(launchpad, ended_after=0) == []
    (lost,) = lost_launches(launchpad, silent_after=900, ended_after=0)
    assert lost.reason.endswith("of elsewhere has been silent for 17 min")


def test_finished_launch_is_not_rerun(launchpad: LaunchPad) -> None:
    """The worker died after its launch was COMPLETED and before the Firework was."""
    first, _second = _two(launchpad)
    launch = _take(launchpad, DEAD)
    done = {"$set": {"state": "COMPLETED", "action": FWAction().to_dict()}}
    launchpad.launches.update_one({"launch_id": launch}, done)
    assert lost_launches(launchpad) == []  # a live worker may be about to do it
    launchpad.fireworks.update_one({"fw_id": first}, {"$set": {"updated_on": _ago(100)}})
    assert recover_lost(launchpad) == Recovery(finished=(first,))
    assert _states(launchpad) == ["COMPLETED", "READY"]
    assert launchpad.launches.count_documents({}) == 1


def test_job_finished_between_look_and_recovery(
    launchpad: LaunchPad, monkeypatch: pytest.MonkeyPatch
) -> None:
    _two(launchpad)
    launch = _take(launchpad, DEAD)
    seen = lost_launches(launchpad)
    assert len(seen) == 1
    launchpad.complete_launch(launch, FWAction(), "COMPLETED")
    monkeypatch.setattr("hea_flows.services.recovery.lost_launches", lambda *_, **__: seen)
    assert recover_lost(launchpad) == Recovery()
    assert _states(launchpad) == ["COMPLETED", "READY"]


def test_two_recoveries_at_once_rerun_once(
    launchpad: LaunchPad, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = _two(launchpad)
    _take(launchpad, DEAD)
    seen = lost_launches(launchpad)
    monkeypatch.setattr("hea_flows.services.recovery.lost_launches", lambda *_, **__: seen)
    found: list[Recovery] = []
    threads = [
        threading.Thread(target=lambda: found.append(recover_lost(launchpad))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(recovery.rerun) for recovery in found) == [0, 0, 0, 1]
    assert launchpad.fireworks.find_one({"fw_id": first})["state"] == "READY"


def test_a_job_that_is_lost_too_often_is_given_up(connection: Connection) -> None:
    launchpad = connection.launchpad()
    first, _ = _two(launchpad)
    _take(launchpad, DEAD)
    assert recover_lost(launchpad, max_losses=2) == Recovery(rerun=(first,))
    _take(launchpad, DEAD)
    assert recover_lost(launchpad, max_losses=2) == Recovery(given_up=(first,))
    (failed,) = campaign_progress(launchpad, first).failed
    assert failed.error == "its worker was lost too often"
    assert campaign_progress(launchpad, first).over
    assert worker_loop(connection, poll=0.05) == 0


def test_an_idle_worker_recovers_what_a_dead_one_left(connection: Connection) -> None:
    launchpad = connection.launchpad()
    _two(launchpad)
    _take(launchpad, DEAD)
    assert worker_loop(connection, poll=0.05) == 2
    assert _states(launchpad) == ["COMPLETED", "COMPLETED"]


def test_taken_but_never_launched(launchpad: LaunchPad) -> None:
    first, _ = _two(launchpad)
    taken = {"$set": {"state": "RESERVED", "updated_on": datetime.now(UTC)}}
    launchpad.fireworks.update_one({"fw_id": first}, taken)
    assert lost_launches(launchpad) == []
    launchpad.fireworks.update_one({"fw_id": first}, {"$set": {"updated_on": _ago(100)}})
    assert [lost.launch_id for lost in lost_launches(launchpad)] == [None]
    assert recover_lost(launchpad) == Recovery(rerun=(first,))
    assert _states(launchpad) == ["READY", "WAITING"]


def test_lock_of_a_dead_worker(launchpad: LaunchPad) -> None:
    first, _ = _two(launchpad)
    assert not break_stale_lock(launchpad, first, patience=0.1)
    _take(launchpad, DEAD)
    launchpad.workflows.update_one({"nodes": first}, {"$set": {"locked": True}})
    assert recover_lost(launchpad, lock_patience=0.2) == Recovery(rerun=(first,))
    assert launchpad.workflows.count_documents({"locked": {"$exists": True}}) == 0


def test_lock_in_use_is_kept(launchpad: LaunchPad) -> None:
    first, _ = _two(launchpad)
    launchpad.workflows.update_one({"nodes": first}, {"$set": {"locked": True}})

    def use() -> None:
        now = datetime.now(UTC).isoformat()
        launchpad.workflows.update_one({"nodes": first}, {"$set": {"updated_on": now}})

    threading.Timer(0.1, use).start()
    assert not break_stale_lock(launchpad, first, patience=1.0)
    assert launchpad.workflows.count_documents({"locked": True}) == 1


def test_a_workflow_that_moves_on_is_not_over(
    launchpad: LaunchPad, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two writes of FireWorks a job is done and the next one is not ready."""
    first, second = _two(launchpad)
    launch = _take(launchpad, HERE)
    assert not campaign_progress(launchpad, first).over
    seen = []
    upsert = launchpad._upsert_fws

    def one_by_one(fireworks: list[object], *args: object, **kwargs: object) -> object:
        # FireWorks writes the finished job first; this is what others see then.
        launchpad.fireworks.update_one({"fw_id": first}, {"$set": {"state": "COMPLETED"}})
        seen.append(campaign_progress(launchpad, first))
        return upsert(fireworks, *args, **kwargs)

    monkeypatch.setattr(launchpad, "_upsert_fws", one_by_one)
    launchpad.complete_launch(launch, FWAction(), "COMPLETED")
    assert [seen_one.counts for seen_one in seen] == [{"WAITING": 1, "COMPLETED": 1}]
    assert [seen_one.over for seen_one in seen] == [False]

    # All of it happened between the two looks of one count.
    workflows = progress._workflows
    stale = [{**one, "updated_on": "before"} for one in workflows(launchpad, first)]
    looks = iter([stale, workflows(launchpad, first)])
    monkeypatch.setattr(progress, "_workflows", lambda *_: next(looks))
    launchpad.fireworks.update_one({"fw_id": second}, {"$set": {"state": "WAITING"}})
    assert not campaign_progress(launchpad, first).over
    monkeypatch.setattr(progress, "_workflows", workflows)
    assert campaign_progress(launchpad, first).over
