"""Stable decompositions where free energies of the phases bend with temperature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline
from scipy.optimize import brentq

from hea_flows.alloy.thermodynamics.decomposition import Decomposition


def vibrational_transitions(
    decomps: Sequence[Decomposition],
    mixing: Mapping[tuple[str, ...], ArrayLike],
    temperatures: ArrayLike,
) -> list[tuple[float, Decomposition]]:
    """Return the sequence of stable decompositions with rising temperature, by root finding.

    To G = H − T S of a decomposition comes Σ f_p F_p(T) over its phases p, which have the share f_p
    of the sites. Between given temperatures F is a cubic spline. A decomposition that is stable
    only between two neighbouring temperatures is not seen: they should be close.

    Parameters
    ----------
    decomps
        The decompositions that compete.
    mixing
        F of each phase of several elements relative to its end members (eV/unit of the phase), by
        its elements in any order, each shape (temperatures,); see `vibrational_mixing`.
    temperatures
        K, rising, four or more.

    Returns
    -------
    sequence
        Pairs (T, decomposition stable above T), the first one at the lowest temperature. A
        decomposition may come back.

    Raises
    ------
    ValueError
        If nothing competes, a free energy is missing, or shapes disagree.
    """
    t = np.asarray(temperatures, dtype=float)
    if not decomps or t.ndim != 1 or len(t) < 4 or (np.diff(t) <= 0).any():
        msg = f"decompositions and four rising temperatures or more are needed, got {t.tolist()}"
        raise ValueError(msg)
    table = {frozenset(k): np.asarray(v, dtype=float) for k, v in mixing.items()}
    needed = {frozenset(p) for d in decomps for p in d.phases if len(p) > 1}
    if missing := sorted("-".join(sorted(p)) for p in needed if p not in table):
        msg = f"no vibrational free energy of {', '.join(missing)}"
        raise ValueError(msg)
    if wrong := [sorted(k) for k, v in table.items() if v.shape != t.shape]:
        msg = f"free energies of {wrong[0]} need shape {t.shape}, as the temperatures"
        raise ValueError(msg)
    added = [
        sum(f * table[frozenset(p)] for p, f in zip(d.phases, d.shares, strict=True) if len(p) > 1)
        for d in decomps
    ]
    curves = [CubicSpline(t, d.gibbs(t) + more) for d, more in zip(decomps, added, strict=True)]
    values = np.array([curve(t) for curve in curves])
    order = sorted(range(len(decomps)), key=lambda i: -decomps[i].entropy)  # of equals, most mixed
    stable = [order[k] for k in values[order].argmin(axis=0)]
    sequence = [(float(t[0]), decomps[stable[0]])]
    for k in np.flatnonzero(np.diff(stable)):
        low, high = stable[k], stable[k + 1]

        def difference(x: float, low: int = low, high: int = high) -> float:
            return float(curves[low](x) - curves[high](x))

        at = t[k] if difference(t[k]) == 0 else brentq(difference, t[k], t[k + 1], xtol=1e-9)
        sequence.append((float(at), decomps[high]))
    return sequence


def vibrational_mixing(
    free_energies: Mapping[tuple[str, ...], NDArray[np.float64]],
    counts: Mapping[tuple[str, ...], Mapping[str, int]],
) -> dict[tuple[str, ...], NDArray[np.float64]]:
    """Return vibrational free energies of phases relative to their end members (eV/unit).

    Parameters
    ----------
    free_energies
        F of phases and end members (eV/unit of each), by their elements. Phases without the free
        energies of all their end members are left out.
    counts
        Sites of each element in each phase.
    """
    mixing = {}
    for phase, free in free_energies.items():
        if len(phase) > 1 and all((e,) in free_energies for e in phase):
            sites = [counts[phase][e] for e in phase]
            ends = [free_energies[(e,)] for e in phase]
            mixing[phase] = free - np.average(ends, axis=0, weights=sites)
    return mixing
