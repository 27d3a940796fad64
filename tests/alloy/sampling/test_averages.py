from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.signal import lfilter

from hea_flows.alloy.sampling.averages import average_of
from hea_flows.alloy.sampling.statistics import blocked_mean, effective_samples, r_hat


def ar1(phi: float, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Stationary and of unit variance: tau = (1 + phi)/(1 - phi)."""
    start = phi * rng.standard_normal((shape[0], 1))
    noise = rng.standard_normal(shape) * math.sqrt(1 - phi**2)
    x, _ = lfilter([1.0], [1.0, -phi], noise, zi=start)
    return np.asarray(x)


def coverage_of_the_larger(m: int) -> float:
    """P(|z| < max(1, s)) of a normal z and m s² (m − 1)/m ~ chi² of m − 1."""
    if m == 1:
        return 2 * stats.norm.cdf(1) - 1
    chi2 = stats.chi2(m - 1)
    tail = quad(
        lambda q: chi2.pdf(q) * (2 * stats.norm.cdf(math.sqrt(q / (m - 1))) - 1), m - 1, 60 * m
    )
    return chi2.cdf(m - 1) * (2 * stats.norm.cdf(1) - 1) + tail[0]


def test_stated_coverages() -> None:
    stated = {m: round(100 * coverage_of_the_larger(m)) for m in (1, 2, 4, 8)}
    assert stated == {1: 68, 2: 73, 4: 73, 8: 72}


@pytest.mark.physics
@pytest.mark.parametrize("m", [1, 2, 4])
def test_error_covers_the_mean_as_often_as_stated(m: int) -> None:
    rng = np.random.default_rng(20 + m)
    runs = [average_of(ar1(0.8, (m, 4096), rng)) for _ in range(600)]
    share = np.mean([abs(run.mean) < run.error for run in runs])
    # Three standard errors of the share are 0.055; blocking stops early by a few per cent.
    assert share == pytest.approx(coverage_of_the_larger(m), abs=0.06)


def test_agreeing_chains() -> None:
    n, m = 20_000, 4
    result = average_of(ar1(0.9, (m, n), np.random.default_rng(1)))
    assert result.converged
    assert result.r_hat == pytest.approx(1, abs=0.01)
    assert result.effective_samples == pytest.approx(m * n / 19, rel=0.15)
    assert abs(result.mean) < 3 * result.error


def test_chains_that_are_caught_apart() -> None:
    apart = np.array([[0.0], [0.0], [10.0], [10.0]])
    x = ar1(0.5, (4, 4000), np.random.default_rng(2)) + apart
    result = average_of(x)
    # Means 0, 0, 10, 10: the error of their mean is sqrt(100/3)/2.
    assert result.error == pytest.approx(math.sqrt(100 / 3) / 2, rel=0.01)
    assert result.r_hat > 4
    assert not result.converged


def test_unequal_lengths_weigh_by_their_samples() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal(3000), rng.standard_normal(1000) + 1
    result = average_of([a, b])
    assert result.mean == pytest.approx(np.concatenate([a, b]).mean(), abs=1e-12)
    scatter = math.sqrt(0.75 * (a.mean() - result.mean) ** 2 + 0.25 * (b.mean() - result.mean) ** 2)
    assert result.error == pytest.approx(scatter, rel=1e-12)
    assert result.r_hat == r_hat([a[-1000:], b])
    assert result.effective_samples == effective_samples(a) + effective_samples(b)


def test_larger_error_of_agreeing_means_is_that_of_the_blocks() -> None:
    x = np.random.default_rng(4).standard_normal((2, 1000))
    x -= x.mean(axis=1, keepdims=True)
    expected = math.hypot(blocked_mean(x[0]).error, blocked_mean(x[1]).error) / 2
    assert average_of(x).error == pytest.approx(expected, rel=1e-12)


def test_one_chain_and_short_chains() -> None:
    x = ar1(0.5, (1, 5000), np.random.default_rng(5))
    result = average_of(x)
    assert result.error == blocked_mean(x[0]).error
    assert result.converged
    assert not average_of([x[0, :100]]).converged  # about 33 effective samples


def test_constant_chains_have_no_error_and_are_not_converged() -> None:
    result = average_of([[0.25] * 50])
    assert (result.mean, result.error, result.effective_samples) == (0.25, 0.0, 1.0)
    assert math.isnan(result.r_hat)
    assert not result.converged
    apart = average_of([[0.0] * 50, [1.0] * 50])
    assert (apart.error, apart.r_hat) == (0.5, math.inf)


@pytest.mark.parametrize("bad", [[], [[1.0, 2.0, 3.0]], [[1.0, 2.0, math.nan, 3.0]], [1.0, 2.0]])
def test_no_chains_or_too_short(bad) -> None:
    with pytest.raises(ValueError, match="need at least one chain"):
        average_of(bad)
