from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, pearsonr, spearmanr

from hea_flows.alloy.errors.committee import (
    Committee,
    alarm,
    build_committee,
    committee_of,
    fit_weights,
    spread_and_error,
)

NAN = float("nan")


def test_means_and_spreads_by_hand() -> None:
    values = [[1.0, 4.0, NAN, NAN], [3.0, 4.0, 2.0, 7.0], [8.0, 4.0, 5.0, NAN]]
    found = build_committee(values, [5.0, 1.0, 1.5, 0.0])
    assert found.kept.tolist() == [0, 1, 2]
    assert found.n_dropped == 1
    assert found.members.tolist() == [3, 3, 2]
    assert found.mean == pytest.approx([4.0, 4.0, 3.5])
    assert found.spread == pytest.approx([np.sqrt(13), 0.0, np.sqrt(4.5)])
    assert found.error == pytest.approx([-1.0, 3.0, 2.0])
    assert found.standard_error == pytest.approx([np.sqrt(13 / 3), 0.0, 1.5])


def test_members_may_lack_structures() -> None:
    members = [{"a": 1.0, "b": 4.0}, {"a": 3.0, "c": 7.0}, {"d": 0.0}]
    committee = committee_of(members, {"a": 5.0, "b": 1.0, "c": 0.0})
    assert committee is not None
    assert (committee.kept.tolist(), committee.n_dropped) == ([0], 2)
    assert committee.error == pytest.approx([-3.0])
    assert committee_of(members, {"b": 1.0, "c": 0.0}) is None
    assert committee_of(members, {}) is None


def test_equals_numpy_where_no_member_failed() -> None:
    values, reference = np.random.default_rng(0).normal(size=(5, 40)), np.zeros(40)
    found = build_committee(values, reference)
    assert found.mean == pytest.approx(values.mean(axis=0), abs=1e-15)
    assert found.spread == pytest.approx(values.std(axis=0, ddof=1), rel=1e-13)
    assert found.n_dropped == 0


def test_members_that_agree_have_no_spread_at_all() -> None:
    # The mean of three times 0.1 is not 0.1 in floating point; a spread of 1e-17 would be noise.
    found = build_committee(np.full((3, 2), 0.1) * [1, 1e6], [0.0, 0.0])
    assert found.spread.tolist() == [0.0, 0.0]
    assert found.mean.tolist() == [0.1, 0.1 * 1e6]


@pytest.mark.parametrize(
    ("values", "reference", "line"),
    [
        ([[1.0, 2.0]], [0.0, 0.0], "needs at least two members to have a spread, got 1"),
        ([1.0, 2.0], [0.0, 0.0], r"got \(2,\) and \(2,\)"),
        ([[1.0], [2.0]], [0.0, 0.0], r"got \(2, 1\) and \(2,\)"),
        ([[1.0, 2.0], [1.0, 2.0]], [0.0, NAN], "1 of 2 references are not finite"),
        ([[1.0, NAN], [NAN, 2.0]], [0.0, 0.0], "none of 2 structures has values of two members"),
    ],
)
def test_refuses_in_one_line(values: object, reference: object, line: str) -> None:
    with pytest.raises(ValueError, match=line) as told:
        build_committee(values, reference)
    assert "\n" not in str(told.value)


def made(spread: np.ndarray, error: np.ndarray, members: int = 5) -> Committee:
    """Return a committee with these spreads and errors."""
    n = len(spread)
    counts = np.full(n, members, dtype=np.intp)
    return Committee(np.arange(n), 0, counts, np.asarray(error, float), spread, np.zeros(n))


def test_correlations_are_those_of_scipy() -> None:
    rng = np.random.default_rng(1)
    spread = rng.gamma(2, size=60).round(1)  # with ties
    error = spread * rng.normal(size=60)
    found = spread_and_error(made(spread, error), np.random.default_rng(2))
    assert found.spearman == pytest.approx(spearmanr(spread, np.abs(error)).statistic, abs=1e-12)
    assert found.pearson == pytest.approx(pearsonr(spread, np.abs(error)).statistic, abs=1e-12)
    assert found.n == 60
    again = spread_and_error(made(spread, error), np.random.default_rng(2))
    assert again == found
    # A second bootstrap, by scipy's functions and other resamples.
    pool = [
        (spearmanr(x, y).statistic, pearsonr(x, y).statistic)
        for x, y in (
            (spread[i], np.abs(error[i])) for i in (rng.integers(60, size=60) for _ in range(600))
        )
    ]
    low, high = np.quantile(pool, [0.025, 0.975], axis=0)
    assert found.spearman_interval == pytest.approx((low[0], high[0]), abs=0.05)
    assert found.pearson_interval == pytest.approx((low[1], high[1]), abs=0.05)


def test_errors_in_the_order_of_spreads_correlate_fully() -> None:
    spread = np.arange(1.0, 9.0)
    found = spread_and_error(made(spread, -(spread**3)), np.random.default_rng(0))
    assert found.spearman == pytest.approx(1.0)
    assert found.spearman_interval == pytest.approx((1.0, 1.0))
    assert found.pearson < 0.95
    down = spread_and_error(made(spread, 10 - spread), np.random.default_rng(0))
    assert (down.spearman, down.pearson) == pytest.approx((-1.0, -1.0))


@pytest.mark.physics
def test_pearson_of_known_widths_is_the_closed_form() -> None:
    # x = width uniform on (0, 1), y = x|g|: cov = √(2/π) Var x, Var y = E x² − (2/π)(E x)².
    rng = np.random.default_rng(3)
    x = rng.uniform(size=40_000)
    found = spread_and_error(made(x, x * rng.normal(size=len(x))), rng, n_resamples=50)
    expected = np.sqrt(2 / np.pi) / 12 / np.sqrt((1 / 3 - 0.5 / np.pi) / 12)
    assert found.pearson == pytest.approx(expected, abs=4 / np.sqrt(len(x)))


def test_correlation_needs_something_that_varies() -> None:
    for spread, error in (([1.0, 1, 1], [1.0, 2, 3]), ([1.0, 2, 3], [2.0, -2, 2])):
        with pytest.raises(ValueError, match="three structures with different spreads and errors"):
            spread_and_error(made(np.array(spread), np.array(error)), np.random.default_rng(0))
    with pytest.raises(ValueError, match="level must be between 0 and 1, got 95"):
        spread_and_error(made(np.arange(3.0), np.arange(3.0)), np.random.default_rng(0), level=95)


def test_alarm_by_hand() -> None:
    # Pairs (wanted, other): 4 > 3, 1; 2 < 3, > 1, tie 2 = 2 once.
    found = alarm([4.0, 2.0, 3.0, 1.0, 2.0], [1, 1, 0, 0, 0], np.random.default_rng(0))
    assert found.auc == pytest.approx((3 + 0 + 1 + 0.5) / 6)
    assert (found.n_wanted, found.n) == (2, 5)
    assert found.thresholds.tolist() == [np.inf, 4.0, 3.0, 2.0, 1.0]
    assert found.caught == pytest.approx([0, 0.5, 0.5, 1, 1])
    assert found.false_alarms == pytest.approx([0, 0, 1 / 3, 2 / 3, 1])
    assert found.threshold_for(0.5) == 4.0
    assert found.threshold_for(0.51) == 2.0
    perfect = alarm([1.0, 2.0, 3.0], [False, True, True], np.random.default_rng(0))
    assert (perfect.auc, perfect.low, perfect.high) == (1.0, 1.0, 1.0)
    assert alarm([1.0, 1.0], [True, False], np.random.default_rng(0)).auc == 0.5


def test_share_to_be_caught_is_met_in_spite_of_rounding() -> None:
    score = np.arange(20.0)
    found = alarm(score, score >= 10, np.random.default_rng(0))
    for k in range(1, 11):
        assert found.threshold_for(k / 10) == 20.0 - k


def test_area_is_that_of_mann_whitney_and_of_the_curve() -> None:
    rng = np.random.default_rng(4)
    wanted = rng.random(200) < 0.3
    score = (rng.normal(size=200) + wanted).round(1)
    found = alarm(score, wanted, rng)
    u = mannwhitneyu(score[wanted], score[~wanted]).statistic
    assert found.auc == pytest.approx(u / (wanted.sum() * (~wanted).sum()), abs=1e-12)
    assert np.trapezoid(found.caught, found.false_alarms) == pytest.approx(found.auc, abs=1e-12)
    assert found.low < found.auc < found.high


@pytest.mark.physics
def test_area_of_two_gaussians_and_its_interval() -> None:
    # P(x + 1 > y) of two normal numbers is Φ(1/√2).
    rng, expected, covered = np.random.default_rng(5), 0.760249938906, 0
    wanted = np.arange(120) < 40
    areas = []
    for _ in range(300):
        found = alarm(rng.normal(size=120) + wanted, wanted, rng, n_resamples=300)
        areas.append(found.auc)
        covered += found.low <= expected <= found.high
    assert np.mean(areas) == pytest.approx(expected, abs=4 * np.std(areas) / np.sqrt(300))
    assert 0.89 < covered / 300 < 0.985


def test_alarm_needs_both_kinds() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="an alarm is wanted for 3 of 3 structures"):
        alarm([1.0, 2.0, 3.0], [True] * 3, rng)
    with pytest.raises(ValueError, match="an alarm is wanted for 0 of 2"):
        alarm([1.0, 2.0], [False] * 2, rng)
    with pytest.raises(ValueError, match=r"got \(2,\), \(3,\)"):
        alarm([1.0, 2.0], [False] * 3, rng)
    with pytest.raises(ValueError, match="finite scores"):
        alarm([1.0, NAN], [False, True], rng)


def test_weights_are_those_of_the_best_mean() -> None:
    """Errors (3, -1) and (-1, 2): the nearest point to the origin on the line between them."""
    weights = fit_weights([[3.0, -1.0], [-1.0, 2.0]], [0.0, 0.0])
    a, b = np.array([3.0, -1.0]), np.array([-1.0, 2.0])
    t = b @ (b - a) / ((b - a) @ (b - a))
    assert weights == pytest.approx([t, 1 - t])


def test_no_weight_is_negative() -> None:
    """The second member is wrong in the same direction and by more: it gets nothing."""
    assert fit_weights([[1.0, 1.0], [3.0, 2.0]], [0.0, 0.0]) == pytest.approx([1.0, 0.0])


def test_weights_against_a_grid() -> None:
    rng = np.random.default_rng(3)
    values, reference = rng.normal(size=(3, 12)), rng.normal(size=12)
    best = fit_weights(values, reference)
    assert best.sum() == pytest.approx(1.0)
    assert (best >= 0).all()
    least = np.sum((best @ values - reference) ** 2)
    for i in range(51):
        for j in range(51 - i):
            other = np.array([i, j, 50 - i - j]) / 50
            assert np.sum((other @ values - reference) ** 2) >= least - 1e-12


def test_weights_of_members_that_agree() -> None:
    assert fit_weights([[1.0, 2.0]] * 4, [1.0, 2.0]).sum() == pytest.approx(1.0)
    with pytest.raises(ValueError, match="finite"):
        fit_weights([[1.0, np.nan], [1.0, 1.0]], [0.0, 0.0])
    with pytest.raises(ValueError, match=r"got \(2,\) and \(2,\)"):
        fit_weights([1.0, 2.0], [0.0, 0.0])
