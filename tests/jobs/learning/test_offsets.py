"""What a fine-tuning takes away from its labels, and what it passes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

from hea_flows import plugins
from hea_flows.jobs.learning.train import TrainMaker, removed_offsets, without_offsets
from hea_flows.potentials.base import Family, Prediction
from hea_flows.schemas import ModelSpec, TrainingSettings

PARENT = ModelSpec(family="flat", name="one")


class Flat(Family):
    """Every atom has -1 eV."""

    name = "flat"

    def resolve(self, spec: ModelSpec) -> ModelSpec:
        return spec

    def calculator(self, spec: ModelSpec, device: str = "cpu") -> Any:
        raise NotImplementedError

    def train(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    def evaluate(self, spec: ModelSpec, atoms_list: Sequence[Atoms], **_: Any) -> list[Prediction]:
        return [Prediction(-float(len(a)), np.zeros((len(a), 3)), np.zeros(6)) for a in atoms_list]


@pytest.fixture(autouse=True)
def _flat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(plugins.FAMILIES.registered, "flat", plugins.Row(Flat))


def frames() -> list[Atoms]:
    """Cu, CuAu3 and Au with -4 eV per Cu and -3 eV per Au."""
    made = []
    for n_gold in (0, 3, 4):
        atoms = bulk("Cu", cubic=True)
        atoms.symbols[:n_gold] = "Au"
        energy = -4.0 * (4 - n_gold) - 3.0 * n_gold
        atoms.calc = SinglePointCalculator(
            atoms, energy=energy, forces=np.zeros((4, 3)), stress=np.zeros(6)
        )
        made.append(atoms)
    return made


@pytest.mark.parametrize(
    ("policy", "parent", "removed"),
    [
        ("fit", PARENT, {"Au": -2.0, "Cu": -3.0}),
        ("fit", None, {"Au": -3.0, "Cu": -4.0}),
        ("none", PARENT, {"Au": 0.0, "Cu": 0.0}),
        ({"Au": 1.0, "Cu": 2.0, "Pt": 9.0}, PARENT, {"Au": 1.0, "Cu": 2.0, "Pt": 9.0}),
    ],
)
def test_offsets(policy: Any, parent: ModelSpec | None, removed: dict[str, float]) -> None:
    offsets = removed_offsets(policy, parent, frames())
    assert offsets == pytest.approx(removed, abs=1e-12)
    left = [f.get_potential_energy() for f in without_offsets(frames(), offsets)]
    expected = [
        f.get_potential_energy() - sum(removed[e] for e in f.get_chemical_symbols())
        for f in frames()
    ]
    assert left == pytest.approx(expected, abs=1e-12)


def test_an_element_without_a_number_is_told() -> None:
    with pytest.raises(ValueError, match=r"have no number for Cu; given: Au$"):
        removed_offsets({"Au": 1.0}, PARENT, frames())


def test_a_method_that_the_family_lacks_is_told_before_labels_are_read() -> None:
    maker = TrainMaker(model=PARENT, training=TrainingSettings.model_validate({"method": "lora"}))
    with pytest.raises(ValueError, match="flat has no training method 'lora'; accepted: all"):
        TrainMaker.make.original(maker, None)
