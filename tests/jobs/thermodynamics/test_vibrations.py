"""Vibrations of Cu-Au phases with ASE's effective-medium potential."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT

from hea_flows.alloy.lattice.ordering import Ordering
from hea_flows.alloy.lattice.prototypes import Alloy
from hea_flows.alloy.lattice.relaxation import relax
from hea_flows.alloy.thermodynamics.decomposition import decompositions
from hea_flows.alloy.thermodynamics.mixtures import PhasePool
from hea_flows.alloy.thermodynamics.vibrational_stability import (
    vibrational_mixing,
    vibrational_transitions,
)
from hea_flows.alloy.thermodynamics.vibrations import harmonic_modes
from hea_flows.config import VibrationsSpec
from hea_flows.jobs.thermodynamics.vibrations import phase_vibrations
from hea_flows.schemas import Vibrations

pytest.importorskip("phonopy")

HOST = Alloy(("Cu", "Au"), "fcc", None, {"Cu": 3.6, "Au": 4.06})
ONE, TWO = (((1, 0, 0), (0, 1, 0), (0, 0, n)) for n in (1, 2))
CELLS = {
    ("Cu",): Ordering(HOST, ONE, ("Cu",)),
    ("Au",): Ordering(HOST, ONE, ("Au",)),
    ("Cu", "Au"): Ordering(HOST, TWO, ("Cu", "Au")),
}
POOL = decompositions(("Cu", "Au"), {("Cu", "Au"): 0.03})
SPEC = VibrationsSpec(t_max=1004.0, min_length=7.0, mesh_length=30.0)


def test_free_energies_and_transitions_of_the_record() -> None:
    found = phase_vibrations(CELLS, POOL, EMT(), SPEC)
    t = np.array(found.temperatures)
    assert (t[0], t[1], t[-2], t[-1]) == (0, 10, 1000, 1004)
    free = {}
    for phase, ordering in CELLS.items():
        atoms = ordering.to_atoms()
        atoms.calc = EMT()
        relax(atoms, fmax=0.002, max_steps=500)
        modes = harmonic_modes(atoms, EMT(), min_length=7.0, mesh_length=30.0)
        free[phase] = modes.free_energy(t) / len(atoms)
        assert found.imaginary["-".join(phase)] == modes.imaginary == 0
    mixing = 1e3 * (free["Cu", "Au"] - (free[("Cu",)] + free[("Au",)]) / 2)
    assert set(found.mixing_mev) == {"Cu-Au"}
    np.testing.assert_allclose(found.mixing_mev["Cu-Au"], mixing, atol=1e-9)
    counts = {phase: ordering.counts for phase, ordering in CELLS.items()}
    expected = vibrational_transitions(POOL, vibrational_mixing(free, counts), t)
    assert found.transitions == [(pytest.approx(at), d.name) for at, d in expected]
    assert found.decomposition_temperature == pytest.approx(expected[-1][0])
    assert found.unusable == {}
    assert Vibrations.model_validate_json(found.model_dump_json()) == found


def test_mixtures_of_a_composition_are_the_partitions_of_a_binary() -> None:
    pool = PhasePool.of(
        ("Cu", "Au"), {("Cu", "Au"): {"Cu": 1, "Au": 1}}, {("Cu", "Au"): 0.03}, {"Cu": 1, "Au": 1}
    )
    found, expected = (phase_vibrations(CELLS, p, EMT(), SPEC) for p in (pool, POOL))
    assert found.mixing_mev == expected.mixing_mev
    assert found.decomposition_temperature == pytest.approx(expected.decomposition_temperature)


class Upside(Calculator):
    """A potential of the opposite sign: every structure is at a maximum."""

    implemented_properties = ("energy", "forces", "stress")

    def calculate(self, atoms: Any = None, properties: Any = None, changes: Any = ()) -> None:
        super().calculate(atoms, properties, changes)
        atoms = atoms.copy()
        atoms.calc = EMT()
        self.results = {"energy": -atoms.get_potential_energy(), "forces": -atoms.get_forces()}
        self.results["stress"] = np.zeros(6)


def test_a_structure_at_no_minimum_has_no_free_energy() -> None:
    found = phase_vibrations(CELLS, POOL, Upside(), SPEC)
    assert set(found.unusable) == {"Cu", "Au", "Cu-Au"}
    assert found.unusable["Au"].endswith("% of its modes are imaginary")
    assert found.imaginary["Au"] > 0.9
    assert found.mixing_mev == {}
    assert found.transitions == []
    assert found.decomposition_temperature is None


def test_what_does_not_relax_is_named() -> None:
    few = SPEC.model_copy(update={"max_steps": 1})
    found = phase_vibrations(CELLS, POOL, EMT(), few)
    assert found.unusable["Cu-Au"] == "did not relax to 0.002 eV/Å in 1 moves"
    assert found.decomposition_temperature is None
