"""Monte Carlo as a job: killed, stopped by limits, found again, and what its document says."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from importlib import import_module
from math import log
from pathlib import Path
from types import ModuleType
from typing import Any

import bson
import numpy as np
import pytest
from ase.units import kB
from jobflow import Flow, JobStore, job, run_locally
from jobflow.managers.fireworks import flow_to_workflow
from maggma.stores import MemoryStore

from hea_flows.alloy.lattice.ordering import Ordering
from hea_flows.config import MonteCarloSpec
from hea_flows.jobs.routing import route
from hea_flows.jobs.sampling import montecarlo
from hea_flows.jobs.sampling import run as sampling_run
from hea_flows.jobs.sampling.montecarlo import MonteCarloMaker
from hea_flows.jobs.sampling.run import STATE_FILE, read_state, write_state
from hea_flows.provenance import provenance
from hea_flows.results.store import documents
from hea_flows.runtime.walltime import OutOfTimeError
from hea_flows.schemas import (
    AlloySpec,
    ChainSeries,
    DatasetDoc,
    ModelSpec,
    MonteCarloDoc,
    StoredFile,
    StructureEntry,
    TrainingDoc,
    TrainingSettings,
    Trajectory,
)
from hea_flows.services.connection import Connection
from hea_flows.services.progress import PROGRESS_FILE, campaign_progress, say
from hea_flows.services.workers import worker_loop

SPEC = AlloySpec(elements=("Mo", "Ta", "V"))
IMPORTABLE = Path(__file__).parents[1] / "importable"
SMALL = MonteCarloSpec(
    supercell="3x3", temperatures=[300, 900], runs=2, steps=8, burn_in=2, random=4
)


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the module of the process that samples with a cheap energy."""
    monkeypatch.syspath_prepend(str(IMPORTABLE))
    return import_module("sampling_process")


def start(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(IMPORTABLE / "sampling_process.py"), str(folder), "0.05"],
        stdout=subprocess.DEVNULL,
    )


def written(folder: Path) -> int:
    """Return when the state was last written; 0 if it never was."""
    try:
        return (folder / STATE_FILE).stat().st_mtime_ns
    except FileNotFoundError:
        return 0


@pytest.mark.slow
def test_killed_chains_end_as_those_of_an_uninterrupted_run(
    process: ModuleType, tmp_path: Path
) -> None:
    """Real processes, SIGKILL at random times from the first step on; every bit is the same."""
    whole = process.sample(tmp_path / "whole")
    assert 0.2 < np.mean([c.acceptance for c in whole["chains"]]) < 0.99
    folder, rng, kills = tmp_path / "killed", np.random.default_rng(4), []
    while len(kills) < 4:
        running = start(folder)
        before = written(folder)
        while written(folder) == before:
            assert running.poll() is None
            time.sleep(0.002)
        try:
            running.wait(timeout=float(rng.uniform(0, 0.15)))
        except subprocess.TimeoutExpired:
            running.send_signal(signal.SIGKILL)
        assert running.wait() == -signal.SIGKILL
        kills.append(int(read_state(folder / STATE_FILE)["numbers"][0]))
    assert kills == sorted(kills)
    assert kills[-1] > kills[0]
    assert start(folder).wait() == 0
    assert (folder / "series").read_bytes() == whole["series"].read()
    again = process.sample(folder)  # and what is finished is only read
    assert {k: v for k, v in again.items() if k != "seconds"} == {
        k: v for k, v in whole.items() if k != "seconds"
    }


def test_the_state_of_another_run_is_refused(process: ModuleType, tmp_path: Path) -> None:
    process.sample(tmp_path)
    state = read_state(tmp_path / STATE_FILE)
    state["about"] = np.array(str(state["about"]).replace('"key"', '"other"'))
    write_state(tmp_path / STATE_FILE, state)
    with pytest.raises(ValueError, match="belongs to a run of another model or settings"):
        process.sample(tmp_path)
    with pytest.raises(ValueError, match="x are Python objects"):
        write_state(tmp_path / STATE_FILE, {"x": np.array([{}], dtype=object)})


def test_a_limit_of_hours_stops_after_a_step_and_the_next_call_goes_on(
    process: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = process.sample(tmp_path / "whole")
    parts = 0
    while (found := process.sample(tmp_path / "parts", max_hours=1e-9)) is None:
        parts += 1
    assert parts == 32  # the start, then one step per call; the last one ends the run
    assert found["series"] == whole["series"]
    assert found["averages"] == whole["averages"]
    assert found["evaluations"] == whole["evaluations"]
    *_, before, last = capsys.readouterr().out.splitlines()
    trials = sum(c.trials for c in found["chains"])
    assert last.startswith(f"step 32 of 32, {trials} trials, ")
    assert "% of steps accepted, at least " in last
    assert before.startswith("step 31 of 32, ")


LADDER = {"from": 300, "to": 1500, "acceptance": 0.7}
SHORT = {"steps": 8, "burn_in": 4}


def test_a_run_that_is_cut_short_keeps_its_ladder_and_evaluates_nothing_twice(
    process: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the pilot, after it, after the references and in a step."""
    changes: dict[str, Any] = {"supercell": "3x3", "temperatures": LADDER} | SHORT
    energies, known = process.PairEnergies.energies, []
    calls: list[int] = []

    def counting(self: Any, codes: Any) -> Any:
        calls.append(len(codes))
        return energies(self, codes)

    monkeypatch.setattr(process.PairEnergies, "energies", counting)
    whole = process.sample(tmp_path / "whole", **changes)
    rungs = whole["ladder"].temperatures
    pilot = np.cumsum(calls).tolist().index(whole["ladder"].evaluations) + 1
    due = {5, pilot, pilot + 1, pilot + 5}  # the references are one call, the start two
    assert len(rungs) > 2
    assert [r.temperature for r in whole["averages"]] == rungs

    def dying(self: Any, codes: Any) -> Any:
        if len(known) in due:
            due.remove(len(known))
            raise KeyboardInterrupt
        known.append(len(codes))
        return energies(self, codes)

    monkeypatch.setattr(process.PairEnergies, "energies", dying)
    found = None
    while found is None:
        try:
            found = process.sample(tmp_path / "killed", max_hours=1e-9, **changes)
        except KeyboardInterrupt:
            kept = sampling_run.stored_ladder(tmp_path / "killed", "key")
            assert kept == (whole["ladder"] if len(known) >= pilot else None)
    assert not due
    assert sum(known) == found["evaluations"] == whole["evaluations"]
    assert {k: v for k, v in found.items() if k != "seconds"} == {
        k: v for k, v in whole.items() if k != "seconds"
    }
    with pytest.raises(ValueError, match="belongs to a run of another model or settings"):
        sampling_run.stored_ladder(tmp_path / "killed", "other")


def test_what_is_asked_of_a_ladder_identifies_the_run(asked: list[int]) -> None:
    store = memory()
    spec = MonteCarloSpec.model_validate(SMALL.model_dump() | {"temperatures": LADDER})
    first = run(store, MonteCarloMaker(monte_carlo=spec))
    assert first.ladder is not None
    assert first.ladder.evaluations in np.cumsum(asked)[:-1]
    assert first.evaluations == sum(asked)
    assert [r.temperature for r in first.averages] == first.ladder.temperatures
    assert first.settings.temperatures == spec.temperatures
    asked.clear()
    again = run(store, MonteCarloMaker(monte_carlo=spec))
    assert asked == []
    assert again.ladder == first.ladder
    other = spec.model_dump() | {"temperatures": LADDER | {"acceptance": 0.88}}
    another = run(store, MonteCarloMaker(monte_carlo=MonteCarloSpec.model_validate(other)))
    assert another.identity != first.identity
    assert len(another.averages) > len(first.averages)
    given = spec.model_dump() | {"temperatures": first.ladder.temperatures}
    same = run(store, MonteCarloMaker(monte_carlo=MonteCarloSpec.model_validate(given)))
    assert same.identity != first.identity
    assert same.series == first.series  # the pilot takes nothing of the chains' randomness
    assert same.ladder is None


def test_progress_of_a_running_job_is_read_from_its_folder(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    say("nobody listens")
    assert not (tmp_path / PROGRESS_FILE).exists()  # not a launch folder
    (tmp_path / "FW.json").touch()
    say("step 3 of 9, burn-in")
    launchpad = connection.launchpad()
    workflow = flow_to_workflow(Flow([training()]), store=None)  # type: ignore[arg-type]
    launchpad.add_wf(workflow)
    launchpad.checkout_fw(_worker(), str(tmp_path))
    [running] = campaign_progress(launchpad).running
    assert (running.message, running.step) == ("step 3 of 9, burn-in", "step 3 of 9")


def _worker() -> Any:
    from fireworks import FWorker

    return FWorker()


@job(data=["model_file"], output_schema=TrainingDoc)
def training(content: str = "weights") -> TrainingDoc:
    file = StoredFile.from_bytes("model.pt", content.encode())
    return TrainingDoc(
        **provenance(),
        name="toy",
        identity=content,
        parent=None,
        model=ModelSpec(family="chgnet", sha256=file.sha256),
        model_file=file,
        settings=TrainingSettings(),
        offsets={},
        dataset_checksum="",
        curve=[],
        best_epoch=1,
        errors={},
        seconds=1.0,
    )


@job(data=["trajectories"], output_schema=DatasetDoc)
def dataset() -> DatasetDoc:
    host = SPEC.to_alloy()
    ends = {e: Ordering(host, ((1, 0, 0), (0, 1, 0), (0, 0, 1)), (e,)) for e in host.elements}
    atoms = {e: o.to_atoms() for e, o in ends.items()}
    return DatasetDoc(
        **provenance(),
        alloy=SPEC,
        settings_id="toy",
        settings={},
        seed=0,
        split_by="frame",
        fractions=(0.8, 0.15, 0.05),
        n_structures=3,
        n_frames={o.id: 1 for o in ends.values()},
        train=[0],
        test=[],
        validation=[],
        end_points={e: o.id for e, o in ends.items()},
        excluded={},
        trajectories={
            ends[e].id: Trajectory(
                symbols=a.get_chemical_symbols(),
                pbc=(True, True, False),
                cells=[a.cell.array.tolist()],
                positions=[a.positions.tolist()],
                energies=[0.0],
                free_energies=[0.0],
                forces=[[[0.0] * 3] * len(a)],
                stresses=[[0.0] * 6],
            )
            for e, a in atoms.items()
        },
        labels={},
        structures={o.id: StructureEntry.from_ordering(o) for o in ends.values()},
        converged={},
        checksum="toy",
    )


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """Let jobs sample with the cheap energy; return how many decorations each call asks for."""
    monkeypatch.syspath_prepend(str(IMPORTABLE))
    monkeypatch.setattr(OutOfTimeError, "happened", False)
    monkeypatch.setenv("HEA_FLOWS_DATA_DIR", str(tmp_path / "data"))
    calls: list[int] = []
    from pair_energies import PairEnergies

    class Counted(PairEnergies):
        def energies(self, codes: Any) -> Any:
            calls.append(len(codes))
            return super().energies(codes)

    def energies(model: ModelSpec, alloy: Any, supercell: Any, *_: Any, **__: Any) -> Counted:
        assert Path(model.path or "").read_bytes().startswith(b"weights")
        return Counted(alloy, supercell)

    monkeypatch.setattr(montecarlo, "decoration_energies", energies)
    return calls


def run(
    store: JobStore,
    maker: MonteCarloMaker,
    content: str = "weights",
    alloy: AlloySpec = SPEC,
) -> MonteCarloDoc:
    tuned, data = training(content), dataset()
    chains = maker.make(tuned.output, data.output, alloy)
    run_locally(Flow([tuned, data, chains]), store=store, ensure_success=True, log=False)
    return MonteCarloDoc.model_validate(store.get_output(chains.uuid, load=True))


def memory() -> JobStore:
    return JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})


def test_chains_of_unequal_parts(asked: list[int]) -> None:
    """Of the alloy, or of the section; both what was asked for and what the cell holds."""
    store, shares = memory(), {"Mo": 0.5, "Ta": 0.3, "V": 0.2}
    rich = SPEC.model_copy(update={"composition": shares})
    found = run(store, MonteCarloMaker(monte_carlo=SMALL), alloy=rich)
    assert found.composition == shares
    assert found.counts == {"Mo": 4, "Ta": 3, "V": 2}  # of 4.5, 2.7, 1.8
    assert {tuple(sorted(c.final_species)) for c in found.chains} == {
        ("Mo",) * 4 + ("Ta",) * 3 + ("V",) * 2
    }
    assert found.separation.reason.startswith("five temperatures")
    ideal = kB * log(1260) / 9  # 9!/(4! 3! 2!)
    infinite = -kB * sum(n / 9 * log(n / 9) for n in (4, 3, 2))
    for record in found.averages:
        mixed = found.random_mev - 1e3 * record.temperature * np.array([ideal, infinite])
        assert [record.ideal_free_energy_mev, record.ideal_infinite_mev] == pytest.approx(mixed)
    # Vegard's lattice constant of the composition that the cell holds.
    host = SPEC.to_alloy()
    a = sum(n / 9 * host.lattice_constant(e) for e, n in found.counts.items())
    assert found.lattice_constant == pytest.approx(a)
    # The section's composition comes before that of the alloy; chains of equal counts are one.
    asked.clear()
    own = SMALL.model_copy(update={"composition": {"Mo": 0.49, "Ta": 0.31, "V": 0.2}})
    again = run(store, MonteCarloMaker(monte_carlo=own))
    assert asked == []
    assert (again.series, again.alloy.composition) == (found.series, {})
    assert again.composition == pytest.approx({"Mo": 0.49, "Ta": 0.31, "V": 0.2})
    equal = SMALL.model_copy(update={"composition": dict.fromkeys(shares, 1 / 3)})
    assert run(store, MonteCarloMaker(monte_carlo=equal), alloy=rich).counts == dict.fromkeys(
        shares, 3
    )


def test_chains_that_are_there_are_not_sampled_again(asked: list[int]) -> None:
    store = memory()
    first = run(store, MonteCarloMaker(monte_carlo=SMALL))
    assert sum(asked) == first.evaluations
    asked.clear()
    again = run(store, MonteCarloMaker(monte_carlo=SMALL, name="other"))
    assert asked == []
    assert again.sources["reused"] == [first.uuid]
    assert (again.series, again.chains) == (first.series, first.chains)
    hours = SMALL.model_copy(update={"max_hours": 1.0})
    run(store, MonteCarloMaker(monte_carlo=hours))  # how long a job may last decides nothing
    assert asked == []
    other_average = SMALL.model_copy(update={"average_from": 0})
    averaged = run(store, MonteCarloMaker(monte_carlo=other_average))
    assert asked == []  # another average of the same chains, which lie in the folder
    assert averaged.series == first.series
    assert {c.averaged_from for c in averaged.chains} == {1}
    assert averaged.identity != first.identity
    for other in (
        {"maker": MonteCarloMaker(monte_carlo=SMALL, seed=1)},
        {"maker": MonteCarloMaker(monte_carlo=SMALL.model_copy(update={"steps": 9}))},
        {"maker": MonteCarloMaker(monte_carlo=SMALL), "content": "weights 2"},
        {"maker": MonteCarloMaker(monte_carlo=SMALL, reuse=False)},
    ):
        asked.clear()
        assert run(store, **other).identity
        assert sum(asked) > 0


@pytest.mark.parametrize("limit", ["batch job", "hours"])
def test_a_long_run_is_several_jobs_with_the_same_chains(
    limit: str, connection: Connection, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through real FireWorks: the job adds itself again until the chains are done."""
    whole = run(memory(), MonteCarloMaker(monte_carlo=SMALL, reuse=False))
    spec = SMALL
    if limit == "hours":
        spec = SMALL.model_copy(update={"max_hours": 1e-9})
    else:
        steps = iter([1e6] * 4 + [0.0] + [1e6] * 3 + [0.0])
        monkeypatch.setattr(sampling_run, "seconds_left", lambda: next(steps, 1e6))
    tuned, data = training(), dataset()
    chains: Any = route(
        MonteCarloMaker(monte_carlo=spec).make(tuned.output, data.output, SPEC), "toy", _priority=3
    )
    chains.update_metadata({"campaign": "x"})
    connection.activate()
    workflow = flow_to_workflow(Flow([tuned, data, chains]), store=None)  # type: ignore[arg-type]
    connection.launchpad().add_wf(workflow)
    allocations = 0
    while not campaign_progress(connection.launchpad()).over:
        worker_loop(connection, max_idle=0, poll=0.05)
        OutOfTimeError.happened = False  # the next allocation
        allocations += 1
    fireworks = connection.launchpad().fireworks
    assert set(fireworks.distinct("state")) == {"COMPLETED"}
    own = {"name": {"$regex": "^monte carlo"}}
    # The start is a step of its own; a worker does not leave because the hours are over.
    assert (fireworks.count_documents(own), allocations) == {
        "hours": (1 + SMALL.burn_in + SMALL.steps, 1),
        "batch job": (3, 3),
    }[limit]
    assert fireworks.distinct("spec._category", own) == ["toy"]
    with connection.job_store() as store:
        [light] = documents(store, "montecarlo", "x")
        [found] = documents(store, "montecarlo", "x", load=True)
    assert isinstance(light, MonteCarloDoc)
    assert isinstance(found, MonteCarloDoc)
    assert light.series.content == ""
    assert found.series == whole.series
    assert found.chains == whole.chains
    assert found.averages == whole.averages
    assert found.evaluations == whole.evaluations
    assert found.campaign == "x"


@pytest.mark.slow
def test_long_chains_of_many_temperatures_fit_a_document(asked: list[int]) -> None:
    """Ten temperatures of four runs of 5000 steps: the series lies in the data store."""
    spec = MonteCarloSpec(
        supercell="6x6",
        temperatures={"from": 100, "to": 1500, "n": 10},  # type: ignore[arg-type]
        preset="paper",
        random=4,
        shells=[1, 2],
    )
    store = memory()
    found = run(store, MonteCarloMaker(monte_carlo=spec))
    stored = store.query_one({"uuid": found.uuid})["output"]
    assert "blob_uuid" in stored["series"]
    assert len(bson.encode(stored)) < 300_000
    assert len(found.series.content) < 16_000_000
    series = ChainSeries.from_file(found.series)
    assert series.energies.shape == (40, 5001)
    assert series.counts[2].shape == (40, 5001, 6)
    assert {c.averaged_from for c in found.chains} == {2001}
    assert {c.trials for c in found.chains} == {5000}
