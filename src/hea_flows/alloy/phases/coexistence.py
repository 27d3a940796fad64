"""Two phases of a binary in one cell: where they coexist, and where they become one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from hea_flows.alloy.phases.composition import CompositionFreeEnergy

Floats = NDArray[np.float64]

#: Barrier between two compositions of equal weight above which they are two phases (k_B T).
BARRIER = 1.0


@dataclass(frozen=True)
class Coexistence:
    """Two phases in equilibrium.

    Parameters
    ----------
    low, high
        Composition of each, the share of the second element.
    potential
        Δμ of the second element (eV).
    barrier
        Height of the free energy between them (k_B T), at that Δμ.
    """

    low: float
    high: float
    potential: float
    barrier: float


def coexistences(
    free_energy: CompositionFreeEnergy, *, barrier: float = BARRIER
) -> list[Coexistence]:
    """Return the pairs of phases that coexist in a cell, poorest in the second element first.

    Each is a gap of the lower convex hull of the free energy. At coexistence the compositions on
    either side of the barrier have the same weight; the phases have the mean compositions of the
    two sides, which in a growing cell converge faster than the ends of the common tangent (K.
    Binder and D. P. Landau, Phys. Rev. B 30, 1477 (1984)).

    Parameters
    ----------
    free_energy
        Of the cell, at one temperature.
    barrier
        Smallest barrier of two phases (k_B T).
    """
    f, n = free_energy.values, free_energy.n_sites
    found = []
    for start, end in _gaps(f):
        inside = np.arange(start, end + 1)
        chord = np.interp(inside, [start, end], [f[start], f[end]])
        split = int(inside[np.argmax(np.where(np.isfinite(f[inside]), f[inside] - chord, -np.inf))])
        first = (f[end] - f[start]) / (end - start) / free_energy.beta

        def difference(potential: float, split: int = split) -> float:
            shares = free_energy.weights(potential)
            return float(shares[: split + 1].sum() - shares[split + 1 :].sum())

        reach = 1.0 / free_energy.beta
        potential = float(brentq(difference, first - reach, first + reach, xtol=1e-14))
        shares = free_energy.weights(potential)
        sites = np.arange(n + 1)
        sides = (slice(None, split + 1), slice(split + 1, None))
        low, high = (float(shares[s] @ sites[s] / shares[s].sum() / n) for s in sides)
        with np.errstate(divide="ignore"):
            log_shares = np.log(shares)
        peaks = [float(log_shares[s].max()) for s in sides]
        height = min(peaks) - float(log_shares[max(start, split - 1) : split + 2].min())
        if height >= barrier:
            found.append(Coexistence(low, high, potential, height))
    return found


def _gaps(values: Floats) -> list[tuple[int, int]]:
    """Return the neighbours on the lower convex hull that are not next to each other."""
    hull: list[int] = []
    for i in np.flatnonzero(np.isfinite(values)).tolist():
        while len(hull) > 1:
            a, b = hull[-2:]
            if (values[b] - values[a]) * (i - b) < (values[i] - values[b]) * (b - a):
                break
            hull.pop()
        hull.append(i)
    return [(a, b) for a, b in pairwise(hull) if b > a + 1]


def spinodal(free_energy: CompositionFreeEnergy, window: int = 5) -> list[tuple[float, float]]:
    """Return where the free energy of a cell is concave, as intervals of composition.

    Parameters
    ----------
    free_energy
        Of the cell, at one temperature.
    window
        Compositions on each side that a parabola is fitted to, at least 2.
    """
    f, n = free_energy.values, free_energy.n_sites
    offsets = np.arange(-window, window + 1)
    basis = np.linalg.pinv(np.vander(offsets, 3))[0]
    concave = np.zeros(n + 1, dtype=bool)
    for centre in range(window, n + 1 - window):
        near = f[centre - window : centre + window + 1]
        concave[centre] = np.isfinite(near).all() and float(basis @ near) < 0
    edges = np.flatnonzero(np.diff(np.concatenate([[0], concave, [0]])))
    return [(a / n, (b - 1) / n) for a, b in edges.reshape(-1, 2).tolist()]


def binder_cumulant(free_energy: CompositionFreeEnergy) -> float:
    """Return 1 − ⟨m⁴⟩/(3⟨m²⟩²) of the composition where both sides of its mean weigh the same.

    m is the distance from the mean composition. It tends to 2/3 below a critical temperature and to
    0 above; curves of different cells cross there (K. Binder, Z. Phys. B 43, 119 (1981)).
    """
    sites = np.arange(free_energy.n_sites + 1)

    def skewness(potentials: ArrayLike) -> Floats:
        shares = free_energy.weights(potentials)
        off = sites - (shares @ sites)[..., None]
        moments: Floats = (shares * off**3).sum(axis=-1)
        return moments

    f = free_energy.values
    ends = np.flatnonzero(np.isfinite(f))[[0, -1]]
    slopes = np.diff(f[ends[0] : ends[1] + 1])
    slopes = slopes[np.isfinite(slopes)] / free_energy.beta
    # The third moment falls through zero as the mean crosses the middle of the distribution.
    grid = np.linspace(slopes.min(), slopes.max(), 400)
    moments, shares = skewness(grid), free_energy.weights(grid)
    variances = shares @ sites**2 - (shares @ sites) ** 2
    falls = np.flatnonzero((moments[:-1] > 0) & (moments[1:] <= 0))
    if not len(falls):
        return float("nan")
    at = falls[np.argmax(variances[falls])]
    low, high = grid[at], grid[at + 1]
    if skewness(low) > 0 > skewness(high):  # rounded apart, an end may be the zero itself
        low = brentq(skewness, low, high, xtol=1e-14)
    weights = free_energy.weights(low)
    off = sites - weights @ sites
    return float(1 - (weights @ off**4) / (3 * (weights @ off**2) ** 2))


def zero_crossing(
    temperatures: Sequence[float], values: Sequence[float], errors: Sequence[float]
) -> tuple[float, float] | None:
    """Return the temperature (K) where a quantity falls through zero, and its standard error.

    A Binder cumulant less its value at the critical point, or that of a larger cell less that of a
    smaller one, does so at the critical temperature.

    Parameters
    ----------
    temperatures
        Rising (K).
    values, errors
        The quantity and its standard errors there; NaN where it is not known.

    Returns
    -------
    temperature, error
        By linear interpolation; None if it does not fall through zero.
    """
    table = np.array([temperatures, values, errors], dtype=float)
    table = table[:, np.isfinite(table[1])]
    for (t, v, e), (t_next, v_next, e_next) in pairwise(table.T.tolist()):
        if v > 0 >= v_next:
            share = v / (v - v_next)
            at = t + share * (t_next - t)
            error = float(np.hypot((1 - share) * e, share * e_next))
            return at, error * (t_next - t) / (v - v_next)
    return None
