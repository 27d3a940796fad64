"""What the tests of several model families share: labelled MX2 frames, exact checks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.calculators.morse import MorsePotential
from ase.calculators.singlepoint import SinglePointCalculator

from hea_flows.alloy.lattice.ordering import Ordering
from hea_flows.alloy.lattice.prototypes import Alloy
from hea_flows.schemas import ModelSpec, TrainingSettings

ALLOY = Alloy(("Mo", "Nb", "V"))
UNIT = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
SETTINGS = TrainingSettings(epochs=3, batch_size=2, learning_rate=2e-3, seed=1, threads=1)


def layer(element: str, seed: int) -> Atoms:
    """Return a strained, rattled unit cell of an MX2 layer."""
    atoms = Ordering(ALLOY, UNIT, (element,)).to_atoms()
    atoms.set_cell(atoms.cell.array * [[1 + 0.01 * (seed % 3)], [1], [1]], scale_atoms=True)
    atoms.rattle(0.05, seed=seed)
    return atoms


def frames(n: int, seed: int = 0) -> list[Atoms]:
    """Return frames labelled with a Morse potential."""
    made = [layer(("Mo", "Nb", "V")[k % 3], seed + k) for k in range(n)]
    for atoms in made:
        atoms.calc = MorsePotential(epsilon=0.5, r0=2.4, rho0=3.0, rcut1=3.0, rcut2=3.9)
        energy = atoms.get_potential_energy() + 3.0
        forces, stress = atoms.get_forces(), atoms.get_stress()
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces, stress=stress)
    return made


def check_derivatives(calculator: Calculator, atoms: Atoms, h: float = 1e-4) -> None:
    """Compare forces and stress of a float64 model with differences of its energy."""
    atoms = atoms.copy()
    atoms.calc = calculator
    forces, stress = atoms.get_forces(), atoms.get_stress()

    def slope(move: Any) -> float:
        energies = []
        for sign in (1, -1):
            moved = atoms.copy()
            move(moved, sign * h)
            moved.calc = calculator
            energies.append(moved.get_potential_energy())
        return float(energies[0] - energies[1]) / (2 * h)

    for i, k in ((0, 0), (1, 2), (2, 1)):

        def shift(moved: Atoms, step: float, i: int = i, k: int = k) -> None:
            moved.positions[i, k] += step

        assert forces[i, k] == pytest.approx(-slope(shift), abs=2e-6)
    for voigt, (a, b) in enumerate([(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]):

        def strain(moved: Atoms, step: float, a: int = a, b: int = b) -> None:
            matrix = np.eye(3)
            matrix[a, b] += step / 2
            matrix[b, a] += step / 2
            moved.set_cell(moved.cell.array @ matrix, scale_atoms=True)

        assert stress[voigt] == pytest.approx(slope(strain) / atoms.get_volume(), abs=1e-7)
    assert abs(forces).max() > 1e-2
    assert abs(stress).max() > 1e-4


def check_same(family: Any, spec: ModelSpec, theirs: Calculator, structures: list[Atoms]) -> None:
    """Compare a batch, and our calculator, with the family's own calculator."""
    told = family.evaluate(spec, structures, batch_size=3)
    ours = family.calculator(spec)
    for atoms, together in zip(structures, told, strict=True):
        periodic = atoms.copy()
        periodic.pbc = True
        scale = max(1.0, abs(together.forces).max())
        for calculator in (theirs, ours):
            calculator.reset()
            periodic.calc = calculator
            energy = periodic.get_potential_energy() / len(atoms)
            assert together.energy / len(atoms) == pytest.approx(energy, abs=1e-5 * scale)
            assert together.forces == pytest.approx(periodic.get_forces(), abs=1e-5 * scale)
            assert together.stress == pytest.approx(periodic.get_stress(), abs=1e-5)


def check_swaps(calculator: Calculator, family: Any, spec: ModelSpec) -> None:
    """Follow swaps on one lattice, as a Monte Carlo chain does."""
    atoms = layer("Nb", 3).repeat((2, 1, 1))
    atoms.calc = calculator
    for z in (41, 23, 42):
        atoms.numbers[0] = z
        told = family.evaluate(spec, [atoms])[0]
        assert atoms.get_potential_energy() == pytest.approx(told.energy, abs=2e-5)
        assert atoms.get_forces() == pytest.approx(told.forces, abs=2e-5)


def check_interruption(family: Any, parent: ModelSpec | None, directory: Path) -> ModelSpec:
    """Train in one go, and again with an interruption; the two files must be equal."""
    part = (frames(4), frames(2, 20), [])
    whole = family.train(parent, *part, SETTINGS, directory / "whole")

    def interrupt(epoch: Any) -> None:
        if epoch.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        family.train(parent, *part, SETTINGS, directory / "broken", interrupt)
    resumed = family.train(parent, *part, SETTINGS, directory / "broken")
    assert [e.train_loss for e in resumed.curve] == [e.train_loss for e in whole.curve]
    assert resumed.model.sha256 == whole.model.sha256
    assert whole.curve[-1].train_loss < whole.curve[0].train_loss
    assert whole.errors["train"].n_frames == 4
    return whole.model
