"""NequIP and Allegro with random weights; in an environment where nequip is installed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("nequip", reason="nequip is not installed: docs/models.md")

from hea_flows.potentials.foreign.nequip import NequIPFamily  # noqa: E402
from hea_flows.potentials.model_files import ModelFileError  # noqa: E402
from hea_flows.schemas import ModelSpec  # noqa: E402
from hea_flows.testing.families import (  # noqa: E402
    SETTINGS,
    check_calculator,
    check_family,
    distorted_cell,
    labelled_frames,
)

FAMILY = NequIPFamily()
COMMON = {
    "seed": 3,
    "model_dtype": "float64",
    "r_max": 4.0,
    "type_names": ["S", "V", "Nb", "Mo"],
    "avg_num_neighbors": 12.0,
    "per_type_energy_scales": 30.0,
    "per_type_energy_shifts": -3.0,
}


def build(kind: str) -> Any:
    from nequip.utils.global_state import set_global_state

    set_global_state()
    if kind == "nequip":
        from nequip.model import NequIPGNNModel

        return NequIPGNNModel(num_layers=2, l_max=1, num_features=4, **COMMON)
    pytest.importorskip("allegro")
    from allegro.model import AllegroModel

    return AllegroModel(
        l_max=1,
        num_layers=1,
        num_scalar_features=8,
        num_tensor_features=4,
        radial_chemical_embed={
            "_target_": "allegro.nn.TwoBodyBesselScalarEmbed",
            "num_bessels": 4,
        },
        **COMMON,
    )


@pytest.fixture(params=["nequip", "allegro"], scope="module")
def compiled(request: pytest.FixtureRequest, tmp_path_factory: Any) -> tuple[Any, ModelSpec]:
    """Return a model in memory, and its file as nequip itself compiles and writes it."""
    from nequip.model.inference_models.torchscript import save_torchscript_model

    path = tmp_path_factory.mktemp("nequip") / "random.nequip.pth"
    module = build(request.param)
    metadata = {k: str(int(v)) if isinstance(v, bool) else v for k, v in module.metadata.items()}
    save_torchscript_model(module, metadata | {"allow_tf32": "0"}, str(path), "cpu")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return build(request.param).eval(), ModelSpec(family="nequip", path=str(path), sha256=sha256)


@pytest.mark.filterwarnings("ignore")
def test_random_weights_give_what_nequips_own_calculator_gives(
    compiled: tuple[Any, ModelSpec], tmp_path: Path
) -> None:
    from nequip.data.transforms import ChemicalSpeciesToAtomTypeMapper, NeighborListTransform
    from nequip.integrations.ase import NequIPCalculator

    module, spec = compiled
    names = COMMON["type_names"]
    transforms = [
        ChemicalSpeciesToAtomTypeMapper(model_type_names=names),
        NeighborListTransform(r_max=4.0),
    ]
    torch.set_default_dtype(torch.float64)  # as nequip does
    theirs = NequIPCalculator(module, device="cpu", transforms=transforms)
    structures = [distorted_cell("V", 1), distorted_cell("Mo", 2).repeat((2, 1, 1))]
    check_calculator(FAMILY, spec, theirs, structures)
    torch.set_default_dtype(torch.float32)
    check_family(FAMILY, tmp_path, model=spec, trains=False)
    assert torch.get_default_dtype() == torch.float32


def test_what_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "half.nequip.pth"
    path.write_bytes(b"PK not a model")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    spec = ModelSpec(family="nequip", path=str(path), sha256=sha256)
    assert FAMILY.resolve(spec) == spec
    with pytest.raises(ModelFileError, match=r"half\.nequip\.pth could not be loaded: "):
        FAMILY.calculator(spec)
    unknown = spec.model_copy(update={"sha256": None})
    for use in (FAMILY.calculator, FAMILY.resolve):
        with pytest.raises(ModelFileError, match="is loaded only with a promised checksum"):
            use(unknown)
    with pytest.raises(ValueError, match="trained by nequip-train, not here"):
        FAMILY.train(spec, labelled_frames(1), [], [], SETTINGS, tmp_path)
