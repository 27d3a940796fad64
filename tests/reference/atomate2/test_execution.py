"""Jobs of a Maker within one job: what is done is not done again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from jobflow import CURRENT_JOB, Flow, Job, Response, job

from hea_flows.reference.atomate2.execution import run_flow
from hea_flows.runtime import OutOfTimeError

#: What was computed, in this order.
CALLS: list[str] = []
#: Names of jobs that fail.
FAIL: set[str] = set()


@job(data="values")
def add(name: str, first: int, second: int = 0) -> dict[str, Any]:
    Path("left-over").write_text(name)
    CALLS.append(name)
    if name in FAIL:
        msg = f"{name} fails"
        raise RuntimeError(msg)
    return {"values": first + second}


@job
def replaced(first: int) -> Response[Any]:
    CALLS.append("replaced")
    one, two = add("inner 1", first, 10), add("inner 2", first, 20)
    last = add("inner 3", one.output["values"], two.output["values"])
    return Response(replace=Flow([one, two, last], output=last.output))


@job
def stopping(value: int) -> Response[Any]:
    return Response({"values": value}, stop_children=True)


def flow() -> Flow:
    first = add("first", 1)
    inner = replaced(first.output["values"])
    last = add("last", inner.output["values"], 100)
    return Flow([first, inner, last], output={"sum": last.output["values"]})


def refuse() -> Flow:
    msg = "the flow is made once"
    raise AssertionError(msg)


@pytest.fixture(autouse=True)
def _forget() -> None:
    CALLS.clear()
    FAIL.clear()


def test_a_flow_goes_on_with_the_job_that_failed(tmp_path: Path) -> None:
    outer: Any = add("outer", 0)
    CURRENT_JOB.job = outer
    FAIL.add("inner 2")
    with pytest.raises(RuntimeError, match="inner 2 fails"):
        run_flow(tmp_path, flow)
    assert CURRENT_JOB.job is outer
    assert CALLS == ["first", "replaced", "inner 1", "inner 2"]
    FAIL.clear()
    # 1; 1 + 10, 1 + 20; 11 + 21; 32 + 100
    assert run_flow(tmp_path, refuse) == {"sum": 132}
    assert CALLS[4:] == ["inner 2", "inner 3", "last"]
    assert run_flow(tmp_path, refuse) == {"sum": 132}
    assert len(CALLS) == 7
    assert CURRENT_JOB.job is outer
    CURRENT_JOB.reset()
    folders = sorted(p.read_text() for p in tmp_path.glob("*/left-over"))
    assert folders == ["first", "inner 1", "inner 2", "inner 3", "last"]


def test_a_time_limit_between_two_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OutOfTimeError, "happened", False)
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) + 10))
    done = []
    while True:
        try:
            output = run_flow(tmp_path, flow)
            break
        except OutOfTimeError:
            done.append(len(CALLS))
    # Each call runs one job; the last but one is jobflow's own, with the output of `replaced`.
    assert done == [1, 2, 3, 4, 5, 5]
    assert output == {"sum": 132}


def test_a_job_and_a_flow_without_output(tmp_path: Path) -> None:
    def single() -> Job:
        made: Job = add("single", 3)
        return made

    assert run_flow(tmp_path / "job", single) == {"values": 3}
    assert run_flow(tmp_path / "flow", lambda: Flow([add("a", 1), add("b", 2)])) == {"values": 2}


def test_a_job_that_stops_its_children(tmp_path: Path) -> None:
    """A code that did not converge stops the flow; alone, its document is what there is."""

    def alone() -> Job:
        made: Job = stopping(1)
        return made

    def followed() -> Flow:
        first = stopping(1)
        return Flow([first, last := add("last", first.output["values"])], output=last.output)

    assert run_flow(tmp_path / "alone", alone) == {"values": 1}
    for _ in range(2):
        with pytest.raises(RuntimeError, match="job 'stopping' did not end well and stopped those"):
            run_flow(tmp_path / "followed", followed)
    assert CALLS == []
