"""Every installed family against `hea_flows.testing`, in each way it is evaluated and trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from hea_flows.potentials import families, family  # noqa: E402
from hea_flows.potentials.training.data import Split  # noqa: E402
from hea_flows.potentials.training.loss import loss  # noqa: E402
from hea_flows.schemas import LossWeights, ModelSpec  # noqa: E402
from hea_flows.testing.families import (  # noqa: E402
    check_family,
    check_training,
    labelled_frames,
)

#: What each built-in family needs.
NEEDS = {
    "ase": "ase",  # tested with calculators of others, in test_ase_calculator.py
    "chgnet": "chgnet",
    "cluster-expansion": "icet",  # no potential, tested in cluster_expansion
    "committee": "torch",  # of models of other families, in test_committee.py
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
    untrained = {"ase", "cluster-expansion", "committee", "nequip"}
    assert {name for name, _ in SMALL.values()} == NEEDS.keys() - untrained


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


@pytest.mark.parametrize("case", SMALL)
def test_a_frame_without_stress_adds_nothing_to_the_gradients_of_the_stress(case: str) -> None:
    name, architecture = SMALL[case]
    if find_spec(NEEDS[name]) is None:
        pytest.skip(f"{NEEDS[name]} is not installed")
    frames = labelled_frames(3)
    small: Any = dataclasses.replace(family(name, architecture=architecture), dtype="float64")
    potential = small.quickest(small.fresh(frames, 1))
    del frames[1].calc.results["stress"]
    split = Split.of(potential, frames)

    def slopes(chosen: list[int], weights: LossWeights) -> tuple[float, list[Any]]:
        batch, labels = split.batch(potential, chosen)
        potential.module.zero_grad()
        value = loss(potential.predict(batch, create_graph=True), labels, weights)
        value.backward()
        parameters = potential.module.parameters()
        return float(value.detach()), [torch.zeros(()) if p.grad is None else p.grad.clone()
                                       for p in parameters]  # fmt: skip

    whole, whole_slopes = slopes([0, 1, 2], LossWeights(stress=1000.0))
    plain, plain_slopes = slopes([0, 1, 2], LossWeights(stress=0.0))
    stress, stress_slopes = slopes([0, 2], LossWeights(energy=0.0, forces=0.0, stress=1000.0))
    assert stress > 1e-3 * whole
    assert whole == pytest.approx(plain + stress, rel=1e-12)
    for a, b, c in zip(whole_slopes, plain_slopes, stress_slopes, strict=True):
        assert float((a - b - c).abs().max()) <= 1e-11 * max(float(a.abs().max()), 1e-3)


@pytest.mark.parametrize(("name", "foundation"), [("chgnet", "0.3.0"), ("sevennet", "7net-0")])
def test_a_foundation_model(name: str, foundation: str, tmp_path: Path) -> None:
    pytest.importorskip(NEEDS[name])
    check_family(family(name), tmp_path, model=ModelSpec(family=name, name=foundation))
