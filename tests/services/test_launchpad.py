"""Jobs that a job adds: our launchpad leaves what FireWorks' own would, in fewer requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from fireworks import Firework, FWAction, FWorker, LaunchPad, Workflow
from fireworks.core import firework as fireworks_module
from jobflow import Flow, Job
from jobflow.managers.fireworks import JobFiretask, flow_to_workflow
from pymongo.monitoring import CommandListener, CommandStartedEvent

from hea_flows.services.connection import Connection
from hea_flows.services.launchpad import QuietLaunchPad

#: What differs between two runs of anything.
_TIMES = {"updated_on", "time_start", "time_end", "runtime_secs", "state_history", "_id"}


def _fw(name: str, *parents: Firework, **spec: Any) -> Firework:
    task = JobFiretask(job=Job(max, function_args=(1, 2.5), name=name), store=None)
    return Firework([task], spec, name, parents=list(parents))


def _chain(*names: str) -> Workflow:
    fws: list[Firework] = []
    for name in names:
        fws.append(_fw(name, *fws[-1:]))
    return Workflow(fws, name="a chain", metadata={"of": len(names)})


def _diamond() -> Workflow:
    top = _fw("top", _category="cpu")
    sides = [_fw(f"side {i}", top) for i in range(3)]
    return Workflow([top, *sides, _fw("bottom", *sides, _allow_fizzled_parents=True)])


def _jobs() -> Workflow:
    """Return jobs of jobflow, one of which takes what the others give."""
    jobs = [Job(max, function_args=(i, 3.5)) for i in range(4)]
    total = Job(sum, function_args=([job.output for job in jobs],))
    flow = Flow([*jobs, total], output=total.output, name="jobs")
    flow.update_metadata({"campaign": "a"})
    return flow_to_workflow(flow)


ACTIONS: dict[str, Callable[[], FWAction]] = {
    "detour": lambda: FWAction(detours=[_diamond()]),
    "jobs of jobflow": lambda: FWAction(stored_data={"a": (1, None)}, detours=[_jobs()]),
    "addition": lambda: FWAction(additions=[_chain("x", "y", "z")]),
    "both, twice": lambda: FWAction(
        detours=[_chain("d"), _diamond()], additions=[_chain("x"), _jobs()]
    ),
    "one Firework": lambda: FWAction(detours=[_fw("alone")], additions=[_chain("x")]),
    "changed specs": lambda: FWAction(
        update_spec={"a": 1}, mod_spec=[{"_set": {"b": [2]}}], detours=[_diamond()]
    ),
    "beside an append": lambda: FWAction(
        detours=[_chain("d")],
        append_wfs=[{"workflow": _chain("late"), "detour": False, "parents": []}],
    ),
    "defused children": lambda: FWAction(defuse_children=True, additions=[_chain("x")]),
    "nothing": lambda: FWAction(stored_data={"a": 1}),
}


@pytest.fixture
def pads(connection: Connection) -> Iterator[tuple[LaunchPad, QuietLaunchPad]]:
    """Yield FireWorks' own launchpad and ours, both empty, in databases of their own."""
    ours = connection.launchpad()
    assert connection.uri is not None
    name = f"{connection.database_name}_own"
    uri = connection.uri.get_secret_value()
    own = LaunchPad(host=uri, name=name, uri_mode=True, strm_lvl="ERROR")
    own.fw_id_assigner.insert_one({"next_fw_id": 1, "next_launch_id": 1})
    yield own, ours
    own.connection.drop_database(name)
    own.connection.close()


@pytest.fixture
def same_ids(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what makes new Fireworks and jobs of jobflow have the ids they had before."""

    def again() -> None:
        numbers = count()
        monkeypatch.setattr(fireworks_module, "NEGATIVE_FWID_CTR", 0)
        for module in ("job", "flow"):
            monkeypatch.setattr(f"jobflow.core.{module}.suid", lambda: f"uuid-{next(numbers):04d}")

    return again


def _first_completes(pad: LaunchPad, action: FWAction, state: str = "COMPLETED") -> None:
    first = _fw("first", _priority=1)
    children = [_fw("child", first), _fw("another", first, _allow_fizzled_parents=True)]
    pad.add_wf(Workflow([first, *children, _fw("last", *children)], name="whole"))
    fworker = FWorker("a worker")
    _, launch_id = pad.checkout_fw(fworker, str(Path.cwd()), host="host", ip="ip")
    pad.complete_launch(launch_id, action, state)


def _run_all(pad: LaunchPad) -> None:
    """Complete what is ready, until nothing is."""
    while (taken := pad.checkout_fw(FWorker("a worker"), str(Path.cwd()), host="h", ip="i"))[1]:
        pad.complete_launch(taken[1], FWAction())


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_times(v) for k, v in value.items() if k not in {*_TIMES, "created_on"}}
    return [_without_times(v) for v in value] if isinstance(value, list) else value


def _content(pad: LaunchPad) -> dict[str, Any]:
    """Return everything on a launchpad but its times, links as sets."""
    workflows = []
    for row in pad.workflows.find({}, sort=[("_id", 1)]):
        for key in ("links", "parent_links"):
            row[key] = {k: sorted(v) for k, v in row[key].items()}
        workflows.append(_without_times(row) | {"nodes": sorted(row["nodes"])})
    return {
        "workflows": workflows,
        "fireworks": _without_times(list(pad.fireworks.find({}, sort=[("fw_id", 1)]))),
        "launches": _without_times(list(pad.launches.find({}, sort=[("launch_id", 1)]))),
        "next ids": pad.fw_id_assigner.find_one({}, {"_id": 0}),
    }


def _types(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _types(v) for k, v in value.items()}
    return [_types(v) for v in value] if isinstance(value, list) else type(value).__name__


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("state", ["COMPLETED", "FIZZLED"])
def test_it_leaves_what_fireworks_leaves(
    pads: tuple[LaunchPad, QuietLaunchPad],
    same_ids: Callable[[], None],
    action: str,
    state: str,
) -> None:
    for pad in pads:
        same_ids()
        _first_completes(pad, ACTIONS[action](), state)
    own, ours = map(_content, pads)
    assert ours == own
    if state == "COMPLETED":
        for pad in pads:
            _run_all(pad)
        own, ours = map(_content, pads)
        assert ours == own
        done = {"COMPLETED", "DEFUSED", "WAITING"} if "defused" in action else {"COMPLETED"}
        assert {fw["state"] for fw in ours["fireworks"]} <= done
    for pad in pads:  # and again, from what is stored
        pad.rerun_fw(1)
    own, ours = map(_content, pads)
    assert ours == own


def test_dates_and_types_are_those_of_fireworks(
    pads: tuple[LaunchPad, QuietLaunchPad], same_ids: Callable[[], None]
) -> None:
    for pad in pads:
        same_ids()
        _first_completes(pad, ACTIONS["both, twice"]())
    for collection in ("fireworks", "launches", "workflows"):
        own, ours = (list(getattr(pad, collection).find({}, {"_id": 0})) for pad in pads)
        assert _types(ours) == _types(own)


def test_what_a_dead_worker_did_not_add_is_added_from_its_launch(
    pads: tuple[LaunchPad, QuietLaunchPad],
    same_ids: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for pad in pads:
        same_ids()
        with monkeypatch.context() as killed:
            killed.setattr(pad, "_refresh_wf", lambda fw_id: None)
            first = _fw("first")
            pad.add_wf(Workflow([first, _fw("child", first)]))
            done, launch_id = pad.checkout_fw(FWorker("a"), str(Path.cwd()), host="h", ip="i")
            pad.complete_launch(launch_id, ACTIONS["both, twice"]())
        assert pad.fireworks.count_documents({}) == 2
        pad._refresh_wf(done.fw_id)
    own, ours = map(_content, pads)
    assert ours == own
    assert len(ours["fireworks"]) > 10


def test_duplicates_each_get_the_jobs(
    pads: tuple[LaunchPad, QuietLaunchPad], same_ids: Callable[[], None]
) -> None:
    for pad in pads:
        same_ids()
        for name in ("one", "other"):
            pad.add_wf(Workflow([_fw(name)]))
        _, launch_id = pad.checkout_fw(FWorker("a"), str(Path.cwd()), fw_id=1, host="h", ip="i")
        pad.fireworks.update_many({}, {"$set": {"launches": [launch_id], "state": "RUNNING"}})
        pad.complete_launch(launch_id, ACTIONS["both, twice"]())
    own, ours = map(_content, pads)
    assert ours == own
    assert len(ours["workflows"][0]["nodes"]) == len(ours["workflows"][1]["nodes"]) == 13


def test_an_action_too_large_for_a_document_is_kept_as_fireworks_keeps_it(
    pads: tuple[LaunchPad, QuietLaunchPad], same_ids: Callable[[], None]
) -> None:
    text = "x" * 4_000_000
    for pad in pads:
        same_ids()
        jobs = Workflow([_fw(f"large {i}", text=text) for i in range(5)])
        _first_completes(pad, FWAction(detours=[jobs]))
        assert "gridfs_id" in pad.launches.find_one({})["action"]
        assert pad.fireworks.count_documents({"state": "READY", "spec.text": text}) == 5


class _Commands(CommandListener):
    """How often each command was sent."""

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()

    def started(self, event: CommandStartedEvent) -> None:
        self.sent[event.command_name] += 1

    def succeeded(self, event: object) -> None:
        pass

    def failed(self, event: object) -> None:
        pass


def test_requests_do_not_grow_with_the_jobs(connection: Connection) -> None:
    connection.launchpad()  # makes the database ready
    commands = _Commands()
    assert connection.uri is not None
    pad = QuietLaunchPad(
        host=connection.uri.get_secret_value(),
        name=connection.database_name,
        uri_mode=True,
        mongoclient_kwargs={"event_listeners": [commands]},
    )
    pad.get_fw_ids()  # connects
    sent = []
    for n in (3, 60):
        commands.sent.clear()
        _first_completes(pad, FWAction(detours=[Workflow([_fw(f"job {i}") for i in range(n)])]))
        sent.append(dict(commands.sent))
        assert pad.fireworks.update_many({}, {"$set": {"state": "COMPLETED"}}).matched_count > n
    assert sent[0] == sent[1]
    pad.connection.close()
