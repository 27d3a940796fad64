"""The mixture of phases of lowest free energy at a given overall composition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog, minimize
from scipy.special import softmax

Floats = NDArray[np.float64]

#: Free energies are equal within this (eV per site).
_EQUAL = 1e-9
#: Of energies in the linear programme, whose tolerance is 1e-7.
_SCALE = 1e5
_MOST_ROUNDS = 200


@dataclass(frozen=True)
class Mixture:
    """Phases in equilibrium, per site of the whole.

    Parameters
    ----------
    compositions
        Of the phases, shape (P, n).
    fractions
        Share of the sites in each, shape (P,).
    energy
        Of the mixture (eV per site).
    potentials
        Chemical potentials of the elements (eV), shape (n,): the energy is their mean over the
        overall composition.
    candidates
        Which of the candidates the phases are, shape (P,).
    """

    compositions: Floats
    fractions: Floats
    energy: float
    potentials: Floats
    candidates: NDArray[np.int64]


def lowest_mixture(compositions: ArrayLike, energies: ArrayLike, overall: ArrayLike) -> Mixture:
    """Return the mixture of candidate phases of lowest energy at an overall composition.

    It is a linear programme: minimise Σ f_p E_p with Σ f_p x_p = x and f_p ≥ 0. The set partitions
    of an equimolar alloy are one case of candidates.

    Parameters
    ----------
    compositions
        Of the candidates, shape (C, n); rows add up to 1.
    energies
        Free energies (eV per site), shape (C,).
    overall
        Shape (n,).

    Raises
    ------
    ValueError
        If no mixture of the candidates has the overall composition.
    """
    x, g = np.asarray(compositions, dtype=float), np.asarray(energies, dtype=float)
    solved = linprog(_SCALE * g, A_eq=x.T, b_eq=np.asarray(overall, dtype=float), method="highs")
    if not solved.success:
        msg = (
            f"no mixture of the {len(x)} candidates has the composition "
            f"{np.asarray(overall).round(4).tolist()}; add the pure ends"
        )
        raise ValueError(msg)
    kept = np.flatnonzero(solved.x > 1e-12)
    potentials = np.asarray(solved.eqlin.marginals) / _SCALE
    return Mixture(x[kept], solved.x[kept], float(solved.fun) / _SCALE, potentials, kept)


def simplex_grid(n: int, divisions: int) -> Floats:
    """Return all compositions of n elements in steps of 1/`divisions`, shape (S, n)."""
    bars = np.array(list(combinations(range(divisions + n - 1), n - 1)), dtype=np.int64)
    ends = np.pad(bars, ((0, 0), (1, 1)), constant_values=-1)
    ends[:, -1] = divisions + n - 1
    return (np.diff(ends, axis=1) - 1) / divisions


def equilibrium(
    energy: Callable[[Floats], Floats], overall: ArrayLike, *, divisions: int = 40
) -> Mixture:
    """Return the phases in equilibrium of a solution whose free energy is a smooth function.

    The grid gives candidates; then compositions that lie lowest below the plane of the chemical
    potentials are added until there are none, so that the phases end on the common tangent plane.

    Parameters
    ----------
    energy
        Free energy of mixing (eV per site) of compositions (S, n), shape (S,); finite up to the
        faces of the simplex.
    overall
        Overall composition, shape (n,).
    divisions
        Of the grid's edges.

    Raises
    ------
    RuntimeError
        If the common tangent plane was not found.
    """
    x0 = np.asarray(overall, dtype=float)
    points = np.vstack([simplex_grid(len(x0), divisions), x0])
    values = energy(points)
    for _ in range(_MOST_ROUNDS):
        mixture = lowest_mixture(points, values, x0)
        below = values - points @ mixture.potentials
        starts = [*mixture.compositions, *points[np.argsort(below)[: 2 * len(x0)]]]
        found = np.array([_lowest(energy, mixture.potentials, s) for s in starts])
        depths = energy(found) - found @ mixture.potentials
        if depths.min() > -_EQUAL:
            return _merged(energy, mixture, 2.0 / divisions)
        points = np.vstack([points, found[depths < 0]])
        values = energy(points)
    msg = f"no common tangent plane at {x0.round(4).tolist()} after {_MOST_ROUNDS} rounds"
    raise RuntimeError(msg)


def single_phase_above(
    energy: Callable[[Floats, float], Floats],
    overall: ArrayLike,
    low: float,
    high: float,
    *,
    divisions: int = 40,
    accuracy: float = 1.0,
) -> float | None:
    """Return the temperature above which a solution is one phase at a composition.

    Parameters
    ----------
    energy
        Free energy of mixing (eV per site) of compositions (S, n) at a temperature (K).
    overall
        The composition, shape (n,).
    low, high
        Temperatures that are looked at (K); phases are expected to dissolve as they rise.
    divisions
        Of the grid, see `equilibrium`.
    accuracy
        K

    Returns
    -------
    temperature
        `low` if it is one phase there; None if it is several at `high`.
    """

    def is_one(temperature: float) -> bool:
        mixture = equilibrium(lambda x: energy(x, temperature), overall, divisions=divisions)
        return len(mixture.fractions) == 1

    if not is_one(high):
        return None
    if is_one(low):
        return low
    while high - low > accuracy:
        middle = 0.5 * (low + high)
        low, high = (low, middle) if is_one(middle) else (middle, high)
    return high


def _lowest(energy: Callable[[Floats], Floats], potentials: Floats, start: Floats) -> Floats:
    """Return the composition near `start` that is lowest over a plane."""

    def composition(logits: Floats) -> Floats:
        shares: Floats = softmax(logits)
        return shares

    def height(logits: Floats) -> float:
        x = composition(logits)
        return float(1e3 * (energy(x[None])[0] - x @ potentials))

    found = minimize(
        height, np.log(np.maximum(start, 1e-12)), method="BFGS", options={"gtol": 1e-9}
    )
    return composition(found.x)


def _merged(energy: Callable[[Floats], Floats], mixture: Mixture, reach: float) -> Mixture:
    """Return the mixture with candidates of one phase, neighbours without a barrier, as one."""
    groups: list[list[int]] = []
    for i, x in enumerate(mixture.compositions):
        for group in groups:
            other = mixture.compositions[group[0]]
            near = np.abs(x - other).max() < reach
            if (
                near
                and energy((0.5 * (x + other))[None])[0] - 0.5 * ((x + other) @ mixture.potentials)
                < 10 * _EQUAL
            ):
                group.append(i)
                break
        else:
            groups.append([i])
    fractions = np.array([mixture.fractions[g].sum() for g in groups])
    compositions = np.array(
        [np.average(mixture.compositions[g], axis=0, weights=mixture.fractions[g]) for g in groups]
    )
    first = np.array([mixture.candidates[g[0]] for g in groups])
    return Mixture(compositions, fractions, mixture.energy, mixture.potentials, first)
