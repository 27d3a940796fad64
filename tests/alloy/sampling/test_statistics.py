from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.signal import lfilter

from hea_flows.alloy.sampling.statistics import (
    autocorrelation_time,
    blocked_mean,
    r_hat,
)


def ar1(phi: float, n: int, rng: np.random.Generator) -> np.ndarray:
    """Stationary x_t = phi x_(t-1) + e_t of unit variance: tau = (1 + phi)/(1 - phi)."""
    start = rng.standard_normal()
    noise = rng.standard_normal(n) * math.sqrt(1 - phi**2)
    x, _ = lfilter([1.0], [1.0, -phi], noise, zi=[phi * start])
    return np.asarray(x)


@pytest.mark.physics
@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9, 0.98])
def test_errors_and_times_of_an_ar1_process(phi: float) -> None:
    rng = np.random.default_rng(11)
    n, repeats = 2**15, 24
    tau = (1 + phi) / (1 - phi)
    exact = math.sqrt(tau / n)
    runs = [ar1(phi, n, rng) for _ in range(repeats)]
    errors = np.array([blocked_mean(x).error for x in runs])
    times = np.array([autocorrelation_time(x) for x in runs])
    # Blocks stop somewhat early by construction of the criterion; 10 % covers it.
    assert errors.mean() == pytest.approx(exact, rel=0.10)
    assert times.mean() == pytest.approx(tau, rel=0.10)
    assert all(blocked_mean(x).converged for x in runs)
    pulls = np.array([x.mean() for x in runs]) / errors
    assert 0.4 < (pulls**2).mean() < 2.5


def test_blocking_of_uncorrelated_samples_is_the_naive_error() -> None:
    x = np.random.default_rng(0).standard_normal(4096)
    result = blocked_mean(x)
    assert result.mean == pytest.approx(x.mean(), abs=1e-14)
    assert result.error == pytest.approx(x.std(ddof=1) / 64, abs=3 * result.error_of_error)
    assert result.block_size <= 32
    assert result.error_of_error == pytest.approx(
        result.error / math.sqrt(2 * (4096 / result.block_size - 1))
    )


def test_repeated_samples_do_not_lower_the_error() -> None:
    x = np.random.default_rng(1).standard_normal(512)
    repeated = blocked_mean(np.repeat(x, 16))
    assert repeated.block_size >= 16
    assert repeated.error == pytest.approx(x.std(ddof=1) / math.sqrt(512), rel=0.2)


def test_chain_shorter_than_its_correlation_is_not_converged() -> None:
    assert not blocked_mean(np.linspace(0, 1, 64)).converged


def test_constant_series() -> None:
    result = blocked_mean([0.25] * 10)
    assert (result.mean, result.error, result.converged) == (0.25, 0.0, False)
    assert math.isnan(autocorrelation_time([0.25] * 10))


def test_autocorrelation_time_by_direct_sums() -> None:
    x = ar1(0.6, 40, np.random.default_rng(8))
    d = x - x.mean()
    c = [np.mean(d[: 40 - t] * d[t:]) for t in range(40)]
    tau = [1 + 2 * sum(c[1 : t + 1]) / c[0] for t in range(40)]
    stop = next(t for t in range(40) if t >= 5 * max(tau[t] / 2, 1))
    assert autocorrelation_time(x) == pytest.approx(tau[stop])


def test_alternating_series_is_anticorrelated() -> None:
    # phi = -0.5: tau = 1/3.
    x = ar1(-0.5, 2**15, np.random.default_rng(2))
    assert autocorrelation_time(x) == pytest.approx(1 / 3, abs=0.08)


def test_r_hat_by_hand() -> None:
    # Halves (0,2), (2,4), (1,3), (3,5): W = 2, means 1, 3, 2, 4, B/n = 5/3, n = 2.
    assert r_hat([[0, 2, 2, 4], [1, 3, 3, 5]]) == pytest.approx(math.sqrt(0.5 + (5 / 3) / 2))
    assert r_hat([[1, 1, 1, 1], [2, 2, 2, 2]]) == math.inf
    assert math.isnan(r_hat([[1, 1, 1, 1], [1, 1, 1, 1]]))
    assert math.isnan(r_hat([[1 / 36] * 3901] * 2))  # whose mean is not exactly 1/36


def test_r_hat_tells_agreeing_from_separate_and_from_drifting_chains() -> None:
    rng = np.random.default_rng(4)
    chains = rng.standard_normal((4, 2000))
    assert abs(r_hat(chains) - 1) < 0.005
    # Means at ±1 of unit variance: between variance 8/7 of 8 halves.
    shifted = chains + np.array([[1.0], [1.0], [-1.0], [-1.0]])
    assert r_hat(shifted) == pytest.approx(math.sqrt(1 + 8 / 7), rel=0.03)
    drift = chains + np.linspace(-1, 1, 2000)
    assert r_hat(drift) > 1.1


@pytest.mark.parametrize("function", [blocked_mean, autocorrelation_time, r_hat])
@pytest.mark.parametrize("bad", [[1.0], [[1.0, 2.0]], [1.0, math.nan]])
def test_too_little_or_not_finite(function, bad) -> None:
    with pytest.raises(ValueError, match="need"):
        function(bad)
