"""Calibration: whether the error of a committee's mean is as large as its spread says.

With M members whose values scatter normally, and an error of the mean that is normal with `scale`
times the true width of that scatter, error/spread is `scale` times Student's t with M − 1 degrees
of freedom: the spread of a few members is itself uncertain. All figures here follow from that.

What `scale` is depends on what is wrong with the models. If members scatter about the truth, it
is √(1/M); if the truth is like one more member, √(1 + 1/M); more if members share an error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import beta, t

from hea_flows.alloy.errors.committee import Committee, Floats, interval_quantiles

#: Nominal coverages at which a reliability curve is read.
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_BISECTIONS = 60


@dataclass(frozen=True)
class Scale:
    """Factor that the spread must be multiplied by to be the width of the error.

    Parameters
    ----------
    value
        The most likely factor; above 1 the committee is too sure of itself.
    low, high
        Percentile bootstrap interval over the structures.
    moment
        The same from the mean square; None if a structure has fewer than four members.
    n
        Number of structures.
    """

    value: float
    low: float
    high: float
    moment: float | None
    n: int


def scale_factor(
    committee: Committee,
    rng: np.random.Generator,
    *,
    level: float = 0.95,
    n_resamples: int = 500,
) -> Scale:
    """Return the factor between spread and width of the error, most likely and by moments.

    The likely factor maximises the likelihood of Student's t and so takes any number of members
    from 2; its condition is Σ (ν + 1) z²/(ν s² + z²) = n with z = error/spread and ν = M − 1. By
    moments, s² = mean[(M − 3)/(M − 1) z²]: Student's t has the variance ν/(ν − 2), and no finite
    one for M < 4. For M → ∞ it is sqrt(mean z²), the factor of [1]_. For a finite M [2]_ take 1/M
    off besides, since they want the width of the truth about the true mean of all members; here s
    is for the error of this committee's mean, and nothing is taken off.

    Parameters
    ----------
    committee
        A committee.
    rng
        Source of the resamples.
    level
        Coverage of the interval.
    n_resamples
        Number of resamples of the structures.

    Raises
    ------
    ValueError
        If members agree exactly on a structure, or no structure has an error.

    References
    ----------
    .. [1] F. Musil et al., J. Chem. Theory Comput. 15, 906 (2019), doi:10.1021/acs.jctc.8b00959.
    .. [2] G. Imbalzano et al., J. Chem. Phys. 154, 074102 (2021), arXiv:2011.08828.
    """
    quantiles = interval_quantiles(level)
    square = _ratios(committee) ** 2
    degrees = (committee.members - 1).astype(np.float64)
    n = len(square)
    [value] = _likely_scales(square, degrees, np.ones((1, n)))
    weights = rng.multinomial(n, np.full(n, 1 / n), size=n_resamples)
    low, high = np.quantile(_likely_scales(square, degrees, weights), quantiles)
    moment = None
    if degrees.min() >= 3:
        moment = float(np.sqrt(np.mean((degrees - 2) / degrees * square)))
    return Scale(float(value), float(low), float(high), moment, n)


def _ratios(committee: Committee) -> Floats:
    """Return error/spread of each structure."""
    if flat := int((committee.spread == 0).sum()):
        msg = (
            f"members agree exactly on {flat} of {len(committee.spread)} structures, so their "
            "spread says nothing of the error; give members of different seeds"
        )
        raise ValueError(msg)
    return committee.error / committee.spread


def _likely_scales(square: Floats, degrees: Floats, weights: ArrayLike) -> Floats:
    """Return the scale of Student's t that z² are most likely for, shape (R,).

    `weights`, shape (R, n), tell how often each structure counts. The scale is 0 where so many
    errors vanish that the likelihood has no maximum.
    """
    w = np.asarray(weights, dtype=np.float64)
    n, positive = len(square), square > 0
    # As s → 0 each term of the condition tends to ν + 1 or, where z = 0, stays 0.
    bounded = (w[:, positive] * (degrees[positive] + 1)).sum(axis=1) > n
    scales = np.zeros(len(w))
    if not bounded.any():
        return scales
    # Those terms are integers, so their sum exceeds n by 1 at least: above n at this lower end.
    low = np.full(bounded.sum(), np.log(square[positive].min() / (2 * n * degrees.max())))
    high = np.full(bounded.sum(), np.log(square.max()))
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        terms = (degrees + 1) * square / (degrees * np.exp(middle)[:, None] + square)
        above = (w[bounded] * terms).sum(axis=1) > n
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    scales[bounded] = np.exp((low + high) / 4)
    return scales


@dataclass(frozen=True, eq=False)
class Reliability:
    """Nominal against observed coverage of intervals around the mean.

    Parameters
    ----------
    nominal, observed
        Share of structures that should be, and that are, within the interval; shape (L,).
    low, high
        95 % interval of `observed` by Clopper and Pearson, shape (L,).
    area
        Area between the observed curve and the ideal one, over all coverages from 0 to 1: 0 is
        ideal, 0.5 the worst. A calibrated committee still shows about 0.31/√n.
    excess
        The same with sign: positive if errors are larger than the spread says.
    n
        Number of structures.
    """

    nominal: Floats
    observed: Floats
    low: Floats
    high: Floats
    area: float
    excess: float
    n: int


def reliability(
    committee: Committee, levels: ArrayLike = LEVELS, *, scale: float = 1.0
) -> Reliability:
    """Return how often the error lies within intervals of Student's t around the mean.

    The interval of the coverage p is ± `scale` · spread · t((1 + p)/2; M − 1) [1]_. Area and
    excess are exact integrals over all p [2]_.

    Parameters
    ----------
    committee
        A committee.
    levels
        Nominal coverages, between 0 and 1.
    scale
        Factor of the spread, for example `Scale.value` of other structures. A factor that was
        fitted to the same structures flatters.

    Raises
    ------
    ValueError
        If a level is not between 0 and 1, the scale is not positive, or members agree exactly.

    References
    ----------
    .. [1] V. Kuleshov, N. Fenner and S. Ermon, ICML 2018, arXiv:1807.00263 (with central
       intervals here).
    .. [2] K. Tran et al., Mach. Learn.: Sci. Technol. 1, 025006 (2020), the miscalibration area.
    """
    p = np.asarray(levels, dtype=np.float64)
    if p.ndim != 1 or not ((p > 0) & (p < 1)).all():
        msg = f"levels are coverages between 0 and 1, got {levels!r}"
        raise ValueError(msg)
    if not scale > 0:
        msg = f"scale must be positive, got {scale}"
        raise ValueError(msg)
    needed = _needed_coverage(_ratios(committee) / scale, committee.members)
    n = len(needed)
    inside = (needed[None] <= p[:, None]).sum(axis=1)
    # Clopper and Pearson: nothing to bound below 0 or above n structures inside.
    low = np.where(inside == 0, 0.0, beta.ppf(0.025, inside, n - inside + 1))
    high = np.where(inside == n, 1.0, beta.ppf(0.975, inside + 1, n - inside))
    return Reliability(p, inside / n, low, high, _area(needed), float(needed.mean() - 0.5), n)


def _needed_coverage(ratios: Floats, members: NDArray[np.intp]) -> Floats:
    """Return the coverage at which each error just enters its interval; uniform if calibrated."""
    return np.asarray(1 - 2 * t.sf(np.abs(ratios), members - 1), dtype=np.float64)


def _area(needed: Floats) -> float:
    """Return the integral of |share of `needed` below p − p| over p from 0 to 1.

    It is that of |quantile − q| over q, whose pieces (i/n, (i + 1)/n) have a constant quantile u
    and the integral of (q − u)|q − u|/2.
    """
    q = np.linspace(0, 1, len(needed) + 1)
    away = np.stack([q[:-1], q[1:]]) - np.sort(needed)
    low, high = away * np.abs(away) / 2
    return float((high - low).sum())
