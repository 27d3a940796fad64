"""Cluster expansions as a model family: what is fitted, predicted, stored, refused and exported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.singlepoint import SinglePointCalculator

pytest.importorskip("torch")

from hea_flows.alloy.clusters import HostExpansion
from hea_flows.alloy.lattice import Alloy, Ordering, neighbour_pairs
from hea_flows.alloy.sets import parse
from hea_flows.potentials import decoration_energies, family, measure
from hea_flows.potentials.model_files import Checkpoint, save
from hea_flows.potentials.training import methods
from hea_flows.schemas import AlloySpec, ModelSpec, TrainingSettings
from hea_flows.testing.families import check_model_files

SPEC = AlloySpec(elements=("Mo", "Nb", "V"))
ALLOY = SPEC.to_alloy()
FAMILY = family("cluster-expansion")
CELL = [[3, 1, 0], [0, 4, 0], [0, 0, 1]]


def relaxed_energy(ordering: Ordering) -> float:
    """Return −7 eV per Mo, −6 per Nb, −8 per V, and 50 meV per bond of unlike metals."""
    i, j = neighbour_pairs(ALLOY, ordering.supercell, 1).T
    species = np.array(ordering.species)
    pure = {"Mo": -7.0, "Nb": -6.0, "V": -8.0}
    return sum(pure[s] for s in species) + 0.05 * float((species[i] != species[j]).sum())


def frames_of(expression: str, **info: Any) -> list[Atoms]:
    """Return relaxations of three frames; those before the last are 1 eV too high."""
    frames = []
    for number, ordering in enumerate(parse(expression).build(ALLOY, 0)):
        for step in range(3):
            atoms = ordering.to_atoms()
            atoms.rattle(0.05, seed=number)
            atoms.calc = SinglePointCalculator(
                atoms,
                energy=relaxed_energy(ordering) + (step < 2),
                forces=np.zeros((len(atoms), 3)),
                stress=np.zeros(6),
            )
            atoms.info |= {
                "alloy": SPEC.model_dump(mode="json"),
                "structure_id": ordering.id,
                "step": step,
                "n_steps": 3,
                "calculation": "relax",
                "converged": True,
                "split_by": "frame",
            } | info
            frames.append(atoms)
    return frames


def trained(frames: list[Atoms], folder: Path, test: Any = (), **architecture: Any) -> Any:
    own = family("cluster-expansion", architecture=architecture)
    cut = len(frames) // 2  # whichever split a frame is in
    return own.train(None, frames[:cut], frames[cut:], test, TrainingSettings(epochs=7), folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    return trained(frames_of("1(1)+2(2,3)"), tmp_path_factory.mktemp("model")).model


def cells(n: int = 3) -> list[Ordering]:
    rng = np.random.default_rng(0)
    matrix = tuple(map(tuple, CELL))
    return [
        Ordering(ALLOY, matrix, tuple(map(str, rng.choice(ALLOY.elements, 12)))) for _ in range(n)
    ]


def test_relaxed_energies_are_learned_from_the_last_frames_alone(model: ModelSpec) -> None:
    atoms = [o.to_atoms() for o in cells()]
    for one in atoms:
        one.set_cell(one.cell.array * [[1.03], [1], [1]], scale_atoms=True)
        one.rattle(0.1, seed=1)
    expected = [relaxed_energy(o) for o in cells()]
    predictions = FAMILY.evaluate(model, atoms)
    assert [p.energy for p in predictions] == pytest.approx(expected, abs=1e-8)
    assert [p.energy for p in FAMILY.evaluator(model)(atoms)] == [p.energy for p in predictions]
    for prediction, one in zip(predictions, atoms, strict=True):
        assert prediction.forces.shape == (len(one), 3)
        assert prediction.stress.shape == (6,)
        assert np.isnan(prediction.forces).all()
        assert np.isnan(prediction.stress).all()
    one = atoms[0].copy()
    one.calc = FAMILY.calculator(model)
    assert one.get_potential_energy() == pytest.approx(expected[0], abs=1e-8)
    with pytest.raises(PropertyNotImplementedError):
        one.get_forces()


def test_the_result_says_what_was_fitted(tmp_path: Path) -> None:
    frames = frames_of("1(1)+2(2,3)")
    result = trained(frames, tmp_path / "a")
    assert result.best_epoch == len(result.curve) == 1
    assert result.settings.epochs == 7
    assert {k: e.n_frames for k, e in result.errors.items()} == {"train": 15, "validation": 15}
    assert result.errors["train"].energy_mev < 1e-6
    assert np.isnan(result.errors["train"].forces_mev)
    assert np.isnan(result.curve[0].test_energy_mev)
    assert trained(frames, tmp_path / "b").model.sha256 == result.model.sha256
    given = trained(frames, tmp_path / "c", cutoffs=[1.8, 1.1])
    assert FAMILY.load(given.model).cutoffs == (1.8, 1.1)


def test_single_points_and_what_did_not_converge_are_left_out(tmp_path: Path) -> None:
    relaxed = frames_of("1(1)+2(2)")
    wrong = frames_of("2(3)", converged=False)
    single = [f for f in frames_of("3(3)", calculation="static", n_steps=1) if f.info["step"] == 0]
    result = trained([*relaxed, *wrong, *single], tmp_path / "relaxed")
    assert result.errors["train"].n_frames == 3
    statics = frames_of("1(1)+2(2)", calculation="static", n_steps=1)
    alone = trained([f for f in statics if f.info["step"] == 0], tmp_path / "static")
    assert alone.errors["train"].n_frames == 3
    unit = parse("1(1)").build(ALLOY, 0)
    unrelaxed, own = (FAMILY.load(r.model).energies(unit) for r in (alone, result))
    assert unrelaxed - own == pytest.approx(1.0, abs=1e-9)


def test_structures_of_the_test_split_are_kept_out_where_structures_are_split(
    tmp_path: Path,
) -> None:
    frames = frames_of("1(1)+2(2,3)", split_by="structure")
    end_points, mixed = frames[:9], frames[9:]
    result = trained(mixed[9:], tmp_path, test=[*end_points, *mixed[:9]])
    assert {k: e.n_frames for k, e in result.errors.items()} == {
        "train": 12,
        "validation": 12,
        "test": 3,
    }
    assert result.errors["test"].energy_mev < 1e-5


def test_energies_of_a_lattice_are_those_of_evaluate_in_both_modes(model: ModelSpec) -> None:
    """Whatever the order of the elements, and of a part of them."""
    for elements in (("Mo", "Nb", "V"), ("V", "Mo")):
        alloy = Alloy(elements)
        codes = np.random.default_rng(1).integers(len(elements), size=(5, 12))
        atoms = [
            Ordering(alloy, tuple(map(tuple, CELL)), tuple(elements[c] for c in row)).to_atoms()
            for row in codes
        ]
        expected = [p.energy for p in FAMILY.evaluate(model, atoms)]
        for mode in ("fixed lattice", "relaxed"):
            quick = decoration_energies(model, alloy, CELL, 3.2, mode=mode)
            assert quick.energies(codes) == pytest.approx(expected, abs=1e-9)
            assert quick.energies(codes[:0]).shape == (0,)
            assert quick.name == "cluster expansion"
    for other in (Alloy(("Mo", "W")), Alloy(("Mo", "Nb"), anion="Se")):
        with pytest.raises(ValueError, match="the cluster expansion is of 2H-MX2") as caught:
            FAMILY.lattice_energies(model)(other, CELL, 3.2)
        assert "\n" not in str(caught.value)


def test_model_files(model: ModelSpec, tmp_path: Path) -> None:
    check_model_files(FAMILY, model, tmp_path)
    content = {"alloy": SPEC.model_dump(mode="json"), "cutoffs": [1.1]}
    for change, state in (
        ({"cutoffs": [99.0]}, {"parameters": [0.0]}),
        ({}, {}),
        ({}, {"parameters": [0.0]}),
        ({"alloy": {"elements": ["Xx"]}}, {}),
    ):
        path = tmp_path / "damaged.pt"
        sha256 = save(path, Checkpoint("cluster-expansion", content | change, state))
        spec = ModelSpec(family="cluster-expansion", path=str(path), sha256=sha256)
        with pytest.raises(ValueError, match="holds no cluster expansion") as caught:
            FAMILY.resolve(spec)
        assert "\n" not in str(caught.value)


def test_icet_reads_the_native_file_without_this_package(model: ModelSpec, tmp_path: Path) -> None:
    chosen = cells(4)
    expected = FAMILY.load(model).energies(chosen) / 12
    for offsets, shift in (({}, 0.0), ({"Mo": 1.0, "Nb": 1.0, "V": 1.0, "S": 0.5}, 2.0)):
        path = tmp_path / "model.ce"
        path.write_bytes(FAMILY.native(model, offsets).content)
        for k, ordering in enumerate(chosen):
            atoms = ordering.to_atoms(a=ALLOY.lattice_constant("Mo"))
            atoms.pbc = True
            atoms.write(tmp_path / f"{k}.xyz", format="extxyz")
        code = (
            "import sys, icet, ase.io\n"
            f"model = icet.ClusterExpansion.read({str(path)!r})\n"
            "for k in range(4): print(model.predict(ase.io.read(f'{k}.xyz')))\n"
            "print(sorted(model.metadata), any('hea_flows' in m for m in sys.modules))"
        )
        run = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
        )
        *energies, last = run.stdout.splitlines()
        assert [float(e) for e in energies] == pytest.approx(expected + shift, abs=1e-8)
        assert last == "['date_created', 'icet_version'] False"


def test_what_cannot_be_is_refused_in_one_line(model: ModelSpec, tmp_path: Path) -> None:
    frames = frames_of("1(1)+2(2)")
    unsaid = [f.copy() for f in frames]
    for a, b in zip(unsaid, frames, strict=True):
        a.calc = b.calc
        a.info.clear()
    refused = [
        (lambda: trained(unsaid, tmp_path), "info\\['alloy'\\]"),
        (lambda: trained(frames[3:], tmp_path), "none of Mo"),
        (lambda: trained(frames_of("2(2)", converged=False), tmp_path), "converged"),
        (lambda: trained(frames, tmp_path, cutoffs=[0.5]), "cutoffs are those of pairs"),
        (lambda: trained(frames, tmp_path, cutoffs=3), "cutoffs are those of pairs"),
        (lambda: trained(frames, tmp_path, width=3), "unknown cluster-expansion architecture"),
        (lambda: methods.check(FAMILY, model, TrainingSettings()), "fitted afresh"),
        (lambda: FAMILY.check(ModelSpec(family=FAMILY.name, name="x")), "accepted: "),
        (lambda: FAMILY.check(ModelSpec(family=FAMILY.name, dtype="float64")), "double precision"),
    ]
    for action, words in refused:
        with pytest.raises(ValueError, match=words) as caught:
            action()
        assert "\n" not in str(caught.value)


def test_settings_of_potentials_do_not_matter(model: ModelSpec) -> None:
    methods.check(FAMILY, None, TrainingSettings(method="lora", epochs=1))
    assert FAMILY.untrained(model, [], Path("x")) is None
    assert measure(ModelSpec(family=FAMILY.name), ALLOY) is None
    timing = measure(model, ALLOY)
    assert timing is not None
    assert timing.evaluation > 0


def test_a_parameter_that_is_no_number_is_no_expansion() -> None:
    with pytest.raises(ValueError, match="finite"):
        HostExpansion(ALLOY, (1.1,), np.full(6, np.inf))
