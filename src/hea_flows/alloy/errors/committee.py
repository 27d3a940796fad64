"""Committees of models: mean, spread, and whether the spread tells where the mean is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import nnls
from scipy.stats import rankdata

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Committee:
    """What several models say of the same structures, in the unit of their values.

    Only structures that at least two members gave a value for are in it.

    Parameters
    ----------
    kept
        Positions of these structures among all that were given, shape (K,).
    n_dropped
        Number of the other structures.
    members
        Members with a value, at least 2 of each structure, shape (K,).
    mean
        Mean over the members, shape (K,).
    spread
        Standard deviation over the members (ddof = 1), shape (K,).
    reference
        What the reference method says, shape (K,).
    """

    kept: NDArray[np.intp]
    n_dropped: int
    members: NDArray[np.intp]
    mean: Floats
    spread: Floats
    reference: Floats

    @property
    def error(self) -> Floats:
        """Mean minus reference, shape (K,)."""
        return self.mean - self.reference

    @property
    def standard_error(self) -> Floats:
        """Standard error of the mean, spread/√members, shape (K,).

        It holds what more members would remove; what all members have in common, such as too
        small a training set, is not in it.
        """
        return self.spread / np.sqrt(self.members)


def build_committee(values: ArrayLike, reference: ArrayLike) -> Committee:
    """Return what a committee says of the structures that at least two members gave a value for.

    Parameters
    ----------
    values
        Of M members on S structures, for example mixing energies in meV/unit; shape (M, S). A
        value that is not finite is a member that failed there.
    reference
        Shape (S,), finite.

    Raises
    ------
    ValueError
        For fewer than two members, other shapes, a reference that is not finite, or when no
        structure has two values.
    """
    v, r = np.asarray(values, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if v.ndim != 2 or r.shape != v.shape[1:]:
        msg = f"need values (members, structures) and a reference (structures,); got {v.shape} and "
        raise ValueError(msg + f"{r.shape}")
    if len(v) < 2:
        msg = f"a committee needs at least two members to have a spread, got {len(v)}"
        raise ValueError(msg)
    if not np.isfinite(r).all():
        msg = f"{int((~np.isfinite(r)).sum())} of {len(r)} references are not finite"
        raise ValueError(msg + "; leave these structures out")
    good = np.isfinite(v)
    kept = np.flatnonzero(good.sum(axis=0) >= 2)
    if not len(kept):
        msg = f"none of {v.shape[1]} structures has values of two members"
        raise ValueError(msg)
    n_given, v, good, r = v.shape[1], v[:, kept], good[:, kept], r[kept]
    members = good.sum(axis=0)
    # Counted from the first member's value, members that agree exactly have a spread of exactly 0.
    start = np.take_along_axis(v, good.argmax(axis=0)[None], axis=0)[0]
    shifts = np.where(good, v - start, 0.0)
    shift = shifts.sum(axis=0) / members
    variance = (np.where(good, shifts - shift, 0.0) ** 2).sum(axis=0) / (members - 1)
    return Committee(kept, n_given - len(kept), members, start + shift, np.sqrt(variance), r)


def committee_of(
    members: Sequence[Mapping[str, float]], reference: Mapping[str, float]
) -> Committee | None:
    """Return the committee of members that may lack structures; None if no structure has two.

    Parameters
    ----------
    members
        Structure to value, a mapping per member.
    reference
        Structure to the value of the reference.
    """
    values = np.array([[member.get(key, np.nan) for key in reference] for member in members])
    if not reference or (np.isfinite(values).sum(axis=0) < 2).all():
        return None
    return build_committee(values, list(reference.values()))


def fit_weights(values: ArrayLike, reference: ArrayLike) -> Floats:
    """Return the weights of the mean that is closest to the reference, none negative, sum 1.

    With the members' errors as the columns of E, the point of their convex hull with the smallest
    norm; a least-squares problem without negative weights [1]_.

    Parameters
    ----------
    values
        Of M members on S structures, shape (M, S).
    reference
        Shape (S,).

    Raises
    ------
    ValueError
        For other shapes, values that are not finite, or no structure.

    References
    ----------
    .. [1] C. L. Lawson and R. J. Hanson, Solving Least Squares Problems (1995), chapter 23.
    """
    v, r = np.asarray(values, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if v.ndim != 2 or r.shape != v.shape[1:] or not v.size:
        msg = f"need values (members, structures) and a reference (structures,); got {v.shape} and "
        raise ValueError(msg + f"{r.shape}")
    errors = (v - r).T
    if not np.isfinite(errors).all():
        msg = "weights are fitted to finite values"
        raise ValueError(msg)
    size = float(np.sqrt((errors**2).mean())) or 1.0
    rows = np.vstack([errors / size, np.ones(len(v))])
    weights, _ = nnls(rows, np.append(np.zeros(len(errors)), 1.0))
    fitted: Floats = weights / weights.sum()
    return fitted


@dataclass(frozen=True)
class Correlation:
    """Correlation of spread and absolute error with bootstrap intervals over the structures.

    Even where the spread is the width of the error exactly, the correlation is far from 1, since
    a wide distribution too gives small errors; compare test sets of like spreads only.

    Parameters
    ----------
    spearman, pearson
        Of the ranks (how well the spread sorts the structures), of the values.
    spearman_interval, pearson_interval
        Percentile bootstrap.
    n
        Number of structures.
    """

    spearman: float
    spearman_interval: tuple[float, float]
    pearson: float
    pearson_interval: tuple[float, float]
    n: int


def spread_and_error(
    committee: Committee,
    rng: np.random.Generator,
    *,
    level: float = 0.95,
    n_resamples: int = 2000,
) -> Correlation:
    """Return how the spread goes with the absolute error of the mean.

    Parameters
    ----------
    committee
        A committee on at least three structures.
    rng
        Source of the resamples.
    level
        Coverage of the intervals.
    n_resamples
        Number of resamples of the structures.

    Raises
    ------
    ValueError
        For fewer than three structures, or when all have the same spread or the same error.
    """
    quantiles = interval_quantiles(level)
    x, y = committee.spread, np.abs(committee.error)
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        msg = (
            f"a correlation needs three structures with different spreads and errors; got {len(x)}"
        )
        raise ValueError(msg + f" with {len(set(x))} spreads and {len(set(y))} errors")
    index = rng.integers(len(x), size=(n_resamples, len(x)))
    # Where one structure was drawn again and again there is no correlation.
    index = index[(np.ptp(x[index], axis=1) > 0) & (np.ptp(y[index], axis=1) > 0)]
    (spearman,), (pearson,) = _correlations(x[None], y[None])
    pool = np.array(_correlations(x[index], y[index]))
    (low, high), (low_p, high_p) = np.quantile(pool, quantiles, axis=1).T.tolist()
    return Correlation(float(spearman), (low, high), float(pearson), (low_p, high_p), len(x))


def _correlations(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return Spearman's and Pearson's coefficients of each row."""
    return _pearson(rankdata(x, axis=1), rankdata(y, axis=1)), _pearson(x, y)


def _pearson(x: Floats, y: Floats) -> Floats:
    x, y = (v - v.mean(axis=1, keepdims=True) for v in (x, y))
    return np.asarray((x * y).sum(axis=1) / np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1)))


def interval_quantiles(level: float) -> tuple[float, float]:
    """Return the two quantiles that hold `level` between them.

    Raises
    ------
    ValueError
        If `level` is not between 0 and 1.
    """
    if not 0 < level < 1:
        msg = f"level must be between 0 and 1, got {level}"
        raise ValueError(msg)
    return (1 - level) / 2, (1 + level) / 2


@dataclass(frozen=True, eq=False)
class Alarm:
    """How well a score sorts out the structures that an alarm is wanted for.

    Parameters
    ----------
    auc
        Area under the curve of `caught` against `false_alarms`: the chance that a structure that
        the alarm is wanted for has a higher score than another one has. 0.5 is guessing.
    low, high
        Bootstrap interval of `auc`, wanted and other structures resampled apart.
    n_wanted, n
        Structures that the alarm is wanted for, and all.
    thresholds
        Scores from which the alarm rings, descending, the first one infinite.
    false_alarms, caught
        Share of the other and of the wanted structures that ring at each threshold.
    """

    auc: float
    low: float
    high: float
    n_wanted: int
    n: int
    thresholds: Floats
    false_alarms: Floats
    caught: Floats

    def threshold_for(self, caught: float) -> float:
        """Return the highest threshold at which this share of the wanted structures rings."""
        # A share like 7/10 is met although it is not the nearest number to 0.7.
        return float(self.thresholds[np.argmax(self.caught >= caught - 1e-12)])


def alarm(
    score: ArrayLike,
    wanted: ArrayLike,
    rng: np.random.Generator,
    *,
    level: float = 0.95,
    n_resamples: int = 2000,
) -> Alarm:
    """Return how well a high score, such as the spread, points to what an alarm is wanted for.

    Parameters
    ----------
    score
        Shape (n,), for example `Committee.spread`.
    wanted
        True where an alarm is wanted, for example ``abs(error) > 5``, or where a structure comes
        from another distribution than the training set; shape (n,).
    rng
        Source of the resamples.
    level
        Coverage of the interval.
    n_resamples
        Number of resamples.

    Raises
    ------
    ValueError
        If shapes differ, a score is not finite, or an alarm is wanted for all or for none.
    """
    quantiles = interval_quantiles(level)
    s, w = np.asarray(score, dtype=np.float64), np.asarray(wanted, dtype=bool)
    if s.ndim != 1 or s.shape != w.shape or not np.isfinite(s).all():
        msg = (
            f"need finite scores (n,) and whether an alarm is wanted (n,); got {s.shape}, {w.shape}"
        )
        raise ValueError(msg)
    if w.all() or not w.any():
        msg = (
            f"an alarm is wanted for {int(w.sum())} of {len(w)} structures; choose a threshold that"
        )
        raise ValueError(msg + " some pass and some do not")
    yes, no = s[w], s[~w]
    wins = 0.5 * (1 + np.sign(yes[:, None] - no[None]))  # ties count half (Mann and Whitney)
    weights_yes = rng.multinomial(len(yes), np.full(len(yes), 1 / len(yes)), size=n_resamples)
    weights_no = rng.multinomial(len(no), np.full(len(no), 1 / len(no)), size=n_resamples)
    areas = np.einsum("rj,rj->r", weights_yes @ wins, weights_no) / wins.size
    low, high = np.quantile(areas, quantiles)
    thresholds = np.unique(s)[::-1]
    ringing = [1 - np.searchsorted(np.sort(x), thresholds) / len(x) for x in (no, yes)]
    return Alarm(
        auc=float(wins.mean()),
        low=float(low),
        high=float(high),
        n_wanted=len(yes),
        n=len(s),
        thresholds=np.concatenate([[np.inf], thresholds]),
        false_alarms=np.concatenate([[0.0], ringing[0]]),
        caught=np.concatenate([[0.0], ringing[1]]),
    )
