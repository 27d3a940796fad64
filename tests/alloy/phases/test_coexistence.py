from __future__ import annotations

import numpy as np
import pytest
from ase.units import kB
from scipy.optimize import brentq
from scipy.special import xlogy
from triangular_ising import ALLOY, CRITICAL, LINEAR, Ising, magnetization

from hea_flows.alloy.phases import (
    CompositionFreeEnergy,
    binder_cumulant,
    coexistences,
    composition_free_energy,
    spinodal,
)
from hea_flows.alloy.sampling import Sampler, SamplingSettings, VariableComposition

OMEGA = 0.2
BETA = 1 / (kB * 1000.0)


def regular_solution(n: int, temperature: float, slope: float = 0.0) -> CompositionFreeEnergy:
    """Return N Ω x(1 − x) with ideal mixing of the infinite alloy, and a linear term (eV)."""
    x = np.arange(n + 1) / n
    ideal = kB * temperature * (xlogy(x, x) + xlogy(1 - x, 1 - x))
    g = OMEGA * x * (1 - x) + ideal + slope * x
    return CompositionFreeEnergy(1 / (kB * temperature), n * g / (kB * temperature))


def binodal(temperature: float) -> float:
    """Return the composition of the poorer phase of the regular solution, in closed form."""

    def slope(x: float) -> float:
        return OMEGA * (1 - 2 * x) + kB * temperature * np.log(x / (1 - x))

    return float(brentq(slope, 1e-12, 0.5 - 1e-6))


@pytest.mark.parametrize("temperature", [500.0, 800.0, 1000.0])
def test_binodal_and_spinodal_of_the_regular_solution(temperature: float) -> None:
    """T_c = Ω/2k_B = 1160 K; the linear term moves Δμ and nothing else."""
    free = regular_solution(40_000, temperature, slope=0.05)
    [found] = coexistences(free)
    assert found.low == pytest.approx(binodal(temperature), abs=2e-4)
    assert found.high == pytest.approx(1 - binodal(temperature), abs=2e-4)
    assert found.potential == pytest.approx(0.05, abs=1e-6)
    [(low, high)] = spinodal(free, window=200)
    x = 0.5 * (1 - np.sqrt(1 - 2 * kB * temperature / OMEGA))
    assert (low, high) == pytest.approx((x, 1 - x), abs=2e-3)


def test_above_the_critical_temperature_there_is_one_phase() -> None:
    free = regular_solution(4000, 1.02 * OMEGA / (2 * kB))
    assert coexistences(free) == []
    assert spinodal(free, window=40) == []


def test_two_gaps_are_two_coexistences() -> None:
    x = np.linspace(0, 1, 3001)
    wells = {0.1: 0.0, 0.5: -0.005, 0.85: 0.01}
    g = np.min([0.4 * (x - w) ** 2 + depth for w, depth in wells.items()], axis=0)
    found = coexistences(CompositionFreeEnergy(BETA, 3000 * BETA * g))
    # The common tangent of two parabolas a (x − w)² + h with slope s touches them at w + s/2a.
    ends = [(0.1 - 0.0125 / 0.8, 0.5 - 0.0125 / 0.8)]
    ends += [(0.5 + 0.015 / 0.35 / 0.8, 0.85 + 0.015 / 0.35 / 0.8)]
    assert [(c.low, c.high) for c in found] == [pytest.approx(e, abs=1e-3) for e in ends]
    assert [c.potential for c in found] == pytest.approx([-0.0125, 0.015 / 0.35], abs=1e-5)


def test_cumulants_of_one_and_of_two_peaks() -> None:
    n = np.arange(2001)
    one = CompositionFreeEnergy(BETA, 0.5 * ((n - 1000) / 100) ** 2)
    assert binder_cumulant(one) == pytest.approx(0, abs=1e-6)
    two = CompositionFreeEnergy(
        BETA, -np.logaddexp(-0.5 * ((n - 400) / 9) ** 2, -0.5 * ((n - 1600) / 9) ** 2)
    )
    assert binder_cumulant(two) == pytest.approx(2 / 3, abs=1e-3)


@pytest.mark.physics
@pytest.mark.slow
@pytest.mark.parametrize("share", [0.7, 0.9])
def test_binodal_of_the_ising_model(share: float) -> None:
    """The exact solution, through sampling in a cell of 12×12."""
    size, kappa, temperature = 12, 3.0, share * CRITICAL
    n = size**2
    # ⟨x⟩ = −φ/2 − Δμ/(2 k_B T κ): points over the whole range of composition.
    phis = -2 * np.linspace(-0.05, 1.05, 19) - LINEAR / (kB * temperature * kappa)
    settings = SamplingSettings(temperatures=[temperature], runs=2, steps=300, burn_in=60)
    model = Ising(size, size)
    ensemble = VariableComposition.variance_constrained(ALLOY, kappa, [{"V": p} for p in phis])
    sampler = Sampler(model, ALLOY, model.cell, ensemble, settings, 1, cutoffs=(1.1,))
    while not sampler.finished:
        sampler.advance()
    chains = sampler.chains()
    sites = np.arange(n + 1)
    free = composition_free_energy(
        1 / (kB * temperature),
        [c.numbers[:, 1] for c in chains],
        [-kappa * n * (sites / n + phis[c.point] / 2) ** 2 for c in chains],
    )
    [found] = coexistences(free)
    exact = (1 - magnetization(temperature)) / 2
    assert found.low == pytest.approx(exact, abs=0.01)
    assert found.high == pytest.approx(1 - exact, abs=0.01)
    assert found.potential == pytest.approx(LINEAR, rel=0.01)
