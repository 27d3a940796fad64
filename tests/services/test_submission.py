"""A campaign is on the launchpad once, whoever submits it and however often."""

from __future__ import annotations

import os
import posixpath
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fireworks import LaunchPad, Workflow
from jobflow import Flow, job
from jobflow.managers.fireworks import flow_to_workflow

from hea_flows.config import campaign_sha256, load_campaign
from hea_flows.services import submission
from hea_flows.services.connection import Connection
from hea_flows.services.processes import ProcessIdentity
from hea_flows.services.submission import CAMPAIGNS, submit_once
from hea_flows.services.workers import worker_loop

METADATA = {"campaign": "a", "campaign_sha256": "1" * 64}
CAMPAIGN = """\
name: quinary
alloy: {elements: [Mo, W], prototype: 2H-MX2, anion: S}
structures: [{set: 1(1)}]
labels: {engine: archive, options: {dataset: empty.h5}}
"""
SUBMIT = """\
import sys
from pathlib import Path
from fireworks import Workflow
sys.path.insert(0, sys.argv[1])
from test_submission import METADATA, build
from hea_flows.services.connection import find_connection
from hea_flows.services.submission import submit_once
launchpad = find_connection().launchpad()
Path(sys.argv[2]).touch()
while not Path(sys.argv[3]).exists():
    pass
print(submit_once(launchpad, METADATA, build))
"""


def build() -> Workflow:
    first = job(posixpath.basename)("/a/b")
    flow = Flow([first, job(posixpath.basename)(first.output)])
    flow.update_metadata(METADATA)
    return flow_to_workflow(flow, metadata=METADATA)


@pytest.fixture
def launchpad(connection: Connection) -> LaunchPad:
    return connection.launchpad()


def states(launchpad: LaunchPad) -> list[str]:
    return [fw["state"] for fw in launchpad.fireworks.find().sort("fw_id", -1)]


def test_four_processes_at_once_make_one_workflow(
    connection: Connection, launchpad: LaunchPad, tmp_path: Path
) -> None:
    environment = {**os.environ, **connection.environment()}
    go = tmp_path / "go"
    ready = [tmp_path / f"ready-{i}" for i in range(4)]
    here = str(Path(__file__).parent)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SUBMIT, here, str(one), str(go)],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for one in ready
    ]
    while not all(one.exists() for one in ready):
        assert all(process.poll() is None for process in processes)
    go.touch()
    said = [process.communicate(timeout=60)[0].strip() for process in processes]
    (workflow,) = launchpad.workflows.find()
    first = min(workflow["nodes"])
    found = f"SubmittedWorkflow(fw_id={first}, existing="
    assert sorted(said) == [found + "False)", *[found + "True)"] * 3]
    assert states(launchpad) == ["READY", "WAITING"]
    assert launchpad.db[CAMPAIGNS].find_one() == {"_id": METADATA, "fw_id": first, "drafts": {}}
    assert worker_loop(connection, poll=0.05) == 2


def test_it_is_found_and_replaced(launchpad: LaunchPad) -> None:
    first = submit_once(launchpad, METADATA, build)
    assert submit_once(launchpad, METADATA, build) == replace(first, existing=True)
    other = submit_once(launchpad, {**METADATA, "campaign": "b"}, build)
    again = submit_once(launchpad, METADATA, build, again=True)
    assert len({first.fw_id, other.fw_id, again.fw_id}) == 3
    assert not again.existing
    assert submit_once(launchpad, METADATA, build) == replace(again, existing=True)
    assert launchpad.workflows.count_documents({}) == 3
    launchpad.archive_wf(again.fw_id)  # given up
    assert not submit_once(launchpad, METADATA, build).existing


def test_a_deleted_workflow_is_made_again(launchpad: LaunchPad) -> None:
    first = submit_once(launchpad, METADATA, build)
    launchpad.delete_wf(first.fw_id)
    assert not submit_once(launchpad, METADATA, build).existing
    assert states(launchpad) == ["READY", "WAITING"]


#: Where a submission dies: after how many writes of its own.
WRITES = ("get_new_fw_id", "workflows.insert_one", "fireworks.insert_many", "_refresh_wf")


@pytest.mark.parametrize("last", WRITES)
def test_a_submission_that_is_killed_blocks_nobody(
    connection: Connection, launchpad: LaunchPad, last: str
) -> None:
    """The process dies just before one of its writes."""
    pid = os.fork()
    if pid == 0:
        own = connection.launchpad()
        owner, _, method = last.rpartition(".")
        target = getattr(own, owner) if owner else own
        if owner:
            setattr(own, owner, _Dying(target, method))
        else:
            setattr(own, method, _die)
        submit_once(own, METADATA, build)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    entered = last == "_refresh_wf"
    assert submit_once(launchpad, METADATA, build).existing == entered
    assert launchpad.workflows.count_documents({}) == 1
    assert states(launchpad) == ["READY", "WAITING"]
    assert launchpad.db[CAMPAIGNS].find_one()["drafts"] == {}
    assert worker_loop(connection, poll=0.05) == 2


def _die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class _Dying:
    """A collection of which one method kills the process."""

    def __init__(self, collection: object, method: str) -> None:
        self._collection, self._method = collection, method

    def __getattr__(self, name: str) -> Callable[..., object]:
        return _die if name == self._method else getattr(self._collection, name)


def test_drafts_of_other_hosts_are_kept_for_an_hour(launchpad: LaunchPad) -> None:
    elsewhere = asdict(replace(ProcessIdentity.current(), host="elsewhere"))
    entries = launchpad.db[CAMPAIGNS]
    for name, age in (("new", 50), ("old", 70)):
        draft = submission._write(launchpad, entries, {"_id": METADATA}, build())
        written = datetime.now(UTC) - timedelta(minutes=age)
        note = {f"{draft.field}.process": elsewhere, f"{draft.field}.written": written}
        entries.update_one({"_id": METADATA}, {"$set": note})
        launchpad.workflows.update_one({"nodes": draft.first}, {"$set": {"name": name}})
    assert not submit_once(launchpad, METADATA, build).existing
    names = {workflow["name"] for workflow in launchpad.workflows.find()}
    assert "new" in names
    assert "old" not in names
    assert states(launchpad).count("READY") == 1


def test_a_comment_is_no_new_campaign(tmp_path: Path) -> None:
    (tmp_path / "empty.h5").touch()

    def key(text: str) -> str:
        (tmp_path / "campaign.yaml").write_text(text)
        return campaign_sha256(load_campaign(tmp_path / "campaign.yaml")[0])

    reordered = "# mine\n" + "\n\n".join(reversed(CAMPAIGN.splitlines()))
    reordered = reordered.replace("[Mo, W]", '["Mo",  "W"]')
    assert key(CAMPAIGN) == key(reordered)
    assert re.fullmatch("[0-9a-f]{64}", key(CAMPAIGN))
    assert key(CAMPAIGN) != key(CAMPAIGN.replace("1(1)", "1(1)+2(2)"))
    assert key(CAMPAIGN) != key(CAMPAIGN + "seed: 1\n")
