"""Models as MACE's own programs read them."""

from __future__ import annotations

import pickletools
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from standalone import Told, compare, shift, tell

torch = pytest.importorskip("torch")
if find_spec("mace") is None:
    pytest.skip("mace-torch is not installed", allow_module_level=True)

from tests.potentials.mace.test_methods import (  # noqa: E402
    FAMILY,
    by,
    foundation_like,
    frames,
    replay,  # noqa: F401  # a fixture
    small,
)

from hea_flows.potentials import model_files  # noqa: E402
from hea_flows.potentials.mace.potential import MACEPotential  # noqa: E402
from hea_flows.schemas import ModelSpec  # noqa: E402

OFFSETS = {"Cu": -3.25, "Au": 0.5}


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def saved(potential: MACEPotential, folder: Path, dtype: str = "float64") -> ModelSpec:
    path = folder / "model.pt"
    sha256 = model_files.save(path, potential.checkpoint())
    return ModelSpec(family="mace", path=str(path), sha256=sha256, dtype=dtype)


@pytest.fixture(scope="module")
def cases(
    tmp_path_factory: pytest.TempPathFactory,
    replay: dict[str, Any],  # noqa: F811
) -> dict[str, tuple[ModelSpec, dict[str, float]]]:
    """Return models and what is added to them, trained ones among them."""
    folder = tmp_path_factory.mktemp("cases")
    parent = saved(foundation_like(), folder)
    split = (frames(6, 0), frames(2, 20), frames(2, 30))
    trained = {
        method: FAMILY.train(parent, *split, by(given, epochs=2), folder / method).model
        for method, given in (("lora", "lora"), ("replay", replay))
    }
    before = FAMILY.evaluate(parent, split[2])[0].energy
    for model in trained.values():
        assert abs(FAMILY.evaluate(model, split[2])[0].energy - before) > 1e-3
    scratch = folder / "scratch"
    scratch.mkdir()
    return {
        "scratch": (saved(small(), scratch), OFFSETS),
        "foundation": (parent, {"Au": 2.0, "Pt": 9.0}),
        "lora": (trained["lora"], OFFSETS),
        "replay": (trained["replay"], {}),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("native")


@pytest.fixture(scope="module")
def told(cases: dict[str, tuple[ModelSpec, dict[str, float]]], folder: Path) -> dict[str, Told]:
    files = {name: FAMILY.native(spec, offsets) for name, (spec, offsets) in cases.items()}
    return tell(files, frames(3, 80), folder)


@pytest.mark.parametrize("name", ["scratch", "foundation", "lora", "replay"])
def test_maces_calculator_gives_the_same_on_the_zero_of_the_labels(
    name: str,
    cases: dict[str, tuple[ModelSpec, dict[str, float]]],
    told: dict[str, Told],
    folder: Path,
) -> None:
    (spec, offsets), structures = cases[name], frames(3, 80)
    ours = FAMILY.evaluate(spec, structures)
    compare(told[name], ours, structures, offsets, energy=1e-9, forces=1e-9)
    module = torch.load(folder / name, weights_only=False)
    assert list(module.heads) == ["Default"]
    assert not any("lora" in key for key in module.state_dict())


def test_the_file_holds_classes_of_mace_alone(tmp_path: Path) -> None:
    spec = saved(foundation_like(), tmp_path)
    content = FAMILY.native(spec, OFFSETS).content
    with zipfile.ZipFile(BytesIO(content)) as archive:
        pickled = archive.read("archive/data.pkl")
    named = [str(a) for op, a, _ in pickletools.genops(pickled) if op.name == "GLOBAL"]
    assert "mace.modules.models ScaleShiftMACE" in named
    rooms = {name.partition(" ")[0].partition(".")[0] for name in named}
    assert rooms <= {"__builtin__", "_codecs", "collections", "e3nn", "mace", "torch"}


def test_weights_in_float32_keep_their_values_and_energies_their_digits(tmp_path: Path) -> None:
    single = MACEPotential(small().module, small().config, "float32", "cpu")
    spec = saved(single, tmp_path, "float32")
    file = FAMILY.native(spec, {"Cu": -1234.0625, "Au": 1e-5})
    assert 'default_dtype="float32"' in file.opening
    module = torch.load(BytesIO(file.content), weights_only=False)
    energies = module.atomic_energies_fn.atomic_energies.flatten().tolist()
    assert module.atomic_numbers.tolist() == [29, 79]
    assert energies == [-1234.0625, 1e-5]
    for name, weight in single.module.named_parameters():
        assert torch.equal(module.get_parameter(name), weight.double())


@pytest.mark.slow
def test_maces_lammps_program_takes_the_file(tmp_path: Path) -> None:
    spec = saved(foundation_like(), tmp_path)
    path = tmp_path / "native.model"
    path.write_bytes(FAMILY.native(spec, OFFSETS).content)
    done = subprocess.run(
        [sys.executable, "-I", "-m", "mace.cli.create_lammps_model", str(path)],
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    lammps = torch.jit.load(f"{path}-lammps.pt")
    potential, [atoms] = FAMILY.load(spec), frames(1, 80)
    batch = potential.collate(potential.prepare([atoms]))
    data = batch.inputs | {"positions": batch.positions}
    data["shifts"] = data["unit_shifts"] @ torch.tensor(atoms.cell.array)
    told = lammps(data, torch.ones(len(atoms)), compute_virials=False)
    [ours] = FAMILY.evaluate(spec, [atoms])
    assert float(told["total_energy_local"].detach()) == pytest.approx(
        ours.energy + shift(atoms, OFFSETS), abs=1e-9
    )
    assert told["forces"].detach().numpy() == pytest.approx(ours.forces, abs=1e-9)
