"""The shipped examples, read by the programs that they are for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from fireworks import FWorker, LaunchPad, fw_config
from fireworks.user_objects.queue_adapters.common_adapter import CommonAdapter
from jobflow.settings import JobflowSettings
from maggma.stores import GridFSStore, MongoStore

from hea_flows.cli import app
from hea_flows.jobs.routing import CPU
from hea_flows.potentials.base import families
from hea_flows.reference.base import reference_engine, reference_engines
from hea_flows.services.connection import Connection
from hea_flows.services.doctor import Check, check_all

FOLDER = Path(__file__).parents[2] / "configs" / "clusters"
FWORKERS = sorted(FOLDER.glob("my_fworker_*.yaml"))
QADAPTERS = sorted(FOLDER.glob("my_qadapter_*.yaml"))
ADDRESS = ("mongodb.example.org", 27017, "hea_flows", "USERNAME", "PASSWORD", "hea_flows")


def test_every_file_is_tested() -> None:
    others = {"FW_config.yaml", "jobflow.yaml", "my_launchpad.yaml"}
    tested = {path.name for path in FWORKERS + QADAPTERS} | others
    assert {path.name for path in FOLDER.iterdir()} == tested
    assert len(FWORKERS) == 14
    assert len(QADAPTERS) == 3


def test_launchpad() -> None:
    launchpad = LaunchPad.from_file(str(FOLDER / "my_launchpad.yaml"))
    launchpad.connection.close()
    names = ("host", "port", "name", "username", "password", "authsource")
    assert tuple(getattr(launchpad, name) for name in names) == ADDRESS
    given = yaml.safe_load((FOLDER / "my_launchpad.yaml").read_text())
    assert set(given) == set(names)


def test_job_store() -> None:
    store: Any = JobflowSettings(CONFIG_FILE=str(FOLDER / "jobflow.yaml")).JOB_STORE
    assert list(store.additional_stores) == ["data"]
    parts = [store.docs_store, store.additional_stores["data"]]
    assert [type(part) for part in parts] == [MongoStore, GridFSStore]
    assert [part.collection_name for part in parts] == ["outputs", "outputs_blobs"]
    names = ("host", "port", "database", "username", "password", "auth_source")
    for part in parts:
        assert tuple(getattr(part, name) for name in names) == ADDRESS


def test_options_are_known_to_fireworks() -> None:
    """FireWorks refuses an unknown option when it is imported."""
    options = yaml.safe_load((FOLDER / "FW_config.yaml").read_text())
    for name, value in options.items():
        assert type(getattr(fw_config, name)) is type(value)
    # What pings in time is never given up.
    assert options["RUN_EXPIRATION_SECS"] >= 10 * options["PING_TIME_SECS"]


def test_categories_are_those_of_the_jobs() -> None:
    found = {}
    for path in FWORKERS:
        fworker = FWorker.from_file(str(path))
        kind = path.stem.removeprefix("my_fworker_")
        assert fworker.name == kind
        assert fworker.query["spec._category"] == {"$in": fworker.category}
        found[kind] = fworker.category
    apart = {"cluster-expansion", "nequip", "sevennet"}  # need no GPU, or are apart
    assert found.pop("gpu") == [name for name in families() if name not in apart]
    assert all(categories == [kind] for kind, categories in found.items())
    labels = {reference_engine(e)().category for e in reference_engines()}
    assert set(found) == {CPU, *labels, *families()}


def _directives(script: str, mark: str) -> list[str]:
    lines = script.splitlines()
    first = next(i for i, line in enumerate(lines) if line and not line.startswith("#"))
    assert not any(line.startswith(mark) for line in lines[first:])  # they would be ignored
    return [line.removeprefix(mark).strip() for line in lines if line.startswith(mark)]


EXPECTED = {
    "vasp": ("#SBATCH", ["--ntasks-per-node=48", "--time=24:00:00", "--signal=B:TERM@120"]),
    "gpu": ("#SBATCH", ["--gres=gpu:1", "--time=12:00:00", "--signal=B:TERM@120"]),
    "pbs": ("#PBS", ["-l nodes=1:ppn=48", "-l walltime=24:00:00", "-q QUEUE"]),
}


@pytest.mark.filterwarnings("error")  # FireWorks warns of keys that its template does not know
@pytest.mark.parametrize("path", QADAPTERS, ids=lambda path: path.stem)
def test_submit_scripts(path: Path) -> None:
    adapter = CommonAdapter.from_file(str(path))
    kind = path.stem.removeprefix("my_qadapter_")
    mark, some = EXPECTED[kind]
    script = adapter.get_script_str("/launch/dir")
    directives = _directives(script, mark)
    assert set(some) < set(directives)
    body = [line for line in script.splitlines() if line and not line.startswith("#")]
    # The worker is the batch script's own process, and the last one.
    assert body[-2] == "cd /launch/dir"
    worker = body[-1].split()
    assert worker[:3] == ["exec", "hea-flows", "worker"]
    chosen = [worker[i + 1] for i, word in enumerate(worker) if word == "--category"]
    fworker = "gpu" if kind == "gpu" else "vasp"
    assert chosen == FWorker.from_file(str(FOLDER / f"my_fworker_{fworker}.yaml")).category
    # It can take options only that it has.
    import typer

    command = typer.main.get_command(app).commands["worker"]  # type: ignore[attr-defined]
    parsed = command.make_context("worker", worker[3:]).params
    assert parsed["category"] == chosen
    assert 120 < parsed["max_idle"] < parsed["leave_before"]


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_no_secret(path: Path) -> None:
    text = path.read_text()
    for value in re.findall(r"^\s*(?:password|username)\s*:\s*(\S+)", text, re.MULTILINE):
        assert value in {"PASSWORD", "USERNAME"}
    assert not re.search(r"mongodb(\+srv)?://", text)
    for host in re.findall(r"^\s*host\s*:\s*(\S+)", text, re.MULTILINE):
        assert host == "mongodb.example.org"
    if re.search("PASSWORD", text):
        assert "chmod 600" in text


def test_the_filled_in_files_work(user_files: Connection) -> None:
    user_files.ping()
    found = {check.name: check for check in check_all()}
    assert found["database"].detail == f"{user_files} ({user_files.source})"
    assert found["job store"] == Check("job store", "ok", "additional stores: data")
    assert found["FireWorks configuration"].detail.endswith(".fireworks/FW_config.yaml")
    assert "my_launchpad.yaml" not in found
    path = user_files.launchpad_file
    assert path is not None
    path.chmod(0o640)
    (check,) = [check for check in check_all() if check.name == "my_launchpad.yaml"]
    assert (check.state, check.action) == ("warn", f"chmod 600 {path}")
