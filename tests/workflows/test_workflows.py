"""Every script of workflows/ runs for real; what it prints is compared with what it should be.

The labels are CHGNet's energies shifted on purpose: by a constant per element, and by
`SHIFT` · (1 − Σ x²) meV/unit for concentrations x. A foundation's mixing-energy error at fixed
geometry is then known exactly.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from ase.units import GPa
from pydantic import SecretStr

from hea_flows import load_calculator
from hea_flows.alloy.lattice.prototypes import Alloy
from hea_flows.alloy.sets.named import parse
from hea_flows.potentials.base import family
from hea_flows.reference import Outcome, label_document
from hea_flows.results.export import write_archive
from hea_flows.results.store import documents
from hea_flows.runtime.extxyz import read_frames, write_frames
from hea_flows.schemas import AlloySpec, LabelDoc, ModelSpec, StructureEntry, StructuresDoc
from hea_flows.services.connection import Connection
from hea_flows.services.mongod import LocalMongod

pytestmark = pytest.mark.slow
pytest.importorskip("chgnet")

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted(p.stem for p in (ROOT / "workflows").glob("*.py"))
ALLOY = AlloySpec(elements=("Mo", "Ta", "W"))
FOUNDATION = ModelSpec(family="chgnet", name="0.3.0")
OFFSETS = {"Mo": -0.3, "Ta": 0.2, "W": 0.5, "S": 0.1}
#: meV/unit
SHIFT = 40.0
CAMPAIGN = """\
name: tiny
seed: 1
alloy: {elements: [Mo, Ta, W]}
structures:
  - {set: 1(1)+2(2)}
  - {set: 3(3), use: held-out}
labels: {engine: archive, options: {dataset: tiny.json}}
model: chgnet:0.3.0
training: {epochs: 2, seed: 1}
benchmark: {relaxed: false}
"""
STUDY = """\
name: tiny-study
alloy: {elements: [Mo, Ta, W]}
labels: {engine: archive, options: {dataset: tiny.json}}
model: chgnet:0.3.0
training: {epochs: 1}
benchmark: {relaxed: false}
models:
  - {name: as it is}
  - {name: Binaries, set: 1(1)+2(2), seeds: [3, 1]}
test_sets:
  Ternaries: 3(3)
  All: 1(1)+2(2)+3(3)
"""
Run = Callable[..., str]


def shift(counts: dict[str, int]) -> float:
    """Return what is added to a structure's mixing energy, meV/unit."""
    x = np.array(list(counts.values())) / sum(counts.values())
    return SHIFT * float(1 - (x**2).sum())


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[LabelDoc]]:
    """Write an archive of nine structures with two frames each."""
    folder = tmp_path_factory.mktemp("archive")
    orderings = parse("1(1)+2(2)+3(3)").build(ALLOY.to_alloy())
    rng = np.random.default_rng(7)
    frames = []
    for ordering in orderings:
        for strain in (1.0, 1.01):
            atoms = ordering.to_atoms()
            atoms.set_cell(atoms.cell.array * [[strain], [strain], [1]], scale_atoms=True)
            atoms.positions += rng.normal(scale=0.02, size=atoms.positions.shape)
            frames.append(atoms)
    for atoms, found in zip(frames, family("chgnet").evaluate(FOUNDATION, frames), strict=True):
        symbols = atoms.get_chemical_symbols()
        counts = {e: symbols.count(e) for e in ALLOY.elements if e in symbols}
        energy = found.energy + sum(OFFSETS[s] for s in symbols)
        energy += 1e-3 * shift(counts) * sum(counts.values())
        atoms.calc = SinglePointCalculator(
            atoms, energy=energy, free_energy=energy, forces=found.forces, stress=found.stress
        )
    entries = [StructureEntry.from_ordering(o) for o in orderings]
    made = [
        label_document(
            partial(Outcome, frames[2 * i : 2 * i + 2], converged=True),
            structure=entry,
            alloy=ALLOY,
            engine="shifted",
            rule={"code": "shifted"},
            calculation="relax",
        )
        for i, entry in enumerate(entries)
    ]
    card = folder / "tiny.json"
    structures = StructuresDoc(
        alloy=ALLOY,
        expression="1(1)+2(2)+3(3)",
        seed=0,
        n_structures=len(entries),
        structures=entries,
    )
    write_archive(card, title="tiny", labels=made, structures=[structures], regenerate="-")
    (folder / "tiny.yaml").write_text(CAMPAIGN)
    only_labels = CAMPAIGN.partition("model:")[0].replace("name: tiny", "name: labels-only")
    (folder / "labels-only.yaml").write_text(only_labels)
    (folder / "study.yaml").write_text(STUDY)
    return card, made


@pytest.fixture(scope="module")
def folder(labels: tuple[Path, list[LabelDoc]]) -> Path:
    return labels[0].parent


@pytest.fixture(scope="module")
def machine_variables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Forget the settings and test sets of the user, here and in the scripts."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for variable in list(os.environ):
            if variable.startswith(("HEA_FLOWS_", "JOBFLOW_", "XDG_", "FW_CONFIG_FILE")):
                patch.delenv(variable)
        patch.setenv("HOME", str(home))
        patch.setenv("HEA_FLOWS_DATA_DIR", str(home / "data"))
        patch.setenv("PYTHONPATH", str(ROOT / "src"))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("COLUMNS", "100")
        yield dict(os.environ)


@pytest.fixture(scope="module")
def test_set(mongo: LocalMongod, machine_variables: dict[str, str]) -> Iterator[Connection]:
    """Connect to a new test set, which is dropped after the module."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    connection = Connection("environment", name, SecretStr(mongo.uri))
    yield connection
    connection.database().client.drop_database(name)


@pytest.fixture(scope="module")
def script(machine_variables: dict[str, str], folder: Path) -> Run:
    """Run a script without a test set, beside the archive; return what it printed."""

    def run(command: str, **environment: str) -> str:
        name, *arguments = shlex.split(command)
        done = subprocess.run(
            [sys.executable, str(ROOT / "workflows" / f"{name}.py"), *arguments],
            cwd=folder,
            env=machine_variables | environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run


@pytest.fixture(scope="module")
def stored(test_set: Connection, script: Run) -> Run:
    """Run a script with the test set."""
    variables = test_set.environment()

    def run(command: str) -> str:
        return script(command, **variables)

    return run


@pytest.fixture(scope="module")
def campaign(stored: Run) -> str:
    """Run the tiny campaign by two workers; return what the script printed."""
    return stored("campaign tiny.yaml")


@pytest.fixture
def store(test_set: Connection, campaign: str) -> Iterator[Any]:
    with test_set.job_store() as store:
        yield store


def numbers(pattern: str, text: str) -> list[float]:
    """Return the number that each match of a pattern captures."""
    return [float(value) for value in re.findall(pattern, text)]


def read(store: Any, kind: str, **filters: str) -> list[Any]:
    """Return the tiny campaign's documents of a kind, big fields too."""
    return [*documents(store, kind, "tiny", load=True, **filters)]


def maes(document: Any) -> list[float]:
    return [t.mixing_mae_mev for t in document.tables]


def test_every_script_is_tested_and_described() -> None:
    source = Path(__file__).read_text() + (ROOT / "tests" / "test_extending.py").read_text()
    readme = (ROOT / "workflows" / "README.md").read_text()
    assert len(WORKFLOWS) == 12
    for name in WORKFLOWS:
        assert re.search(rf'"{name}[ "]', source)
        assert f"`{name}.py`" in readme


def test_enumerate_set(script: Run, folder: Path) -> None:
    printed = script("enumerate_set model-4 --output model-4.extxyz")
    assert "model-4: 126 structures, 490 alloyed sites" in printed
    assert numbers(r"units per cell: (\d+)", printed) == [10, 30, 50, 36]
    frames = read_frames(folder / "model-4.extxyz")
    alloy = Alloy(("Mo", "Ta", "Nb", "W", "V"))
    expected = [o.id for o in parse("2(2)+3(3)+4(4)+5(5)").build(alloy)]
    assert [f.info["structure_id"] for f in frames] == expected
    assert len(set(expected)) == 126


def test_label_with_engine(script: Run, folder: Path, labels: tuple[Path, list[LabelDoc]]) -> None:
    printed = script(
        "label_with_engine '1(1)+2(2,3)' --elements Mo,Ta,W --option dataset=tiny.json"
        " --output labelled.extxyz"
    )
    known = {d.structure.structure_id: d for d in labels[1] if len(d.structure.counts) < 3}
    assert sorted(numbers(r"converged 2 frames (-?[\d.]+) eV", printed)) == pytest.approx(
        sorted(d.energy for d in known.values() if d.energy), abs=6e-7
    )
    # The archive holds no binaries of three units: four per pair.
    assert len(re.findall(r"missing 0 frames .*has no relax label", printed)) == 12
    frames = read_frames(folder / "labelled.extxyz")
    assert len(frames) == 2 * len(known) == 12
    for frame in frames:
        trajectory = known[frame.info["structure_id"]].trajectory
        assert trajectory is not None
        step = frame.info["step"]
        assert frame.calc.results["energy"] == trajectory.energies[step]
        np.testing.assert_array_equal(frame.calc.results["forces"], trajectory.forces[step])


def test_fine_tune(script: Run, folder: Path, store: Any) -> None:
    printed = script(
        "fine_tune '1(1)+2(2)' --elements Mo,Ta,W --dataset tiny.json --epochs 2 --seed 1"
        " --output own.pt"
    )
    raw = (folder / "own.pt").read_bytes()
    assert f"sha256 {hashlib.sha256(raw).hexdigest()}" in printed
    # The campaign trained on the same split with the same settings.
    [tuned] = read(store, "training")
    curve = numbers(r"validation ([\d.]+) meV/atom", printed)
    assert curve == pytest.approx([e.validation_energy_mev for e in tuned.curve], abs=0.02)
    assert list(tuned.errors) == ["train", "validation"]  # too few frames to test on as well
    counts = [summary.n_frames for summary in tuned.errors.values()]
    assert numbers(r": (\d+) frames", printed) == counts
    # The file is a model: it predicts what it was fitted to, the foundation does not.
    path = folder / "own.pt"
    frames = read_frames(folder / "tiny.extxyz.xz")[:12]
    own = family("chgnet").evaluate(ModelSpec(family="chgnet", path=str(path)), frames)
    before = family("chgnet").evaluate(FOUNDATION, frames)
    assert np.isfinite([p.energy for p in own]).all()
    assert np.abs([p.energy - q.energy for p, q in zip(own, before, strict=True)]).max() > 1e-3


def test_pretrain_mace(script: Run, folder: Path) -> None:
    pytest.importorskip("mace")
    rng = np.random.default_rng(3)
    frames = []
    for i in range(24):
        atoms = bulk(("Cu", "Al")[i % 2], "fcc", a=3.9, cubic=True)
        atoms.symbols[0] = "Cu"
        atoms.positions += rng.normal(scale=0.05, size=(4, 3))
        atoms.calc = EMT()
        energy = atoms.get_potential_energy() - 3.0 * list(atoms.symbols).count("Cu")
        forces, stress = atoms.get_forces(), atoms.get_stress()
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces, stress=stress)
        frames.append(atoms)
    frames[5].symbols[1] = "Ag"  # in one frame only: left out
    write_frames(folder / "compounds.extxyz", frames)
    printed = script(
        "pretrain_mace compounds.extxyz --epochs 2 --hidden 8x0e --cutoff 4 --output first.pt"
    )
    assert "23 of 24 frames, 2 elements" in printed
    path = folder / "first.pt"
    assert f"sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}" in printed
    # The file, without offsets, has the error that the network had with them.
    [test] = numbers(r"test: 1 frames, RMSE ([\d.]+) meV/atom", printed)
    [own] = numbers(r"file itself on the test frames: RMSE ([\d.]+)", printed)
    assert own == pytest.approx(test, abs=0.11)


def test_campaign(campaign: str, store: Any, folder: Path) -> None:
    assert numbers(r"labels: (\d+)", campaign) == [9]
    assert numbers(r"frames: (\d+)", campaign) == [18]
    assert len(read(store, "label")) == 9
    [before] = read(store, "benchmark", role="foundation")
    [after] = read(store, "benchmark", role="fine-tuned")
    # Held-out ternaries, then binaries: the shift of equal concentrations.
    assert maes(before) == pytest.approx([SHIFT * 2 / 3, SHIFT / 2], abs=0.05)
    printed = numbers(r"mixing_mae_\w+_mev: ([\d.]+)", campaign)
    assert printed == [maes(before)[0], maes(after)[0]]
    [report] = read(store, "report")
    assert (folder / "tiny-report.html").read_bytes() == report.html.read()
    [tuned] = read(store, "training")
    assert hashlib.sha256(tuned.model_file.read()).hexdigest() == tuned.model.sha256


def test_campaign_without_a_test_set(script: Run, folder: Path) -> None:
    printed = script("campaign labels-only.yaml --local")
    assert numbers(r"labels: (\d+)", printed) == [9]
    assert numbers(r"frames: (\d+)", printed) == [18]
    assert (folder / "labels-only-report.html").stat().st_size > 10_000


def test_study(stored: Run, store: Any) -> None:
    printed = stored("study study.yaml")
    assert "tiny-study: 9 structures in 3 sets, 2 models to train, 1 as they are" in printed
    rows = [line.split("\t") for line in printed.splitlines() if line.count("\t") == 8][1:]
    table = {tuple(row[:3]): row[3:] for row in rows}
    # Three ternaries of equal concentrations, and three binaries that may have been trained on.
    all_of = SHIFT * (3 * 2 / 3 + 3 / 2) / 6
    for test_set, n, mae in (("Ternaries", 3, SHIFT * 2 / 3), ("All", 6, all_of)):
        geometry, *counts, every, new = table["as it is", "-", test_set]
        assert (geometry, counts) == ("fixed", [str(n), "0", "0"])
        assert [float(every), float(new)] == pytest.approx([mae, mae], abs=0.05)
    found = documents(store, "benchmark", "tiny-study", role="fine-tuned")
    assert {d.seed for d in found} == {1, 3}
    for d in found:
        for t in d.tables:
            known = 3 if t.test_set == "All" else 0
            assert table["Binaries", str(d.seed), t.test_set] == [
                *("fixed", str(3 + known), str(known), "0"),
                *(f"{t.mixing_mae_mev:.3f}", f"{t.new_mixing_mae_mev:.3f}"),
            ]
    assert len(rows) == 2 * (1 + 2)


def test_benchmark_model(stored: Run, store: Any) -> None:
    mae = r"mixing MAE ([\d.]+) meV"
    [tuned] = read(store, "benchmark", role="fine-tuned")
    printed = stored("benchmark_model tiny")
    assert f"fine-tuned chgnet-{tuned.model.sha256[:8]}" in printed
    assert numbers(mae, printed) == pytest.approx(maes(tuned), abs=0.02)
    printed = stored("benchmark_model tiny --foundation chgnet:0.3.0")
    assert numbers(mae, printed) == pytest.approx([SHIFT * 2 / 3, SHIFT / 2], abs=0.05)
    assert len(read(store, "benchmark")) == 2


def test_monte_carlo(stored: Run, campaign: str) -> None:
    printed = stored(
        "monte_carlo tiny --supercell 3x3 --temperature 300 --temperature 3000"
        " --steps 8 --burn-in 4"
    )
    rows = {
        line.split("\t")[0]: [float(cell.split(" ")[0]) for cell in line.split("\t")[1:]]
        for line in printed.partition("pair\t")[2].splitlines()[1:]
    }
    assert list(rows) == ["Mo-Mo", "Mo-Ta", "Mo-W", "Ta-Ta", "Ta-W", "W-W"]
    values = np.array(list(rows.values()))
    assert values.shape == (6, 2)
    assert np.isfinite(values).all()
    assert np.abs(values).max() > 0
    # All bonds of a site add up: Σ CV_AB = n Σ CV_AA.
    like = np.array([a == b for a, _, b in (pair.partition("-") for pair in rows)])
    np.testing.assert_allclose(values[~like].sum(axis=0), 3 * values[like].sum(axis=0), atol=7e-4)
    assert len(numbers(r"mixing energy (-?[\d.]+) ± [\d.]+ meV/unit", printed)) == 2


def test_thermodynamics(stored: Run, campaign: str) -> None:
    printed = stored("thermodynamics tiny --sqs 2x2,3x3 --random-supercell 3x3 --n-random 3")
    sqs = {k: float(v) for k, v in re.findall(r"SQS (\S+): (-?[\d.]+) meV", printed)}
    assert list(sqs) == ["Mo-Ta", "Mo-W", "Ta-W", "Mo-Ta-W"]
    # The hull at the centre: one phase, a binary and an end point, or three end points.
    lowest = min(0.0, sqs["Mo-Ta-W"], *(2 / 3 * v for k, v in sqs.items() if k.count("-") == 1))
    mean, sigma, depth = (
        numbers(pattern, printed)[0]
        for pattern in (r"structures: (-?[\d.]+)", r"± ([\d.]+) meV", r"depth (-?[\d.]+)")
    )
    assert depth == pytest.approx(-lowest, abs=0.011)
    if mean + depth > 0.5:
        expected = 1e3 / np.sqrt(sigma * (mean + depth))
        assert numbers(r"DEED: ([\d.]+)", printed) == pytest.approx([expected], rel=0.02)
    elif mean + depth < -0.02:
        assert "DEED: not defined" in printed
    # Of three new ternaries, seen or not: the model's error gives the interval of the temperature.
    told = re.search(
        r"temperature (\d+) K, 95 % interval (\d+) to (\d+) K from [\d.]+ meV/unit \(RMSE of",
        printed,
    )
    assert told is not None
    temperature, low, high = map(int, told.groups())
    assert low <= high
    assert low <= temperature


def test_properties(stored: Run, store: Any, folder: Path) -> None:
    """atomate2's tensor is the model's own stress, by the differences that atomate2 takes."""
    pytest.importorskip("seekpath")
    printed = stored("properties tiny Mo --min-length 6")
    [tuned] = read(store, "training")
    calculator = load_calculator(tuned.model_file.write_to(folder), dtype="float64")
    atoms = Alloy(("Mo",)).primitive()
    atoms.pbc = True
    atoms.calc = calculator

    def stress(strain: float, axis: int) -> Any:
        """Return the second Piola-Kirchhoff stress (xx, yy) at one of Green and Lagrange's."""
        stretch = np.ones(3)
        stretch[axis] = np.sqrt(1 + 2 * strain)
        moved = atoms.copy()
        moved.set_cell(atoms.cell.array * stretch, scale_atoms=True)
        moved.calc = calculator
        BFGS(moved, logfile=None).run(fmax=1e-5, steps=200)
        return (stretch.prod() / stretch**2 * moved.get_stress()[:3])[:2]

    def column(axis: int) -> Any:
        """Return ∂S/∂E (N/m) by differences of fourth order."""
        h = 0.005
        one, two = (stress(n * h, axis) - stress(-n * h, axis) for n in (1, 2))
        return (8 * one - two) / (12 * h) / GPa * atoms.cell.lengths()[2] / 10

    BFGS(FrechetCellFilter(atoms, mask=[1, 1, 0, 0, 0, 1]), logfile=None).run(fmax=1e-5)
    [a] = numbers(r"MoS2: a = ([\d.]+) Å", printed)
    assert a == pytest.approx(atoms.cell.lengths()[0], abs=2e-4)
    x, y = column(0), column(1)
    c11, c12, c22 = x[0], (x[1] + y[0]) / 2, y[1]
    assert numbers(r"C11 = ([\d.]+) N/m", printed) == pytest.approx([c11], rel=0.01)
    assert numbers(r"C12 = ([\d.]+) N/m", printed) == pytest.approx([c12], rel=0.01)
    [young] = numbers(r"Young's modulus along x: ([\d.]+) N/m", printed)
    assert young == pytest.approx(c11 - c12**2 / c22, rel=0.01)
    assert len(numbers(r"lowest frequency (-?[\d.]+) THz", printed)) == 1


def test_query_and_plot(stored: Run, store: Any, folder: Path) -> None:
    expected = sorted(m for d in read(store, "benchmark") for m in maes(d))
    printed = stored("query_and_plot tiny --output parity.png")
    for source in ("pymongo", "maggma"):
        found = sorted(numbers(rf"{source}: .*mixing MAE ([\d.]+) meV", printed))
        assert found == pytest.approx(expected, abs=6e-7)
    assert (folder / "parity.png").read_bytes().startswith(b"\x89PNG")
