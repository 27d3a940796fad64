from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("chgnet")

from hea_flows.alloy.lattice.prototypes import Alloy
from hea_flows.alloy.sampling.energies import AseEnergies
from hea_flows.potentials.base import family
from hea_flows.potentials.lattice_energies import (
    LatticeDecorations,
    RelaxedDecorations,
    decoration_energies,
)
from hea_flows.schemas import ModelSpec

ALLOY = Alloy(("Mo", "Ta", "V"))
CELL = [[2, 1, 0], [0, 3, 0], [0, 0, 1]]
SPEC = ModelSpec(family="chgnet", name="0.3.0", dtype="float64")
CODES = np.random.default_rng(0).integers(3, size=(3, 6))


def reference(spec: ModelSpec, mode: str, **settings) -> AseEnergies:
    calculator = family("chgnet").calculator(spec)
    return AseEnergies(ALLOY, CELL, 3.22, calculator, mode=mode, **settings)


def test_chgnet_on_a_lattice_gives_the_calculators_energies() -> None:
    quick = decoration_energies(SPEC, ALLOY, CELL, 3.22, mode="fixed lattice")
    assert isinstance(quick, LatticeDecorations)
    exact = reference(SPEC, "fixed lattice")
    assert quick.energies(CODES) == pytest.approx(exact.energies(CODES), abs=1e-9)
    assert quick.energies(CODES[0]) == pytest.approx(quick.energies(CODES)[:1], abs=1e-12)
    assert quick.name == exact.name == "fixed lattice, a = 3.22 Å"
    single = decoration_energies(
        SPEC.model_copy(update={"dtype": "float32"}), ALLOY, CELL, 3.22, mode="fixed lattice"
    )
    assert single.energies(CODES) == pytest.approx(exact.energies(CODES), abs=2e-4)


def test_batches_and_the_general_way_give_the_same() -> None:
    potential = family("chgnet").calculator(SPEC).potential
    codes = np.random.default_rng(1).integers(3, size=(17, 6))
    quick = potential.lattice_energies(ALLOY, CELL, 3.22)  # seven at a time, then the rest
    each = [quick.energies(row)[0] for row in codes]
    assert quick.energies(codes) == pytest.approx(each, abs=1e-9)
    potential.quick = False
    general = potential.lattice_energies(ALLOY, CELL, 3.22)
    assert general.energies(codes) == pytest.approx(each, abs=1e-9)


def test_relaxed_energies_are_those_one_by_one() -> None:
    many = decoration_energies(SPEC, ALLOY, CELL, 3.22, mode="relaxed", error=1e-3)
    assert isinstance(many, RelaxedDecorations)
    one = reference(SPEC, "relaxed", fmax=0.003, max_steps=300)
    assert many.energies(CODES) == pytest.approx(one.energies(CODES), abs=2e-3)
    assert many.energies(CODES[::-1])[::-1] == pytest.approx(many.energies(CODES), abs=1e-6)
    assert many.name == one.name
    impatient = decoration_energies(SPEC, ALLOY, CELL, 3.22, mode="relaxed", max_steps=0)
    assert impatient.energies(CODES).tolist() == [np.inf] * 3


def test_every_composition_has_its_lattice_constant() -> None:
    constants = dict(zip(ALLOY.elements, (3.1, 3.2, 3.3), strict=False))
    own = decoration_energies(SPEC, ALLOY, CELL, constants, mode="fixed lattice")
    assert own.name == "fixed lattice, a by Vegard's rule"
    values = np.array(list(constants.values()))
    for row, energy in zip(CODES, own.energies(CODES), strict=True):
        a = float(values[row].mean())
        one = decoration_energies(SPEC, ALLOY, CELL, a, mode="fixed lattice")
        assert one.energies(row[None])[0] == pytest.approx(energy, abs=1e-6)
