"""The shipped files on a real SLURM with two nodes: submit, kill, drain, recover."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from jobflow import Flow
from jobflow.managers.fireworks import flow_to_workflow
from vasp_standin import client, environment

from hea_flows.alloy.sets.named import parse
from hea_flows.config import LabelSpec
from hea_flows.flows.labelling import LabellingMaker
from hea_flows.jobs.routing import route
from hea_flows.reference.vasp.maker import VaspMaker
from hea_flows.reference.vasp.parse import read_runs
from hea_flows.schemas import AlloySpec, StructureEntry
from hea_flows.services.batch import unfinished_jobs
from hea_flows.services.connection import Connection
from hea_flows.services.progress import campaign_progress
from hea_flows.services.recovery import Recovery, lost_launches, recover_lost

pytestmark = pytest.mark.slow

CONFIGS = Path(__file__).parents[2] / "configs" / "clusters"
IMPORTABLE = Path(__file__).parent / "importable"


@dataclass
class User:
    """A user of the cluster who copied the shipped files and filled in the placeholders."""

    slurm: Any
    connection: Connection
    home: Path

    def qadapter(self, kind: str, **changes: object) -> Path:
        """Write a shipped qadapter as this cluster needs it."""
        text = (CONFIGS / f"my_qadapter_{kind}.yaml").read_text()
        bin_folder = Path(sys.executable).parent
        site = {
            f"  module load {'cuda' if kind == 'gpu' else 'vasp/6.4.3'}\n": "",
            "source ~/hea-flows/bin/activate": f"export PATH={bin_folder}:$PATH",
            "--max-idle 300 --leave-before 900": "--max-idle 5 --leave-before 0 --poll 0.2",
        }
        for ours, theirs in site.items():
            assert text.count(ours) == 1
            text = text.replace(ours, theirs)
        small = {"queue": "short", "account": None, "ntasks_per_node": 1, "walltime": "00:30:00"}
        content = yaml.safe_load(text) | small | changes
        path = self.home / f"qadapter-{content['job_name']}.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    def qlaunch(self, fworker: str, qadapter: Path, *options: str) -> str:
        """Submit like the user who reads the comments; return what qlaunch says."""
        command = [str(Path(sys.executable).with_name("qlaunch"))]
        command += ["-w", f".fireworks/my_fworker_{fworker}.yaml", "-q", str(qadapter)]
        command += ["rapidfire", "-m", "4", "--sleep", "1", *(options or ("--nlaunches", "1"))]
        done = subprocess.run(
            command, cwd=self.home, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def submit(self, *jobs: object) -> int:
        ids = self.connection.launchpad().add_wf(flow_to_workflow(Flow(list(jobs))))
        return min(ids.values())

    def batch_jobs(self) -> dict[str, str]:
        return {n: state for n, state in self.slurm.jobs().items() if n not in self.before}

    def wait(self, what: Callable[[], object], seconds: float, name: str) -> None:
        try:
            self.slurm.wait(what, seconds, name)
        except AssertionError as error:
            logs = [path.read_text()[-2000:] for path in self.home.rglob("hea-*-*")]
            raise AssertionError("\n".join([str(error), *logs])) from None

    def finish(self, workflow: int, seconds: float = 60) -> dict[str, int]:
        launchpad = self.connection.launchpad()
        self.wait(lambda: campaign_progress(launchpad, workflow).over, seconds, "end")
        return campaign_progress(launchpad, workflow).counts

    def __post_init__(self) -> None:
        self.before = set(self.slurm.jobs())


@pytest.fixture
def user(
    slurm: Any, connection: Connection, user_files: Connection, monkeypatch: pytest.MonkeyPatch
) -> Iterator[User]:
    monkeypatch.setenv("SLURM_CONF", str(slurm.conf))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.syspath_prepend(str(IMPORTABLE))
    path = [str(IMPORTABLE), *(part for part in sys.path if part)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    yield User(slurm, connection, Path(os.environ["HOME"]))
    slurm.restore()


def jobs() -> Any:
    import cluster_jobs

    return cluster_jobs


def start_waiting_job(user: User) -> tuple[int, Path, str, str]:
    """Let a worker run a job that ends once its marker is there.

    Return its Firework, the marker, the node and the batch job.
    """
    marker = user.home / "marker"
    job = jobs().wait_for(str(user.home / "lines"), "done", str(marker))
    workflow = user.submit(route(job, "vasp"))
    user.qlaunch("vasp", user.qadapter("vasp"))
    started = marker.with_name("marker.started")
    user.wait(lambda: started.exists() and started.read_text().endswith("\n"), 60, "start")
    node, number = started.read_text().split()
    return workflow, marker, node, number


def test_a_labelling_runs_and_workers_keep_to_their_categories(user: User) -> None:
    alloy = AlloySpec(elements=["Mo", "W"])
    labels = LabellingMaker.from_spec(LabelSpec(engine="archive"), seed=1)
    labelling = user.submit(labels.make("2(2)", alloy))
    lines = user.home / "lines"
    vasp = user.submit(route(jobs().where(str(lines), "relaxation"), "vasp"))
    mace = user.submit(route(jobs().where(str(lines), "training"), "mace"))
    cpu = "exec hea-flows worker --category cpu --idle-exit"
    adapter = user.qadapter("vasp", job_name="hea-cpu", rocket_launch=cpu)
    user.qlaunch("cpu", adapter)
    counts = user.finish(labelling)
    assert counts == {"COMPLETED": sum(counts.values())}
    outputs = user.connection.database().outputs
    label = outputs.find_one({"output.kind": "label"})["output"]
    assert (label["state"], label["structure"]["formula"]) == ("converged", "Mo1W1S4")
    assert not lines.exists()

    user.qlaunch("vasp", user.qadapter("vasp"))
    assert user.finish(vasp) == {"COMPLETED": 1}
    user.qlaunch("gpu", user.qadapter("gpu", gres=None, cpus_per_task=1))
    assert user.finish(mace) == {"COMPLETED": 1}
    words = [line.split() for line in lines.read_text().splitlines()]
    assert [line[:2] for line in words] == [["relaxation", "hea-vasp"], ["training", "hea-gpu"]]
    user.wait(lambda: set(user.batch_jobs().values()) == {"COMPLETED"}, 60, "end of the workers")
    assert len(user.batch_jobs()) == 3
    # The time limit that the scripts work out is SLURM's.
    starts = user.slurm.listed("%S")
    limits = [datetime.fromisoformat(starts[line[2]]).timestamp() + 1800 for line in words]
    assert [float(line[3]) for line in words] == limits


def test_fireworks_own_runner(user: User) -> None:
    lines = user.home / "lines"
    mace = user.submit(route(jobs().where(str(lines), "training"), "mace"))
    vasp = user.submit(route(jobs().where(str(lines), "relaxation"), "vasp"))
    text = (CONFIGS / "my_qadapter_vasp.yaml").read_text()
    (runner,) = re.findall(r"^# rocket_launch: (exec rlaunch .*)$", text, re.MULTILINE)
    user.qlaunch("vasp", user.qadapter("vasp", rocket_launch=runner))
    assert user.finish(vasp) == {"COMPLETED": 1}
    assert campaign_progress(user.connection.launchpad(), mace).counts == {"READY": 1}
    assert lines.read_text().split()[:2] == ["relaxation", "hea-vasp"]
    assert user.connection.database().outputs.count_documents({}) == 1


def test_a_drained_node_ends_its_job_and_takes_no_other(user: User) -> None:
    first, marker, _, number = start_waiting_job(user)
    user.slurm.command("scontrol", "update", "NodeName=c1,c2", "State=drain", "Reason=test")
    lines = user.home / "lines"
    second = user.submit(route(jobs().where(str(lines), "second"), "vasp"))
    user.qlaunch("vasp", user.qadapter("vasp"))
    marker.touch()
    assert user.finish(first) == {"COMPLETED": 1}
    # Its worker goes on while there is work; the one that was submitted later waits for a node.
    assert user.finish(second) == {"COMPLETED": 1}
    user.wait(lambda: user.batch_jobs()[number] == "COMPLETED", 60, "end of the worker")
    launchpad = user.connection.launchpad()
    waiting = [n for n, state in user.batch_jobs().items() if state == "PENDING"]
    assert len(waiting) == 1
    third = user.submit(route(jobs().where(str(lines), "third"), "vasp"))
    assert recover_lost(launchpad, ended_after=0) == Recovery()
    assert campaign_progress(launchpad, third).counts == {"READY": 1}
    user.slurm.command("scontrol", "update", "NodeName=c1,c2", "State=resume")
    assert user.finish(third) == {"COMPLETED": 1}
    words = [line.split()[0] for line in lines.read_text().splitlines()]
    assert words == ["done", "second", "third"]


def test_a_killed_workers_job_is_found_by_the_queue_and_rerun_once(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow, marker, node, number = start_waiting_job(user)
    launchpad = user.connection.launchpad()
    assert unfinished_jobs("heatest", os.getuid()) == {int(number): 0}
    assert lost_launches(launchpad, ended_after=0) == []
    user.slurm.command("scancel", "--signal=KILL", "--batch", number)
    user.wait(lambda: user.batch_jobs()[number] == "FAILED", 60, "end of the worker")
    assert campaign_progress(launchpad, workflow).counts == {"RUNNING": 1}
    assert unfinished_jobs("heatest", os.getuid()) == {}
    assert lost_launches(launchpad) == []  # it may have pinged a moment ago
    (lost,) = lost_launches(launchpad, ended_after=0)
    assert (lost.fw_id, lost.reason) == (workflow, f"SLURM job {number} on {node} has ended")

    with monkeypatch.context() as nowhere:  # where SLURM cannot be asked, silence alone decides
        nowhere.setenv("PATH", str(user.home))
        assert unfinished_jobs("heatest", os.getuid()) is None
        assert lost_launches(launchpad, ended_after=0) == []
    assert unfinished_jobs("another", os.getuid()) is None
    assert unfinished_jobs("heatest", os.getuid() + 1) is None

    found: list[Recovery] = []

    def recover() -> None:
        found.append(recover_lost(launchpad, ended_after=0))

    threads = [threading.Thread(target=recover) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(recovery.rerun) for recovery in found) == [0, 0, 0, 1]
    marker.touch()
    user.qlaunch("vasp", user.qadapter("vasp"))
    assert user.finish(workflow) == {"COMPLETED": 1}
    assert (user.home / "lines").read_text() == "done\n"
    assert launchpad.launches.count_documents({"fw_id": workflow}) == 2


def test_a_worker_outlives_slurms_belief_in_its_node(user: User) -> None:
    """SLURM lost the node and requeues the job, but its worker lives: no second run."""
    workflow, marker, node, number = start_waiting_job(user)
    launchpad = user.connection.launchpad()
    user.slurm.end_daemon(node)
    user.slurm.command("scontrol", "update", f"NodeName={node}", "State=down", "Reason=test")
    user.wait(lambda: user.batch_jobs()[number] == "PENDING", 60, "requeued job")
    assert unfinished_jobs("heatest", os.getuid()) == {int(number): 1}
    assert len(lost_launches(launchpad, ended_after=0)) == 1  # SLURM's word alone
    assert recover_lost(launchpad) == Recovery()
    user.slurm.command("scontrol", "update", f"JobId={number}", "StartTime=now")
    user.wait(lambda: user.batch_jobs()[number] == "COMPLETED", 60, "end of the second worker")
    assert campaign_progress(launchpad, workflow).counts == {"RUNNING": 1}
    marker.touch()
    assert user.finish(workflow) == {"COMPLETED": 1}
    assert (user.home / "lines").read_text() == "done\n"
    assert launchpad.launches.count_documents({"fw_id": workflow}) == 1


def test_a_node_fails_and_its_requeued_job_goes_on_once(user: User) -> None:
    workflow, marker, node, number = start_waiting_job(user)
    launchpad = user.connection.launchpad()
    user.slurm.end_node(node)
    user.slurm.command("scontrol", "update", f"NodeName={node}", "State=down", "Reason=test")
    user.wait(lambda: user.batch_jobs()[number] == "PENDING", 60, "requeued job")
    assert recover_lost(launchpad, ended_after=0) == Recovery(rerun=(workflow,))
    marker.touch()
    user.slurm.command("scontrol", "update", f"JobId={number}", "StartTime=now")
    assert user.finish(workflow) == {"COMPLETED": 1}
    assert (user.home / "lines").read_text() == "done\n"
    launches = list(launchpad.launches.find({"fw_id": workflow}).sort("launch_id", 1))
    marks = [launch["fworker"]["env"]["hea_flows_process"]["batch"] for launch in launches]
    assert [mark["number"] for mark in marks] == [int(number)] * 2
    assert [mark["restarts"] for mark in marks] == [0, 1]


def test_a_relaxation_that_meets_the_time_limit_goes_on_in_the_next_job(
    user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("chgnet")
    standin = tmp_path / "standin"
    standin.mkdir()
    for name, value in environment.prepare(standin).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("VASP_STANDIN_STEP_SECONDS", "6")
    client._start(standin)  # its potential lives on this host, not on a node

    alloy = AlloySpec(elements=["V", "W"])
    (ordering,) = parse("2(2)").build(alloy.to_alloy(), 0)
    maker = VaspMaker.from_options(passes=1, incar={"EDIFFG": -0.002})
    workflow = user.submit(route(maker.make(StructureEntry.from_ordering(ordering), alloy), "vasp"))
    launchpad = user.connection.launchpad()

    # SLURM looks at time limits twice a minute: the signal comes after half a minute.
    limit = {"walltime": "00:01:00", "signal": "B:TERM@1", "job_name": "hea-short"}
    shipped = yaml.safe_load(user.qadapter("vasp").read_text())["pre_rocket"]
    unwarned = f"{shipped}unset SLURM_JOB_END_TIME\n"  # VASP itself would stop at once
    user.qlaunch("vasp", user.qadapter("vasp", pre_rocket=unwarned, **limit))
    user.wait(lambda: environment.launches(standin), 60, "start of VASP")
    user.wait(lambda: set(user.batch_jobs().values()) == {"COMPLETED"}, 120, "time limit")
    assert campaign_progress(launchpad, workflow).counts == {"READY": 1}
    (first,) = environment.launches(standin)
    assert "end" not in first  # VASP was killed

    monkeypatch.setenv("VASP_STANDIN_STEP_SECONDS", "0")
    user.qlaunch("vasp", user.qadapter("vasp"))
    assert user.finish(workflow) == {"COMPLETED": 1}
    environment.stop_server(standin)

    attempts = [Path(one["directory"]) for one in environment.launches(standin)]
    assert [attempt.name for attempt in attempts] == ["attempt-000", "attempt-001"]
    before, after = ([step for run in read_runs(a) for step in run.steps] for a in attempts)
    assert len(before) >= 1
    assert len(after) >= 1
    store = user.connection.job_store()
    store.connect()
    uuid = store.query_one({"output.kind": "label"}, ["uuid"])["uuid"]
    label = store.get_output(uuid, load=True)
    assert (label["state"], label["n_frames"]) == ("converged", len(before) + len(after))
    assert label["trajectory"]["energies"] == [step.energy for step in before + after]
    geometries = {step.positions.tobytes() + step.cell.tobytes() for step in before + after}
    assert len(geometries) == label["n_frames"]  # no step was computed twice
