from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.signal import lfilter

from hea_flows.alloy.sampling.equilibration import STARTS, equilibrated_from, equilibrated_from_all
from hea_flows.alloy.sampling.statistics import autocorrelation_time, effective_samples


def ar1(phi: float, n: int, rng: np.random.Generator) -> np.ndarray:
    """Stationary and of unit variance: tau = (1 + phi)/(1 - phi)."""
    noise = rng.standard_normal(n) * math.sqrt(1 - phi**2)
    x, _ = lfilter([1.0], [1.0, -phi], noise, zi=[phi * rng.standard_normal()])
    return np.asarray(x)


@pytest.mark.parametrize("length", [400, 1500])
def test_ramp_of_known_length_is_cut_off_and_no_more(length: int) -> None:
    rng = np.random.default_rng(1)
    n = 8000
    for _ in range(10):
        x = ar1(0.8, n, rng)
        x[:length] += np.linspace(20, 0, length)
        # The foot of the ramp, below one standard deviation, hides in the noise.
        assert 0.85 * length <= equilibrated_from(x) <= length + 0.15 * n


def test_exponential_decay_is_left_behind_when_it_is_small() -> None:
    rng = np.random.default_rng(2)
    t = np.arange(20_000)
    starts = [equilibrated_from(30 * np.exp(-t / 500) + ar1(0.9, t.size, rng)) for _ in range(10)]
    # 30 exp(-t/500) is 1 at t = 1701 and 0.1 at t = 2852.
    assert min(starts) >= 1500
    assert np.median(starts) <= 3500


def test_stationary_series_is_kept_almost_whole() -> None:
    rng = np.random.default_rng(3)
    starts = np.array([equilibrated_from(ar1(0.9, 10_000, rng)) for _ in range(30)])
    assert np.median(starts) <= 1000
    assert starts.mean() <= 2000


def test_start_maximises_the_effective_samples_of_the_rest() -> None:
    x = ar1(0.7, 999, np.random.default_rng(4))
    x[:200] += 5
    left = {t: (999 - t) / max(autocorrelation_time(x[t:]), 1) for t in range(0, 999, 999 // 40)}
    assert effective_samples(x[equilibrated_from(x) :]) >= 0.95 * max(left.values())


def test_drifting_series_has_few_effective_samples() -> None:
    x = np.linspace(0, 50, 5000) + np.random.default_rng(5).standard_normal(5000)
    assert effective_samples(x) < 10
    assert effective_samples(x[equilibrated_from(x) :]) < 5000 / 20


def test_series_that_never_moves_is_kept() -> None:
    assert equilibrated_from([0.3] * 100) == 0


def test_last_stretch_without_excitation_is_not_taken_for_equilibrium() -> None:
    x = np.zeros(2000)
    x[:1400:35] = 1.0
    assert equilibrated_from(x) < 1400


def test_latest_start_of_several_observables() -> None:
    rng = np.random.default_rng(6)
    early, late = ar1(0.5, 4000, rng), ar1(0.5, 4000, rng)
    late[:1000] += 30
    assert equilibrated_from_all([early, late]) == equilibrated_from(late) == 1000
    with pytest.raises(ValueError, match=r"sampled together, got series of lengths \[50, 60\]"):
        equilibrated_from_all([early[:50], late[:60]])


def test_long_series_tries_no_more_starts() -> None:
    x = ar1(0.9, 100_000, np.random.default_rng(7))
    assert equilibrated_from(x) % (100_000 // STARTS) == 0


@pytest.mark.parametrize("bad", [[1.0, 2.0, 3.0], [[1.0] * 5] * 2, [1.0, 2.0, math.nan, 3.0]])
def test_too_little_or_not_finite(bad) -> None:
    with pytest.raises(ValueError, match="at least 4 finite samples"):
        equilibrated_from(bad)
