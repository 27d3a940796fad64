"""Compositions that a set asks for by element: exact shares, or ranges of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

#: Least and most sites of each element.
SiteRanges = Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class Shares:
    """``x={Mo: 0.4, V: 0.1..0.2}``: shares of elements on the alloyed sublattice.

    Exact shares add up to 1, and there are no other elements. Where a range is among them, all
    elements in use are present, and those that are not named have any share.

    Parameters
    ----------
    ranges
        Element, lowest and highest share, sorted by element.

    Raises
    ------
    ValueError
        If no composition has these shares.
    """

    ranges: tuple[tuple[str, Fraction, Fraction], ...]

    def __post_init__(self) -> None:
        for element, low, high in self.ranges:
            if not 0 <= low <= high <= 1 or high == 0:
                msg = f"the share of {element} is from 0 to 1, and a range runs upwards"
                raise ValueError(msg)
        least = sum(low for _, low, _ in self.ranges)
        if self.is_exact and least != 1:
            msg = (
                f"exact shares add up to 1, got {float(least):g}; name the other elements too, or "
                "give a range such as 0.1..0.2"
            )
            raise ValueError(msg)
        if least > 1:
            msg = f"the shares add up to {float(least):g} at least, which is more than 1"
            raise ValueError(msg)

    @property
    def is_exact(self) -> bool:
        """Whether it is one composition."""
        return all(low == high for _, low, high in self.ranges)

    @property
    def exact(self) -> dict[str, float]:
        """The share of each element, if it is one composition."""
        return {element: float(low) for element, low, _ in self.ranges}

    def text(self) -> str:
        """Return the canonical text."""
        parts = [
            f"{element}: {low}" if low == high else f"{element}: {low}..{high}"
            for element, low, high in self.ranges
        ]
        return f"x={{{', '.join(parts)}}}"

    def elements(self, in_use: Sequence[str]) -> tuple[str, ...]:
        """Return the elements that are present.

        Raises
        ------
        ValueError
            If an element is named that is not in use.
        """
        named = tuple(element for element, *_ in self.ranges)
        if unknown := [e for e in named if e not in in_use]:
            msg = f"{', '.join(unknown)} not in use here; accepted: {', '.join(in_use)}"
            raise ValueError(msg)
        return named if self.is_exact else tuple(in_use)

    def site_ranges(self, elements: Sequence[str], n_sites: int) -> SiteRanges:
        """Return the least and most sites of each element in a cell, one at least.

        Raises
        ------
        ValueError
            If the cell holds no such composition.
        """
        given = {element: (low, high) for element, low, high in self.ranges}
        ranges = {}
        for element in elements:
            low, high = given.get(element, (Fraction(0), Fraction(1)))
            sites = max(ceil(low * n_sites), 1), floor(high * n_sites)
            if low == high:
                sites = (max(round(low * n_sites), 1),) * 2
            ranges[element] = sites
        least, most = (sum(ends[i] for ends in ranges.values()) for i in (0, 1))
        if not least <= n_sites <= most or any(low > high for low, high in ranges.values()):
            msg = f"no composition of {n_sites} sites has these shares; take a larger supercell"
            raise ValueError(msg)
        return ranges


def exactly(counts: Mapping[str, int]) -> SiteRanges:
    """Return the ranges of one composition."""
    return {element: (n, n) for element, n in counts.items()}


def n_compositions(ranges: SiteRanges, n_sites: int) -> float:
    """Return the number of compositions of a cell within ranges."""
    return float(_ways(ranges, n_sites)[0][n_sites])


def drawn_counts(ranges: SiteRanges, n_sites: int, rng: np.random.Generator) -> dict[str, int]:
    """Draw the sites per element, uniformly over all compositions within ranges."""
    ways, left, counts = _ways(ranges, n_sites), n_sites, {}
    for rest, (element, (low, high)) in zip(ways[1:], ranges.items(), strict=True):
        choices = np.arange(low, min(high, left) + 1)
        weights = rest[left - choices]
        counts[element] = int(rng.choice(choices, p=weights / weights.sum()))
        left -= counts[element]
    return counts


def _ways(ranges: SiteRanges, n_sites: int) -> list[NDArray[np.float64]]:
    """Return in how many ways the elements from each one on fill 0, …, n_sites sites."""
    ways = [np.eye(1, n_sites + 1)[0]]
    for low, high in reversed([*ranges.values()]):
        allowed = np.zeros(n_sites + 1)
        allowed[low : high + 1] = 1
        ways.insert(0, np.convolve(allowed, ways[0])[: n_sites + 1])
    return ways


def simplex_points(elements: Sequence[str], divisions: int) -> list[dict[str, float]]:
    """Return the compositions in steps of 1/`divisions` that hold every element.

    The last element's share rises last.
    """
    points: list[tuple[int, ...]] = [()]
    for left in range(len(elements) - 1, 0, -1):
        points = [(*p, n) for p in points for n in range(1, divisions - sum(p) - left + 1)]
    return [
        dict(zip(elements, (n / divisions for n in (*p, divisions - sum(p))), strict=True))
        for p in points
    ]
