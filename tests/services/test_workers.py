from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen, run

import pytest
from fireworks import FWorker
from jobflow import Flow, JobConfig
from jobflow.managers.fireworks import flow_to_workflow

from hea_flows.flows.launch import Submission, _exit_on_signals, run_workers
from hea_flows.jobs.routing import route
from hea_flows.services.connection import Connection
from hea_flows.services.mongod import LocalMongod
from hea_flows.services.processes import is_alive
from hea_flows.services.progress import campaign_progress
from hea_flows.services.recovery import lost_launches, recover_lost
from hea_flows.services.workers import start_workers, stop_workers, worker_log, worker_loop
from hea_flows.services.workers.queue import JobQueue

IMPORTABLE = Path(__file__).parent / "importable"


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> object:
    """Import `worker_jobs` here and in the workers that the test starts."""
    monkeypatch.syspath_prepend(str(IMPORTABLE))
    path = [str(IMPORTABLE), *(part for part in sys.path if part)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    import worker_jobs

    return worker_jobs


def _submit(connection: Connection, jobs: list[object], **metadata: str) -> int:
    """Submit jobs as one workflow; return the id of one of its Fireworks."""
    flow = Flow(jobs)
    flow.update_metadata(metadata)
    ids = connection.launchpad().add_wf(flow_to_workflow(flow, metadata=metadata))
    return min(ids.values())


def _until(what: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


def test_killed_worker(connection: Connection, jobs: object, tmp_path: Path) -> None:
    lines, marker = tmp_path / "lines", tmp_path / "marker"
    first = jobs.append(str(lines), "first")
    slow = jobs.append_slowly(str(lines), "slow", str(marker), first.output)
    last = jobs.append(str(lines), "last", slow.output)
    workflow = _submit(connection, [first, slow, last])
    launchpad = connection.launchpad()

    (worker,) = start_workers(1, connection, poll=0.1)
    _until(marker.exists)
    assert marker.read_text() == str(worker.pid)
    progress = campaign_progress(launchpad, workflow)
    assert progress.counts == {"WAITING": 1, "RUNNING": 1, "COMPLETED": 1}
    assert [job.name for job in progress.running] == ["append_slowly"]
    assert progress.running[0].worker.endswith(f":{worker.pid}")
    assert lost_launches(launchpad) == []
    assert not recover_lost(launchpad)  # a live worker's job is left alone

    worker.send_signal(signal.SIGKILL)
    worker.wait()
    (lost,) = lost_launches(launchpad)
    assert lost.fw_id == progress.running[0].fw_id
    assert lost.reason == f"process {worker.pid} of this host is gone"
    assert recover_lost(launchpad).rerun == (lost.fw_id,)
    assert lost_launches(launchpad) == []
    assert not recover_lost(launchpad)

    (other,) = start_workers(1, connection, poll=0.1)
    assert other.wait(30) == 0
    assert lines.read_text().split() == ["first", "slow", "last"]
    done = campaign_progress(launchpad, workflow)
    assert done.counts == {"COMPLETED": 3}
    assert done.over
    assert connection.database().outputs.count_documents({}) == 3
    assert "3 jobs" not in worker_log(other.pid).read_text()
    assert worker_log(other.pid).read_text().endswith("2 jobs run\n")


def test_no_secret_in_fireworks_launch_folders_and_logs(
    connection: Connection, jobs: object, tmp_path: Path, machine: Path, mongo: LocalMongod
) -> None:
    workflow = _submit(connection, [jobs.append(str(tmp_path / "lines"), "a"), jobs.fail("oh no")])
    (worker,) = start_workers(1, connection, poll=0.1)
    assert worker.wait(30) == 0
    (failed,) = campaign_progress(connection.launchpad(), workflow).failed
    assert (failed.name, failed.error) == ("fail", "RuntimeError: oh no")
    assert Path(failed.folder).parent.parent == machine / "launches"
    database = connection.database()
    texts = [str(list(database[name].find())) for name in database.list_collection_names()]
    for folder in ("launches", "logs"):
        texts += [path.read_text() for path in (machine / folder).rglob("*") if path.is_file()]
    assert any("oh no" in text for text in texts)
    assert any('"_fw_name"' in text for text in texts)  # FW.json
    assert not any(str(mongo.password) in text for text in texts)


def test_stopped_worker_gives_its_job_back(
    connection: Connection, jobs: object, tmp_path: Path
) -> None:
    lines, marker = tmp_path / "lines", tmp_path / "marker"
    slow = jobs.append_slowly(str(lines), "slow", str(marker))
    workflow = _submit(connection, [slow, jobs.append(str(lines), "last", slow.output)])
    workers = start_workers(1, connection, poll=0.1)
    _until(marker.exists)
    stop_workers(workers)
    assert [worker.returncode for worker in workers] == [0]
    progress = campaign_progress(connection.launchpad(), workflow)
    assert progress.counts == {"WAITING": 1, "READY": 1}
    assert worker_loop(connection, poll=0.05) == 2
    assert lines.read_text().split() == ["slow", "last"]


RUN = """\
import sys
from hea_flows.flows.launch import Submission, _exit_on_signals, run_workers
from hea_flows.services.connection import find_connection
submission = Submission(int(sys.argv[1]), existing=False)
run_workers(submission, find_connection(), workers=1, on_progress=lambda p: None, poll=0.1)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_run_exits_in_order_on_a_signal(number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_DFL)  # nohup ignores SIGHUP for all that it starts
    try:
        handlers = _exit_on_signals()
        with pytest.raises(SystemExit) as left:
            signal.raise_signal(number)
        assert left.value.code == 128 + number
        for one, handler in handlers.items():
            signal.signal(one, handler)
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_workers_leave_with_the_run_that_started_them(
    connection: Connection, jobs: object, tmp_path: Path, number: signal.Signals
) -> None:
    lines, marker = tmp_path / "lines", tmp_path / "marker"
    workflow = _submit(connection, [jobs.append_slowly(str(lines), "slow", str(marker))])
    environment = {**os.environ, **connection.environment()}
    running = Popen([sys.executable, "-c", RUN, str(workflow)], env=environment)
    _until(marker.exists, 60)
    worker = int(marker.read_text())
    running.send_signal(number)
    assert running.wait(90) == (-number if number == signal.SIGKILL else 128 + number)
    _until(lambda: not is_alive(worker))
    assert campaign_progress(connection.launchpad(), workflow).counts == {"READY": 1}


def test_an_idle_worker_leaves_with_the_process_that_started_it(connection: Connection) -> None:
    start = "import sys; from hea_flows.services import find_connection, start_workers;"
    start += "print(start_workers(1, find_connection(), idle_exit=False, outlive=False)[0].pid)"
    environment = {**os.environ, **connection.environment()}
    done = run([sys.executable, "-c", start], env=environment, capture_output=True, check=True)
    _until(lambda: not is_alive(int(done.stdout)), 60)


def test_a_worker_that_replaces_another_has_its_threads(
    connection: Connection, jobs: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    marker = tmp_path / "marker"
    workflow = _submit(connection, [jobs.append_slowly(str(tmp_path / "lines"), "a", str(marker))])
    threads = []

    def start(n: int, **options: object) -> list[Popen[bytes]]:
        workers = start_workers(n, **options)
        for worker in workers:
            environment = Path(f"/proc/{worker.pid}/environ").read_bytes().split(b"\0")
            threads.append({v for v in environment if v.startswith(b"OMP_")})
        return workers

    def kill(_: object) -> None:
        if marker.exists() and len(threads) == 2:
            os.kill(int(marker.read_text()), signal.SIGKILL)

    monkeypatch.setattr("hea_flows.flows.launch.start_workers", start)
    submission = Submission(workflow, existing=False)
    assert run_workers(submission, connection, workers=2, on_progress=kill, poll=0.1).finished
    number = max(1, len(os.sched_getaffinity(0)) // 2)
    expected = {f"OMP_NUM_THREADS={number}".encode(), b"OMP_WAIT_POLICY=PASSIVE"}
    assert threads == [expected] * 3


def test_a_run_leaves_the_jobs_of_other_campaigns_alone(
    connection: Connection, jobs: object, tmp_path: Path
) -> None:
    lines = tmp_path / "lines"
    other = _submit(connection, [jobs.append(str(lines), "other")], campaign="other")
    own = _submit(connection, [jobs.grow(str(lines), 2)], campaign="own")
    submission = Submission(own, existing=False)
    done = run_workers(submission, connection, workers=2, on_progress=lambda _: None, poll=0.1)
    assert done.finished
    assert sorted(lines.read_text().splitlines()) == ["grown 0", "grown 1"]
    assert campaign_progress(connection.launchpad(), other).counts == {"READY": 1}


def test_jobs_that_a_job_adds_are_waited_for(
    connection: Connection, jobs: object, tmp_path: Path
) -> None:
    lines = tmp_path / "lines"
    slow = jobs.append_slowly(str(lines), "slow", str(tmp_path / "marker"))
    (tmp_path / "marker").write_text("")  # so that it is quick
    _submit(connection, [slow, jobs.grow(str(lines), 3)])
    workers = start_workers(2, connection, poll=0.1)
    assert [worker.wait(30) for worker in workers] == [0, 0]
    assert sorted(lines.read_text().splitlines()) == ["grown 0", "grown 1", "grown 2", "slow"]


def test_categories(connection: Connection, jobs: object, tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    dft = jobs.append(str(lines), "dft")
    dft.config = JobConfig(manager_config={"_category": "dft"})
    ml = jobs.append(str(lines), "ml", dft.output)
    ml.config = JobConfig(manager_config={"_category": "ml"})
    _submit(connection, [dft, ml])
    launchpad = connection.launchpad()
    # Once the other one is done.
    assert JobQueue(launchpad, FWorker(category="ml").query).may_grow()
    assert JobQueue(launchpad, FWorker().query).may_grow()
    assert not JobQueue(launchpad, FWorker(category="gpu").query).may_grow()
    assert worker_loop(connection, category="dft", poll=0.05) == 1
    assert lines.read_text() == "dft\n"
    assert worker_loop(connection, category=["ml", "gpu"], poll=0.05) == 1
    assert lines.read_text() == "dft\nml\n"


def test_a_worker_that_may_not_idle_leaves_though_jobs_will_come(
    connection: Connection, jobs: object, tmp_path: Path
) -> None:
    first = route(jobs.append(str(tmp_path / "lines"), "first"), "vasp")
    second = route(jobs.append(str(tmp_path / "lines"), "second", first.output), "mace")
    _submit(connection, [first, second])
    assert JobQueue(connection.launchpad(), FWorker(category="mace").query).may_grow()
    assert worker_loop(connection, category="mace", poll=0.05, max_idle=0.1) == 0
    assert worker_loop(connection, poll=0.05, max_idle=0.1) == 2


def test_a_worker_takes_no_job_before_its_time_limit(
    connection: Connection, jobs: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = _submit(connection, [jobs.append(str(tmp_path / "lines"), "a")])
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) + 600))
    assert worker_loop(connection, poll=0.05, leave_before=900) == 0
    assert campaign_progress(connection.launchpad(), workflow).counts == {"READY": 1}
    assert worker_loop(connection, poll=0.05, leave_before=60) == 1


def test_a_worker_leaves_when_a_calculation_ran_out_of_time(
    connection: Connection, jobs: object, tmp_path: Path
) -> None:
    lines = tmp_path / "lines"
    _submit(connection, [jobs.run_out_of_time(str(lines))])
    assert worker_loop(connection, poll=0.05) == 1
    assert not lines.exists()
    assert worker_loop(connection, poll=0.05) == 1
    assert lines.read_text() == "went on\n"


def test_a_job_that_finds_the_disk_full_runs_again(
    connection: Connection, jobs: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hea_flows.services.workers.loop._DISK_SECONDS", 0.05)
    lines = tmp_path / "lines"
    workflow = _submit(connection, [jobs.need_space(str(lines), str(tmp_path / "marker"))])
    assert worker_loop(connection, poll=0.05) == 2
    assert lines.read_text() == "saved\n"
    assert campaign_progress(connection.launchpad(), workflow).counts == {"COMPLETED": 1}


def test_query_and_number_of_launches(connection: Connection, jobs: object, tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    flow = []
    for name in ("a", "b"):
        for i in range(2):
            one = jobs.append(str(lines), f"{name}{i}")
            one.update_metadata({"campaign": name})
            flow.append(one)
    _submit(connection, flow)
    assert worker_loop(connection, query={"spec.campaign": "b"}, poll=0.05) == 2
    assert sorted(lines.read_text().split()) == ["b0", "b1"]
    assert worker_loop(connection, max_launches=1, poll=0.05) == 1
    assert len(lines.read_text().split()) == 3


def test_big_fields_go_to_the_data_store(connection: Connection, jobs: object) -> None:
    one = jobs.big(1000)
    _submit(connection, [one])
    assert worker_loop(connection, poll=0.05) == 1
    stored = connection.database().outputs.find_one({"uuid": one.uuid})
    assert stored["output"]["small"] == 1000
    assert stored["output"]["big"]["store"] == "data"
    store = connection.job_store()
    store.connect()
    assert store.get_output(one.uuid, load=True)["big"] == list(range(1000))


def test_nothing_to_do(connection: Connection) -> None:
    start = time.monotonic()
    assert worker_loop(connection, poll=0.05) == 0
    assert time.monotonic() - start < 3


def test_threads_are_shared_out(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    class Fake:
        pid = 7

        def __init__(self, command: list[str], **kwargs: object) -> None:
            started.append((command, kwargs["env"]))

    monkeypatch.setattr("hea_flows.services.workers.start.subprocess.Popen", Fake)
    monkeypatch.setattr("hea_flows.services.workers.start._cores", lambda: 7)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for n, threads in ((1, "7"), (2, "3"), (9, "1")):
        started.clear()
        start_workers(n, connection, category=["a", "b"], query='{"x": 1}', idle_exit=False)
        assert len(started) == n
        command, env = started[0]
        assert command[1:] == [
            *("-m", "hea_flows", "worker", "--poll", "2.0", "--stay"),
            *("--category", "a", "--category", "b", "--query", '{"x": 1}'),
        ]
        assert {env[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")} == {threads}
    monkeypatch.setenv("OMP_NUM_THREADS", "5")  # the user's own word
    start_workers(2, connection)
    env = started[-1][1]
    assert {env[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")} == {"5"}
    with pytest.raises(ValueError, match="0 workers"):
        start_workers(0, connection)


def test_progress_of_an_unknown_workflow(connection: Connection) -> None:
    with pytest.raises(ValueError, match="no workflow with the Firework 12"):
        campaign_progress(connection.launchpad(), 12)


def test_started_workers_do_not_get_the_terminals_signals(
    connection: Connection, jobs: object, tmp_path: Path
) -> None:
    workers: list[Popen[bytes]] = start_workers(1, connection, idle_exit=False)
    try:
        assert os.getsid(workers[0].pid) != os.getsid(0)
    finally:
        stop_workers(workers)
