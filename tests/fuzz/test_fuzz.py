"""A thousand cases of what people may type or point at; `benchmarks/fuzz.py` tries more."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import fuzzing
import pytest
from hypothesis import HealthCheck, Phase, given, settings

EXAMPLES = {"campaign": 250, "set": 250, "command": 150, "frames": 200, "machine": 150}


@pytest.fixture
def home(machine: Path) -> Path:
    """Use small limits and a database that does not answer."""
    os.environ.update(fuzzing.ENVIRONMENT, MPLCONFIGDIR=str(machine.parent / "matplotlib"))
    return machine.parent


@pytest.mark.slow
@pytest.mark.parametrize("kind", fuzzing.KINDS)
def test_accepted_or_refused_in_one_line(kind: str, home: Path) -> None:
    folder = home / "valid"
    folder.mkdir()
    fuzzing.warm_up(kind, folder)

    @settings(
        max_examples=EXAMPLES[kind],
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],  # a failing case is small enough, and others wait
        suppress_health_check=list(HealthCheck),
    )
    @given(fuzzing.KINDS[kind][0])
    def check(case: Any) -> None:
        with tempfile.TemporaryDirectory(dir=home) as folder:
            fuzzing.attempt(kind, case, Path(folder))

    check()
