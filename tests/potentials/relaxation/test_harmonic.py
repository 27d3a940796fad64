"""Decorations of a bulk host relaxed with its harmonic response, with EMT in place of a model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT

from hea_flows.alloy.lattice import Alloy, SiteIndex
from hea_flows.potentials import Prediction, RelaxedDecorations, relax_many
from hea_flows.potentials.relaxation.geometry import Geometry
from hea_flows.potentials.relaxation.harmonic import HarmonicHost, _Relaxation, relax_decorations

ALLOY = Alloy(("Cu", "Pd", "Au"), "fcc", lattice_constants={"Cu": 3.61, "Pd": 3.89, "Au": 4.06})
CELL = [[2, 0, 0], [0, 2, 0], [1, 0, 3]]
A = 3.85


def evaluate(structures: Sequence[Atoms]) -> list[Prediction]:
    found = []
    for atoms in structures:
        own = atoms.copy()
        own.calc = EMT()
        stress = own.get_stress()
        found.append(Prediction(own.get_potential_energy(), own.get_forces(), stress))
    return found


@pytest.fixture(scope="module")
def decorations() -> RelaxedDecorations:
    return RelaxedDecorations(evaluate, ALLOY, CELL, A, error=1e-3, max_steps=30)


def drawn(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(3, size=(n, ALLOY.n_sites(CELL)))


def tight(decorations: RelaxedDecorations, codes: np.ndarray) -> np.ndarray:
    ends = relax_many(evaluate, decorations.starts(codes), fmax=1e-4, max_steps=500)
    assert all(end.converged for end in ends)
    return np.array([end.atoms.get_potential_energy() for end in ends])


def test_energies_are_those_of_another_optimizer(decorations: RelaxedDecorations) -> None:
    codes = drawn(8)
    error = decorations.energies(codes) - tight(decorations, codes)
    assert np.sqrt(np.mean(error**2)) < 1e-3
    gain = tight(decorations, codes) - [p.energy for p in evaluate(decorations.starts(codes))]
    assert (gain < -0.1).all()  # a hundred times the error


def test_few_evaluations_are_enough(decorations: RelaxedDecorations) -> None:
    starts, counted = decorations.starts(drawn(8)), []

    def counting(structures: Sequence[Atoms]) -> list[Prediction]:
        counted.append(len(structures))
        return evaluate(structures)

    relax_decorations(counting, starts, decorations._host, tolerance=5e-3, max_steps=30)
    general = []
    relax_many(evaluate, starts, fmax=0.01, on_step=lambda i, _: general.append(i))
    assert sum(counted) < 0.5 * len(general)


def test_an_energy_is_a_function_of_its_decoration_alone(decorations: RelaxedDecorations) -> None:
    codes = drawn(4, seed=2)
    together = decorations.energies(codes)
    assert [decorations.energies(row[None])[0] for row in codes] == together.tolist()
    assert decorations.energies(codes[:0]).shape == (0,)


def test_second_derivatives_are_those_of_any_atom(decorations: RelaxedDecorations) -> None:
    """A translation of the host turns one column into another: compare with differences."""
    n = ALLOY.n_sites(CELL)
    [pure] = decorations.starts(np.full((1, n), 1))
    host = HarmonicHost.of(evaluate, [pure], SiteIndex.of(CELL, 1))
    assert host.strains.shape == (6, 3, 3)
    size = 3 * n + 6
    rng, step = np.random.default_rng(1), 0.002
    direction = rng.normal(size=size)
    for axis in range(3):  # translations have no curvature
        direction[axis : 3 * n : 3] -= direction[axis : 3 * n : 3].mean()
    gradients = []
    for sign in (1, -1):
        one = _Relaxation(pure.copy(), host.strains)
        one.move(sign * step * direction)
        [prediction] = evaluate([one.atoms])
        one.geometry.take(prediction)
        gradients.append(one.gradient())
    product = (gradients[0] - gradients[1]) / (2 * step)
    assert host.inverse @ product == pytest.approx(direction, abs=0.02)


def test_strains_of_a_layer_are_in_its_plane() -> None:
    layer = Alloy(("Mo", "V"))
    host = Geometry(layer.primitive("Mo"))
    from hea_flows.potentials.relaxation.harmonic import _strains

    assert _strains(host).shape == (3, 3, 3)
    assert np.abs(_strains(host)[:, 2]).max() == 0
    assert np.linalg.norm(_strains(host), axis=(1, 2)) == pytest.approx(1.0)


def test_what_the_response_cannot_relax_is_tried_again(decorations: RelaxedDecorations) -> None:
    stubborn = RelaxedDecorations(evaluate, ALLOY, CELL, A, error=1e-3, max_steps=30)
    stubborn._max_steps = 0
    codes = drawn(2, seed=5)
    stubborn.__dict__["_host"] = decorations._host
    assert np.isinf(stubborn.energies(codes)).all()
    stubborn._max_steps = 1  # too few for the response, ten for the other
    values = stubborn.energies(codes)
    finite = np.isfinite(values)
    assert values[finite] == pytest.approx(tight(decorations, codes)[finite], abs=5e-3)


def test_a_model_that_fails_forbids_a_decoration(decorations: RelaxedDecorations) -> None:
    def broken(structures: Sequence[Atoms]) -> list[Prediction]:
        if any((atoms.numbers == 79).all() for atoms in structures):
            msg = "no gold"
            raise ValueError(msg)
        return evaluate(structures)

    forbidding = RelaxedDecorations(broken, ALLOY, CELL, A, error=1e-3, max_steps=5)
    forbidding.__dict__["_host"] = decorations._host
    codes = np.array([np.zeros(12, dtype=int), np.full(12, 2)])
    assert np.isfinite(forbidding.energies(codes)).tolist() == [True, False]


def test_a_model_without_stress_is_told_apart() -> None:
    def unstressed(structures: Sequence[Atoms]) -> list[Prediction]:
        return [Prediction(p.energy, p.forces, np.full(6, np.nan)) for p in evaluate(structures)]

    decorations = RelaxedDecorations(unstressed, ALLOY, CELL, A, error=1e-3, max_steps=5)
    with pytest.raises(ArithmeticError, match=r"no finite forces and stress of Cu12, so it relax"):
        decorations.energies(drawn(1))


def test_an_audit_compares_with_a_tight_relaxation(decorations: RelaxedDecorations) -> None:
    [row] = drawn(1, seed=3)
    row[row == 2] = 0
    error, cu, pd, au = decorations.audit(row)
    exact = decorations.energies(row[None])[0] - tight(decorations, row[None])[0]
    assert error == pytest.approx(exact, abs=2e-5)
    assert 0 < cu < 0.5
    assert 0 < pd < 0.5
    assert np.isnan(au)


def test_relaxations_begin_at_the_lattice_constant_of_the_composition() -> None:
    constants = {"Cu": 3.6, "Pd": 3.9, "Au": 4.1}
    own = RelaxedDecorations(evaluate, ALLOY, CELL, constants, error=1e-3, max_steps=30)
    half = np.repeat([[0, 1]], 6, axis=0).reshape(1, -1)
    [start] = own.starts(half)
    assert start.cell.volume / 12 == pytest.approx(3.75**3 / 4)
    assert own.name == "relaxed, a by Vegard's rule"
    start = RelaxedDecorations(evaluate, ALLOY, CELL, A, error=1e-3, max_steps=30)
    assert own.energies(half) == pytest.approx(start.energies(half), abs=3e-3)
