from __future__ import annotations

import math

import numpy as np
import pytest
from ase.units import kB
from potts import triangular_potts

from hea_flows.alloy.sampling.free_energy import free_energy, ideal_mixing

POTTS = triangular_potts()
S_INFINITE = kB * math.log(1680) / 9  # 9!/(3!)³ = 1680 decorations
LADDER = np.array([250.0, 300, 360, 430, 520, 630, 780, 980, 1300, 2000])
E_INFINITE, V_INFINITE = float(POTTS.energies.mean()), float(POTTS.energies.var())
E, V, F, S = np.array([POTTS.averages(t) for t in LADDER]).T


def integrate(energies=E, errors=None, *, fluctuation: bool = True, ladder=LADDER, v=V, **kwargs):
    extra = {"variances": v, "variance_infinite": V_INFINITE, "n_units": 9} if fluctuation else {}
    errors = np.zeros(len(ladder)) if errors is None else errors
    return free_energy(ladder, energies, errors, S_INFINITE, E_INFINITE, **(extra | kwargs))


@pytest.mark.parametrize(("fluctuation", "tolerance"), [(True, 6e-6), (False, 2e-5)])
def test_free_energy_and_entropy_of_an_enumerated_potts_lattice(fluctuation, tolerance) -> None:
    result = integrate(fluctuation=fluctuation)
    assert result.free_energies == pytest.approx(F, abs=tolerance)  # eV/unit
    assert result.entropies == pytest.approx(S, abs=tolerance / 1000)
    assert np.array_equal(result.errors, np.zeros(10))


def test_order_of_the_temperatures_does_not_matter() -> None:
    shuffled = np.random.default_rng(0).permutation(10)
    result = integrate(E[shuffled], ladder=LADDER[shuffled], v=V[shuffled])
    assert np.array_equal(result.temperatures, LADDER[shuffled])
    assert result.free_energies == pytest.approx(integrate().free_energies[shuffled], abs=1e-15)


def test_without_interaction_only_the_entropy_is_left() -> None:
    result = free_energy([300.0, 900.0], [0.02, 0.02], [0.0, 0.0], S_INFINITE, 0.02)
    assert result.free_energies == pytest.approx(ideal_mixing([300, 900], 0.02, S_INFINITE))
    assert result.entropies == pytest.approx(S_INFINITE)


@pytest.mark.parametrize("fluctuation", [True, False])
def test_errors_are_those_of_noisy_energies(fluctuation: bool) -> None:
    rng = np.random.default_rng(1)
    sigma, sigma_infinite = np.linspace(4e-4, 1e-4, 10), 2e-4
    exact = integrate(fluctuation=fluctuation)
    runs = []
    for _ in range(2000):
        result = free_energy(
            LADDER,
            E + sigma * rng.standard_normal(10),
            sigma,
            S_INFINITE,
            E_INFINITE + sigma_infinite * rng.standard_normal(),
            sigma_infinite,
            **(
                {"variances": V, "variance_infinite": V_INFINITE, "n_units": 9}
                if fluctuation
                else {}
            ),
        )
        runs.append([result.free_energies, result.entropies])
    spread = np.std(runs, axis=0)
    assert np.mean(runs, axis=0)[0] == pytest.approx(exact.free_energies, abs=2e-5)
    assert result.errors == pytest.approx(spread[0], rel=0.08)
    assert result.entropy_errors == pytest.approx(spread[1], rel=0.08)


@pytest.mark.physics
def test_errors_cover_when_energies_and_variances_are_sampled() -> None:
    rng = np.random.default_rng(2)
    n, inside = 500, []
    for _ in range(200):
        chains = [POTTS.sample(t, n, rng) for t in LADDER]
        hot = rng.choice(POTTS.energies, n)
        result = free_energy(
            LADDER,
            [x.mean() for x in chains],
            [x.std() / math.sqrt(n) for x in chains],
            S_INFINITE,
            float(hot.mean()),
            float(hot.std()) / math.sqrt(n),
            variances=[x.var() for x in chains],
            variance_infinite=float(hot.var()),
            n_units=9,
        )
        inside.append(np.abs(result.free_energies - F) < result.errors)
    assert np.mean(inside, axis=0) == pytest.approx(0.683, abs=0.11)
    assert np.mean(inside) == pytest.approx(0.683, abs=0.06)


def test_ideal_mixing_bounds_the_free_energy_from_above() -> None:
    gain = ideal_mixing(LADDER, E_INFINITE, S_INFINITE) - integrate().free_energies
    assert (gain > 0).all()
    # To second order in β it is N var β/2.
    hot = POTTS.averages(20_000.0)[2]
    assert ideal_mixing(20_000.0, E_INFINITE, S_INFINITE) - hot == pytest.approx(
        9 * V_INFINITE / (2 * kB * 20_000), rel=0.05
    )


def test_one_temperature_by_hand() -> None:
    # A line from e_∞ to e: βF = −S/k_B + β (e_∞ + e)/2.
    result = free_energy([500.0], [-0.04], [0.002], S_INFINITE, -0.02, 0.001)
    assert result.free_energies[0] == pytest.approx(-0.03 - 500 * S_INFINITE, rel=1e-12)
    assert result.errors[0] == pytest.approx(math.hypot(0.001, 0.0005), rel=1e-12)
    assert result.entropies[0] == pytest.approx(S_INFINITE - 0.01 / 500, rel=1e-12)
    assert result.entropy_errors[0] == pytest.approx(math.hypot(0.001, 0.0005) / 500, rel=1e-12)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"temperatures": [300.0, 300.0]}, "distinct finite temperatures"),
        ({"temperatures": [0.0, 300.0]}, "distinct finite temperatures"),
        ({"temperatures": [300.0]}, "one shape"),
        ({"errors": [0.1, -0.1]}, "errors of 0 or more"),
        ({"energies": [0.1, math.nan]}, "finite energies"),
        ({"variances": [1e-5, 1e-5]}, "go together"),
    ],
)
def test_bad_input(change, match) -> None:
    good = {"temperatures": [300.0, 600.0], "energies": [0.0, 0.1], "errors": [0.0, 0.0]}
    with pytest.raises(ValueError, match=match):
        free_energy(entropy_infinite=1e-4, energy_infinite=0.2, **(good | change))
