"""Model files as ASE calculators, as scripts open them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.calculators.calculator import PropertyNotImplementedError
from standalone import shift

torch = pytest.importorskip("torch")
pytest.importorskip("e3nn", reason="e3nn is not installed: pip install 'hea-flows[nequix]'")

from hea_flows import load_calculator  # noqa: E402
from hea_flows.potentials import model_files  # noqa: E402
from hea_flows.potentials.model_files import ModelFileError  # noqa: E402
from hea_flows.potentials.nequix.family import NequixFamily  # noqa: E402
from hea_flows.schemas import ModelSpec  # noqa: E402
from hea_flows.testing.families import distorted_cell, labelled_frames  # noqa: E402

OFFSETS = {"Mo": -3.25, "S": 0.5}
SMALL = {"hidden_irreps": "4x0e + 2x1o", "n_layers": 2, "radial_mlp_size": 8, "lmax": 1}
NQX = Path(__file__).parent / "nequix" / "reference" / "random.nqx"


def write(path: Path, dtype: Any = "float64", **meta: object) -> ModelSpec:
    fresh = NequixFamily(architecture=SMALL, dtype=dtype).fresh(labelled_frames(3), 0)
    sha256 = model_files.save(path, fresh.checkpoint(**meta))
    return ModelSpec(family="nequix", path=str(path), sha256=sha256, dtype=dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_checkpoint_says_its_family_its_precision_and_its_offsets(
    dtype: str, tmp_path: Path
) -> None:
    spec = write(tmp_path / "m.pt", dtype, offsets=OFFSETS)
    atoms = distorted_cell("Mo", 1)
    [own] = NequixFamily().evaluate(spec, [atoms])
    for offsets, moved in ((None, -3.25 + 2 * 0.5), ({}, 0.0), ({"S": 1.0, "W": 7.0}, 2.0)):
        atoms.calc = load_calculator(tmp_path / "m.pt", sha256=spec.sha256, offsets=offsets)
        assert atoms.get_potential_energy() == own.energy + moved
        assert atoms.get_potential_energy(force_consistent=True) == own.energy + moved
        assert np.array_equal(atoms.get_forces(), own.forces)
        assert np.array_equal(atoms.get_stress(), own.stress)


def test_a_checkpoint_without_offsets_has_the_zero_of_the_model(tmp_path: Path) -> None:
    spec, atoms = write(tmp_path / "m.pt"), distorted_cell("V", 1)
    [own] = NequixFamily().evaluate(spec, [atoms])
    atoms.calc = load_calculator(str(tmp_path / "m.pt"))
    assert atoms.get_potential_energy() == own.energy


def test_nothing_of_an_earlier_structure_is_left(tmp_path: Path) -> None:
    spec = write(tmp_path / "m.pt", offsets=OFFSETS)
    atoms = distorted_cell("Mo", 1)
    atoms.calc = load_calculator(tmp_path / "m.pt")
    atoms.get_forces()
    for change in range(3):
        if change < 2:
            atoms.positions[0] += 0.05
        else:
            atoms.symbols[0] = "V"
        [own] = NequixFamily().evaluate(spec, [atoms])
        expected = own.energy + shift(atoms, OFFSETS)
        assert atoms.get_potential_energy() == pytest.approx(expected, abs=1e-10)
        assert atoms.get_forces() == pytest.approx(own.forces, abs=1e-10)
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_magnetic_moments()


def test_a_file_of_another_program_opens_with_its_family() -> None:
    atoms = distorted_cell("Mo", 1)
    [own] = NequixFamily().evaluate(ModelSpec(family="nequix", path=str(NQX)), [atoms])
    atoms.calc = load_calculator(NQX, family="nequix", offsets=OFFSETS)
    assert atoms.get_potential_energy() == own.energy + -3.25 + 2 * 0.5
    with pytest.raises(ModelFileError, match=r"random.nqx does not hold plain data only"):
        load_calculator(NQX)


def test_what_is_refused(tmp_path: Path) -> None:
    path, victim = tmp_path / "m.pt", tmp_path / "victim"
    spec = write(path, offsets=["Mo"])
    with pytest.raises(ValueError, match=r"m.pt: its offsets are no energies per element"):
        load_calculator(path)
    with pytest.raises(ModelFileError, match="was expected; not loaded"):
        load_calculator(path, sha256="0" * 64)
    with pytest.raises(ModelFileError, match="model of the family 'nequix', not 'mace'"):
        load_calculator(path, family="mace")
    with pytest.raises(FileNotFoundError):
        load_calculator(tmp_path / "none.pt")
    torch.save({"a": 1}, path)
    with pytest.raises(ModelFileError, match=r"m.pt is no checkpoint of hea-flows: give"):
        load_calculator(path)
    torch.save(model_files.as_content(model_files.Checkpoint("nope", {}, {})), path)
    with pytest.raises(ValueError, match="unknown model family 'nope'; accepted: ase, chgnet"):
        load_calculator(path)

    class Touch:
        def __reduce__(self) -> object:
            return (Path.touch, (victim,))

    path.write_bytes(pickle.dumps(Touch()))
    for family in (None, "nequix"):
        with pytest.raises(ModelFileError):
            load_calculator(path, family=family)
    assert not victim.exists()
    assert spec.sha256
