"""What is known of a batch job; SLURM itself answers in tests/clusters."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import pytest

from hea_flows.services.batch import BatchJob, unfinished_jobs


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in list(os.environ):
        if name.startswith("SLURM_"):
            monkeypatch.delenv(name)
    return monkeypatch


def test_outside_a_batch_job(variables: pytest.MonkeyPatch) -> None:
    assert BatchJob.current() is None
    variables.setenv("SLURM_JOB_ID", "no number")
    assert BatchJob.current() is None


def test_the_job_of_this_process(variables: pytest.MonkeyPatch) -> None:
    variables.setenv("SLURM_JOB_ID", "1234")
    assert BatchJob.current() == BatchJob("", 1234, 0, os.getuid())
    variables.setenv("SLURM_CLUSTER_NAME", "big")
    variables.setenv("SLURM_RESTART_COUNT", "2")
    job = BatchJob.current()
    assert job == BatchJob("big", 1234, 2, os.getuid())
    assert BatchJob.from_dict(asdict(job)) == job


@pytest.mark.parametrize("data", [None, {}, {"number": 1}, {"another": 1}])
def test_no_job(data: dict[str, int] | None) -> None:
    assert BatchJob.from_dict(data) is None


def test_no_slurm(variables: pytest.MonkeyPatch, tmp_path: Path) -> None:
    variables.setenv("PATH", str(tmp_path))
    assert unfinished_jobs("big", os.getuid()) is None
    assert unfinished_jobs("", os.getuid()) is None
