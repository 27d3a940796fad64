"""SevenNet with its real weights, compared with its own calculator; `make sevennet` installs it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ase.build import bulk

torch = pytest.importorskip("torch")
pytest.importorskip("sevenn", reason="sevenn is not installed: make sevennet")

from hea_flows.potentials.model_files import ModelFileError  # noqa: E402
from hea_flows.potentials.sevennet import FOUNDATIONS, SevenNetFamily  # noqa: E402
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
