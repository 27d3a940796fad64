"""A job that needs a package which a worker lacks stays for a worker that has it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType

import pytest
from jobflow import Flow
from jobflow.managers.fireworks import flow_to_workflow

from hea_flows.flows import launch
from hea_flows.jobs.routing import route
from hea_flows.services.connection import Connection
from hea_flows.services.progress import LeftJob, campaign_progress
from hea_flows.services.workers import missing_package, start_workers, worker_log

PLUGIN = """\
from dataclasses import dataclass
from jobflow import Maker, job
from monty.json import MSONable

@dataclass
class Value(MSONable):
    x: int

@dataclass
class AMaker(Maker):
    name: str = "label"

    @job
    def make(self, x):
        return Value(x)

@job
def plain(x):
    return x
"""
IMPORTABLE = Path(__file__).parent / "importable"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make a plugin that this process finds, and the workers that it starts do not."""
    (tmp_path / "plugin").mkdir()
    (tmp_path / "plugin" / "an_engine.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(IMPORTABLE))
    path = [str(IMPORTABLE), *(part for part in sys.path if part)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    monkeypatch.syspath_prepend(str(tmp_path / "plugin"))
    monkeypatch.delitem(sys.modules, "an_engine", raising=False)
    return str(tmp_path / "plugin")


@pytest.fixture
def plugin(folder: str) -> ModuleType:
    import an_engine

    return an_engine


def _submit(connection: Connection, jobs: list[object]) -> int:
    return min(connection.launchpad().add_wf(flow_to_workflow(Flow(jobs))).values())


def _work(connection: Connection) -> str:
    (worker,) = start_workers(1, connection, poll=0.1)
    assert worker.wait(60) == 0
    return worker_log(worker.pid).read_text()


@pytest.mark.parametrize("kind", ["maker", "function", "argument"])
def test_it_stays_ready(
    connection: Connection,
    plugin: ModuleType,
    folder: str,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    import worker_jobs

    one = {
        "maker": lambda: plugin.AMaker().make(3),
        "function": lambda: plugin.plain(3),
        "argument": lambda: worker_jobs.same([{"a": plugin.Value(3)}]),
    }[kind]()
    needed = {"maker": "AMaker.make", "function": "plain", "argument": "Value"}[kind]
    workflow = _submit(connection, [route(one, "emt")])
    need = f"an_engine.{needed} of the package 'an_engine'"
    said = (
        f"Firework {workflow} ({one.name}, category emt) needs {need}, which this worker cannot "
        "import; the job stays for a worker that has it\n0 jobs run\n"
    )
    assert _work(connection) == said
    progress = campaign_progress(connection.launchpad(), workflow)
    assert progress.counts == {"READY": 1}
    assert progress.left == (LeftJob(workflow, one.name, need),)
    assert progress.stuck
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([folder, os.environ["PYTHONPATH"]]))
        assert _work(connection).endswith("1 jobs run\n")
    progress = campaign_progress(connection.launchpad(), workflow)
    assert progress.counts == {"COMPLETED": 1}
    assert progress.left == ()


def test_it_stays_ready_if_what_another_job_gave_needs_it(
    connection: Connection, plugin: ModuleType, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import worker_jobs

    first = plugin.AMaker().make(3)
    second = worker_jobs.same(first.output)
    workflow = _submit(connection, [route(first, "emt"), route(second, "cpu")])
    launchpad = connection.launchpad()
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([folder, os.environ["PYTHONPATH"]]))
        (worker,) = start_workers(1, connection, category="emt", idle_exit=False, poll=0.1)
        while campaign_progress(launchpad, workflow).completed < 1:
            assert worker.poll() is None
        worker.terminate()
        assert worker.wait(30) == 0
        log = _work_without(connection, folder)
        need = "an_engine.Value of the package 'an_engine'"
        assert f"(same, category cpu) needs {need}, which" in log
        assert "Traceback" not in log
        progress = campaign_progress(launchpad, workflow)
        assert progress.counts == {"READY": 1, "COMPLETED": 1}
        assert [left.needs for left in progress.left] == [need]
        assert _work(connection).endswith("1 jobs run\n")
    assert campaign_progress(launchpad, workflow).counts == {"COMPLETED": 2}


def _work_without(connection: Connection, folder: str) -> str:
    with pytest.MonkeyPatch.context() as patch:
        rest = os.environ["PYTHONPATH"].split(os.pathsep)
        patch.setenv("PYTHONPATH", os.pathsep.join(part for part in rest if part != folder))
        return _work(connection)


def test_a_run_whose_workers_lack_it_ends_and_says_so(
    connection: Connection, plugin: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "STUCK", 0.5)
    workflow = _submit(connection, [route(plugin.AMaker().make(3), "emt")])
    submission = launch.Submission(workflow, existing=False)
    with pytest.raises(launch.CampaignFailedError) as error:
        launch.run_workers(submission, connection, workers=1, on_progress=lambda _: None, poll=0.1)
    assert str(error.value).startswith(
        "1 jobs need what the workers of this run cannot import, first Firework "
        f"{workflow} (label): an_engine.AMaker.make of the package 'an_engine'; install it"
    )
    assert campaign_progress(connection.launchpad(), workflow).counts == {"READY": 1}


def test_what_is_there_is_not_missed() -> None:
    class_ = {"@module": "hea_flows.schemas", "@class": "ModelSpec", "family": "mace"}
    assert missing_package([class_, {"a": ({"@module": "numpy", "@class": "array"},)}]) is None
    function = {"@module": "posixpath", "@callable": "basename", "@bound": None}
    assert missing_package({"function": function, "@module": 3}) is None
    gone = {"@module": "hea_flows.schemas.gone", "@class": "ADoc"}
    assert missing_package(gone) == "hea_flows.schemas.gone.ADoc of the package 'hea_flows'"
    older = {"@module": "hea_flows.schemas", "@class": "GoneDoc"}
    expected = "hea_flows.schemas.GoneDoc of another version of the package 'hea_flows'"
    assert missing_package({"x": [[older]]}) == expected


def test_its_own_dependency_is_what_is_missing(folder: str) -> None:
    (Path(folder) / "needs_more.py").write_text("import a_dft_code.parts\n")
    data = {"@module": "needs_more", "@class": "AMaker"}
    assert missing_package(data) == "needs_more.AMaker of the package 'a_dft_code'"
