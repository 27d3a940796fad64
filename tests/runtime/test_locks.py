"""Only one process works on a run at a time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hea_flows.runtime.locks import alone
from hea_flows.runtime.walltime import OutOfTimeError


def test_who_waits_for_another_leaves_before_its_time_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OutOfTimeError, "happened", False)
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) + 20))
    folder = tmp_path / "training" / "key"
    with alone(folder):
        assert not folder.exists()
        with alone(folder.with_name("another")):
            pass
        with (
            pytest.raises(OutOfTimeError, match="s are left and another process works in"),
            alone(folder),
        ):
            pass
    with alone(folder):
        pass
