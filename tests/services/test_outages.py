"""mongod is killed under working workers: they wait for it, and lose and repeat nothing."""

from __future__ import annotations

import os
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fireworks import LaunchPad
from jobflow import Flow
from jobflow.managers.fireworks import flow_to_workflow
from pydantic import SecretStr
from pymongo.errors import AutoReconnect

from hea_flows.flows.launch import Submission, run_workers
from hea_flows.services import mongod, recovery
from hea_flows.services.connection import Connection
from hea_flows.services.errors import is_outage
from hea_flows.services.launchpad import QuietLaunchPad
from hea_flows.services.outages import Outage
from hea_flows.services.progress import campaign_progress
from hea_flows.services.recovery import recover_lost
from hea_flows.services.workers import start_workers, worker_log, worker_loop

IMPORTABLE = Path(__file__).parent / "importable"


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import `worker_jobs` here and in the workers that the test starts."""
    monkeypatch.syspath_prepend(str(IMPORTABLE))
    path = [str(IMPORTABLE), *(part for part in sys.path if part)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    import worker_jobs

    return worker_jobs


@pytest.fixture
def own(machine: Path) -> Iterator[Connection]:
    """Connect to a server that the test may kill."""
    server = mongod.start()
    uri = f"{server.uri}&serverSelectionTimeoutMS=500"  # so that waiting is not pymongo's
    yield Connection("local", f"test_{uuid.uuid4().hex[:12]}", SecretStr(uri))
    mongod.stop()


def _kill_server() -> None:
    pid = mongod.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    _until(lambda: not mongod.status().running)


def _submit(connection: Connection, jobs: list[object]) -> int:
    return min(connection.launchpad().add_wf(flow_to_workflow(Flow(jobs))).values())


def _said(pid: int) -> list[str]:
    """Return what a worker's log holds beside jobflow's lines."""
    lines = worker_log(pid).read_text().splitlines()
    return [line for line in lines if " INFO " not in line]


def _until(what: Callable[[], object], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


def test_a_job_that_ends_while_the_database_is_away_is_stored_once_it_is_back(
    own: Connection, jobs: ModuleType, tmp_path: Path
) -> None:
    lines, marker, go = (tmp_path / name for name in ("lines", "marker", "go"))
    first = jobs.append_when(str(lines), "first", str(marker), str(go))
    workflow = _submit(own, [first, jobs.append(str(lines), "last", first.output)])
    (worker,) = start_workers(1, own, poll=0.1)
    _until(marker.exists)
    _kill_server()
    go.touch()
    _until(lines.exists)
    time.sleep(2.0)  # it asks, and is not answered
    assert worker.poll() is None
    mongod.start()
    assert worker.wait(60) == 0
    assert lines.read_text().split() == ["first", "last"]
    launchpad = own.launchpad()
    assert campaign_progress(launchpad, workflow).counts == {"COMPLETED": 2}
    assert launchpad.launches.count_documents({}) == 2
    assert own.database().outputs.count_documents({}) == 2
    assert _said(worker.pid) == ["2 jobs run"]


def test_a_worker_leaves_when_the_database_stays_away(
    own: Connection, jobs: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines, marker, go = (tmp_path / name for name in ("lines", "marker", "go"))
    workflow = _submit(own, [jobs.append_when(str(lines), "a", str(marker), str(go))])
    monkeypatch.setenv("HEA_FLOWS_RECONNECT_SECONDS", "1")
    (worker,) = start_workers(1, own, poll=0.1)
    _until(marker.exists)
    _kill_server()
    go.touch()
    assert worker.wait(60) == 1
    (line,) = _said(worker.pid)
    assert line.startswith(f"error: {own} has not answered for 1 s; what ran is given back")
    mongod.start()
    (other,) = start_workers(1, own, poll=0.1)
    assert other.wait(60) == 0
    assert lines.read_text().split() == ["a", "a"]
    assert campaign_progress(own.launchpad(), workflow).counts == {"COMPLETED": 1}
    assert own.database().outputs.count_documents({}) == 1


def test_a_run_starts_its_local_server_again(
    own: Connection, jobs: ModuleType, tmp_path: Path
) -> None:
    lines, marker, go = (tmp_path / name for name in ("lines", "marker", "go"))
    workflow = _submit(own, [jobs.append_when(str(lines), "a", str(marker), str(go))])

    def disturb(_: object) -> None:
        if marker.exists() and not go.exists():
            _kill_server()
            go.touch()

    submission = Submission(workflow, existing=False)
    done = run_workers(submission, own, workers=1, on_progress=disturb, poll=0.1)
    assert done.finished
    assert lines.read_text() == "a\n"


@pytest.fixture
def launchpad(connection: Connection) -> LaunchPad:
    return connection.launchpad()


class _Interrupted:
    """A collection that cuts the first replacement of a workflow off that adds jobs to it."""

    def __init__(self, collection: Any, nodes: int, how: Callable[[], None]) -> None:
        self._collection, self._nodes, self._how = collection, nodes, how

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)

    def find_one_and_replace(self, query: Any, workflow: Any) -> object:
        if len(workflow["nodes"]) > self._nodes:
            self._nodes = len(workflow["nodes"])
            self._how()
        return self._collection.find_one_and_replace(query, workflow)


def _away() -> None:
    msg = "connection closed"
    raise AutoReconnect(msg)


def _check_grown(connection: Connection, lines: Path) -> None:
    launchpad = connection.launchpad()
    assert sorted(lines.read_text().splitlines()) == ["grown 0", "grown 1", "grown 2"]
    assert {f["state"] for f in launchpad.fireworks.find()} == {"COMPLETED"}
    (workflow,) = launchpad.workflows.find()
    assert sorted(workflow["nodes"]) == sorted(f["fw_id"] for f in launchpad.fireworks.find())
    assert "locked" not in workflow
    # One that adds jobs, three, and the one that gathers what they give.
    assert len(workflow["nodes"]) == launchpad.launches.count_documents({}) == 4


def test_an_update_that_an_outage_cut_off_is_done_again(
    connection: Connection,
    launchpad: LaunchPad,
    jobs: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The finished job and the jobs it adds are written, their workflow is not."""
    monkeypatch.setattr(recovery, "ORPHAN_SECONDS", 0.0)
    _submit(connection, [jobs.grow(str(tmp_path / "lines"), 3)])
    monkeypatch.setattr(launchpad, "workflows", _Interrupted(launchpad.workflows, 1, _away))
    assert worker_loop(connection, poll=0.05) == 4
    _check_grown(connection, tmp_path / "lines")


def test_an_update_that_a_kill_cut_off_is_done_again(
    connection: Connection,
    launchpad: LaunchPad,
    jobs: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recovery, "ORPHAN_SECONDS", 0.0)
    _submit(connection, [jobs.grow(str(tmp_path / "lines"), 3)])
    pid = os.fork()
    if pid == 0:
        child = connection.launchpad()
        die = lambda: os.kill(os.getpid(), signal.SIGKILL)  # noqa: E731
        child.workflows = _Interrupted(child.workflows, 1, die)
        worker_loop(connection, poll=0.05)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    assert launchpad.fireworks.count_documents({}) == 4
    recover_lost(launchpad, lock_patience=0.2)
    assert worker_loop(connection, poll=0.05) == 3
    _check_grown(connection, tmp_path / "lines")


def test_a_lost_ping_is_no_failure(launchpad: LaunchPad, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fireworks.LaunchPad.ping_launch", lambda *_, **__: _away())
    launchpad.ping_launch(1)


def test_what_tells_of_an_outage() -> None:
    def wrapped() -> BaseException:
        try:
            try:
                _away()
            except AutoReconnect:
                msg = "FireWorks' own"
                raise RuntimeError(msg)  # noqa: B904  as FireWorks does
        except RuntimeError as error:
            return error

    assert is_outage(AutoReconnect())
    assert is_outage(wrapped())
    assert not is_outage(ValueError())
    assert not is_outage(None)


def test_waiting_ends(machine: Path) -> None:
    uri = SecretStr("mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100")
    stops = iter([False, False, True])
    outage = Outage(Connection("environment", "x", uri), 100.0, lambda: next(stops))
    assert not outage.outlast()
    assert not outage.lasting
    outage = Outage(Connection("environment", "x", uri), 0.1)
    assert not outage.outlast()
    assert outage.lasting
    assert not outage.outlast()
    assert str(outage.error()).startswith("database x on 127.0.0.1:1 has not answered for 0 s")
    assert QuietLaunchPad.outlast() is False
