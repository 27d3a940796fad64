from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest, kstest, t

from hea_flows.alloy.errors.calibration import LEVELS, Scale, reliability, scale_factor
from hea_flows.alloy.errors.committee import Committee, build_committee


def made(ratios: list[float] | np.ndarray, members: int | list[int]) -> Committee:
    """Return a committee of spread 2 whose errors are these multiples of it."""
    n = len(ratios)
    counts = np.broadcast_to(np.asarray(members, dtype=np.intp), n)
    return Committee(np.arange(n), 0, counts, 2 * np.asarray(ratios), np.full(n, 2.0), np.zeros(n))


def drawn(members: int, n: int, scale: float | None, seed: int) -> Committee:
    """Return members that scatter normally, widths differing tenfold over the structures.

    The truth is `scale` widths from the members' mean; without `scale` it is like one more member.
    """
    rng = np.random.default_rng(seed)
    width = 10 ** rng.uniform(0, 1, n)
    values = width * rng.normal(size=(members, n))
    offset = width * rng.normal(size=n)
    truth = offset if scale is None else values.mean(axis=0) + scale * offset
    return build_committee(values, truth)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_moments_by_hand() -> None:
    # mean of 2/4 · (1, 4, 1, 0) with five members.
    found = scale_factor(made([1.0, -2.0, 1.0, 0.0], 5), rng())
    assert found.moment == pytest.approx(np.sqrt(0.5 * 6 / 4))
    mixed = scale_factor(made([1.0, -2.0], [5, 7]), rng())
    assert mixed.moment == pytest.approx(np.sqrt((0.5 * 1 + 4 / 6 * 4) / 2))
    assert scale_factor(made([1.0, -2.0], [5, 3]), rng()).moment is None


def test_likely_scale_by_hand() -> None:
    # All ratios ±z: (ν + 1) z²/(ν s² + z²) = 1, so s = |z| for any ν.
    for members in (2, 3, 8):
        found = scale_factor(made([1.7, -1.7, 1.7], members), rng())
        assert (found.value, found.low, found.high) == pytest.approx((1.7,) * 3, rel=1e-9)
    # ν = 1, ratios 1 and z: 2/(s² + 1) + 2 z²/(s² + z²) = 2 has s² = z.
    assert scale_factor(made([1.0, 9.0], 2), rng()).value == pytest.approx(3.0, rel=1e-9)


def test_likely_scale_is_the_maximum_of_the_likelihood() -> None:
    found = drawn(4, 200, 1.3, seed=1)
    z = found.error / found.spread
    best = minimize_scalar(
        lambda u: -t.logpdf(z / np.exp(u), 3).sum() + len(z) * u, bounds=(-3, 3), method="bounded"
    )
    assert scale_factor(found, rng()).value == pytest.approx(np.exp(best.x), rel=1e-5)


def test_scale_goes_with_the_unit_of_the_error() -> None:
    ratios = np.random.default_rng(2).standard_t(4, size=50)
    one, ten = (scale_factor(made(k * ratios, 5), rng()) for k in (1, 10))
    assert ten.moment is not None
    assert one.moment is not None
    numbers = [10 * one.value, 10 * one.low, 10 * one.high, 10 * one.moment]
    assert [ten.value, ten.low, ten.high, ten.moment] == pytest.approx(numbers, rel=1e-8)


@pytest.mark.physics
@pytest.mark.parametrize("members", [2, 3, 5, 10])
def test_scale_is_found_whatever_the_number_of_members(members: int) -> None:
    found = scale_factor(drawn(members, 20_000, 1.8, members), rng(), n_resamples=20)
    assert found.value == pytest.approx(1.8, rel=0.03)
    if members >= 10:  # the mean square of t converges slowly for few members
        assert found.moment == pytest.approx(1.8, rel=0.03)
    like_members = scale_factor(drawn(members, 20_000, None, members), rng(), n_resamples=20)
    assert like_members.value == pytest.approx(np.sqrt(1 + 1 / members), rel=0.03)


@pytest.mark.physics
def test_interval_of_the_scale_covers() -> None:
    covered = 0
    for seed in range(200):
        found = scale_factor(drawn(4, 60, 1.0, seed), np.random.default_rng(seed), n_resamples=150)
        covered += found.low <= 1.0 <= found.high
    assert 0.88 < covered / 200 <= 0.99


def test_vanishing_errors_have_scale_zero() -> None:
    assert scale_factor(made([0.0, 0.0], 4), rng()) == Scale(0.0, 0.0, 0.0, 0.0, 2)
    # ν + 1 = 2 pulls for one error against three structures: the likelihood grows to s = 0.
    assert scale_factor(made([5.0, 0.0, 0.0], 2), rng()).value == 0.0


def test_members_that_agree_are_refused() -> None:
    same = build_committee([[1.0, 2.0], [1.0, 3.0]], [0.0, 0.0])
    for check in (lambda: scale_factor(same, rng()), lambda: reliability(same)):
        with pytest.raises(ValueError, match=r"members agree exactly on 1 of 2 structures.*seeds$"):
            check()


def test_coverage_by_hand() -> None:
    # Cauchy for two members: |z| ≤ tan(πp/2); tan(π/4) = 1 holds half.
    found = reliability(made([0.9, -1.1, 0.1, 50.0], 2), [0.5, 0.9])
    assert found.nominal.tolist() == [0.5, 0.9]
    assert found.observed.tolist() == [0.5, 0.75]  # tan(0.45π) = 6.3
    wide = reliability(made([0.9, -1.1, 0.1, 50.0], 2), [0.5, 0.9], scale=8.0)
    assert wide.observed.tolist() == [0.75, 1.0]  # 6.25 > 1 and 50/8 = 6.25 < 6.3
    assert (wide.low[1], wide.high[1]) == (pytest.approx(0.025**0.25), 1.0)


def test_intervals_of_the_coverage_are_those_of_scipy() -> None:
    found = reliability(drawn(4, 37, 1.2, seed=5))
    for observed, low, high in zip(found.observed, found.low, found.high, strict=True):
        exact = binomtest(round(37 * observed), 37).proportion_ci(0.95, "exact")
        assert (low, high) == pytest.approx((exact.low, exact.high), abs=1e-12)
    none = reliability(made([1e9, -1e9], 4))
    assert none.low.tolist() == [0.0] * len(LEVELS)
    assert none.high == pytest.approx([1 - 0.025**0.5] * len(LEVELS))


def test_area_by_hand_and_by_quadrature() -> None:
    # One structure, needed coverage u: ∫_0^u p + ∫_u^1 (1 − p) = u²/2 + (1 − u)²/2.
    for u in (0.0, 0.3, 0.5, 1 - 1e-12):
        found = reliability(made([t.ppf((1 + u) / 2, 3)], 4))
        assert found.area == pytest.approx(u**2 / 2 + (1 - u) ** 2 / 2, abs=1e-9)
        assert found.excess == pytest.approx(u - 0.5, abs=1e-9)
    assert reliability(made([1e9, -1e9], 4)).area == pytest.approx(0.5)
    pool = drawn(5, 83, 1.4, seed=6)
    grid = (np.arange(20_000) + 0.5) / 20_000
    curve = reliability(pool, grid)
    gaps = curve.observed - curve.nominal
    assert curve.area == pytest.approx(np.abs(gaps).mean(), abs=1e-4)
    assert curve.excess == pytest.approx(-gaps.mean(), abs=1e-4)


@pytest.mark.physics
@pytest.mark.parametrize("members", [2, 4, 8])
def test_calibrated_committee_is_called_so(members: int) -> None:
    n = 4000
    found = reliability(drawn(members, n, 1.0, seed=members))
    inside = (found.low <= found.nominal) & (found.nominal <= found.high)
    assert inside.sum() >= 7  # of 9 at 95 %, and they go together
    assert abs(found.excess) < 4 / np.sqrt(12 * n)
    # Normal intervals are too narrow for so few members; Student's t is what fits.
    z = drawn(members, n, 1.0, seed=members)
    assert kstest(z.error / z.spread, "t", (members - 1,)).pvalue > 1e-3
    assert members == 8 or kstest(z.error / z.spread, "norm").pvalue < 1e-3


@pytest.mark.physics
def test_area_of_a_calibrated_committee_goes_with_the_root_of_n() -> None:
    # E ∫|Brownian bridge| = √(2/π) π/8 = 0.3133.
    n = 200
    areas = [reliability(drawn(4, n, 1.0, seed)).area for seed in range(400)]
    expected = np.sqrt(2 / np.pi) * np.pi / 8 / np.sqrt(n)
    assert np.mean(areas) == pytest.approx(expected, abs=4 * np.std(areas) / np.sqrt(400))


def test_scaling_repairs_the_coverage_of_other_structures() -> None:
    fitted = scale_factor(drawn(5, 400, 3.0, seed=7), rng()).value
    other = drawn(5, 400, 3.0, seed=8)
    before, after = reliability(other), reliability(other, scale=fitted)
    assert before.excess > 0.25
    assert before.high[8] < 0.7  # 90 % intervals hold far less
    assert after.low[8] < 0.9 < after.high[8]
    assert after.area < 0.05


@pytest.mark.parametrize("levels", [[0.5, 1.0], [0.0], [[0.5]]])
def test_levels_and_scales_that_mean_nothing(levels: list[float]) -> None:
    with pytest.raises(ValueError, match="levels are coverages between 0 and 1"):
        reliability(made([1.0], 4), levels)
    with pytest.raises(ValueError, match="scale must be positive, got 0"):
        reliability(made([1.0], 4), scale=0)
