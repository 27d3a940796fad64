"""What labels will take, from what labels took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hea_flows.alloy.errors.committee import interval_quantiles

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LabelTime:
    """Time of labels that are still to be made (s).

    Parameters
    ----------
    seconds
        All of them together.
    low, high
        Percentile bootstrap interval: of the labels that were measured, and of the scatter of
        those to come.
    exponent
        Power of the number of atoms that a label's time goes with; None where all labels, measured
        and to come, are of one size.
    n
        Number of labels that were measured.
    sizes
        Smallest and largest number of atoms that were measured.
    """

    seconds: float
    low: float
    high: float
    exponent: float | None
    n: int
    sizes: tuple[int, int]


def predict_label_time(
    atoms: Sequence[int],
    seconds: Sequence[float],
    planned: Sequence[int],
    rng: np.random.Generator,
    *,
    level: float = 0.95,
    n_resamples: int = 2000,
) -> LabelTime:
    """Return what planned labels will take, from labels whose time is known.

    A label of n atoms takes c nᵖ, fitted by least squares of the logarithms; the mean of the
    exponentials of the residuals turns the fitted logarithm into a mean time [1]_. Labels of one
    size take their mean, and tell nothing of another size.

    Parameters
    ----------
    atoms, seconds
        Number of atoms and time (s) of the labels that were made.
    planned
        Number of atoms of those to come.
    rng
        Source of resamples.
    level
        Coverage of the interval.
    n_resamples
        Number of resamples.

    Raises
    ------
    ValueError
        If no time is known, one is not positive, or all are of one size and a planned label is of
        another.

    References
    ----------
    .. [1] N. Duan, J. Am. Stat. Assoc. 78, 605 (1983).
    """
    n, t = np.asarray(atoms, dtype=np.float64), np.asarray(seconds, dtype=np.float64)
    if n.shape != t.shape or n.ndim != 1 or not n.size or not (t > 0).all():
        msg = f"need one positive time per label; got {n.size} sizes and {t.size} times"
        raise ValueError(msg)
    sizes = int(n.min()), int(n.max())
    several_sizes = sizes[0] != sizes[1]
    if not several_sizes and (others := sorted({x for x in planned if x != sizes[0]})):
        msg = (
            f"all {n.size} timed labels have {sizes[0]} atoms, which tells nothing of labels of "
            f"{', '.join(map(str, others))}"
        )
        raise ValueError(msg)
    want = np.asarray(planned, dtype=np.float64)
    (exponent,), (times,), (scatter,) = _fit(n[None], t[None], want)
    drawn = rng.integers(n.size, size=(n_resamples, n.size))
    if several_sizes:  # a resample of one size has no exponent
        drawn[np.ptp(n[drawn], axis=1) == 0] = np.arange(n.size)
    _, again, _ = _fit(n[drawn], t[drawn], want)
    pool = (again * rng.choice(scatter, size=again.shape)).sum(axis=1)
    low, high = np.quantile(pool, interval_quantiles(level))
    return LabelTime(
        seconds=float(times.sum()),
        low=float(low),
        high=float(high),
        exponent=float(exponent) if several_sizes else None,
        n=n.size,
        sizes=sizes,
    )


def _fit(n: Floats, t: Floats, planned: Floats) -> tuple[Floats, Floats, Floats]:
    """Return, row by row, the exponent, the mean times of planned labels, and t over its fit.

    Shapes (B,), (B, planned) and (B, labels); t over its fit has a mean of 1.
    """
    x, y = np.log(n), np.log(t)
    x_mean, y_mean = x.mean(axis=1, keepdims=True), y.mean(axis=1, keepdims=True)
    shifted = x - x_mean
    spread = (shifted**2).sum(axis=1)
    exponent = (shifted * y).sum(axis=1) / np.where(spread > 0, spread, 1.0)
    residuals = np.exp(y - y_mean - exponent[:, None] * shifted)
    mean = residuals.mean(axis=1, keepdims=True)
    times = mean * np.exp(y_mean + exponent[:, None] * (np.log(planned) - x_mean))
    return exponent, times, residuals / mean
