from __future__ import annotations

import numpy as np
import pytest

from hea_flows.alloy.errors.metrics import mae, mae_by_group, mae_interval, rmse


def test_by_hand() -> None:
    assert mae([1.0, 2.0, 5.0], [1.0, 4.0, 4.0]) == pytest.approx(1.0)
    assert rmse([1.0, 2.0, 5.0], [1.0, 4.0, 4.0]) == pytest.approx(np.sqrt(5 / 3))
    assert mae(np.ones((4, 3)), np.zeros((4, 3))) == 1.0
    assert rmse([3.0], [3.0]) == 0.0


def test_gaussian_errors_have_the_known_ratio() -> None:
    errors = np.random.default_rng(0).normal(size=200_000)
    # E|x| / sqrt(E x²) of a Gaussian is sqrt(2/π).
    ratio = mae(errors, np.zeros_like(errors)) / rmse(errors, np.zeros_like(errors))
    assert ratio == pytest.approx(np.sqrt(2 / np.pi), rel=3e-3)


def test_interval_equals_a_plain_bootstrap() -> None:
    rng = np.random.default_rng(0)
    predicted, reference = rng.normal(size=(2, 50))
    found = mae_interval(predicted, reference, np.random.default_rng(1), n_resamples=20_000)
    errors = np.abs(predicted - reference)
    plain = np.random.default_rng(2)
    means = [errors[plain.integers(50, size=50)].mean() for _ in range(20_000)]
    scale = errors.std() / np.sqrt(50)
    assert found.mean == pytest.approx(errors.mean())
    assert found.n == 50
    assert found.low == pytest.approx(np.quantile(means, 0.025), abs=0.05 * scale)
    assert found.high == pytest.approx(np.quantile(means, 0.975), abs=0.05 * scale)


def test_interval_covers_the_true_value() -> None:
    rng = np.random.default_rng(5)
    truth = np.sqrt(2 / np.pi)
    trials = 400
    covered = 0
    for _ in range(trials):
        found = mae_interval(rng.normal(size=80), np.zeros(80), rng, n_resamples=400)
        covered += found.low <= truth <= found.high
    # 95 % nominally, a little less for 80 values; binomial scatter 1.1 %.
    assert 0.90 < covered / trials < 0.98


def test_interval_is_seeded_and_degenerate_for_equal_errors() -> None:
    p, r = np.arange(10.0), np.zeros(10)
    assert mae_interval(p, r, np.random.default_rng(1)) == mae_interval(
        p, r, np.random.default_rng(1)
    )
    flat = mae_interval(np.ones(10), np.zeros(10), np.random.default_rng(1))
    assert (flat.low, flat.mean, flat.high) == (pytest.approx(1), 1.0, pytest.approx(1))
    narrow = mae_interval(p, r, np.random.default_rng(1), level=0.5)
    wide = mae_interval(p, r, np.random.default_rng(1), level=0.99)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_groups_weight_to_the_whole() -> None:
    predicted, reference = [1.0, 2.0, 3.0, 8.0], [0.0, 0.0, 0.0, 0.0]
    groups = [3, 2, 3, 5]
    found = mae_by_group(predicted, reference, groups)
    assert found == {3: 2.0, 2: 2.0, 5: 8.0}
    assert list(found) == [3, 2, 5]
    total = sum(found[g] for g in groups) / 4
    assert total == mae(predicted, reference)


def test_errors() -> None:
    with pytest.raises(ValueError, match="must be alike and not empty"):
        mae([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="not empty"):
        rmse([], [])
    with pytest.raises(ValueError, match="2 values but 1 groups"):
        mae_by_group([1.0, 2.0], [1.0, 2.0], [1])
    with pytest.raises(ValueError, match="level must be"):
        mae_interval([1.0], [1.0], np.random.default_rng(0), level=95)
