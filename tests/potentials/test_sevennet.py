"""SevenNet with its real weights, compared with its own calculator; `make sevennet` installs it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ase.build import bulk
from standalone import compare, tell

torch = pytest.importorskip("torch")
pytest.importorskip("sevenn", reason="sevenn is not installed: make sevennet")

from hea_flows.potentials import model_files  # noqa: E402
from hea_flows.potentials.model_files import ModelFileError  # noqa: E402
from hea_flows.potentials.sevennet.family import FOUNDATIONS, SevenNetFamily  # noqa: E402
from hea_flows.schemas import ModelSpec  # noqa: E402
from hea_flows.testing.families import distorted_cell as layer  # noqa: E402
from hea_flows.testing.families import labelled_frames as frames  # noqa: E402

FAMILY = SevenNetFamily()


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def theirs(name: str, **options: Any) -> Any:
    from sevenn.calculator import SevenNetCalculator

    return SevenNetCalculator(name, device="cpu", **options)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FOUNDATIONS)
def test_real_weights_give_what_sevennets_own_calculator_gives(name: str) -> None:
    foundation, _, modality = name.partition("/")
    calculator = theirs(foundation, **({"modal": modality} if modality else {}))
    mixed = layer("Mo", 2).repeat((2, 1, 1))
    mixed.symbols[0] = "V"
    structures = [mixed, layer("Nb", 3)]
    ours = FAMILY.evaluate(ModelSpec(family="sevennet", name=name), structures)
    for structure, prediction in zip(structures, ours, strict=True):
        atoms = structure.copy()
        atoms.pbc, atoms.calc = True, calculator
        assert prediction.energy / len(atoms) == pytest.approx(
            atoms.get_potential_energy() / len(atoms), abs=1e-5
        )
        assert prediction.forces == pytest.approx(atoms.get_forces(), abs=3e-5)
        assert prediction.stress == pytest.approx(atoms.get_stress(), abs=1e-5)


def test_what_cannot_be_built_or_known_is_said(tmp_path: Path) -> None:
    several = str(FOUNDATIONS["7net-mf-0/PBE"].path)
    with pytest.raises(ValueError, match="this model needs a modality: R2SCAN, PBE"):
        FAMILY.load(ModelSpec(family="sevennet", path=several))
    with pytest.raises(ValueError, match=r"accepted: 7net-0, 7net-l3i5, 7net-mf-0/PBE, 7net-mf"):
        FAMILY.resolve(ModelSpec(family="sevennet", name="7net-1"))
    for entry, message in (
        ({"irreps": "8x0e"}, "unknown sevennet architecture entry 'irreps'; accepted: channel"),
        ({"self_connection_type": "mlp"}, "sevenn cannot build this architecture: Unknown"),
    ):
        with pytest.raises(ValueError, match=message):
            SevenNetFamily(architecture=entry).fresh(frames(1), 0)
    small = SevenNetFamily(architecture={"channel": 4, "num_convolution_layer": 1})
    with pytest.raises(ValueError, match="this sevennet model knows S, V, Nb, Mo, not W"):
        small.fresh(frames(3), 0).prepare([bulk("W")])
    other = tmp_path / "other.pth"
    torch.save({"config": {}, "model_state_dict": {}}, other)
    with pytest.raises(ModelFileError, match=r"other.pth is no whole SevenNet checkpoint \(No v"):
        FAMILY.load(ModelSpec(family="sevennet", path=str(other)))


OFFSETS = {"Mo": -3.25, "S": 0.5, "Og": 9.0}


@pytest.mark.filterwarnings("ignore")
def test_sevennets_calculator_gives_the_same_on_the_zero_of_the_labels(tmp_path: Path) -> None:
    """A shift for all elements, one per element, and one per element and modality; float32."""
    small = SevenNetFamily(architecture={"channel": 4, "num_convolution_layer": 2}, dtype="float64")
    path = tmp_path / "scratch.pt"
    sha256 = model_files.save(path, small.fresh(frames(3), 0).checkpoint())
    specs = {
        "scratch": ModelSpec(family="sevennet", path=str(path), sha256=sha256, dtype="float64"),
        "species": ModelSpec(family="sevennet", name="7net-0"),
        "modal": ModelSpec(family="sevennet", name="7net-mf-0/PBE"),
    }
    structures = [layer("Mo", 1), layer("Nb", 2)]
    files = {name: FAMILY.native(spec, OFFSETS) for name, spec in specs.items()}
    assert 'modal="PBE")' in files["modal"].opening
    told = tell(files, structures, tmp_path)
    for name, spec in specs.items():
        ours = FAMILY.evaluate(spec, structures)
        compare(told[name], ours, structures, OFFSETS, energy=1e-5, forces=3e-5)
    plain = model_files.load_plain(tmp_path / "scratch")
    shift = plain["model_state_dict"]["rescale_atomic_energy.shift"]
    config = model_files.load(path, "sevennet").config
    common = torch.tensor(config["shift"], dtype=torch.float32)
    assert config["atomic_numbers"] == [16, 23, 41, 42]
    assert torch.equal(shift, (common.double() + torch.tensor([0.5, 0, 0, -3.25])).float())
