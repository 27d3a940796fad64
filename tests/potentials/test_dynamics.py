"""Dynamics of a crystal whose energy is known: temperature, drift, and what flies apart."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT

from hea_flows.potentials import run_dynamics


class Repulsive(Calculator):
    """Every atom is pushed away from the middle, as by a model that goes wrong."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def calculate(self, atoms=None, properties=None, changes=None) -> None:
        super().calculate(atoms, properties, changes)
        away = self.atoms.positions - self.atoms.get_center_of_mass()
        self.results = {"energy": -float((away**2).sum()), "forces": 2 * away}


def crystal() -> Atoms:
    return bulk("Cu", cubic=True).repeat(2)


def test_a_crystal_holds_together() -> None:
    run = run_dynamics(crystal(), EMT(), 300.0, 3.0, np.random.default_rng(1))
    assert run.reason == ""
    assert run.picoseconds == 3.0
    assert run.temperature == pytest.approx(300, rel=0.1)
    assert abs(run.drift) < 0.05
    assert 0.1 < run.shift < 1.0


def test_it_depends_on_the_generator_alone() -> None:
    first, again, other = (
        run_dynamics(crystal(), EMT(), 300.0, 0.1, np.random.default_rng(k)) for k in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_what_flies_apart_ends_early() -> None:
    run = run_dynamics(crystal(), Repulsive(), 300.0, 5.0, np.random.default_rng(1))
    assert run.reason.startswith("an atom moved by ")
    assert run.picoseconds < 1.0
