from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import curve_fit
from scipy.special import expit

from hea_flows.alloy.sampling.separation import first_to_separate, separation_temperature

T = np.linspace(200, 1000, 10)


def step(t, centre: float, width: float, height: float = 0.15):
    return 0.01 + height * expit((centre - t) / width)


def coverage(n: int, width: float, noise: float, runs: int, rng: np.random.Generator) -> float:
    t, inside = np.linspace(200, 1000, n), []
    for _ in range(runs):
        centre = rng.uniform(350, 800)
        y = step(t, centre, width) + noise * rng.standard_normal(n)
        result = separation_temperature(t, y, np.full(n, noise), rng)
        assert result.temperature is not None
        low, high = result.interval
        assert low < result.temperature < high
        inside.append(low <= centre <= high)
    return float(np.mean(inside))


@pytest.mark.parametrize(
    ("n", "width", "noise"), [(6, 60, 0.006), (10, 60, 0.003), (10, 60, 1e-4), (15, 40, 0.01)]
)
@pytest.mark.physics
@pytest.mark.slow
def test_interval_holds_the_centre_at_its_level(n: int, width: float, noise: float) -> None:
    rng = np.random.default_rng(n)
    # Three standard errors of the share are 0.11; unlike a refit it also spans unlikely widths.
    assert 0.56 < coverage(n, width, noise, 150, rng) < 0.86


def test_centre_agrees_with_least_squares_where_the_points_are_good() -> None:
    rng = np.random.default_rng(1)
    for centre in (380.0, 520.0, 655.0):
        y = step(T, centre, 70.0) + 0.001 * rng.standard_normal(10)
        result = separation_temperature(T, y, np.full(10, 0.001), rng)
        fit, covariance = curve_fit(
            lambda t, c, w, a, b: a + b * expit((c - t) / w),
            *(T, y, [centre, 70, 0, 0.1], np.full(10, 0.001)),
            absolute_sigma=True,
        )
        curve = fit[2] + fit[3] * expit((fit[0] - T) / fit[1])
        per_degree = np.sum(((y - curve) / 0.001) ** 2) / 6
        sigma = math.sqrt(covariance[0, 0] * max(1, per_degree))
        assert result.temperature == pytest.approx(fit[0], abs=0.3 * sigma)
        assert np.ptp(result.interval) == pytest.approx(2 * sigma, rel=0.25)


def test_jump_between_two_temperatures_is_uncertain_by_most_of_the_gap() -> None:
    y = np.where(T < 600, 0.16, 0.01)  # between 555.6 and 644.4 K
    result = separation_temperature(T, y, np.full(10, 0.002), np.random.default_rng(2))
    assert result.temperature == pytest.approx(600, abs=3)
    # A flat probability over the gap has 60 K within its middle 68 %.
    assert 35 < np.ptp(result.interval) < 65
    assert 555 < result.interval[0] < result.interval[1] < 645


def test_order_and_unit_of_the_values_do_not_matter() -> None:
    y, sigma = step(T, 480, 50), np.linspace(0.001, 0.003, 10)
    one = separation_temperature(T, y, sigma, np.random.default_rng(3))
    other = separation_temperature(
        T[::-1], 7 * y[::-1] - 3, 7 * sigma[::-1], np.random.default_rng(3)
    )
    assert (one.temperature, *one.interval) == pytest.approx(
        (other.temperature, *other.interval), abs=1e-6
    )
    assert one.temperature == pytest.approx(480, abs=2)


def test_curve_that_is_no_step_has_a_wider_interval() -> None:
    # A long tail of short-range order above a transition at 430 K, errors far below the misfit.
    t = np.linspace(200, 1200, 12)
    y = 0.12 * np.clip(1 - (t / 430) ** 6, 0, None) ** 0.25 + 0.02 * 430 / t
    good, poor = (
        separation_temperature(t, y, np.full(12, e), np.random.default_rng(4)) for e in (1e-4, 1e-5)
    )
    assert np.ptp(good.interval) == pytest.approx(np.ptp(poor.interval), rel=0.02)
    assert 5 < np.ptp(good.interval) < 60
    assert 375 < good.temperature < 450


@pytest.mark.physics
@pytest.mark.slow
def test_noise_about_a_constant_is_a_rise_in_one_case_of_a_hundred() -> None:
    rng = np.random.default_rng(5)
    sigma = np.linspace(0.01, 0.03, 8)
    t = np.linspace(200, 1000, 8)
    found = sum(
        "no rise"
        not in separation_temperature(t, sigma * rng.standard_normal(8), sigma, rng).reason
        for _ in range(400)
    )
    assert found <= 12  # 4 expected; 12 is four standard deviations


def test_no_temperature_and_one_reason() -> None:
    rng, sigma = np.random.default_rng(6), np.full(10, 0.002)
    falling = separation_temperature(T, -step(T, 500, 60), sigma, rng)
    assert (falling.temperature, falling.interval) == (None, None)
    assert falling.reason == "no rise on cooling that exceeds the errors"
    low = separation_temperature(T, np.exp(-T / 60), sigma, rng)
    assert low.temperature is None
    assert low.reason == "it still rises at the lowest temperature, 200 K: sample lower ones"
    high = separation_temperature(T, -np.exp((T - 1000) / 60), sigma, rng)
    assert high.temperature is None
    assert high.reason == "it has risen at the highest temperature, 1000 K: sample higher ones"


def test_error_of_zero_is_unknown() -> None:
    y, sigma = step(T, 480, 50), np.full(10, 0.002)
    zero = np.where(T < 300, 0.0, sigma)
    assert separation_temperature(T, y, zero, np.random.default_rng(7)) == separation_temperature(
        T, y, sigma, np.random.default_rng(7)
    )


LEVEL = 0.02


def test_first_to_pass_a_level() -> None:
    rng = np.random.default_rng(8)
    t = np.array([200.0, 300.0, 400.0, 500.0, 600.0])
    values = {
        "V-V": [0.07, 0.06, 0.05, 0.03, 0.01],  # passes half-way between 500 and 600
        "Ta-Ta": [0.05, 0.03, 0.01, 0.0, 0.0],  # half-way between 300 and 400
        "W-W": [0.01, 0.01, 0.0, 0.0, 0.0],
        "Nb-Nb": [0.06, 0.0, 0.021, 0.0, 0.0],  # a little beyond 400
    }
    errors = {k: np.full(5, 1e-6) for k in values}
    result = first_to_separate(t, values, errors, rng, levels=dict.fromkeys(values, LEVEL))
    assert result.pair == "V-V"
    assert result.probabilities == {"V-V": 1.0, "Ta-Ta": 0.0, "W-W": 0.0, "Nb-Nb": 0.0}
    assert result.passed["W-W"] is None
    exact = {"V-V": 550.0, "Ta-Ta": 350.0, "Nb-Nb": 400 + 100 / 21}
    assert {k: result.passed[k] for k in exact} == pytest.approx(exact, abs=0.02)
    mixed = dict(reversed([*zip(t.tolist(), values["V-V"], strict=True)]))
    again = first_to_separate(
        list(mixed),
        {"V-V": list(mixed.values())},
        {"V-V": np.full(5, 1e-6)},
        rng,
        levels={"V-V": LEVEL},
    )
    assert again.passed["V-V"] == pytest.approx(550, abs=0.02)


def test_equals_share_and_what_is_above_everywhere_passes_at_the_top() -> None:
    t, high = np.linspace(200, 600, 5), [0.05] * 5
    errors = {"V-V": np.full(5, 1e-6), "Nb-Nb": np.full(5, 1e-6)}
    result = first_to_separate(
        t,
        {"V-V": high, "Nb-Nb": high},
        errors,
        np.random.default_rng(9),
        levels=dict.fromkeys(errors, LEVEL),
    )
    assert result.pair is None
    assert result.probabilities == pytest.approx({"V-V": 0.5, "Nb-Nb": 0.5})
    assert result.passed == {"V-V": 600.0, "Nb-Nb": 600.0}


def test_probability_of_the_first_is_that_of_two_gaussians() -> None:
    # Lines of slope s passing at a and b: both places are Gaussian, of width σ/s to first order.
    t, slope, sigma = np.linspace(300, 700, 5), 2e-4, 1e-3
    values = {"A-A": LEVEL - slope * (t - 505.0), "B-B": LEVEL - slope * (t - 500.0)}
    errors = {k: np.where(t == 500, sigma, 1e-9) for k in values}
    levels = dict.fromkeys(values, LEVEL)
    result = first_to_separate(t, values, errors, np.random.default_rng(10), levels=levels)
    a, b = (result.passed[k] for k in ("A-A", "B-B"))
    assert (a, b) == pytest.approx((505, 500), abs=0.2)
    expected = 0.5 * (1 + math.erf(slope * 5 / (2 * sigma)))
    assert result.probabilities["A-A"] == pytest.approx(expected, abs=0.02)


def test_each_has_a_level_of_its_own() -> None:
    """Values scaled with their levels pass at the same temperatures."""
    t = np.linspace(200, 600, 5)
    values = {"V-V": 0.001 * (700 - t), "Nb-Nb": 0.0001 * (700 - t)}
    errors = {k: np.full(5, 1e-9) for k in values}
    levels = {"V-V": 0.25, "Nb-Nb": 0.025}
    result = first_to_separate(t, values, errors, np.random.default_rng(1), levels=levels)
    assert result.passed == pytest.approx({"V-V": 450, "Nb-Nb": 450}, abs=0.01)
    assert result.levels == levels


def test_nothing_passes() -> None:
    errors = {"V-V": np.full(10, 0.001)}
    result = first_to_separate(
        T, {"V-V": np.zeros(10)}, errors, np.random.default_rng(11), levels={"V-V": LEVEL}
    )
    assert (result.pair, result.probabilities) == (None, {"V-V": 0.0})
    assert result.passed == {"V-V": None}


@pytest.mark.parametrize(
    ("t", "y", "sigma", "match"),
    [
        (T[:4], T[:4], T[:4], "n of at least 5"),
        (T, T[:9], T, "n of at least 5"),
        (np.full(10, 300.0), T, T, "distinct temperatures"),
        (T, np.full(10, np.nan), T, "finite values"),
        (T, T, -T, "errors of 0 or more"),
        (T, T, 0 * T, "all errors are 0"),
    ],
)
def test_bad_input(t, y, sigma, match) -> None:
    with pytest.raises(ValueError, match=match):
        separation_temperature(t, y, sigma, np.random.default_rng(0))


def test_labels_must_agree() -> None:
    with pytest.raises(ValueError, match="same labels"):
        first_to_separate(T, {"V-V": T}, {"W-W": T}, np.random.default_rng(0), levels={"V-V": 0.1})
    with pytest.raises(ValueError, match="same labels"):
        first_to_separate(T, {"V-V": T}, {"V-V": T}, np.random.default_rng(0), levels={})
