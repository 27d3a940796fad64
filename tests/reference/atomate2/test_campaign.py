"""Campaigns that Makers of atomate2 label, by FireWorks' workers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ase import Atoms
from ase.calculators.emt import EMT

from hea_flows.results.store import documents
from hea_flows.services.connection import Connection

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
CAMPAIGN = """\
name: {name}
alloy: {{elements: [Cu, Au], prototype: fcc, anion: null}}
structures: [{{set: 1(1)+2(2)}}]
labels:
  engine: atomate2
  options: {options}
"""
RELAX = """\
    maker: atomate2.forcefields.jobs:ForceFieldRelaxMaker
    kwargs:
      force_field_name: {"@module": ase.calculators.emt, "@callable": EMT}
      relax_kwargs: {fmax: 0.01}
"""
#: The first relaxation of a flow is coarse, and the label that of the second.
FLOW = """\
    maker: atomate2.vasp.flows.core:DoubleRelaxMaker
    kwargs:
      relax_maker1: {"@module": atomate2.ase.jobs, "@class": EmtRelaxMaker, steps: 5}
      relax_maker2:
        {"@module": atomate2.ase.jobs, "@class": EmtRelaxMaker, relax_kwargs: {fmax: 0.01}}
"""


@pytest.mark.parametrize("options", [RELAX, FLOW], ids=["job", "flow"])
def test_a_campaign_by_a_worker(options: str, connection: Connection, tmp_path: Path) -> None:
    environment = os.environ | connection.environment() | {"PYTHONPATH": str(ROOT / "src")}

    def run(name: str) -> list[Any]:
        (tmp_path / f"{name}.yaml").write_text(
            CAMPAIGN.format(name=name, options=f"\n{options}".rstrip())
        )
        done = subprocess.run(
            [sys.executable, "-m", "hea_flows", "run", f"{name}.yaml", "--workers", "1"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        with connection.job_store() as store:
            return [*documents(store, "label", load=True)]

    labels = run("first")
    assert [d.state for d in labels] == ["converged"] * 4
    for label in labels:
        for frame in label.trajectory.to_frames():
            fresh = Atoms(frame.symbols, frame.positions, cell=frame.cell, pbc=True)
            fresh.calc = EMT()
            told = frame.calc.results["energy"]
            assert told == pytest.approx(fresh.get_potential_energy(), abs=1e-6)
    # Another campaign finds them again.
    again = run("second")
    assert sorted(d.uuid for d in again) == sorted(d.uuid for d in labels)
