"""Temperature at which an alloy separates, from an order parameter against temperature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, Field
from scipy.special import expit

Array = NDArray[np.float64]

#: A rise is real if noise about a constant fits a step as well in at most this share of cases.
SIGNIFICANCE = 0.01
#: Share of probability within the interval of a temperature.
LEVEL = 0.68
#: Grid of centres and widths, how much finer it is where the step lies, and draws of noise.
_CENTRES, _WIDTHS, _FINER, _TRIALS = 61, 16, 5, 1000
#: Draws of values within their errors.
_DRAWS = 20_000


class Separation(BaseModel, extra="forbid"):
    """Which like pair rises first on cooling, and at what temperature."""

    levels: dict[str, float] = Field(
        default_factory=dict,
        description="Pair to the CV that counts as risen: half of the random share of its bonds, "
        "x²/2.",
    )
    pair: str | None = Field(
        None, description="The first with a probability of 0.95 or more, else None."
    )
    probabilities: dict[str, float] = Field(
        default_factory=dict,
        description="Pair to the probability that it is the first; less than 1 in all where none "
        "may pass.",
    )
    passed: dict[str, float | None] = Field(
        default_factory=dict,
        description="Pair to the median temperature at which it passes the level (K), None where "
        "it rather does not.",
    )
    temperature: float | None = Field(
        None, description="Median of the steepest rise of the most probable pair (K)."
    )
    interval: tuple[float, float] | None = Field(None, description="68 %, K.")
    reason: str = Field("", description="Why there is no temperature.")


@dataclass(frozen=True)
class _Steps:
    """Steps f = 1/(1 + exp((T − c)/w)) at the temperatures, their mean taken out."""

    shapes: Array  # (centres × widths, n)
    weights: Array

    @classmethod
    def of(cls, centres: Array, widths: Array, t: Array, weights: Array) -> _Steps:
        c, w = (x.ravel()[:, None] for x in np.meshgrid(centres, widths, indexing="ij"))
        f = expit((c - t) / w)
        return cls(f - (f @ weights / weights.sum())[:, None], weights)

    def gain(self, y: Array) -> Array:
        """By how much χ² falls from a constant to a + b f, b ≥ 0; y (n,) or (n, m)."""
        square = self.shapes**2 @ self.weights
        overlap = (self.shapes * self.weights) @ y
        square = square.reshape(-1, *[1] * (y.ndim - 1))
        return np.asarray(
            np.maximum(overlap, 0) ** 2 / np.maximum(square, 1e-12 * self.weights.sum())
        )


@dataclass(frozen=True)
class _Posterior:
    """Probability over the centre of the step, at evenly spaced centres."""

    centres: Array
    cumulative: Array

    def quantile(self, share: Array) -> Array:
        return np.asarray(np.interp(share, self.cumulative, self.centres))


def _around(density: Array) -> slice:
    """Return where a density is above 1e-4 of its maximum, and one point more on either side."""
    inside = np.flatnonzero(density > 1e-4 * density.max())
    return slice(max(inside[0] - 1, 0), inside[-1] + 2)


def _posterior(t: Array, y: Array, sigma: Array, rng: np.random.Generator) -> _Posterior | None:
    """Return the probability of the centre, or None if there is no significant rise."""
    weights, span, gaps = 1 / sigma**2, np.ptp(t), np.diff(t)
    centres = np.linspace(max(t[0] - span / 2, 0), t[-1] + span / 2, _CENTRES)
    widths = np.geomspace(gaps.min() / 1000, span / 2, _WIDTHS)
    steps = _Steps.of(centres, widths, t, weights)
    noise = sigma[:, None] * rng.standard_normal((len(t), _TRIALS))
    by_chance = steps.gain(noise).max(axis=0)
    if steps.gain(y).max() <= np.quantile(by_chance, 1 - SIGNIFICANCE):
        return None
    constant = weights @ (y - weights @ y / weights.sum()) ** 2
    resolved = False
    while True:
        gain = steps.gain(y)
        # Where the step does not fit within the errors, all of them are taken to be too small.
        scale = max(1.0, (constant - gain.max()) / (len(t) - 4))
        density = np.exp((gain - gain.max()) / (2 * scale)).reshape(len(centres), -1)
        centred = density.sum(axis=1)
        if resolved:
            break
        rows, columns = (_around(centred), _around(density.max(axis=0)))
        resolved = len(centres[rows]) > len(centres) // 4
        centres = np.linspace(centres[rows][0], centres[rows][-1], _FINER * _CENTRES)
        widths = np.geomspace(widths[columns][0], widths[columns][-1], _FINER * _WIDTHS)
        steps = _Steps.of(centres, widths, t, weights)
    cumulative = np.append(0, np.cumsum((centred[1:] + centred[:-1]) / 2))
    return _Posterior(centres, cumulative / cumulative[-1])


def _sorted_points(
    temperatures: ArrayLike, values: ArrayLike, errors: ArrayLike
) -> tuple[Array, Array, Array]:
    t, y, sigma = (np.asarray(x, dtype=float) for x in (temperatures, values, errors))
    if t.ndim != 1 or len(t) < 5 or not t.shape == y.shape == sigma.shape:
        msg = (
            "need temperatures, values and errors of one shape (n,), n of at least 5, got "
            f"{t.shape}, {y.shape} and {sigma.shape}"
        )
        raise ValueError(msg)
    finite = np.isfinite([t, y, sigma]).all()
    if not finite or len(np.unique(t)) < len(t) or (t <= 0).any() or (sigma < 0).any():
        msg = (
            "need distinct temperatures above 0 K, finite values and errors of 0 or more, got "
            f"temperatures {t.tolist()}, values {y.tolist()} and errors {sigma.tolist()}"
        )
        raise ValueError(msg)
    if not sigma.any():
        msg = "all errors are 0: give the standard errors of the values, from longer chains"
        raise ValueError(msg)
    order = np.argsort(t)
    return t[order], y[order], np.where(sigma > 0, sigma, sigma.max())[order]


def _separation(t: Array, posterior: _Posterior | None) -> Separation:
    if posterior is None:
        return Separation(reason="no rise on cooling that exceeds the errors")
    low, middle, high = posterior.quantile(np.array([(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2]))
    if middle < t[0]:
        reason = f"it still rises at the lowest temperature, {t[0]:g} K: sample lower ones"
        return Separation(reason=reason)
    if middle > t[-1]:
        reason = f"it has risen at the highest temperature, {t[-1]:g} K: sample higher ones"
        return Separation(reason=reason)
    return Separation(temperature=float(middle), interval=(float(low), float(high)))


def separation_temperature(
    temperatures: ArrayLike, values: ArrayLike, errors: ArrayLike, rng: np.random.Generator
) -> Separation:
    """Return the temperature of the steepest rise of an order parameter on cooling.

    It is the centre T_s of the step a + b/(1 + exp((T − T_s)/w)), b ≥ 0, fitted to all points,
    which needs neither derivatives of noisy values nor temperatures closer than the step is wide.
    The posterior of T_s is the likelihood, maximised over a and b and summed over ln w (from a
    thousandth of the spacing to half the span); the prior is flat up to half a span beyond the
    temperatures. A step much narrower than the spacing therefore has most of a gap as its interval.
    The interval has its nominal coverage on average over widths, not for each width. Where no step
    fits within the errors, all errors are scaled up until χ² per degree of freedom is 1.

    Parameters
    ----------
    temperatures
        Distinct, in any order (K), shape (n,), n ≥ 5.
    values, errors
        Order parameter, for example CV of a like pair, and its standard errors, shape (n,). An
        error of 0, of chains that stood still, is not known and counts as the largest.
    rng
        Draws the noise about a constant to which the rise is compared.

    Returns
    -------
    separation
        Without temperature where the rise does not exceed the errors (`SIGNIFICANCE`), or more
        likely than not lies outside of the temperatures.

    Raises
    ------
    ValueError
        For fewer than five temperatures, shapes that differ, values that are not finite or errors
        that are negative or all 0.
    """
    t, y, sigma = _sorted_points(temperatures, values, errors)
    return _separation(t, _posterior(t, y, sigma, rng))


def first_to_separate(
    temperatures: ArrayLike,
    values: Mapping[str, ArrayLike],
    errors: Mapping[str, ArrayLike],
    rng: np.random.Generator,
    *,
    levels: Mapping[str, float],
) -> Separation:
    """Return which of several order parameters passes its level first on cooling, and how surely.

    Values are drawn within their errors, independently, and joined by straight lines. An order
    parameter passes at the highest temperature where it reaches the level.

    Parameters
    ----------
    temperatures
        Distinct, in any order (K), shape (n,), n ≥ 5.
    values, errors
        By label, for example CV of the like pairs "V-V", "Ta-Ta", …, each (n,).
    rng
        Draws the values.
    levels
        What each has to pass, in the unit of the values.

    Raises
    ------
    ValueError
        As `separation_temperature`, or if the labels of values, errors and levels differ or there
        is none.
    """
    if not values or not set(values) == set(errors) == set(levels):
        given = ", ".join(str(list(x)) for x in (values, errors, levels))
        msg = f"need values, errors and levels of the same labels, got {given}"
        raise ValueError(msg)
    at = []
    for label, y in values.items():
        t, mean, sigma = _sorted_points(temperatures, y, errors[label])
        drawn = mean + sigma * rng.standard_normal((_DRAWS, len(t)))
        at.append(_passing(t[::-1], drawn[:, ::-1], levels[label]))
    table = np.array(at)
    highest = table.max(axis=0)
    first = (table == highest) & np.isfinite(highest)
    shares = (first / np.maximum(first.sum(axis=0), 1)).mean(axis=1)  # equals share a draw
    probabilities = dict(zip(values, shares.tolist(), strict=True))
    medians = np.median(table, axis=1)
    best = max(probabilities, key=lambda k: probabilities[k])
    return Separation(
        levels=dict(levels),
        pair=best if probabilities[best] >= 0.95 else None,
        probabilities=probabilities,
        passed={
            k: float(m) if np.isfinite(m) else None for k, m in zip(values, medians, strict=True)
        },
    )


def separation_of_like_pairs(
    temperatures: ArrayLike,
    values: Mapping[str, ArrayLike],
    errors: Mapping[str, ArrayLike],
    rng: np.random.Generator,
    *,
    levels: Mapping[str, float],
) -> Separation:
    """Return which CV of a like pair rises first on cooling, and its steepest rise.

    Parameters
    ----------
    temperatures
        Distinct, in any order (K), shape (n,).
    values, errors
        CV of the like pair of each element and its standard error, each (n,).
    rng
        Draws values and noise.
    levels
        CV of each that counts as risen.

    Returns
    -------
    separation
        With a reason in place of a temperature for fewer than five temperatures, or where no pair
        rises. Pairs that never change take no part.
    """
    if np.size(temperatures) < 5:
        return Separation(reason=f"five temperatures are needed, there are {np.size(temperatures)}")
    moving = [p for p in values if np.any(errors[p])]
    if not moving:
        return Separation(reason="no order parameter ever changed")
    first = first_to_separate(
        temperatures,
        {p: values[p] for p in moving},
        {p: errors[p] for p in moving},
        rng,
        levels={p: levels[p] for p in moving},
    )
    likely = max(first.probabilities, key=lambda p: first.probabilities[p])
    if first.probabilities[likely] == 0:
        return Separation(
            levels=first.levels, reason="no CV of a like pair passes half of its random share"
        )
    rise = separation_temperature(temperatures, values[likely], errors[likely], rng)
    return first.model_copy(update=rise.model_dump(include={"temperature", "interval", "reason"}))


def _passing(falling: Array, drawn: Array, level: float) -> Array:
    """Return where draws (D, n), hottest first, first reach a level (K), −inf where they do not."""
    above = drawn >= level
    place = above.argmax(axis=1)
    rows = np.arange(len(drawn))
    before = np.maximum(place - 1, 0)
    low, high = drawn[rows, before], drawn[rows, place]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(place > 0, (level - low) / (high - low), 0.0)
    at = falling[before] + share * (falling[place] - falling[before])
    return np.where(above.any(axis=1), at, -np.inf)
