"""Error measures with intervals."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


def _errors(predicted: ArrayLike, reference: ArrayLike) -> NDArray[np.float64]:
    """Return predicted − reference, flattened."""
    p, r = np.asarray(predicted, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if p.shape != r.shape or p.size == 0:
        msg = f"predicted {p.shape} and reference {r.shape} must be alike and not empty"
        raise ValueError(msg)
    return (p - r).ravel()


def mae(predicted: ArrayLike, reference: ArrayLike) -> float:
    """Return the mean absolute error, in the unit of the arguments.

    Raises
    ------
    ValueError
        If shapes differ or there is nothing to compare.
    """
    return float(np.abs(_errors(predicted, reference)).mean())


def rmse(predicted: ArrayLike, reference: ArrayLike) -> float:
    """Return the root-mean-square error, in the unit of the arguments.

    Raises
    ------
    ValueError
        If shapes differ or there is nothing to compare.
    """
    return float(np.sqrt((_errors(predicted, reference) ** 2).mean()))


@dataclass(frozen=True)
class Interval:
    """A mean, of errors or of their absolute values, and its bootstrap interval."""

    mean: float
    low: float
    high: float
    n: int


def mae_interval(
    predicted: ArrayLike,
    reference: ArrayLike,
    rng: np.random.Generator,
    *,
    level: float = 0.95,
    n_resamples: int = 2000,
) -> Interval:
    """Return the mean absolute error with its percentile bootstrap interval.

    See `bias_interval` for parameters and errors.
    """
    errors = np.abs(_errors(predicted, reference))
    return _mean_interval(errors, rng, level=level, n_resamples=n_resamples)


def bias_interval(
    predicted: ArrayLike,
    reference: ArrayLike,
    rng: np.random.Generator,
    *,
    level: float = 0.95,
    n_resamples: int = 2000,
) -> Interval:
    """Return the mean of predicted minus reference with its percentile bootstrap interval.

    Parameters
    ----------
    predicted, reference
        Values, equal shapes.
    rng
        Source of the resamples.
    level
        Coverage of the interval.
    n_resamples
        Number of resamples.

    Raises
    ------
    ValueError
        If shapes differ, there is nothing to compare, or `level` is not between 0 and 1.
    """
    return _mean_interval(_errors(predicted, reference), rng, level=level, n_resamples=n_resamples)


def _mean_interval(
    errors: NDArray[np.float64], rng: np.random.Generator, *, level: float, n_resamples: int
) -> Interval:
    if not 0 < level < 1:
        msg = f"level must be between 0 and 1, got {level}"
        raise ValueError(msg)
    # A resample is how often each value is drawn: multinomial weights, no index arrays.
    weights = rng.multinomial(errors.size, np.full(errors.size, 1 / errors.size), size=n_resamples)
    means = weights @ errors / errors.size
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(errors.mean()), float(low), float(high), int(errors.size))


def mae_by_group(
    predicted: ArrayLike, reference: ArrayLike, groups: Sequence[Hashable]
) -> dict[Hashable, float]:
    """Return the mean absolute error of each group, in order of first appearance.

    Parameters
    ----------
    predicted, reference
        Values, shape (n,).
    groups
        Group of each value, for example its number of components.

    Raises
    ------
    ValueError
        If lengths differ.
    """
    errors = np.abs(_errors(predicted, reference))
    if errors.size != len(groups):
        msg = f"{errors.size} values but {len(groups)} groups"
        raise ValueError(msg)
    codes = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    index = np.array([codes[g] for g in groups])
    means = np.bincount(index, weights=errors) / np.bincount(index)
    return {group: float(means[i]) for group, i in codes.items()}
