"""Vibrations of springs, whose frequencies are known."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.neighborlist import neighbor_list
from ase.units import _amu, _e, kB

from hea_flows.alloy.thermodynamics.vibrations import THZ, Modes, harmonic_modes

A, STIFF = 4.0, 2.0  # lattice constant (Å), spring constant (eV/Å²)


class Springs(Calculator):
    """Springs at rest between the neighbours at a distance: E = Σ ½ k (|r| − r0)²."""

    implemented_properties = ("energy", "forces")

    def __init__(self, rest: float, stiffness: float) -> None:
        super().__init__()
        self.rest, self.stiffness = rest, stiffness

    def calculate(self, atoms=None, properties=None, system_changes=all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        i, d, vectors = neighbor_list("idD", atoms, 1.2 * self.rest)
        stretch = d - self.rest
        pull = (self.stiffness * stretch / d)[:, None] * vectors
        forces = np.zeros((len(atoms), 3))
        np.add.at(forces, i, pull)
        energy = 0.25 * self.stiffness * float((stretch**2).sum())
        self.results = {"energy": energy, "forces": forces}


def fcc_frequencies(mesh: int, mass: float) -> np.ndarray:
    """Return ω/2π (THz) of nearest-neighbour springs on fcc, on an even Monkhorst-Pack mesh.

    D(q) = k/m Σ_R n nᵀ (1 − cos q·R) over the twelve neighbours R, n = R/|R|.
    """
    cell = bulk("Cu", "fcc", a=A).cell.array
    shifts = np.array([(x, y, z) for x in range(-1, 2) for y in range(-1, 2) for z in range(-1, 2)])
    vectors = shifts @ cell
    vectors = vectors[np.isclose(np.linalg.norm(vectors, axis=1), A / np.sqrt(2))]
    assert len(vectors) == 12
    n = vectors * np.sqrt(2) / A
    points = (np.arange(mesh) + 0.5) / mesh - 0.5
    q = np.stack(np.meshgrid(points, points, points), axis=-1).reshape(-1, 3)
    phases = q @ (2 * np.pi * np.linalg.inv(cell).T) @ vectors.T
    d = STIFF / mass * np.einsum("qr,ra,rb->qab", 1 - np.cos(phases), n, n)
    omega = np.sqrt(np.linalg.eigvalsh(d) * _e / _amu) * 1e10
    return omega / (2 * np.pi * 1e12)


def test_free_energy_of_one_oscillator_and_of_none() -> None:
    one = Modes(np.array([[5.0]]), np.array([1.0]))
    quantum = 5 * 4.135667696e-3  # h · 5 THz in eV
    assert one.free_energy(0.0) == pytest.approx(quantum / 2, rel=1e-8)
    t = np.array([50.0, 300.0, 3000.0])
    # F = k T ln(2 sinh(ħω/2kT))
    expected = kB * t * np.log(2 * np.sinh(quantum / (2 * kB * t)))
    np.testing.assert_allclose(one.free_energy(t), expected, atol=1e-8)
    assert one.imaginary == 0
    half = Modes(np.array([[5.0, -2.0]]), np.array([1.0]))
    assert half.imaginary == 0.5
    np.testing.assert_allclose(half.free_energy(t), expected, atol=1e-8)
    two = Modes(np.array([[5.0], [10.0]]), np.array([0.75, 0.25]))
    assert two.free_energy(0.0) == pytest.approx(0.75 * 2.5 * THZ + 0.25 * 5 * THZ)


def test_fcc_springs_have_the_frequencies_of_their_closed_form() -> None:
    pytest.importorskip("phonopy")
    atoms = bulk("Cu", "fcc", a=A)
    modes = harmonic_modes(
        atoms, Springs(A / np.sqrt(2), STIFF), min_length=11.0, mesh_length=22.0, displacement=1e-4
    )
    expected = fcc_frequencies(8, atoms.get_masses()[0])
    exact = Modes(expected, np.full(len(expected), 1 / len(expected)))
    t = np.array([0.0, 20.0, 100.0, 400.0, 1500.0])
    np.testing.assert_allclose(modes.free_energy(t), exact.free_energy(t), atol=2e-6)
    assert modes.frequencies.max() == pytest.approx(expected.max(), rel=1e-5)
    assert modes.imaginary == 0


def test_a_chain_is_sampled_along_itself_only() -> None:
    pytest.importorskip("phonopy")
    chain = Atoms("Cu", cell=[2.5, 20, 20], pbc=(True, False, False))
    modes = harmonic_modes(
        chain, Springs(2.5, STIFF), min_length=12.0, mesh_length=40.0, displacement=1e-4
    )
    # ω = 2 sqrt(k/m) |sin(q a/2)| along the chain; across it nothing holds the atoms.
    q = (np.arange(16) + 0.5) / 16 - 0.5
    top = 2 * np.sqrt(STIFF / chain.get_masses()[0] * _e / _amu) * 1e10 / (2 * np.pi * 1e12)
    expected = np.sort(np.abs(np.sin(np.pi * q))) * top
    weights = np.round(modes.weights * 16).astype(int)
    found = np.sort(np.repeat(modes.frequencies[:, -1], weights))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert np.abs(modes.frequencies[:, :2]).max() < 0.02


def test_without_phonopy_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "phonopy", None)
    with pytest.raises(ModuleNotFoundError, match="pip install 'hea-flows\\[phonons\\]'"):
        harmonic_modes(bulk("Cu"), Springs(1.0, 1.0))
    with pytest.raises(ValueError, match="must be positive"):
        harmonic_modes(bulk("Cu"), Springs(1.0, 1.0), displacement=0)
