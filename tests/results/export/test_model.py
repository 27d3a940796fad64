"""Trained models as files, and what is said of them."""

from __future__ import annotations

import csv
import hashlib
import math
import sys
from pathlib import Path
from typing import Any

import pytest
from jobflow import JobStore
from standalone import shift
from stored_campaign import memory_store

torch = pytest.importorskip("torch")
pytest.importorskip("e3nn", reason="e3nn is not installed: pip install 'hea-flows[nequix]'")

from hea_flows.cli import main, results  # noqa: E402
from hea_flows.potentials import Family, family, model_files  # noqa: E402
from hea_flows.potentials.nequix.family import NequixFamily  # noqa: E402
from hea_flows.results.export import choose_model, curve_csv, export_model  # noqa: E402
from hea_flows.schemas import Document, Epoch, ModelSpec, StoredFile, TrainingDoc  # noqa: E402
from hea_flows.testing.families import distorted_cell, labelled_frames  # noqa: E402

OFFSETS = {"Mo": -3.25, "S": 0.5, "V": 0.0}
ADDED = "Mo -3.25, S +0.5"
SMALL = {"hidden_irreps": "4x0e + 2x1o", "n_layers": 2, "radial_mlp_size": 8, "lmax": 1}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("model") / "model.pt"
    fresh = NequixFamily(architecture=SMALL, dtype="float64").fresh(labelled_frames(3), 0)
    model_files.save(path, fresh.checkpoint(best_epoch=3))
    return path.read_bytes()


@pytest.fixture(scope="module")
def training(raw: bytes, documents: list[Document]) -> TrainingDoc:
    [document] = [d for d in documents if isinstance(d, TrainingDoc)]
    file = StoredFile.from_bytes("model.pt", raw)
    model = ModelSpec(family="nequix", sha256=file.sha256, dtype="float64")
    parent = ModelSpec(family="nequix", name="mp-1", licence="MIT")
    changes = {"model": model, "model_file": file, "offsets": OFFSETS, "parent": parent}
    return document.model_copy(update=changes)


def named(document: TrainingDoc, name: str, seed: int) -> TrainingDoc:
    settings = document.settings.model_copy(update={"seed": seed})
    return document.model_copy(
        update={"name": name, "settings": settings, "uuid": f"{name}-{seed}".replace(" ", "-")}
    )


def energy_of(lines: list[str]) -> float:
    """Return what the printed lines lead to."""
    names: dict[str, Any] = {}
    exec("\n".join(lines[-2:]), names)  # noqa: S102
    atoms = distorted_cell("Mo", 1)
    atoms.calc = names["calc"]
    return float(atoms.get_potential_energy())


@pytest.fixture(scope="module")
def own(raw: bytes, tmp_path_factory: pytest.TempPathFactory) -> float:
    """Return the energy on the model's own zero."""
    path = tmp_path_factory.mktemp("own") / "model.pt"
    path.write_bytes(raw)
    spec = ModelSpec(family="nequix", path=str(path), dtype="float64")
    return NequixFamily().evaluate(spec, [distorted_cell("Mo", 1)])[0].energy


def test_a_checkpoint_notes_its_offsets(
    training: TrainingDoc, raw: bytes, own: float, tmp_path: Path
) -> None:
    path = tmp_path / "model.pt"
    lines = export_model(training, path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert lines == [
        f"model: {training.name}, seed {training.settings.seed}",
        "family: nequix",
        f"file: {path}",
        f"sha256: {sha256}",
        "sha256 of the stored file, which is without the offsets: "
        + hashlib.sha256(raw).hexdigest(),
        f"zero of energy: that of the labels, by offsets (eV/atom) noted in the file: {ADDED}",
        "parent: nequix-mp-1, licence: MIT",
        "from hea_flows import load_calculator",
        f'calc = load_calculator("{path}", sha256="{sha256}")',
    ]
    stored = tmp_path / "stored.pt"
    stored.write_bytes(raw)
    before, after = (model_files.load(p, "nequix") for p in (stored, path))
    assert after.meta == {"best_epoch": 3, "offsets": {"Mo": -3.25, "S": 0.5}}
    assert after.config == before.config
    assert all(torch.equal(after.state[key], value) for key, value in before.state.items())
    assert energy_of(lines) == own + shift(distorted_cell("Mo", 1), OFFSETS)


def test_the_zero_of_the_model_is_the_stored_file(
    training: TrainingDoc, raw: bytes, own: float, tmp_path: Path
) -> None:
    path = tmp_path / "model.pt"
    scratch = training.model_copy(update={"parent": None})
    lines = export_model(scratch, path, zero="model")
    assert path.read_bytes() == raw
    assert energy_of(lines) == own
    assert lines[3:6] == [
        f"sha256: {hashlib.sha256(raw).hexdigest()}",
        f"zero of energy: the model's own; offsets (eV/atom) to that of the labels: {ADDED}",
        "parent: none, trained from scratch",
    ]
    same = export_model(training.model_copy(update={"offsets": {"Mo": 0.0}}), path)
    assert path.read_bytes() == raw
    assert same[4] == "zero of energy: that of the labels and of the model, which are one"


@pytest.mark.parametrize("zero", ["label", "model"])
def test_a_native_file_has_the_offsets_in_its_energies(
    training: TrainingDoc, own: float, zero: Any, tmp_path: Path
) -> None:
    path = tmp_path / "model.nqx"
    lines = export_model(training, path, form="native", zero=zero)
    assert lines[3] == f"sha256: {hashlib.sha256(path.read_bytes()).hexdigest()}"
    assert lines[-1] == f'calc = NequixCalculator(model_path="{path}", use_kernel=False)'
    moved = shift(distorted_cell("Mo", 1), OFFSETS) if zero == "label" else 0.0
    assert ("in its energies: Mo -3.25, S +0.5" in lines[4]) == (zero == "label")
    spec = ModelSpec(family="nequix", path=str(path), dtype="float64")
    [told] = NequixFamily().evaluate(spec, [distorted_cell("Mo", 1)])
    assert told.energy == pytest.approx(own + moved, abs=1e-5)  # weights in float32


def test_no_file_is_written_that_could_not_be_opened(training: TrainingDoc, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    with pytest.raises(ValueError, match=r"the name of a native nequix file ends with .nqx"):
        export_model(training, path, form="native")
    calculators: Family = family("ase")
    with pytest.raises(ValueError, match="'ase' writes no native files; accepted format: check"):
        calculators.native(ModelSpec(family="ase", callable="a.b:C"), {})
    assert not path.exists()


def test_a_file_of_a_familys_own_stays_as_it_is(training: TrainingDoc, tmp_path: Path) -> None:
    nqx = Path(__file__).parents[2] / "potentials" / "nequix" / "reference" / "random.nqx"
    file = StoredFile.from_bytes("model.pt", nqx.read_bytes())
    document = training.model_copy(
        update={"model_file": file, "model": ModelSpec(family="nequix", sha256=file.sha256)}
    )
    lines = export_model(document, tmp_path / "m")
    assert (tmp_path / "m").read_bytes() == nqx.read_bytes()
    assert "by offsets (eV/atom) given to load_calculator: Mo -3.25" in lines[4]
    [own] = family("nequix").evaluate(
        ModelSpec(family="nequix", path=str(nqx)), [distorted_cell("Mo", 1)]
    )
    assert energy_of(lines) == own.energy + shift(distorted_cell("Mo", 1), OFFSETS)


def test_without_torch_the_offsets_are_in_the_lines(
    training: TrainingDoc, raw: bytes, own: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.delattr("hea_flows.potentials.model_files")
        patch.setitem(sys.modules, "hea_flows.potentials.model_files", None)
        lines = export_model(training, tmp_path / "m.pt")
    assert (tmp_path / "m.pt").read_bytes() == raw
    assert energy_of(lines) == own + shift(distorted_cell("Mo", 1), OFFSETS)


def test_a_model_is_chosen_by_name_and_seed(training: TrainingDoc) -> None:
    made = [named(training, *key) for key in (("A", 1), ("A", 2), ("B", 1), ("A", 2), ("B c", 7))]
    assert choose_model(made) is made[-1]
    assert choose_model(made, "A", 2) is made[3]
    assert choose_model(made, "B") is made[2]
    assert choose_model(made, seed=7) is made[4]
    accepted = "; accepted: 'A', seed 1, 2; 'B', seed 1; 'B c', seed 7"
    for asked, line in (
        (("A", None), "2 models have the name 'A'"),
        ((None, 1), "2 models have the seed 1"),
        (("A", 7), "no model has the name 'A' and the seed 7"),
        (("C", None), "no model has the name 'C'"),
    ):
        with pytest.raises(ValueError, match="accepted: ") as caught:
            choose_model(made, *asked)
        assert str(caught.value) == line + accepted


def test_a_curve_keeps_all_digits(training: TrainingDoc, tmp_path: Path) -> None:
    epoch = training.curve[0].model_copy(update={"train_loss": 0.1 + 0.2, "test_stress": math.nan})
    path = tmp_path / "curve.csv"
    path.write_text(curve_csv([epoch, training.curve[-1]]))
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(Epoch.model_fields)
    assert float(rows[0]["train_loss"]) == 0.1 + 0.2
    assert math.isnan(float(rows[0]["test_stress"]))
    for row, written in zip(rows, (epoch, training.curve[-1]), strict=True):
        assert row == {name: str(value) for name, value in written.model_dump().items()}


@pytest.fixture
def store(
    training: TrainingDoc, documents: list[Document], monkeypatch: pytest.MonkeyPatch
) -> JobStore:
    others = [d for d in documents if not isinstance(d, TrainingDoc)]
    store = memory_store([*others, named(training, "A", 1), named(training, "B", 2)])
    monkeypatch.setattr(results, "open_store", lambda: store)
    return store


@pytest.mark.usefixtures("store")
def test_the_command(training: TrainingDoc, tmp_path: Path, capsys: Any, own: float) -> None:
    path, curve = tmp_path / "m.pt", tmp_path / "curve.csv"
    command = ["export", "model", str(path), "--campaign", "toy"]
    assert main([*command, "--model", "A", "--curve", str(curve)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "model: A, seed 1"
    assert lines[-1] == f"training curve, {len(training.curve)} epochs: {curve}"
    assert curve.read_text() == curve_csv(training.curve)
    assert energy_of(lines[:-1]) == own + shift(distorted_cell("Mo", 1), OFFSETS)
    assert main([*command, "--seed", "2", "--zero", "model"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "model: B, seed 2"
    assert energy_of(lines) == own
    for options, line in (
        (["--model", "C"], "no model has the name 'C'; accepted: 'A', seed 1; 'B', seed 2"),
        (["--format", "native"], f"{path}: the name of a native nequix file ends with .nqx"),
        (["--campaign", "x"], "no training document of campaign 'x'; see hea-flows query --kind c"),
    ):
        assert main([*command, *options]) == 1
        assert capsys.readouterr().err.startswith(f"error: {line}")
