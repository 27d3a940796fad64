"""Decisions on errors whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from hea_flows.alloy.errors.convergence import decide, recommended, step_error


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def seed_of(values: list[float]) -> dict[str, float]:
    return {f"s{i}": v for i, v in enumerate(values)}


def test_errors_of_a_step_by_hand() -> None:
    found = step_error([seed_of([1.0, -3.0]), seed_of([2.0, -4.0, 100.0])], rng())
    # The third structure has no value of the first seed.
    assert (found.mae, found.n, found.by_seed) == (2.5, 2, (2.0, 3.0))
    assert found.low == pytest.approx(1.0)  # both draws the first structure and the first seed
    assert found.high == pytest.approx(4.0)
    alike = step_error([seed_of([5.0, -5.0, 5.0])], rng())
    assert (alike.mae, alike.low, alike.high) == pytest.approx((5, 5, 5))


def test_the_same_improvement_everywhere_is_one() -> None:
    before, after = [seed_of([5.0, -6.0, 7.0])], [seed_of([-2.0, 3.0, 4.0])]
    decision = decide(before, after, rng())
    change = decision.change
    assert decision.improved
    assert (change.value, change.low, change.high) == pytest.approx((-3, -3, -3))
    assert decide(before, after, rng(), tolerance=2.9).improved
    assert not decide(before, after, rng(), tolerance=3.1).improved
    assert not decide(after, before, rng()).improved  # worse
    assert not decide(before, before, rng()).improved  # alike, exactly


def test_an_improvement_of_the_mean_within_its_error_is_none() -> None:
    before = [seed_of([1.0] * 10)]
    after = [seed_of([9.0, *[0.0] * 9])]  # better by 0.1 in the mean, by one structure's grace
    decision = decide(before, after, rng())
    assert decision.change.value == pytest.approx(-0.1)
    assert decision.change.low < -0.9
    assert not decision.improved
    assert decision.change.p_value > 0.05


def test_seeds_that_scatter_hide_an_improvement_that_one_seed_shows() -> None:
    steady = [1.0 + 0.01 * i for i in range(30)]
    better = [0.8 * x for x in steady]
    assert decide([seed_of(steady)], [seed_of(better)], rng()).improved
    many = [seed_of([f * x for x in better]) for f in (0.3, 0.7, 1.7)]  # 0.9 in the mean
    decision = decide([seed_of(steady)], many, rng())
    assert decision.change.value < 0
    assert not decision.improved


def test_only_structures_of_both_steps_count() -> None:
    before = [{"a": 4.0, "b": 6.0, "c": 50.0}]
    after = [{"a": 1.0, "b": -3.0, "d": 70.0}]  # c is trained on now, d was before
    change = decide(before, after, rng()).change
    assert (change.value, change.n) == (-3.0, 2)
    with pytest.raises(ValueError, match="none of 2 structures"):
        decide([{"a": 1.0}], [{"b": 1.0}], rng())
    with pytest.raises(ValueError, match="tolerance must be 0 or more"):
        decide(before, after, rng(), tolerance=-1.0)


@pytest.mark.physics
def test_steps_that_are_alike_go_on_as_often_as_the_level_says() -> None:
    """Two models of the same error, 40 structures: about 2.5 % are called better."""
    source = rng(5)
    n = sum(
        decide(
            [seed_of(source.normal(size=40).tolist())],
            [seed_of(source.normal(size=40).tolist())],
            source,
        ).improved
        for _ in range(100)
    )
    assert n / 100 < 0.025 + 3 * np.sqrt(0.025 * 0.975 / 100)  # three standard errors


@pytest.mark.parametrize(
    ("improved", "step"),
    [
        ([False], 0),
        ([False, True, True, False], 2),
        ([False, False], 0),
        ([False, True, True], 2),
        ([True, False], 0),
    ],
)
def test_the_last_step_that_helped_is_recommended(improved: list[bool], step: int) -> None:
    assert recommended(improved) == step
