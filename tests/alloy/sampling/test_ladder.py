from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from ase.units import kB
from scipy.stats import binom

from hea_flows.alloy.sampling.ladder import exchange_probability, ladder, monotone_energy_curve

N, GAP = 400, 0.1


def two_level(temperature: float) -> tuple[float, float]:
    """Mean and variance of the energy per unit of N independent two-level systems."""
    p = 1 / (1 + math.exp(GAP / (kB * temperature)))
    return GAP * p, GAP**2 * p * (1 - p) / N


def sampled_acceptance(cold: float, hot: float, rng: np.random.Generator, n: int = 200_000):
    """Share of accepted exchanges between exact samples of N two-level systems."""
    excited = [
        rng.binomial(N, 1 / (1 + math.exp(GAP / (kB * t))), n).astype(float) for t in (cold, hot)
    ]
    work = (1 / cold - 1 / hot) / kB * GAP * (excited[0] - excited[1])
    return np.exp(np.minimum(work, 0)).mean()


def test_probability_of_a_gaussian_density_of_states() -> None:
    # Total energies N(−β σ², σ²): the acceptance E[min(1, e^X)], X ~ N(−s²/2, s²), is erfc(s/√8).
    sigma, betas = 0.3, (20.0, 13.0)
    cold, hot = ((-b * sigma**2, sigma**2) for b in betas)
    s = math.sqrt(2) * sigma * (betas[0] - betas[1])
    probability = exchange_probability(cold, hot)
    assert probability == pytest.approx(math.erfc(s / math.sqrt(8)), rel=1e-12)
    work = np.random.default_rng(0).normal(-(s**2) / 2, s, 1_000_000)
    assert probability == pytest.approx(np.exp(np.minimum(work, 0)).mean(), abs=0.002)


def test_probability_is_that_of_independent_two_level_systems() -> None:
    # Exactly 2 P(E_c > E_h) + P(E_c = E_h), summed over both binomial distributions.
    cold, hot = 400.0, 450.0
    k = np.arange(N + 1)
    p = [binom.pmf(k, N, 1 / (1 + math.exp(GAP / (kB * t)))) for t in (cold, hot)]
    exact = 2 * p[0] @ (np.cumsum(p[1]) - p[1]) + p[0] @ p[1]
    assert exact == pytest.approx(
        sampled_acceptance(cold, hot, np.random.default_rng(1)), abs=0.004
    )
    assert exchange_probability(two_level(cold), two_level(hot)) == pytest.approx(exact, abs=0.01)


def test_probability_per_cell_or_per_unit_and_its_limits() -> None:
    cold, hot = (-0.30, 2e-4), (-0.27, 3e-4)
    whole = [(N * e, N**2 * v) for e, v in (cold, hot)]
    assert exchange_probability(*whole) == pytest.approx(exchange_probability(cold, hot))
    assert exchange_probability(cold, cold) == 1
    assert exchange_probability(hot, cold) == 1
    assert exchange_probability((-0.3, 0.0), (-0.2, 0.0)) == 0


@pytest.mark.physics
@pytest.mark.parametrize("acceptance", [0.2, 0.3, 0.5])
def test_ladder_of_two_level_systems_exchanges_at_one_rate(acceptance: float) -> None:
    measured = {t: two_level(t) for t in (200.0, 300.0, 450.0, 700.0, 1100.0, 2000.0)}
    rungs = ladder(measured, N, 200.0, 2000.0, acceptance)
    assert (rungs[0], rungs[-1]) == (200.0, 2000.0)
    assert all(np.diff(rungs) > 0)
    rng = np.random.default_rng(2)
    rates = np.array([sampled_acceptance(a, b, rng) for a, b in pairwise(rungs)])
    # One rate, not below the one asked for, by less than what one rung more would give.
    assert np.ptp(rates) < 0.04
    assert acceptance - 0.02 < rates.mean()
    assert rates.mean() < acceptance + 0.12


def test_constant_heat_capacity_gives_a_geometric_ladder() -> None:
    # e = C k_B T and var(e) = C (k_B T)²/N: the acceptance depends on the ratio of T alone.
    c, n = 5.0, 50
    measured = {
        t: (c * kB * t, c * (kB * t) ** 2 / n) for t in np.geomspace(200, 1600, 13).tolist()
    }
    rungs = np.array(ladder(measured, n, 200.0, 1600.0))
    ratios = rungs[1:] / rungs[:-1]
    assert ratios == pytest.approx((1600 / 200) ** (1 / len(ratios)), rel=0.01)
    r = ratios.mean()
    rate = math.erfc(math.sqrt(c * n / 2) * (r - 1) / math.sqrt(1 + r**2))
    assert rate >= 0.295
    wider = 8 ** (1 / (len(ratios) - 1))
    assert math.erfc(math.sqrt(c * n / 2) * (wider - 1) / math.sqrt(1 + wider**2)) < 0.305


def test_close_ends_need_no_rung_between() -> None:
    measured = {t: two_level(t) for t in (300.0, 400.0)}
    assert ladder(measured, N, 300.0, 305.0) == [300.0, 305.0]


def test_curve_of_two_level_systems_between_the_temperatures() -> None:
    t = np.array([2000.0, 1100.0, 700.0, 450.0, 300.0, 200.0])
    e, v = np.array([two_level(x) for x in t]).T
    curve = monotone_energy_curve(1 / (kB * t), e, v, N)
    between = np.linspace(200, 2000, 200)
    exact = np.array([two_level(x)[0] for x in between])
    assert np.abs(curve(1 / (kB * between)) - exact).max() < 1e-4
    assert curve(1 / (kB * t), 1) == pytest.approx(-N * v, rel=1e-12)


def test_curve_never_rises_with_beta_however_noisy() -> None:
    rng = np.random.default_rng(3)
    beta = np.linspace(5, 50, 10)
    for _ in range(50):
        e = -0.001 * beta + 0.01 * rng.standard_normal(10)
        curve = monotone_energy_curve(beta, e, rng.uniform(0, 1e-3, 10), 100)
        assert np.diff(curve(np.linspace(5, 50, 2000))).max() < 1e-12


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"lowest": 100.0}, "that enclose it"),
        ({"highest": 900.0}, "that enclose it"),
        ({"lowest": 450.0, "highest": 450.0}, "that enclose it"),
        ({"acceptance": 1.0}, "acceptance must lie in"),
        ({"n_units": 0}, "n_units be 1 or more"),
        ({"energies_by_temperature": {300.0: (0.0, 0.0), 800.0: (0.1, 1e-5)}}, "stood still"),
        ({"energies_by_temperature": {300.0: (0.0, 1e-5)}}, "two or more temperatures"),
    ],
)
def test_bad_input(change, match) -> None:
    measured = {t: two_level(t) for t in (300.0, 500.0, 800.0)}
    good = {"energies_by_temperature": measured, "n_units": N, "lowest": 300.0, "highest": 800.0}
    with pytest.raises(ValueError, match=match):
        ladder(**(good | change))
