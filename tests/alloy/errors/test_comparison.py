from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import permutation_test

from hea_flows.alloy.errors.comparison import (
    Verdict,
    better,
    mae_difference,
    paired,
    sign_flip_p_value,
    within,
)

NAN = float("nan")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_only_structures_that_all_seeds_have_are_paired() -> None:
    a = [{"s1": 1.0, "s2": 2.0, "s3": NAN, "s4": 4.0}, {"s4": 5.0, "s2": 6.0, "s1": 7.0}]
    b = [{"s2": -1.0, "s1": -2.0, "s4": -3.0, "s9": 0.0}]
    found = paired(a, b)
    assert found.structure_ids == ("s1", "s2", "s4")
    assert found.a.tolist() == [[1.0, 2.0, 4.0], [7.0, 6.0, 5.0]]
    assert found.b.tolist() == [[-2.0, -1.0, -3.0]]
    assert found.left_out == ("s3", "s9")
    with pytest.raises(ValueError, match="none of 2 structures has a value of all 1 and 1 seeds"):
        paired([{"s1": 1.0}], [{"s2": 1.0}])
    with pytest.raises(ValueError, match="got 1 and 0 seeds"):
        paired([{"s1": 1.0}], [])


def test_difference_by_hand() -> None:
    found = mae_difference([1.0, -3.0], [[2.0, 2.0], [-4.0, 0.0]], rng())
    assert found.value == pytest.approx(2 - 2)
    assert (found.n, found.n_seeds) == (2, (1, 2))
    assert found.p_value == 1.0  # differences −2 and 2 cancel: every flip is as large
    shift = mae_difference([5.0, 6.0, 7.0], [2.0, -3.0, 4.0], rng())
    # The same on every structure: no resample differs.
    assert (shift.value, shift.low, shift.high) == pytest.approx((3.0, 3.0, 3.0))
    assert shift.p_value == 0.25  # 2 of 2³ flips


def test_swapping_the_models_turns_the_sign() -> None:
    a, b = rng(1).normal(size=(2, 3, 40))
    one, other = (
        mae_difference(a, 2 * b, rng(), n_resamples=20_000),
        mae_difference(2 * b, a, rng(), n_resamples=20_000),
    )
    assert other.value == -one.value
    assert (other.low, other.high) == pytest.approx((-one.high, -one.low), abs=0.02)


def test_pairing_removes_what_structures_have_in_common() -> None:
    hard = rng(2).exponential(50, size=60)
    found = mae_difference(hard + 1.0, hard, rng())
    assert (found.low, found.high) == pytest.approx((1.0, 1.0))


def bootstrap_variance(errors: np.ndarray) -> float:
    """Return the exact variance of the hierarchical bootstrap mean, by analysis of variance."""
    seeds, n = errors.shape
    mean = errors.mean()
    rows, columns = errors.mean(axis=1) - mean, errors.mean(axis=0) - mean
    rest = errors - mean - rows[:, None] - columns[None]
    within_cells = (rest**2).sum() / (seeds * n) ** 2
    return float((rows**2).sum() / seeds**2 + (columns**2).sum() / n**2 + within_cells)


def test_hierarchical_bootstrap_has_its_exact_variance() -> None:
    # Normal resampled means: the 68.27 % interval is ± one standard deviation wide. Against a
    # model without error on any structure, it is the variance of a's mean absolute error.
    errors = 10 + rng(3).normal(size=(6, 1)) + rng(4).normal(size=(6, 80))
    none = np.zeros(80)
    found = mae_difference(errors, none, rng(), level=0.682689, n_resamples=40_000)
    exact = np.sqrt(bootstrap_variance(errors))
    assert (found.high - found.low) / 2 == pytest.approx(exact, rel=0.03)
    # The structures alone, without seeds drawn, would say far less.
    single = mae_difference(errors.mean(axis=0), none, rng(), level=0.682689, n_resamples=40_000)
    assert (single.high - single.low) / 2 == pytest.approx(
        errors.mean(axis=0).std() / np.sqrt(80), rel=0.03
    )
    assert single.high - single.low < 0.5 * (found.high - found.low)


def test_structures_are_drawn_alike_for_both_models() -> None:
    # Seeds of both models differ by constants; the structures' part cancels, the seeds' part adds.
    hard = rng(5).exponential(30, size=50)
    a, b = hard + np.array([[0.0], [2.0]]), hard + np.array([[10.0], [11.0], [12.0]])
    found = mae_difference(a, b, rng(), n_resamples=4000)
    exact = {(x + y) / 2 - (p + q + r) / 3 for x, y in product((0, 2), repeat=2)
             for p, q, r in product((10, 11, 12), repeat=3)}  # fmt: skip
    assert found.value == pytest.approx(1 - 11)
    assert min(exact) - 1e-9 <= found.low < found.high <= max(exact) + 1e-9
    assert found.high - found.low > 2.5


@pytest.mark.physics
def test_interval_covers_the_true_difference() -> None:
    covered, truth = 0, np.sqrt(2 / np.pi) * (1.0 - 1.5)
    pool = rng(6)
    for _ in range(300):
        shared = pool.normal(size=60)
        a = (shared + pool.normal(size=60)) / np.sqrt(2)
        b = 1.5 * (shared + pool.normal(size=60)) / np.sqrt(2)
        found = mae_difference(a, b, pool, n_resamples=400)
        covered += found.low <= truth <= found.high
    assert 0.90 < covered / 300 < 0.985


def exhaustive(differences: np.ndarray) -> float:
    sums = [abs(np.dot(s, differences)) for s in product((1, -1), repeat=len(differences))]
    return float(np.mean(np.array(sums) >= abs(differences.sum()) - 1e-9))


def test_every_flip_is_counted_for_few_structures() -> None:
    assert sign_flip_p_value([3.0], rng()) == 1.0
    assert sign_flip_p_value([1.0, 2.0, 4.0], rng()) == 0.25
    assert sign_flip_p_value([1.0, 2.0, -4.0], rng()) == 1.0
    # Sums 6, 4, 2 and 0 and their opposites: three of four are as large as 3 − 2 + 1 = 2.
    assert sign_flip_p_value([3.0, -2.0, 1.0], rng()) == 0.75
    assert sign_flip_p_value(np.full(10, 0.1), rng()) == 2 / 2**10
    assert sign_flip_p_value(np.zeros(5), rng()) == 1.0
    for seed in range(20):
        d = rng(seed).normal(0.4, 1, size=9).round(1)  # with ties
        assert sign_flip_p_value(d, rng()) == exhaustive(d)


def test_exhaustive_and_random_flips_are_those_of_scipy() -> None:
    d = rng(7).normal(0.5, 1, size=11)
    test = permutation_test(
        (d,), np.mean, permutation_type="samples", n_resamples=np.inf, vectorized=False
    )
    assert sign_flip_p_value(d, rng()) == pytest.approx(test.pvalue)
    many = rng(8).normal(0.25, 1, size=40)
    found = sign_flip_p_value(many, rng(), n_flips=20_000)
    again = permutation_test(
        (many,), np.mean, permutation_type="samples", n_resamples=20_000, rng=rng(9),
        vectorized=True,
    )  # fmt: skip
    assert found == pytest.approx(again.pvalue, abs=4 * np.sqrt(2 * found / 20_000))
    assert sign_flip_p_value(np.ones(100), rng(), n_flips=99) == 0.01


@pytest.mark.physics
def test_p_value_is_uniform_where_models_are_alike() -> None:
    pool = rng(10)
    values = [sign_flip_p_value(pool.normal(size=12), pool) for _ in range(600)]
    for level in (0.1, 0.5, 0.9):
        share = np.mean(np.array(values) <= level)
        assert share == pytest.approx(level, abs=4 * np.sqrt(level * (1 - level) / 600))


def test_verdicts_rest_on_the_whole_interval() -> None:
    a, b = rng(11).normal(size=(2, 200))
    found = better(a, 3 * b, rng())
    d = mae_difference(a, 3 * b, rng())
    assert found == Verdict(held=True, difference=d.value, low=d.low, high=d.high, n=200)
    assert not better(3 * b, a, rng()).held
    even = better(a, b, rng())
    assert even.low < 0 < even.high
    assert not even.held
    assert within(a, b, 0.3, rng()).held
    narrow = within(a, b, abs(even.difference) + 1e-3, rng())
    assert not narrow.held  # the difference is within, its interval is not
    assert (narrow.low, narrow.high) == (even.low, even.high)
    assert not within(a, 3 * b, 0.3, rng()).held
    # Two structures make no two models alike.
    assert not within([1.0, 1.0], [0.0, 2.0], 0.5, rng()).held


@pytest.mark.parametrize(
    ("a", "b", "line"),
    [
        ([1.0, 2.0], [1.0], "same structures; got 2 and 1"),
        ([1.0, NAN], [1.0, 2.0], r"need finite errors .* got shape \(1, 2\); leave out what"),
        ([], [], "need finite errors"),
        (np.ones((2, 2, 2)), [1.0, 2.0], "need finite errors"),
    ],
)
def test_refuses_in_one_line(a: object, b: object, line: str) -> None:
    with pytest.raises(ValueError, match=line):
        mae_difference(a, b, rng())


def test_options_that_mean_nothing() -> None:
    with pytest.raises(ValueError, match="tolerance must be positive, in the unit of the errors"):
        within([1.0], [1.0], 0.0, rng())
    with pytest.raises(ValueError, match="level must be"):
        better([1.0], [1.0], rng(), level=95)
    with pytest.raises(ValueError, match="need finite differences"):
        sign_flip_p_value([], rng())
