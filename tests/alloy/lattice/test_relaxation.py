from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

from hea_flows.alloy.lattice.relaxation import cell_filter, relax


def layer() -> Atoms:
    atoms = fcc111("Cu", (2, 2, 1), a=3.8, vacuum=8.0, periodic=False)
    atoms.rattle(0.08, seed=1)
    return atoms


def test_a_layer_relaxes_in_the_plane_and_keeps_c() -> None:
    atoms = layer()
    atoms.calc = EMT()
    before = atoms.cell.array.copy()
    assert relax(atoms, fmax=0.005)
    np.testing.assert_array_equal(atoms.cell.array[2], before[2])
    np.testing.assert_allclose(atoms.cell.array[:2, 2], 0, atol=1e-12)
    assert not np.allclose(atoms.cell.array[:2, :2], before[:2, :2], atol=0.05)
    assert np.linalg.norm(atoms.get_forces(), axis=1).max() < 0.005
    stress = atoms.get_stress()
    area_height = atoms.get_volume()
    assert np.abs(stress[[0, 1, 5]] * area_height).max() < 0.01


def test_bulk_relaxes_to_the_closed_form() -> None:
    # Nearest-neighbour Lennard-Jones fcc: the minimum is at r = 2^(1/6) σ, E = -6 ε per atom.
    atoms = bulk("Ar", "fcc", a=1.6 * np.sqrt(2) * 0.75)
    atoms.calc = LennardJones(sigma=1.0, epsilon=1.0, rc=1.35, smooth=False)
    relax(atoms, fmax=1e-4, max_steps=300)
    assert atoms.get_potential_energy() == pytest.approx(
        -6.0 + 6 * 4 * (1.35**-6 - 1.35**-12), abs=1e-3
    )
    assert atoms.cell.lengths()[0] == pytest.approx(2 ** (1 / 6), rel=1e-3)


def test_a_resumed_relaxation_takes_the_same_path(tmp_path: Path) -> None:
    whole: list[np.ndarray] = []
    atoms = layer()
    atoms.calc = EMT()
    assert relax(
        atoms,
        fmax=0.01,
        on_step=lambda a: whole.append(a.positions.copy()),
        restart=tmp_path / "whole.json",
    )
    assert len(whole) > 6

    class KilledError(Exception):
        pass

    seen: list[Atoms] = []

    def until(n: int):
        def on_step(a: Atoms) -> None:
            seen.append(a.copy())
            if len(seen) == n:
                raise KilledError

        return on_step

    for stop in (3, 5, 10_000):
        again = layer()
        again.calc = EMT()
        try:
            relax(
                again,
                fmax=0.01,
                on_step=until(stop),
                restart=tmp_path / "parts.json",
                resume_from=seen[-1] if seen else None,
            )
        except KilledError:
            continue
    assert len(seen) == len(whole)
    np.testing.assert_allclose([a.positions for a in seen], whole, atol=1e-9)


def test_what_cannot_be_relaxed() -> None:
    with pytest.raises(ValueError, match="only layers periodic in x and y, or bulk"):
        cell_filter(Atoms("Cu", pbc=(True, False, False)))
