"""Convex hull of mixing energies over composition, for any number of elements."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog

#: Energies closer than this (eV/unit) are equal: far below what any label or model resolves.
TOLERANCE = 1e-9
#: Mixing energies of end members may be off zero by this much (eV/unit).
END_MEMBER_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Phase:
    """One phase of a mixture on the hull.

    Parameters
    ----------
    entry
        Position among the entries; None for an end member that no entry stands for.
    fractions
        Its composition, shape (elements,).
    energy
        Its mixing energy (eV/unit).
    amount
        Its share of the units of the mixture.
    """

    entry: int | None
    fractions: tuple[float, ...]
    energy: float
    amount: float


@dataclass(frozen=True)
class Hull:
    """Lowest mixing energy that any mixture of the entries and the end members reaches.

    Parameters
    ----------
    fractions
        Compositions of the entries, shape (entries, elements), rows add up to 1.
    energies
        Their mixing energies (eV/unit), shape (entries,).
    """

    fractions: NDArray[np.float64]
    energies: NDArray[np.float64]

    @cached_property
    def above(self) -> NDArray[np.float64]:
        """Energy of each entry above the hull (eV/unit), shape (entries,); 0 on it."""
        keys = [tuple(row) for row in self.fractions.round(12)]
        lowest = {key: self.energy(row) for key, row in zip(keys, self.fractions, strict=True)}
        above = self.energies - np.array([lowest[key] for key in keys])
        return np.where(above < TOLERANCE, 0.0, above)

    @cached_property
    def vertices(self) -> tuple[int, ...]:
        """Entries that no mixture of the others equals, in their order.

        Of entries with one composition and energy it is the first. An end member that no entry
        stands for is not listed, though it is a corner of the hull.
        """
        return tuple(i for i in self._candidates if self.above[i] == 0 and self._needed(i))

    def energy(self, composition: ArrayLike) -> float:
        """Return the hull's energy (eV/unit) at a composition, as in `decomposition`."""
        return float(sum(p.amount * p.energy for p in self.decomposition(composition)))

    def decomposition(self, composition: ArrayLike) -> list[Phase]:
        """Return the stable mixture of a composition, the largest amount first.

        Parameters
        ----------
        composition
            Amount of each element, shape (elements,); its scale does not matter.

        Raises
        ------
        ValueError
            If it is not that many amounts, not negative and not all zero.
        """
        [x] = as_fractions(np.asarray(composition, dtype=float)[None])
        if len(x) != self.fractions.shape[1]:
            msg = f"the hull is of {self.fractions.shape[1]} elements, got {len(x)} amounts"
            raise ValueError(msg)
        entries, table, energies = self._columns
        amounts = _lowest_mixture(x, table, energies)
        phases = [
            Phase(entries[k], tuple(table[k].tolist()), float(energies[k]), float(amounts[k]))
            for k in np.flatnonzero(amounts)
        ]
        return sorted(phases, key=lambda p: -p.amount)

    @cached_property
    def _candidates(self) -> list[int]:
        """The first entry of lowest energy at each composition."""
        best: dict[tuple[float, ...], int] = {}
        for i, row in enumerate(self.fractions.round(12)):
            k = best.setdefault(tuple(row), i)
            if self.energies[i] < self.energies[k]:
                best[tuple(row)] = i
        return sorted(best.values())

    @cached_property
    def _columns(self) -> tuple[list[int | None], NDArray[np.float64], NDArray[np.float64]]:
        """Entries that may be on the hull, and end members that are none of them."""
        pure = [i for i in self._candidates if self.fractions[i].max() == 1]
        alloys = [i for i in self._candidates if i not in pure and self.energies[i] <= TOLERANCE]
        stands = {int(self.fractions[i].argmax()): i for i in pure if self.energies[i] == 0}
        n = self.fractions.shape[1]
        entries = [*(stands.get(k) for k in range(n)), *alloys]
        table = np.vstack([np.eye(n), self.fractions[alloys]])
        return entries, table, np.concatenate([np.zeros(n), self.energies[alloys]])

    def _needed(self, entry: int) -> bool:
        """Tell whether the hull would be higher without a candidate."""
        entries, table, energies = self._columns
        k = entries.index(entry)
        if k < table.shape[1]:
            return True  # an end member is a corner of the hull
        others = np.arange(len(table)) != k
        amounts = _lowest_mixture(table[k], table[others], energies[others])
        return bool(amounts @ energies[others] > energies[k] + TOLERANCE)


def convex_hull(compositions: ArrayLike, mixing_energies: ArrayLike) -> Hull:
    """Return the convex hull of mixing energies over composition.

    Mixing energies count from the end members, which therefore are on the hull with energy 0,
    whether an entry stands for them or not. The lowest mixture at a composition x minimises
    Σ λ_i e_i with Σ λ_i x_i = x and λ ≥ 0, a linear program, so that entries of equal
    composition, on one line or in one plane need no care.

    Parameters
    ----------
    compositions
        Amount of each element in each entry, shape (entries, elements): counts or fractions.
    mixing_energies
        eV/unit, shape (entries,), all by the same method; see `alloy.thermodynamics.mixing`.

    Raises
    ------
    ValueError
        If shapes disagree, an amount is negative or not finite, an entry is empty, or an entry of
        one element is not at zero.
    """
    x, e = as_fractions(compositions), np.array(mixing_energies, dtype=float)
    if e.shape != x.shape[:1] or not np.isfinite(e).all():
        msg = f"{len(x)} compositions need as many finite mixing energies, got shape {e.shape}"
        raise ValueError(msg)
    pure = x.max(axis=1, initial=0) == 1
    if (wrong := pure & (e < -END_MEMBER_TOLERANCE)).any():
        at = int(np.flatnonzero(wrong)[0])
        msg = (
            f"entry {at} is of one element and has {e[at]:.6g} eV/unit: mixing energies must count "
            "from the lowest end members; count them from it"
        )
        raise ValueError(msg)
    return Hull(x, np.where(pure & (np.abs(e) <= END_MEMBER_TOLERANCE), 0.0, e))


def as_fractions(compositions: ArrayLike) -> NDArray[np.float64]:
    """Return amounts per element as fractions, shape (entries, elements).

    Raises
    ------
    ValueError
        If a row is empty, or an amount negative or not finite.
    """
    x = np.array(compositions, dtype=float)
    if x.ndim != 2 or x.shape[1] == 0 or not np.isfinite(x).all() or (x < 0).any():
        msg = f"compositions must be finite amounts (entries, elements) ≥ 0, got shape {x.shape}"
        raise ValueError(msg)
    totals = x.sum(axis=1, keepdims=True)
    if (totals == 0).any():
        msg = f"composition {int(np.flatnonzero(totals == 0)[0])} holds no element"
        raise ValueError(msg)
    return np.asarray(x / totals)


def _lowest_mixture(
    x: NDArray[np.float64], table: NDArray[np.float64], energies: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the amounts, shape (columns,), of the mixture of lowest energy at a composition."""
    scale = float(np.abs(energies).max()) or 1.0
    solution = linprog(
        energies / scale,
        A_eq=table.T,
        b_eq=x,
        method="highs-ds",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if solution.status != 0:
        msg = f"the hull at {x.tolist()} was not found: {solution.message}"
        raise RuntimeError(msg)
    # The solver says which phases; their amounts follow exactly from the composition.
    used = np.flatnonzero(solution.x > 1e-9)
    amounts = np.zeros(len(energies))
    amounts[used] = np.linalg.lstsq(table[used].T, x, rcond=None)[0]
    return amounts
