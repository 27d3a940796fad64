from __future__ import annotations

import numpy as np
import pytest
from ase.units import kB
from scipy.optimize import brentq

from hea_flows.alloy.phases import (
    RedlichKister,
    equilibrium,
    lowest_mixture,
    simplex_grid,
    single_phase_above,
)
from hea_flows.alloy.thermodynamics import decompositions, transition_temperatures

OMEGA = 0.2
CRITICAL = OMEGA / (2 * kB)


def regular(*omegas: float) -> RedlichKister:
    """Return a regular solution of two or three elements with Ω (eV) of each pair."""
    elements = ("Nb", "V", "W")[: 2 if len(omegas) == 1 else 3]
    pairs = [("Nb", "V"), ("Nb", "W"), ("V", "W")]
    terms = {(pair, 0): (omega, 0.0) for pair, omega in zip(pairs, omegas, strict=False)}
    return RedlichKister(elements, terms)


def binodal(temperature: float) -> float:
    def slope(x: float) -> float:
        return OMEGA * (1 - 2 * x) + kB * temperature * np.log(x / (1 - x))

    return float(brentq(slope, 1e-14, 0.5 - 1e-9, xtol=1e-15))


@pytest.mark.parametrize("share", [0.3, 0.7, 0.95, 0.99])
def test_binodal_of_a_regular_solution(share: float) -> None:
    temperature = share * CRITICAL
    found = equilibrium(lambda x: regular(OMEGA).mixing(x, temperature), [0.45, 0.55])
    exact = binodal(temperature)
    poor, rich = sorted(found.compositions[:, 0].tolist())
    assert (poor, 1 - rich) == pytest.approx((exact, exact), abs=2e-5)
    assert found.fractions.sum() == pytest.approx(1, abs=1e-12)
    assert found.fractions @ found.compositions == pytest.approx([0.45, 0.55], abs=1e-12)
    assert found.potentials[0] == pytest.approx(found.potentials[1], abs=1e-7)


def test_the_critical_temperature_is_found_to_a_tenth_of_a_kelvin() -> None:
    def phases(temperature: float) -> int:
        solution = regular(OMEGA)
        found = equilibrium(lambda x: solution.mixing(x, temperature), [0.5, 0.5], divisions=200)
        return len(found.fractions)

    low, high = 0.9 * CRITICAL, 1.1 * CRITICAL
    while high - low > 0.05:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if phases(middle) == 2 else (low, middle)
    assert low == pytest.approx(CRITICAL, abs=0.1)


def test_three_phases_of_a_symmetric_ternary() -> None:
    """By symmetry the three phases are the same, and each pair has equal chemical potentials."""
    solution, temperature = regular(0.2, 0.2, 0.2), 500.0
    found = equilibrium(lambda x: solution.mixing(x, temperature), [1 / 3, 1 / 3, 1 / 3])
    assert len(found.fractions) == 3
    assert found.fractions == pytest.approx([1 / 3] * 3, abs=1e-4)
    sorted_rows = np.sort(found.compositions, axis=1)
    assert np.ptp(sorted_rows, axis=0).max() < 1e-4
    assert sorted_rows[0, 0] == pytest.approx(sorted_rows[0, 1], abs=1e-4)
    x = sorted_rows[0]  # ∂G/∂x of the rich and a poor element are equal
    poor, rich = x[0], x[2]
    gap = 0.2 * (2 * poor - (poor + rich)) + kB * temperature * np.log(rich / poor)
    assert gap == pytest.approx(0, abs=1e-4)


def test_mixtures_contain_the_set_partitions() -> None:
    """The equimolar decompositions are the linear programme over equimolar phases."""
    elements = ("Mo", "Ta", "V")
    enthalpies = {("Mo", "Ta"): -0.01, ("Mo", "V"): 0.03, ("Ta", "V"): 0.02, elements: 0.012}
    pool = decompositions(elements, enthalpies)
    phases = [*enthalpies, *((e,) for e in elements)]
    x = np.array([[1 / len(p) if e in p else 0 for e in elements] for p in phases])
    for temperature in (10.0, 150.0, 400.0):
        g = [enthalpies.get(p, 0.0) - kB * temperature * np.log(len(p)) for p in phases]
        found = lowest_mixture(x, g, [1 / 3] * 3)
        best = min(float(d.gibbs(temperature)) for d in pool)
        assert found.energy <= best + 1e-12
        assert found.potentials.mean() == pytest.approx(found.energy)
    assert transition_temperatures(pool)[0][1].name == "(Mo,Ta) + V"
    with pytest.raises(ValueError, match=r"no mixture of the 2 candidates .* add the pure ends"):
        lowest_mixture([[0.5, 0.5], [0.6, 0.4]], [0.0, 0.0], [0.9, 0.1])


def test_grid_of_the_simplex() -> None:
    grid = simplex_grid(4, 6)
    assert len(grid) == 84  # C(9, 3)
    np.testing.assert_allclose(grid.sum(axis=1), 1)
    assert len(np.unique(grid, axis=0)) == 84
    assert grid.min() == 0
    assert grid.max() == 1


def test_a_regular_solution_is_one_phase_above_its_binodal() -> None:
    """At x = 1/2 from T_c on; at 0.2 from where 0.2 is the binodal."""
    mixing = regular(OMEGA).mixing
    for x, exact in ((0.5, CRITICAL), (0.2, 0.6 * OMEGA / (kB * np.log(4)))):
        found = single_phase_above(mixing, [1 - x, x], 300, 2000, divisions=400, accuracy=0.1)
        assert found == pytest.approx(exact, rel=0.002)
    assert single_phase_above(mixing, [0.5, 0.5], 1200, 2000) == 1200
    assert single_phase_above(mixing, [0.5, 0.5], 300, 500) is None
