"""Datasets and benchmarks of a toy model whose errors are known exactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.singlepoint import SinglePointCalculator
from jobflow import JobStore, run_locally
from maggma.stores import MemoryStore

from hea_flows import plugins
from hea_flows.alloy.lattice import frames_checksum
from hea_flows.alloy.lattice.prototypes import mean_lattice_constant
from hea_flows.alloy.sets.named import parse
from hea_flows.config import BenchmarkSpec, DatasetSpec
from hea_flows.jobs.labelling.collect import collect
from hea_flows.jobs.learning.benchmark import BenchmarkMaker
from hea_flows.jobs.learning.dataset import DatasetMaker, split_atoms
from hea_flows.jobs.learning.evaluation import Evaluation
from hea_flows.jobs.learning.test_set import TestSetMaker
from hea_flows.potentials.base import Family, Prediction
from hea_flows.schemas import (
    AlloySpec,
    BenchmarkDoc,
    DatasetDoc,
    LabelDoc,
    ModelSpec,
    StructureEntry,
    StructuresDoc,
    TestSetDoc,
    Trajectory,
)

SPEC = AlloySpec(elements=("Mo", "W", "Nb"))
PURE = {"Mo": -22.0, "W": -22.5, "Nb": -21.5}
SHIFT = {"Mo": 0.7, "W": -0.4, "Nb": 0.1, "S": 0.25}


def reference_energy(atoms: Atoms) -> float:
    """Return end points plus 20 meV per pair of different metals, times 1 + (a - 3.2)²."""
    metals = [s for s in atoms.get_chemical_symbols() if s != "S"]
    n = len(metals)
    unlike = sum(a != b for a in metals for b in metals) / (2 * n)
    stretch = abs(np.linalg.det(atoms.cell.array[:2, :2])) / (n * 3.2**2 * np.sqrt(3) / 2) - 1
    return sum(PURE[m] for m in metals) + 0.02 * unlike + n * stretch**2


def model_energy(atoms: Atoms) -> float:
    """Return the reference's, mixing energies wrong by 30 meV per Nb-W pair, other zero."""
    metals = [s for s in atoms.get_chemical_symbols() if s != "S"]
    wrong = 0.03 * metals.count("Nb") * metals.count("W")
    return reference_energy(atoms) + wrong - sum(SHIFT[s] for s in atoms.get_chemical_symbols())


class ToyFamily(Family):
    """A family whose model is `model_energy`; only what a benchmark asks for."""

    name = "toy"

    def resolve(self, spec: ModelSpec) -> ModelSpec:
        return spec.model_copy(update={"sha256": "70" * 32})

    def evaluate(self, spec: ModelSpec, atoms_list: Sequence[Atoms], **_: Any) -> list[Prediction]:
        calculator, told = self.calculator(spec), []
        for atoms in atoms_list:
            calculator.calculate(atoms)
            told.append(Prediction(**calculator.results))
        return told

    def calculator(self, spec: ModelSpec, device: str = "cpu") -> Calculator:
        class Toy(Calculator):
            implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012

            def calculate(self, atoms=None, properties=None, changes=all_changes) -> None:
                super().calculate(atoms, properties, changes)
                d, cell = 1e-4, self.atoms.cell.array
                stress = np.zeros(6)
                for k in (0, 1):
                    strain = np.eye(3)
                    strain[k, k] += d
                    energies = []
                    for sign in (1, -1):
                        copy = self.atoms.copy()
                        copy.set_cell(cell @ (np.eye(3) + sign * (strain - np.eye(3))))
                        energies.append(model_energy(copy))
                    stress[k] = (energies[0] - energies[1]) / (2 * d * self.atoms.get_volume())
                self.results = {
                    "energy": model_energy(self.atoms),
                    "forces": np.zeros((len(self.atoms), 3)),
                    "stress": stress,
                }

        return Toy()


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(plugins.FAMILIES.registered, "toy", plugins.Row(ToyFamily))


def labels(expression: str, n_frames: int = 4, **changes: Any) -> list[LabelDoc]:
    made = []
    for ordering in parse(expression).build(SPEC.to_alloy(), 0):
        frames = []
        for a in np.linspace(3.3, 3.2, n_frames):
            atoms = ordering.to_atoms(a=float(a))
            atoms.calc = SinglePointCalculator(
                atoms,
                energy=reference_energy(atoms),
                forces=np.zeros((len(atoms), 3)),
                stress=np.zeros(6),
            )
            frames.append(atoms)
        fields: dict[str, Any] = {
            "uuid": f"label-{ordering.id}",
            "structure": StructureEntry.from_ordering(ordering),
            "engine": "toy",
            "settings": {"code": "toy"},
            "settings_id": "toy",
            "calculation": "relax",
            "state": "converged",
            "n_frames": n_frames,
            "trajectory": Trajectory.from_frames(frames),
            "trajectory_sha256": frames_checksum(frames),
        }
        made.append(LabelDoc(**fields | changes))
    return made


def run(job: Any) -> Any:
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    return run_locally(job, store=store, ensure_success=True, log=False)[job.uuid][1].output


def dataset(training: list[LabelDoc], sets: Any = None, **fields: Any) -> DatasetDoc:
    maker = DatasetMaker(dataset=DatasetSpec(**fields), seed=5)
    # Called as the job calls it, so that its own errors are seen.
    return type(maker).make.original(maker, SPEC, [training], sets)


def structures(expression: str) -> StructuresDoc:
    entries = [StructureEntry.from_ordering(o) for o in parse(expression).build(SPEC.to_alloy(), 0)]
    return StructuresDoc(
        alloy=SPEC,
        expression=expression,
        seed=0,
        n_structures=len(entries),
        structures=entries,
        uuid=f"set-{expression}",
    )


def build_test_set(
    pool: list[LabelDoc], expression: str, name: str = "held-out", **fields: Any
) -> TestSetDoc:
    maker = TestSetMaker(test_set=name, **fields)
    return type(maker).make.original(maker, SPEC, [pool], [structures(expression)])


def test_every_frame_is_in_one_split() -> None:
    document = dataset(labels("1(1)+2(2)"))
    assert document.n_structures == 6
    assert len(document.frames) == 24
    splits = [document.train, document.test, document.validation]
    assert sorted(i for split in splits for i in split) == list(range(24))
    assert [len(s) for s in splits] == [22, 0, 2]
    assert document.end_points.keys() == set(SPEC.elements)
    frame = split_atoms(document, [5])[0]
    ref = document.frames[5]
    assert (
        frame.calc.results["energy"] == document.trajectories[ref.structure_id].energies[ref.step]
    )
    assert dataset(labels("1(1)+2(2)")).train == document.train


def test_a_dataset_takes_its_own_structures_from_labels_of_several_sets() -> None:
    pool = labels("1(1)+2(2)+3(3)")
    document = dataset(pool, [structures("1(1)+2(2)")])
    assert document == dataset(labels("1(1)+2(2)")).model_copy(
        update={"created_at": document.created_at, "sources": document.sources}
    )
    assert len(document.sources["labels"]) == 6
    assert dataset(pool).checksum != document.checksum


def test_a_test_set_keeps_first_and_last_frames_and_the_end_points() -> None:
    document = build_test_set(labels("1(1)+2(2)+3(3)"), "3(3)")
    assert len(document.members) == 3
    assert document.end_points.keys() == set(SPEC.elements)
    assert not set(document.members) & set(document.end_points.values())
    assert len(document.trajectories) == 6
    known = {x.structure.structure_id: x.trajectory for x in labels("1(1)+2(2)+3(3)")}
    for key, kept in document.trajectories.items():
        whole = known[key]
        assert kept.energies == [whole.energies[0], whole.energies[-1]]
        assert kept.positions == [whole.positions[0], whole.positions[-1]]
    static = build_test_set([*labels("1(1)"), *labels("2(2)", 1)], "2(2)")
    assert {len(static.trajectories[k].energies) for k in static.members} == {1}
    with pytest.raises(ValueError, match="no label of the end point of Nb"):
        build_test_set(labels("1(1)[Mo,W]+2(2)"), "2(2)")
    empty = build_test_set(labels("1(1)"), "2(2)")
    assert (empty.members, len(empty.excluded)) == ([], 3)


def test_structures_are_never_torn_apart_by_a_split_of_structures() -> None:
    document = dataset(labels("1(1)+2(2)+3(3)"), split_by="structure")
    parents = [
        {document.frames[i].structure_id for i in split}
        for split in (document.train, document.test, document.validation)
    ]
    assert not parents[0] & parents[1]
    assert not (parents[0] | parents[1]) & parents[2]


def test_missing_labels_are_told_not_lost() -> None:
    gone = {"trajectory": None, "state": "failed", "reason": "SCF diverged"}
    missing = labels("3(3)", **gone)
    document = dataset([*labels("1(1)+2(2)"), *missing], [structures("1(1)+2(2)+3(3)+2(3)")])
    never = {o.id for o in parse("2(3)").build(SPEC.to_alloy(), 0)}
    assert len(never) == 12
    assert {k for k, why in document.excluded.items() if "its job failed" in why} == never
    document = dataset([*labels("1(1)+2(2)"), *missing])
    assert document.excluded == {
        d.structure.structure_id: "Mo1Nb1W1S6: SCF diverged" for d in missing
    }
    with pytest.raises(
        ValueError, match=r"3 structures have no label, dataset\.max_missing allows 1"
    ):
        dataset([*labels("1(1)+2(2)"), *missing], max_missing=1)


def test_a_set_of_which_nothing_was_made_is_no_missing_label() -> None:
    pure, mixed = structures("1(1)"), structures("2(2)")
    for groups, sets in (([labels("1(1)"), None], [pure, mixed]), ([labels("1(1)")], [pure, None])):
        with pytest.raises(ValueError, match="a whole set is missing"):
            collect(groups, sets)


def test_what_is_no_dataset() -> None:
    with pytest.raises(ValueError, match="no label of the end point of W, Nb"):
        dataset(labels("1(1)[Mo]+2(2)"))
    with pytest.raises(ValueError, match="labels of different settings never mix"):
        dataset([*labels("1(1)"), *labels("2(2)", settings_id="other")])
    with pytest.raises(ValueError, match="nothing to train on"):
        dataset([])


def test_benchmark_gives_the_known_errors() -> None:
    pool = labels("1(1)+2(2)+3(3)")
    test_sets = [build_test_set(pool, "3(3)"), build_test_set(pool, "1(1)+2(2)", "training")]
    job = BenchmarkMaker(benchmark=BenchmarkSpec(fmax=1e-4)).make(
        test_sets, foundation=ModelSpec(family="toy", name="t")
    )
    result = BenchmarkDoc.model_validate(run(job))
    assert result.role == "foundation"
    assert result.failed == {}
    tables = {(t.test_set, t.geometry): t for t in result.tables}
    # One of three binaries is Nb-W: 30 meV per cell of two units. Every ternary holds one pair.
    training, held_out = tables["training", "fixed"], tables["held-out", "fixed"]
    assert (training.n, held_out.n) == (3, 3)
    assert training.mixing_mae_mev == pytest.approx(15 / 3)
    assert held_out.mixing_mae_mev == pytest.approx(10)
    assert held_out.by_components == pytest.approx({"3": 10})
    assert held_out.mixing_mae_interval_mev == pytest.approx((10, 10))
    assert (training.mixing_bias_mev, held_out.mixing_bias_mev) == pytest.approx((15 / 3, 10))
    assert held_out.mixing_bias_interval_mev == pytest.approx((10, 10))
    low, high = training.mixing_bias_interval_mev
    assert low < 5 < high
    # Offsets are those of the end points, so the wrong pair is all that is left.
    assert result.offsets_from == "end points"
    assert held_out.total_mae_mev == pytest.approx(10)
    # The toy's errors do not depend on the geometry, so relaxing changes nothing but the route.
    assert tables["training", "relaxed"].mixing_mae_mev == pytest.approx(5, abs=1e-3)
    point = next(p for p in result.fixed if p.n_components == 3)
    assert point.reference_mixing_mev == pytest.approx(20 / 3)
    assert point.model_mixing_mev == pytest.approx(20 / 3 + 10)


def test_a_test_set_that_is_not_relaxed_has_no_relaxed_table() -> None:
    pool = labels("1(1)+2(2)+3(3)")
    test_sets = [
        build_test_set(pool, "2(2)", "relaxed"),
        build_test_set(pool, "2(2)+3(3)", "fixed", relaxed=False),
    ]
    hopeless = BenchmarkSpec(fmax=1e-9, max_steps=1)
    job = BenchmarkMaker(benchmark=hopeless).make(
        test_sets, foundation=ModelSpec(family="toy", name="t")
    )
    result = BenchmarkDoc.model_validate(run(job))
    assert set(result.failed) >= set(test_sets[0].members)
    found = {(t.test_set, t.geometry): (t.n, t.n_failed) for t in result.tables}
    assert found == {
        ("relaxed", "fixed"): (3, 0),
        ("relaxed", "relaxed"): (0, 3),
        ("fixed", "fixed"): (6, 0),
    }


def test_lattice_constant_is_that_of_the_relaxed_end_points() -> None:
    doc = dataset(labels("1(1)"))
    a = mean_lattice_constant(SPEC.to_alloy(), doc.end_point_cells)
    assert a == pytest.approx(3.2)


def test_new_frames_are_those_of_structures_that_were_not_trained_on() -> None:
    pool = labels("1(1)+2(2)+3(3)")
    tuned = {o.id for o in parse("1(1)+2(2)").build(SPEC.to_alloy(), 0)}
    everything = build_test_set(pool, "2(2)+3(3)")
    run = Evaluation(ModelSpec(family="toy", name="t"), [everything], None, tuned)
    run.fixed()
    found = run.new_frames(everything)
    assert found is not None
    assert found.n_frames == 6  # three ternaries, first and last frame of each
    # 30 meV per cell of nine atoms; the toy's forces are those of the labels.
    assert found.energy_mev == pytest.approx(30 / 9)
    assert found.forces_mev == 0
    known = Evaluation(
        ModelSpec(family="toy", name="t"), [everything], None, set(everything.members)
    )
    known.fixed()
    assert known.new_frames(everything) is None
