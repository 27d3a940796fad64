"""Two models on the same structures: which has the smaller error, and whether that is luck."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hea_flows.alloy.errors.committee import interval_quantiles

Floats = NDArray[np.float64]

#: Up to this many structures every flip of signs is counted.
_EXHAUSTIVE = 16
#: Sums that differ by less than this share of the largest one are equal but for rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class Pairing:
    """Errors of two models on the structures that all their seeds have a value for.

    Parameters
    ----------
    structure_ids
        These structures, in the order of the first seed of `a`.
    a, b
        Errors, shape (seeds, structures).
    left_out
        Structures that some seed has no value for, sorted.
    """

    structure_ids: tuple[str, ...]
    a: Floats
    b: Floats
    left_out: tuple[str, ...]


def paired(a: Sequence[Mapping[str, float]], b: Sequence[Mapping[str, float]]) -> Pairing:
    """Return errors of two models with the structures aligned.

    Parameters
    ----------
    a, b
        Of each seed the errors by structure id; an error that is not finite counts as missing.

    Raises
    ------
    ValueError
        If a model has no seed, or no structure has a value of all.
    """
    if not a or not b:
        msg = f"each model needs the errors of one seed at least; got {len(a)} and {len(b)} seeds"
        raise ValueError(msg)
    present = [{k for k, v in seed.items() if np.isfinite(v)} for seed in (*a, *b)]
    shared = set.intersection(*present)
    every = set(chain.from_iterable((*a, *b)))
    if not shared:
        msg = f"none of {len(every)} structures has a value of all {len(a)} and {len(b)} seeds"
        raise ValueError(msg)
    ids = tuple(k for k in a[0] if k in shared)
    first, second = (np.array([[seed[k] for k in ids] for seed in m], dtype=float) for m in (a, b))
    return Pairing(ids, first, second, tuple(sorted(every - shared)))


@dataclass(frozen=True)
class Difference:
    """Mean absolute error of a model minus that of another, in the unit of the errors.

    Parameters
    ----------
    value
        Negative if the first model is better.
    low, high
        Percentile bootstrap interval.
    p_value
        Chance of a difference at least as large, either way, if on every structure the two
        models could be swapped; it takes the seeds as they are.
    n, n_seeds
        Number of structures, and of seeds of the first and the second model.
    """

    value: float
    low: float
    high: float
    p_value: float
    n: int
    n_seeds: tuple[int, int]


def mae_difference(
    a: ArrayLike,
    b: ArrayLike,
    rng: np.random.Generator,
    *,
    level: float = 0.95,
    n_resamples: int = 4000,
) -> Difference:
    """Return the difference of mean absolute errors, MAE(a) − MAE(b), on the same structures.

    The bootstrap is hierarchical: the seeds of each model are drawn, then structures, the same
    ones for both models. A bootstrap knows no more than its seeds: of S seeds it sees (S − 1)/S
    of the variance between seeds, and of a single one nothing.

    Parameters
    ----------
    a, b
        Errors (model minus reference) of two models, shapes (structures,) or (seeds, structures);
        `paired` aligns them. Seeds of `a` and `b` do not belong together.
    rng
        Source of resamples, and of flipped signs for more than 16 structures.
    level
        Coverage of the interval.
    n_resamples
        Number of resamples, and of flips.

    Raises
    ------
    ValueError
        If the structures differ in number, there are none, or an error is not finite.
    """
    quantiles = interval_quantiles(level)
    first, second = _absolute(a), _absolute(b)
    n = first.shape[1]
    if second.shape[1] != n:
        msg = f"models are compared on the same structures; got {n} and {second.shape[1]}"
        raise ValueError(msg)
    structures = _shares(n, n_resamples, rng)
    pool = np.zeros(n_resamples)
    for sign, errors in ((1, first), (-1, second)):
        seeds = _shares(len(errors), n_resamples, rng)
        pool += sign * ((seeds @ errors) * structures).sum(axis=1)
    low, high = np.quantile(pool, quantiles)
    differences = first.mean(axis=0) - second.mean(axis=0)
    return Difference(
        value=float(differences.mean()),
        low=float(low),
        high=float(high),
        p_value=sign_flip_p_value(differences, rng, n_flips=n_resamples),
        n=n,
        n_seeds=(len(first), len(second)),
    )


def _absolute(errors: ArrayLike) -> Floats:
    """Return |errors| of shape (seeds, structures)."""
    x = np.abs(np.atleast_2d(np.asarray(errors, dtype=np.float64)))
    if x.ndim != 2 or not x.size or not np.isfinite(x).all():
        msg = f"need finite errors (structures,) or (seeds, structures), got shape {x.shape}"
        raise ValueError(msg + "; leave out what failed, as `paired` does")
    return x


def _shares(n: int, n_resamples: int, rng: np.random.Generator) -> Floats:
    """Return the share of each of n things in resamples of n, shape (n_resamples, n)."""
    return rng.multinomial(n, np.full(n, 1 / n), size=n_resamples) / n


def sign_flip_p_value(
    differences: ArrayLike, rng: np.random.Generator, *, n_flips: int = 4000
) -> float:
    """Return the two-sided p-value of the mean of paired differences, by flipping their signs.

    Up to 16 differences every flip is counted. Of more, `n_flips` random ones are drawn and the
    data themselves count as one, so that p is never 0 [1]_.

    Parameters
    ----------
    differences
        Shape (n,), finite.
    rng
        Source of the flips.
    n_flips
        Number of random flips.

    Raises
    ------
    ValueError
        If there are no differences or one is not finite.

    References
    ----------
    .. [1] B. Phipson and G. K. Smyth, Stat. Appl. Genet. Mol. Biol. 9, 39 (2010).
    """
    d = np.asarray(differences, dtype=np.float64)
    if d.ndim != 1 or not d.size or not np.isfinite(d).all():
        msg = f"need finite differences (n,), got shape {d.shape}"
        raise ValueError(msg)
    least = abs(d.sum()) - _ROUNDING * np.abs(d).sum()
    if len(d) <= _EXHAUSTIVE:
        sums = np.zeros(1)
        for value in d:
            sums = np.concatenate([sums + value, sums - value])
        return float((np.abs(sums) >= least).mean())
    signs = rng.integers(2, size=(n_flips, len(d))) * 2 - 1
    return float((1 + (np.abs(signs @ d) >= least).sum()) / (1 + n_flips))


@dataclass(frozen=True)
class Verdict:
    """Whether a statement on two models is held by the data, with the numbers it rests on.

    Parameters
    ----------
    held
        True if the whole interval agrees with the statement. False is not its opposite: look
        where the interval lies.
    difference, low, high
        MAE(a) − MAE(b) with its interval.
    n
        Number of structures.
    """

    held: bool
    difference: float
    low: float
    high: float
    n: int


def better(
    a: ArrayLike,
    b: ArrayLike,
    rng: np.random.Generator,
    *,
    level: float = 0.95,
    n_resamples: int = 4000,
) -> Verdict:
    """Return whether the first model has the smaller mean absolute error.

    Held if the whole interval of MAE(a) − MAE(b) lies below 0; parameters and errors are those of
    `mae_difference`.
    """
    d = mae_difference(a, b, rng, level=level, n_resamples=n_resamples)
    return Verdict(d.high < 0, d.value, d.low, d.high, d.n)


def within(
    a: ArrayLike,
    b: ArrayLike,
    tolerance: float,
    rng: np.random.Generator,
    *,
    level: float = 0.95,
    n_resamples: int = 4000,
) -> Verdict:
    """Return whether two models have mean absolute errors alike within a tolerance.

    Held if the whole interval of MAE(a) − MAE(b) lies within ± `tolerance`: too few structures
    never make models alike. Other parameters and errors are those of `mae_difference`.

    Raises
    ------
    ValueError
        If the tolerance is not positive.
    """
    if not tolerance > 0:
        msg = f"tolerance must be positive, in the unit of the errors; got {tolerance}"
        raise ValueError(msg)
    d = mae_difference(a, b, rng, level=level, n_resamples=n_resamples)
    return Verdict(-tolerance < d.low and d.high < tolerance, d.value, d.low, d.high, d.n)
