"""The VASP stand-in for the tests of the engine: one folder and one potential server for all."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from jobflow import JobStore, run_locally
from maggma.stores import MemoryStore
from vasp_standin import environment

from hea_flows.alloy.lattice.ordering import Ordering
from hea_flows.reference.vasp.maker import VaspMaker
from hea_flows.schemas import AlloySpec, LabelDoc, StructureEntry

#: Custodian looks so often (s) that tests need not wait for it.
FAST = {"polling_time_step": 0.05, "monitor_freq": 2}


@dataclass(frozen=True)
class Standin:
    """A machine with the stand-in as its VASP.

    Parameters
    ----------
    home
        Folder of the stand-in.
    work
        Folder of this test: its scratch folder lies in it.
    variables
        What a process of its own needs to use the stand-in.
    """

    home: Path
    work: Path
    variables: dict[str, str]

    def faults(self, *plan: dict[str, Any] | None) -> None:
        """Plan the faults of this test's launches, in order."""
        environment.write_faults(self.home, {self.work.name: plan})

    def launches(self) -> list[dict[str, Any]]:
        """Return this test's launches."""
        return [x for x in environment.launches(self.home) if str(self.work) in x["directory"]]

    def maker(self, **options: Any) -> VaspMaker:
        """Return a Maker whose custodian does not sleep."""
        run = {"custodian_kwargs": FAST, **options.pop("run_vasp", {})}
        return VaspMaker.from_options(run_vasp=run, **options)

    def run(self, job: Any) -> dict[str, Any]:
        """Run a job or flow here; return the newest output of each job by uuid."""
        store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
        root = self.work / f"jobs-{uuid.uuid4().hex[:6]}"
        root.mkdir()
        found = run_locally(job, store=store, root_dir=root, log=False, raise_immediately=True)
        return {key: value[max(value)].output for key, value in found.items()}

    def label(self, ordering: Ordering, maker: VaspMaker | None = None, **more: Any) -> LabelDoc:
        """Label one structure, by a job."""
        alloy = AlloySpec.model_validate(
            {"elements": ordering.alloy.elements, "anion": ordering.alloy.anion}
        )
        job = (maker or self.maker()).make(StructureEntry.from_ordering(ordering), alloy, **more)
        label: LabelDoc = self.run(job)[job.uuid]
        return label


@pytest.fixture(scope="session")
def standin_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep one potential server for the whole session."""
    pytest.importorskip("chgnet", reason="the stand-in's energies are CHGNet's")
    folder = tmp_path_factory.mktemp("vasp-standin")
    yield folder
    environment.stop_server(folder)


@pytest.fixture
def standin(standin_home: Path, machine: Path, tmp_path: Path) -> Iterator[Standin]:
    """Make the stand-in this process's VASP."""
    with environment.in_process(standin_home, keep_server=True) as variables:
        environment.write_faults(standin_home, {})
        yield Standin(standin_home, tmp_path, variables)
