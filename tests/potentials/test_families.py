"""Every installed family against `hea_flows.testing`, in each way it is evaluated and trained."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from hea_flows.potentials import families, family  # noqa: E402
from hea_flows.schemas import ModelSpec  # noqa: E402
from hea_flows.testing.families import check_family, check_training  # noqa: E402

#: What each built-in family needs.
NEEDS = {
    "chgnet": "chgnet",
    "mace": "mace",
    "mattersim": "mattersim",
    "nequip": "nequip",  # tested with models of its own, in test_nequip.py
    "nequix": "e3nn",
    "sevennet": "sevenn",
}
MACE = {"max_ell": 1, "radial_MLP": [16], "r_max": 4.0, "correlation": 2}
CHGNET = {"atom_fea_dim": 16, "bond_fea_dim": 16, "angle_fea_dim": 16, "n_conv": 2}
NEQUIX = {"hidden_irreps": "8x0e + 4x1o + 4x2e", "n_layers": 2, "radial_mlp_size": 16}
MATTERSIM = {"num_blocks": 2, "units": 16, "max_l": 3, "max_n": 3}
SEVENNET = {"channel": 8, "num_convolution_layer": 2, "cutoff": 4.0}
SMALL: dict[str, tuple[str, dict[str, Any]]] = {
    "chgnet": ("chgnet", CHGNET),
    "mace, quick": ("mace", MACE | {"hidden_irreps": "8x0e"}),
    "mace, its own module": ("mace", MACE | {"hidden_irreps": "8x0e + 8x1o"}),
    "mattersim": ("mattersim", MATTERSIM),
    "nequix": ("nequix", NEQUIX | {"cutoff": 4.0}),
    "sevennet": ("sevennet", SEVENNET),
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_every_family_is_tested() -> None:
    assert families() == sorted(NEEDS)
    assert {name for name, _ in SMALL.values()} == NEEDS.keys() - {"nequip"}


@pytest.mark.parametrize("case", SMALL)
def test_from_scratch_then_fine_tuned(case: str, tmp_path: Path) -> None:
    name, architecture = SMALL[case]
    if find_spec(NEEDS[name]) is None:
        pytest.skip(f"{NEEDS[name]} is not installed")
    small = family(name, architecture=architecture)
    model = check_family(small, tmp_path / "scratch")
    assert model.dtype == "float32"
    parent = model.model_copy(update={"dtype": "float64"})
    assert check_training(small, parent, tmp_path / "tuned").dtype == "float64"


@pytest.mark.parametrize(("name", "foundation"), [("chgnet", "0.3.0"), ("sevennet", "7net-0")])
def test_a_foundation_model(name: str, foundation: str, tmp_path: Path) -> None:
    pytest.importorskip(NEEDS[name])
    check_family(family(name), tmp_path, model=ModelSpec(family=name, name=foundation))
