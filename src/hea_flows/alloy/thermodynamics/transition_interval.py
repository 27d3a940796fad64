"""Uncertainty of a decomposition temperature, from the error of the enthalpies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from hea_flows.alloy.thermodynamics.decomposition import decompositions, set_partitions


class TransitionInterval(BaseModel, extra="forbid"):
    """Decomposition temperature of enthalpies that were drawn within their error."""

    level: float = Field(description="Probability between low and high.")
    low: float = Field(description="K")
    median: float = Field(description="K")
    high: float = Field(description="K")
    share_none: float = Field(
        description="Share of draws in which nothing decomposes; they count as 0 K."
    )
    below: list[tuple[float, str]] = Field(
        description="Share of draws in which a decomposition is what forms first on cooling, the "
        "largest first."
    )
    n_draws: int


def decomposition_temperature_interval(
    elements: Sequence[str],
    enthalpies: Mapping[tuple[str, ...], float] | Mapping[frozenset[str], float],
    sigma: float,
    rng: np.random.Generator,
    n: int = 10_000,
    *,
    level: float = 0.95,
) -> TransitionInterval:
    """Propagate an error of mixing enthalpies to the decomposition temperature.

    The solid solution (H_0, S_0) is stable above T = max over decompositions d of
    (H_0 − H_d)/(S_0 − S_d), or always where that is negative. Each phase's enthalpy gets an
    independent Gaussian error; end members, which define zero, get none. Errors that phases share,
    for example of the reference method, and deviations from ideal mixing are not included. With two
    elements T is Gaussian with standard deviation σ/(k_B ln 2).

    Parameters
    ----------
    elements
        The n elements of the equimolar alloy, two or more.
    enthalpies
        Mixing enthalpy of each equimolar phase (eV/unit of that phase), as for `decompositions`.
    sigma
        Standard deviation of their errors (eV/unit of the phase).
    rng
        Source of the draws.
    n
        Number of draws.
    level
        Probability that the interval holds.

    Raises
    ------
    ValueError
        For one element, a negative σ, no draw, a level outside (0, 1), or enthalpies that
        `decompositions` refuses.
    """
    if len(elements) < 2 or not (sigma >= 0 and isfinite(sigma)) or n < 1 or not 0 < level < 1:
        msg = (
            "an interval needs two elements or more, sigma ≥ 0 (eV/unit), n ≥ 1 draws and a level "
            f"between 0 and 1; got {len(elements)} elements, sigma {sigma}, n {n}, level {level}"
        )
        raise ValueError(msg)
    solution, *others = decompositions(elements, enthalpies)
    steps = np.array([solution.entropy - d.entropy for d in others])
    centre = np.array([solution.enthalpy - d.enthalpy for d in others]) / steps
    slopes = _weights(elements) / steps[:, None]
    drawn = centre + sigma * rng.standard_normal((n, slopes.shape[1])) @ slopes.T
    return interval_of(
        np.maximum(drawn.max(axis=1), 0.0),
        drawn.argmax(axis=1),
        [d.name for d in others],
        level=level,
    )


def interval_of(
    temperatures: NDArray[np.float64],
    first: NDArray[np.int64],
    names: Sequence[str],
    *,
    level: float,
) -> TransitionInterval:
    """Return the interval of drawn decomposition temperatures.

    Parameters
    ----------
    temperatures
        K, 0 where nothing decomposes, shape (n,).
    first
        Which of `names` forms first on cooling, shape (n,).
    names
        Of decompositions.
    level
        Probability that the interval holds.
    """
    n, none = len(temperatures), temperatures == 0
    counts = np.bincount(first[~none], minlength=len(names))
    low, median, high = np.quantile(temperatures, [(1 - level) / 2, 0.5, (1 + level) / 2])
    return TransitionInterval(
        level=level,
        low=float(low),
        median=float(median),
        high=float(high),
        share_none=float(none.mean()),
        below=[
            (float(counts[i] / n), names[i])
            for i in np.argsort(-counts, kind="stable")
            if counts[i]
        ],
        n_draws=n,
    )


def _weights(elements: Sequence[str]) -> NDArray[np.float64]:
    """Return ∂(H_0 − H_d)/∂H_phase, shape (decompositions without the first, phases)."""
    whole, *others = set_partitions(elements)
    phases = {
        frozenset(phase): None
        for partition in (whole, *others)
        for phase in partition
        if len(phase) > 1
    }
    column = {phase: i for i, phase in enumerate(phases)}
    weights = np.zeros((len(others), len(column)))
    weights[:, column[frozenset(elements)]] = 1.0
    for row, partition in zip(weights, others, strict=True):
        for phase in partition:
            if len(phase) > 1:
                row[column[frozenset(phase)]] -= len(phase) / len(elements)
    return weights
