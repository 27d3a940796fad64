"""Training as a job: interrupted before a time limit, found again, told what it depends on."""

from __future__ import annotations

import hashlib
import sys
import time
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import pytest
from jobflow import CURRENT_JOB, Flow, JobStore, job, run_locally
from jobflow.managers.fireworks import flow_to_workflow
from maggma.stores import MemoryStore

from hea_flows import plugins
from hea_flows.jobs.learning.train import TrainMaker
from hea_flows.jobs.routing import route
from hea_flows.potentials import model_files
from hea_flows.potentials.base import Family, TrainingResult
from hea_flows.potentials.model_files import Checkpoint
from hea_flows.provenance import provenance
from hea_flows.results.store import documents
from hea_flows.runtime.walltime import OutOfTimeError
from hea_flows.schemas import (
    AlloySpec,
    DatasetDoc,
    ErrorSummary,
    ModelSpec,
    StructureEntry,
    TrainingSettings,
    Trajectory,
)
from hea_flows.services.connection import Connection
from hea_flows.services.workers import worker_loop

SPEC = AlloySpec(elements=("Mo",))


class CountingFamily(Family):
    """A family that counts its epochs in its folder, one per call where time is short."""

    name = "counting"
    short = False
    calls: list[Path] = []  # noqa: RUF012

    def resolve(self, spec: ModelSpec) -> ModelSpec:
        return spec

    def calculator(self, spec: ModelSpec, device: str = "cpu") -> Any:
        raise NotImplementedError

    def train(self, parent, train, validation, test, settings, directory, **_: Any) -> Any:
        type(self).calls.append(directory)
        directory.mkdir(parents=True, exist_ok=True)
        state = directory / "epochs"
        done = int(state.read_text()) if state.exists() else 0
        while done < 3:
            done += 1
            state.write_text(str(done))
            if self.short:
                raise OutOfTimeError(done)
        path = directory / "model.pt"
        content = Checkpoint("counting", {"energy": train[0].calc.results["energy"]}, {})
        sha256 = model_files.save(path, content)
        errors = {"train": ErrorSummary(n_frames=1, energy_mev=0, forces_mev=0, stress=0)}
        model = ModelSpec(family="counting", path=str(path), sha256=sha256)
        return TrainingResult(model, settings, 3, [], errors, 1.0)

    def __init__(self, architecture: Any = None, dtype: str = "float32") -> None:
        pass


@job(data=["trajectories"], output_schema=DatasetDoc)
def dataset(energy: float = -20.0) -> DatasetDoc:
    [ordering] = registry_orderings()
    atoms = ordering.to_atoms()
    n = len(atoms)
    key = ordering.id
    return DatasetDoc(
        **provenance(),
        alloy=SPEC,
        settings_id="toy",
        settings={},
        seed=0,
        split_by="frame",
        fractions=(0.8, 0.15, 0.05),
        n_structures=1,
        n_frames={key: 1},
        train=[0],
        test=[],
        validation=[],
        end_points={"Mo": key},
        excluded={},
        trajectories={
            key: Trajectory(
                symbols=atoms.get_chemical_symbols(),
                pbc=(True, True, False),
                cells=[atoms.cell.array.tolist()],
                positions=[atoms.positions.tolist()],
                energies=[energy],
                free_energies=[energy],
                forces=[[[0.0] * 3] * n],
                stresses=[[0.0] * 6],
            )
        },
        labels={key: "label"},
        structures={key: StructureEntry.from_ordering(ordering)},
        converged={key: True},
        checksum=f"{energy}",
    )


def registry_orderings() -> Any:
    from hea_flows.alloy.sets.named import parse

    return parse("1(1)").build(SPEC.to_alloy(), 0)


@pytest.fixture(autouse=True)
def _family(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    row = plugins.Row(CountingFamily)
    monkeypatch.setitem(plugins.FAMILIES.registered, "counting", row)
    monkeypatch.setattr(CountingFamily, "calls", [])
    monkeypatch.setattr(OutOfTimeError, "happened", False)
    monkeypatch.setenv("HEA_FLOWS_DATA_DIR", str(tmp_path / "data"))


def maker(**fields: Any) -> TrainMaker:
    return TrainMaker(model=ModelSpec(family="counting"), **fields)


def test_training_that_runs_out_of_time_goes_on_in_the_next_job(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through real FireWorks: the job adds itself again, and the folder has the epochs so far."""
    monkeypatch.setattr(CountingFamily, "short", True)
    data: Any = dataset()
    train: Any = route(maker(title="Model X").make(data.output), "counting", _priority=3)
    train.update_metadata({"campaign": "x"})
    connection.activate()
    workflow = flow_to_workflow(Flow([data, train]), store=None)  # type: ignore[arg-type]
    connection.launchpad().add_wf(workflow)
    for epochs in (1, 2):
        worker_loop(connection, max_idle=0, poll=0.05)
        assert len(CountingFamily.calls) == epochs
        OutOfTimeError.happened = False  # the next allocation
    monkeypatch.setattr(CountingFamily, "short", False)
    worker_loop(connection, max_idle=0, poll=0.05)
    assert len(CountingFamily.calls) == 3
    assert len(set(CountingFamily.calls)) == 1
    fireworks = connection.launchpad().fireworks
    assert set(fireworks.distinct("state")) == {"COMPLETED"}
    specs = {f["spec"]["_category"] for f in fireworks.find({"name": {"$ne": "dataset"}})}
    assert specs == {"counting"}
    with connection.job_store() as store:
        found = {d.uuid: d for d in documents(store, "training", "x", load=True)}
        output = store.get_output(train.uuid, load=True)
    assert output["model_file"]["sha256"] in {d.model_file.sha256 for d in found.values()}
    assert output["name"] == "Model X"


def test_a_model_that_is_there_is_not_trained_again() -> None:
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})

    def trained(one: TrainMaker, energy: float = -20.0) -> dict[str, Any]:
        data: Any = dataset(energy)
        train: Any = one.make(data.output)
        done = run_locally(Flow([data, train]), store=store, ensure_success=True, log=False)
        assert done
        output: dict[str, Any] = store.get_output(train.uuid, load=True)
        return output

    first = trained(maker())
    again = trained(maker(title="another name"))
    assert len(CountingFamily.calls) == 1
    assert again["sources"]["reused"] == [first["uuid"]]
    assert (again["name"], again["model"], again["model_file"]) == (
        "another name",
        first["model"],
        first["model_file"],
    )
    trained(maker(training=TrainingSettings(seed=7)))
    trained(maker(), energy=-21.0)
    assert len(set(CountingFamily.calls)) == 3
    trained(maker(reuse=False))
    assert len(CountingFamily.calls) == 4


def test_the_order_of_structures_is_part_of_what_a_model_depends_on() -> None:
    """Splits are positions in the dataset's order: the same ones mean other frames in another."""
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})

    @job(data=["trajectories"], output_schema=DatasetDoc)
    def two(first: str, second: str) -> DatasetDoc:
        one = dataset.original()
        [key] = one.n_frames
        frames = one.trajectories[key]
        keys = (first, second)
        return one.model_copy(
            update={
                "uuid": CURRENT_JOB.job.uuid,
                "n_frames": dict.fromkeys(keys, 1),
                "trajectories": dict.fromkeys(keys, frames),
                "labels": dict.fromkeys(keys, "label"),
            }
        )

    for keys in (("a", "b"), ("b", "a"), ("a", "b")):
        data: Any = two(*keys)
        run_locally(Flow([data, maker().make(data.output)]), store=store, log=False)
    assert len(CountingFamily.calls) == 2
    assert len(set(CountingFamily.calls)) == 2


def start_training(folder: Path) -> Popen[str]:
    """Start a process that trains the model of a folder's dataset."""
    script = Path(__file__).parents[1] / "importable" / "training_process.py"
    return Popen([sys.executable, str(script), str(folder)], stdout=PIPE, text=True)


def until(path: Path, process: Popen[str]) -> None:
    end = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("killed", [False, True])
def test_two_processes_train_one_model_once(tmp_path: Path, *, killed: bool) -> None:
    """Two names of one model: one process trains, the other waits, or goes on where it died."""
    (tmp_path / "dataset.json").write_text(dataset.original().model_dump_json())
    first = start_training(tmp_path)
    until(tmp_path / f"training-{first.pid}", first)
    second = start_training(tmp_path)
    until(tmp_path / f"waiting-{second.pid}", second)
    (tmp_path / "go-1").touch()
    [epochs] = (tmp_path / "data" / "training").glob("*/epochs")
    while epochs.read_text() != f"{first.pid}\n":
        time.sleep(0.01)
    assert not (tmp_path / f"training-{second.pid}").exists()
    if killed:
        first.kill()
    for n in (2, 3):
        (tmp_path / f"go-{n}").touch()
    told = [process.communicate(timeout=120)[0] for process in (first, second)]
    assert second.returncode == 0
    by = [first.pid, second.pid, second.pid] if killed else [first.pid] * 3
    assert epochs.read_text().split() == [str(pid) for pid in by]
    sha256 = hashlib.sha256(epochs.with_name("model.pt").read_bytes()).hexdigest()
    assert told == (["", f"{sha256}\n"] if killed else [f"{sha256}\n"] * 2)
