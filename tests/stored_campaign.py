"""A synthetic campaign whose headline numbers are known exactly."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from jobflow import JobStore
from maggma.stores import MemoryStore

from hea_flows.alloy.lattice.bonds import bond_counts, neighbour_pairs
from hea_flows.alloy.lattice.ordering import Ordering
from hea_flows.alloy.sampling import (
    ChainSummary,
    SamplingSettings,
    Separation,
    TemperatureSummary,
)
from hea_flows.alloy.thermodynamics import (
    decomposition_temperature,
    decompositions,
    deed,
    hull_depth,
    transition_temperatures,
)
from hea_flows.schemas import (
    AlloySpec,
    BenchmarkDoc,
    BenchmarkTable,
    CampaignDoc,
    ChainSeries,
    DatasetDoc,
    Document,
    Epoch,
    ErrorSummary,
    LabelDoc,
    ModelSpec,
    ModelUncertainty,
    MonteCarloDoc,
    ParityPoint,
    ReferencePhases,
    StoredFile,
    StructureEntry,
    StructuresDoc,
    TestSetDoc,
    ThermodynamicsDoc,
    TrainingDoc,
    TrainingSettings,
    Trajectory,
)

ELEMENTS = ("Mo", "Ta", "Nb", "W", "V")
RULE = {"code": "toy", "xc": "PBE", "cutoff": 400.0}
FOUNDATION = ModelSpec(family="chgnet", name="0.3.0")
TUNED = ModelSpec(family="chgnet", sha256=hashlib.sha256(b"weights").hexdigest())
START = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
#: Errors of the models on every alloyed structure (meV/unit): alternating signs, so exact MAEs.
BEFORE, AFTER, BEFORE_FIXED, AFTER_FIXED = 20.0, 2.5, 18.0, 2.0


def line(*species: str) -> Ordering:
    """Return a row of cells with one species each."""
    alloy = AlloySpec(elements=ELEMENTS).to_alloy()
    return Ordering(alloy, ((len(species), 0, 0), (0, 1, 0), (0, 0, 1)), species)


def toy_trajectory(ordering: Ordering, n_frames: int, seed: int) -> Trajectory:
    """Return frames full of numbers that need all their digits."""
    rng, atoms = np.random.default_rng(seed), ordering.to_atoms()
    n = len(atoms)
    return Trajectory(
        symbols=atoms.get_chemical_symbols(),
        pbc=(True, True, False),
        cells=[  # the c of a layer stays
            (atoms.cell.array * [[1 + x], [1 + x], [1]]).tolist()
            for x in 0.01 * rng.normal(size=n_frames)
        ],
        positions=[
            (atoms.positions + 0.03 * rng.normal(size=(n, 3))).tolist() for _ in range(n_frames)
        ],
        energies=(-8.0 * n + rng.normal(size=n_frames)).tolist(),
        free_energies=(-8.1 * n + rng.normal(size=n_frames)).tolist(),
        forces=rng.normal(size=(n_frames, n, 3)).tolist(),
        stresses=(1e-3 * rng.normal(size=(n_frames, 6))).tolist(),
        magmoms=rng.normal(size=(n_frames, n)).tolist() if seed % 2 else None,
    )


TITLES = {"foundation": "CHGNet", "fine-tuned": "Model 4"}


def parity_points(
    entries: list[StructureEntry], held: set[str], error: float, *, trained: bool
) -> list[ParityPoint]:
    """Return points whose mixing (and total, per unit) errors are ± `error` meV."""
    rng, points = np.random.default_rng(5), []
    for i, entry in enumerate(entries):
        alloyed = len(entry.counts) > 1
        shift = error * (-1) ** i if alloyed else 0.0
        mixing = float(rng.normal(10, 15)) if alloyed else 0.0
        total = (
            float(
                np.mean(
                    [
                        {"Mo": -21.5, "Ta": -22.4, "Nb": -20.8, "W": -23.6, "V": -19.9}[s]
                        for s in entry.species
                    ]
                )
            )
            + mixing / 1000
        )
        points.append(
            ParityPoint(
                structure_id=entry.structure_id,
                formula=entry.formula,
                n_components=len(entry.counts),
                test_set="held-out" if entry.structure_id in held else "training",
                trained=trained and entry.structure_id not in held,
                reference_energy=total,
                model_energy=total + shift / 1000,
                reference_mixing_mev=mixing,
                model_mixing_mev=mixing + shift,
            )
        )
    return points


def benchmark(
    role: str,
    model: ModelSpec,
    entries: list[StructureEntry],
    held: set[str],
    *,
    relaxed: float,
    fixed: float,
    failed: dict[str, str],
    **common: Any,
) -> BenchmarkDoc:
    """Return a benchmark with tables that fit its points."""
    kept = [e for e in entries if e.structure_id not in failed]
    trained = role == "fine-tuned"
    points = {
        "fixed": parity_points(entries, held, fixed, trained=trained),
        "relaxed": parity_points(kept, held, relaxed, trained=trained),
    }
    test_sets = {
        "held-out": held,
        "training": {e.structure_id for e in entries} - held,
    }
    tables = [
        BenchmarkTable(
            test_set=name,
            geometry=geometry,
            n=sum(p.test_set == name and p.n_components > 1 for p in points[geometry]),
            n_trained=sum(
                p.trained and p.test_set == name and p.n_components > 1 for p in points[geometry]
            ),
            n_failed=len(failed.keys() & ids) if geometry == "relaxed" else 0,
            new_mixing_mae_mev=None if trained and name == "training" else error,
            total_mae_mev=error,
            mixing_mae_mev=error,
            mixing_mae_interval_mev=(0.9 * error, 1.1 * error),
            by_components={"2": error, "3": error, "5": error},
            reference=f"end points of the primitive cell, {geometry}",
        )
        for geometry, error in (("fixed", fixed), ("relaxed", relaxed))
        for name, ids in test_sets.items()
    ]
    return BenchmarkDoc(
        name=TITLES[role],
        identity=f"{role} benchmark",
        engine="toy",
        offsets_from="training frames" if trained else "end points",
        test_sets={"held-out": "4e" * 32, "training": "7a" * 32},
        seed=9 if trained else None,
        role=role,
        model=model,
        settings_id="0123456789ab",
        offsets=dict.fromkeys(ELEMENTS, 0.1),
        tables=tables,
        **points,
        failed=failed,
        **common,
    )


TEMPERATURES = (200.0, 300.0, 400.0, 600.0, 1000.0)
STEPS, BLOCK, CELL = 8, 625, ((10, 0, 0), (0, 10, 0), (0, 0, 1))


def decoration(temperature: float, run: int) -> list[str]:
    """Return a decoration that keeps V apart when it is cold."""
    rng = np.random.default_rng([run, int(temperature)])
    species = np.repeat(ELEMENTS, 20).tolist()
    mixed = species if temperature > 500 else species[:80]
    rng.shuffle(mixed)
    return mixed + species[len(mixed) :]


def order(temperature: float) -> dict[str, float]:
    """Return order parameters: CV of pairs with V is 24/T exactly."""
    pairs = [f"{a}-{b}" for i, a in enumerate(ELEMENTS) for b in ELEMENTS[i:]]
    return {
        p: (24 / temperature if "V" in p.split("-") else 0.3 / temperature * (i - 4))
        for i, p in enumerate(pairs)
    }


def sampled_series() -> ChainSeries:
    """Return energies that rise by 1 meV/unit per step, and bonds of random decorations."""
    alloy, rng = AlloySpec(elements=ELEMENTS).to_alloy(), np.random.default_rng(8)
    pairs, codes = neighbour_pairs(alloy, CELL), np.repeat(np.arange(5), 20)
    energies, counts = [], []
    for i in range(2 * len(TEMPERATURES)):
        energies.append(-20 - 0.1 * i + 1e-3 * np.arange(STEPS + 1))
        drawn = [bond_counts(rng.permutation(codes), pairs, 5) for _ in range(STEPS + 1)]
        counts.append({1: np.array(drawn)})
    return ChainSeries.collect(energies, counts)


def montecarlo(**common: Any) -> MonteCarloDoc:
    """Return Monte Carlo that separates V when it is cold."""
    chains, averages = [], []
    for t in TEMPERATURES:
        values = order(t)
        errors = dict.fromkeys(values, 0.004)
        for run in (0, 1):
            species = decoration(t, run)
            chains.append(
                ChainSummary(
                    temperature=t,
                    run=run,
                    acceptance=0.1 + t / 5000,
                    exchange_acceptance=None,
                    block=BLOCK,
                    trials=BLOCK * STEPS,
                    averaged_from=2,
                    effective_samples=6,
                    energy_mev=15 + t / 100 + (1 if run else -1),
                    energy_error_mev=0.2,
                    order_parameters={"1": values},
                    order_errors={"1": errors},
                    initial_species=species,
                    final_species=species,
                )
            )
        averages.append(
            TemperatureSummary(
                temperature=t,
                n_runs=2,
                trials=2 * BLOCK * STEPS,
                acceptance=0.1 + t / 5000,
                effective_samples=12,
                r_hat=1.02,
                converged=t > 250,
                energy_mev=15 + t / 100,
                energy_error_mev=1.0,
                heat_capacity=0.4,
                heat_capacity_error=0.05,
                order_parameters={"1": values},
                order_errors={"1": dict.fromkeys(values, 0.003)},
                warren_cowley={"1": dict.fromkeys(values, 0.0)},
                warren_cowley_errors={"1": dict.fromkeys(values, 0.01)},
                free_energy_mev=20 - 0.139 * t,
                free_energy_error_mev=0.3,
                ideal_free_energy_mev=25 - 0.139 * t,
                ideal_infinite_mev=25 - 0.1387 * t,
            )
        )
    return MonteCarloDoc(
        identity="sampled",
        model=TUNED,
        mode="fixed lattice",
        alloy=AlloySpec(elements=ELEMENTS),
        supercell=CELL,
        composition=dict.fromkeys(ELEMENTS, 0.2),
        counts=dict.fromkeys(ELEMENTS, 20),
        lattice_constant=3.241,
        seed=0,
        settings=SamplingSettings(temperatures=list(TEMPERATURES), runs=2, steps=STEPS),
        end_points=dict.fromkeys(ELEMENTS, -20.0),
        random_mev=25.0,
        random_error_mev=0.4,
        chains=chains,
        averages=averages,
        separation=Separation(
            levels={f"{e}-{e}": 0.02 for e in ELEMENTS},
            passed={"V-V": 640.0},
            pair="V-V",
            probabilities={f"{e}-{e}": float(e == "V") for e in ELEMENTS},
            temperature=412.0,
            interval=(390.0, 431.0),
        ),
        series=sampled_series().to_file(),
        evaluations=12345,
        forbidden=0,
        seconds=60.0,
        **common,
    )


def thermodynamics(**common: Any) -> ThermodynamicsDoc:
    """Return thermodynamics from a regular-solution toy with the paper's DEED inputs."""
    from itertools import combinations

    omega = {frozenset(p): 12.0 for p in combinations(ELEMENTS, 2)}
    omega[frozenset(("Mo", "W"))] = omega[frozenset(("Ta", "Nb"))] = -25.0
    omega |= {frozenset(("V", e)): 160.0 for e in ELEMENTS if e != "V"}
    table = {
        s: sum(omega[frozenset(p)] for p in combinations(s, 2)) / len(s) ** 2 / 1000
        for n in range(2, 6)
        for s in combinations(ELEMENTS, n)
    }
    pool = decompositions(ELEMENTS, table)
    values = np.random.default_rng(3).normal(size=500)
    values = 29.2 + 4.1 * (values - values.mean()) / values.std(ddof=1)
    depth = hull_depth(pool)
    return ThermodynamicsDoc(
        model=TUNED,
        mode="relaxed",
        elements=list(ELEMENTS),
        composition=dict.fromkeys(ELEMENTS, 0.2),
        sqs_counts={"-".join(k): dict.fromkeys(k, 4) for k in table},
        random_counts=dict.fromkeys(ELEMENTS, 5),
        sqs_mixing_mev={"-".join(k): 1000 * v for k, v in table.items()},
        sqs_objective={"-".join(k): -1.5 for k in table},
        decompositions=pool,
        transitions=[(t, d.name) for t, d in transition_temperatures(pool)],
        decomposition_temperature=decomposition_temperature(pool),
        random_mixing_mev=values.tolist(),
        random_seed=7,
        h_ave_mev=29.2,
        sigma_mev=4.1,
        h_hull_mev=1000 * depth,
        deed_per_unit=deed(0.0041, 0.0292, depth),
        deed_per_atom=deed(0.0041, 0.0292, depth, atoms_per_unit=3),
        failed={"feedfeedfeedfeed": "did not relax in 200 moves"},
        **common,
    )


def with_reference(doc: ThermodynamicsDoc) -> ThermodynamicsDoc:
    """Return thermodynamics with an interval, and a reference that is 1.5 meV/unit higher.

    One phase has no label.
    """
    interval = ModelUncertainty(
        sigma_mev=2.5,
        sigma_from="RMSE of 15 held-out structures, relaxed",
        level=0.95,
        low=480.0,
        median=600.0,
        high=730.0,
        share_none=0.0,
        below=[(0.75, "(Mo,Ta,Nb,W) + V"), (0.25, "(Mo,W) + (Ta,Nb) + V")],
        n_draws=20_000,
        seed=7,
    )
    reference = ReferencePhases(
        engine="toy",
        settings_id="0123456789ab",
        sqs_mixing_mev={k: v + 1.5 for k, v in doc.sqs_mixing_mev.items() if k != "Mo-V"},
        missing={"Mo-V": "its relaxation did not converge"},
        transitions=[],
        decomposition_temperature=None,
        h_hull_mev=None,
    )
    return doc.model_copy(update={"uncertainty": interval, "reference": reference})


def campaign_documents() -> list[Document]:
    """Return every document of one campaign, linked as the jobs link them."""
    clock = iter(START + timedelta(minutes=i) for i in range(1000))

    def common(uuid: str, **sources: str | list[str]) -> dict[str, Any]:
        return {
            "uuid": uuid,
            "campaign": "toy",
            "created_at": next(clock),
            "versions": {"python": "3.11.0", "hea-flows": "0.1.0"},
            "sources": {k: [v] if isinstance(v, str) else v for k, v in sources.items()},
        }

    text = "name: toy\nalloy:\n  elements: [Mo, Ta, Nb, W, V]\n"
    file = CampaignDoc(
        name="toy",
        config=text,
        config_sha256=hashlib.sha256(text.encode()).hexdigest(),
        **common("c0ffee00-0000-4000-8000-000000000000"),
    )
    alloy = AlloySpec(elements=ELEMENTS)
    cells = [(e,) for e in ELEMENTS]
    for i, a in enumerate(ELEMENTS):
        for b in ELEMENTS[i + 1 :]:
            cells += [(a, b), (a, a, b), (a, b, b), (a, a, a, b)]
    cells += [
        ("Mo", "Ta", "V"),
        ("Nb", "W", "V"),
        ("Mo", "W", "V"),
        ("Ta", "Nb", "V"),
        ("Mo", "Nb", "Ta"),
        ("Mo", "W", "Ta"),
        ELEMENTS,
    ]
    entries = [StructureEntry.from_ordering(line(*c), "toy set") for c in cells]
    sets = StructuresDoc(
        alloy=alloy,
        expression="2(2,3,4)+3(3)+5(5)",
        seed=11,
        n_structures=len(entries),
        structures=entries,
        **common("5e750000-0000-4000-8000-000000000000", campaign=file.uuid),
    )
    labels: list[LabelDoc] = []
    for i, (entry, cell) in enumerate(zip(entries, cells, strict=True)):
        state, reason = "converged", None
        if i == 20:
            state, reason = "failed", "SCF did not converge in 333 steps <b>&</b>"
        if i == 21:
            state, reason = "missing", "no archived label"
        there = state == "converged"
        trajectory = toy_trajectory(line(*cell), 3, i) if there else None
        labels.append(
            LabelDoc(
                structure=entry,
                engine="toy",
                settings=RULE,
                settings_id="0123456789ab",
                calculation="relax",
                state=state,
                reason=reason,
                n_frames=3 if there else 0,
                energy=trajectory.energies[-1] if trajectory else None,
                trajectory=trajectory,
                trajectory_sha256="ab" * 32 if there else None,
                code_versions={"toy": "1.2"},
                **common(f"1abe{i:04x}-0000-4000-8000-000000000000", structures=sets.uuid),
            )
        )
    good = [x for x in labels if x.trajectory is not None]
    held = {x.structure.structure_id for x in good[30:45]}
    used = [x for x in good if x.structure.structure_id not in held]
    trajectories = {x.structure.structure_id: x.trajectory for x in good if x.trajectory}
    n_frames = {x.structure.structure_id: 3 for x in good if x.structure.structure_id not in held}
    inside = np.random.default_rng(42).permutation(3 * len(n_frames)).tolist()
    dataset = DatasetDoc(
        alloy=alloy,
        settings_id="0123456789ab",
        settings=RULE,
        seed=42,
        split_by="frame",
        fractions=(0.8, 0.15, 0.05),
        n_structures=len(good) - len(held),
        n_frames=n_frames,
        train=inside[:-21],
        test=inside[-21:-6],
        validation=inside[-6:],
        end_points={e: entries[i].structure_id for i, e in enumerate(ELEMENTS)},
        excluded={entries[20].structure_id: "label failed"},
        trajectories={k: v for k, v in trajectories.items() if k not in held},
        labels={x.structure.structure_id: x.uuid for x in used},
        structures={x.structure.structure_id: x.structure for x in used},
        converged={x.structure.structure_id: True for x in used},
        checksum="cd" * 32,
        **common("da7a0000-0000-4000-8000-000000000000", labels=[x.uuid for x in used]),
    )
    ends = [good[i] for i in range(len(ELEMENTS))]
    held_out = TestSetDoc(
        name="held-out",
        expressions=[sets.expression],
        alloy=alloy,
        engine="toy",
        settings_id="0123456789ab",
        settings=RULE,
        members=sorted(held),
        end_points=dataset.end_points,
        excluded={entries[21].structure_id: "no archived label"},
        trajectories={
            x.structure.structure_id: trajectories[x.structure.structure_id]
            for x in (*ends, *good[30:45])
        },
        labels={x.structure.structure_id: x.uuid for x in (*ends, *good[30:45])},
        structures={x.structure.structure_id: x.structure for x in (*ends, *good[30:45])},
        converged={x.structure.structure_id: True for x in (*ends, *good[30:45])},
        relaxed=True,
        checksum="4e" * 32,
        **common("da7b0000-0000-4000-8000-000000000000", labels=[x.uuid for x in good[30:45]]),
    )
    curve = [
        Epoch(
            epoch=i,
            learning_rate=1e-3,
            train_loss=1 / i,
            train_energy_mev=0.3 + 30 / i**1.3,
            train_forces_mev=6 + 120 / i,
            train_stress=0.0009,
            validation_loss=1.2 / i,
            validation_energy_mev=0.5 + 30 / i**1.3,
            validation_forces_mev=8 + 120 / i,
            validation_stress=0.001,
            test_energy_mev=math.nan,
            test_forces_mev=math.nan,
            test_stress=math.nan,
            seconds=5.0,
        )
        for i in range(1, 31)
    ]
    errors = {
        "train": ErrorSummary(n_frames=100, energy_mev=0.4, forces_mev=9, stress=0.0009),
        "validation": ErrorSummary(n_frames=6, energy_mev=0.75, forces_mev=12.5, stress=0.001),
    }
    tuned = TrainingDoc(
        name=TITLES["fine-tuned"],
        identity="fine-tuned model",
        parent=FOUNDATION,
        model=TUNED,
        settings=TrainingSettings(seed=9, epochs=30),
        model_file=StoredFile(name="best.pt", sha256=TUNED.sha256 or "", content="d2VpZ2h0cw=="),
        offsets=dict.fromkeys(ELEMENTS, 0.1),
        dataset_checksum=dataset.checksum,
        curve=curve,
        best_epoch=28,
        errors=errors,
        seconds=150.0,
        hardware={"device": "cpu"},
        **common("f17e0000-0000-4000-8000-000000000000", dataset=dataset.uuid),
    )
    structures = [x.structure for x in good]
    failed = {structures[40].structure_id: "fmax above 0.02 eV/Å after 200 moves"}
    benches = [
        benchmark(
            "foundation",
            FOUNDATION,
            structures,
            held,
            relaxed=BEFORE,
            fixed=BEFORE_FIXED,
            failed=failed,
            **common("be4c0000-0000-4000-8000-000000000000", dataset=dataset.uuid),
        ),
        benchmark(
            "fine-tuned",
            TUNED,
            structures,
            held,
            relaxed=AFTER,
            fixed=AFTER_FIXED,
            failed={},
            **common(
                "be4c0001-0000-4000-8000-000000000000", dataset=dataset.uuid, training=tuned.uuid
            ),
        ),
    ]
    sampled = montecarlo(
        **common("3c000000-0000-4000-8000-000000000000", training=tuned.uuid, dataset=dataset.uuid)
    )
    thermo = thermodynamics(
        **common("7e440000-0000-4000-8000-000000000000", training=tuned.uuid, dataset=dataset.uuid)
    )
    return [file, sets, *labels, dataset, held_out, tuned, *benches, sampled, thermo]


def put(store: JobStore, document: Document, index: int = 1, *, output: object = None) -> None:
    """Store a document as jobflow's `Job.run` does."""
    row = {"uuid": document.uuid, "index": index, "output": output or document, "metadata": {}}
    store.update(row, key=["uuid", "index"], save={"data": document.in_store()})


def memory_store(documents: Iterable[Document]) -> JobStore:
    """Return a store in memory that holds documents."""
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    store.connect()
    for document in documents:
        put(store, document)
    return store
