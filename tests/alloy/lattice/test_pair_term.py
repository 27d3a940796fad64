from __future__ import annotations

import numpy as np
import pytest
from ase.build import mx2
from ase.calculators.test import gradient_test
from ase.stress import voigt_6_to_full_3x3_stress

from hea_flows.alloy.lattice.ordering import Ordering
from hea_flows.alloy.lattice.pair_term import PairTerm
from hea_flows.alloy.lattice.prototypes import Alloy

ALLOY = Alloy(("Mo", "Ta", "W"))
ROW = ((2, 0, 0), (0, 1, 0), (0, 0, 1))


def test_energy_of_a_row_is_counted_by_hand() -> None:
    atoms = Ordering(ALLOY, ROW, ("Mo", "Ta")).to_atoms(a=3.2)
    atoms.calc = PairTerm({"Ta-Mo": 0.1}, cutoff=4.0)
    # In rows of Mo and rows of Ta each metal has four unlike neighbours at a: four pairs per cell.
    per_pair = 0.1 * (1 - (3.2 / 4.0) ** 2) ** 3
    assert atoms.get_potential_energy() == pytest.approx(4 * per_pair, rel=1e-12)


def test_like_atoms_and_anions_do_not_act() -> None:
    atoms = mx2("MoS2", a=3.2, vacuum=8)
    atoms.calc = PairTerm({"Mo-Ta": 0.1}, cutoff=5.0)
    assert atoms.get_potential_energy() == 0
    assert not atoms.get_forces().any()
    atoms.calc = PairTerm({"Mo-Mo": 0.1}, cutoff=4.0)
    assert atoms.get_potential_energy() == pytest.approx(3 * 0.1 * (1 - 0.64) ** 3, rel=1e-12)


def test_forces_and_stress_are_its_derivatives() -> None:
    cell = ((2, 0, 0), (0, 2, 0), (0, 0, 1))
    atoms = Ordering(ALLOY, cell, ("Mo", "Ta", "W", "Mo")).to_atoms()
    atoms.rattle(0.1, seed=3)
    atoms.calc = PairTerm({"Mo-Ta": 0.1, "Ta-W": -0.05, "Mo-Mo": 0.02}, cutoff=5.5)
    forces, numeric = gradient_test(atoms)
    np.testing.assert_allclose(forces, numeric, atol=1e-7)
    stress = voigt_6_to_full_3x3_stress(atoms.get_stress())
    for a, b in ((0, 0), (0, 1), (1, 1)):
        energies = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[a, b] += sign * 1e-5 / 2
            strain[b, a] += sign * 1e-5 / 2
            moved = atoms.copy()
            moved.set_cell(atoms.cell.array @ strain, scale_atoms=True)
            moved.calc = PairTerm({"Mo-Ta": 0.1, "Ta-W": -0.05, "Mo-Mo": 0.02}, cutoff=5.5)
            energies.append(moved.get_potential_energy())
        slope = (energies[0] - energies[1]) / 2e-5 / atoms.get_volume()
        assert stress[a, b] == pytest.approx(slope, abs=1e-8)
