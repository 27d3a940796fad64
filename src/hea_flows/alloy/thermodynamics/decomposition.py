"""Decomposition of an equimolar alloy into phases, and the temperatures where it changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite, log, prod

import numpy as np
from ase.units import kB
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, Field

Phases = tuple[tuple[str, ...], ...]


def set_partitions(elements: Sequence[str]) -> list[Phases]:
    """Return all ways to divide distinct elements into phases; 52 for five elements.

    Parameters
    ----------
    elements
        Distinct chemical symbols.

    Returns
    -------
    partitions
        Fewest phases first, so that the solid solution of all elements leads and the end members
        alone close the list. Elements keep their order inside a phase.

    Raises
    ------
    ValueError
        If there is no element or one is named twice.
    """
    if not elements or len(set(elements)) != len(elements):
        msg = f"elements must be distinct and at least one, got {list(elements)}"
        raise ValueError(msg)
    partitions: list[Phases] = [()]
    for element in elements:
        partitions = [
            new
            for old in partitions
            for new in (
                *((*old[:i], (*old[i], element), *old[i + 1 :]) for i in range(len(old))),
                (*old, (element,)),
            )
        ]
    return sorted(partitions, key=len)


class Decomposition(BaseModel, extra="forbid", frozen=True):
    """An alloy divided into phases, per unit of the whole alloy."""

    phases: Phases = Field(description="Elements of each phase.")
    shares: tuple[float, ...] = Field(description="Share of the sites in each phase.")
    enthalpy: float = Field(description="Of mixing, relative to the end members (eV/unit).")
    entropy: float = Field(description="Ideal configurational entropy (eV/K per unit).")

    @property
    def is_solid_solution(self) -> bool:
        """True for the one phase that holds all elements."""
        return len(self.phases) == 1

    @property
    def name(self) -> str:
        """Name such as ``(Mo,W) + (Ta,Nb) + V``."""
        return " + ".join(f"({','.join(p)})" if len(p) > 1 else p[0] for p in self.phases)

    def gibbs(self, temperature: ArrayLike) -> NDArray[np.float64]:
        """Return G = H − T S (eV/unit) at temperatures (K), in their shape."""
        t = np.asarray(temperature, dtype=float)
        return np.asarray(self.enthalpy - t * self.entropy)


def decompositions(
    elements: Sequence[str],
    mixing_enthalpies: Mapping[frozenset[str], float] | Mapping[tuple[str, ...], float],
    *,
    partial: bool = False,
) -> list[Decomposition]:
    """Return every decomposition of an equimolar alloy with its enthalpy and entropy.

    Of n elements, a phase of n_p holds the fraction n_p/n of the sites. H is the sum of
    fraction · H(phase), S the sum of fraction · k_B ln n_p.

    Parameters
    ----------
    elements
        The n elements of the equimolar alloy.
    mixing_enthalpies
        Mixing enthalpy of each equimolar phase (eV/unit of that phase), by its elements in any
        order; end members count as 0 where they are not given.
    partial
        Leave out decompositions with a phase that has no enthalpy, rather than refuse.

    Returns
    -------
    decompositions
        In the order of `set_partitions`: the solid solution first.

    Raises
    ------
    ValueError
        If the enthalpy of a phase is missing, given twice, or not finite.
    """
    table: dict[frozenset[str], float] = {}
    for key, value in mixing_enthalpies.items():
        if frozenset(key) in table or not isfinite(value):
            msg = f"mixing enthalpy of {sorted(key)} is given twice or not finite ({value} eV/unit)"
            raise ValueError(msg)
        table[frozenset(key)] = float(value)
    for element in elements:
        table.setdefault(frozenset([element]), 0.0)
    partitions = set_partitions(elements)
    phases = dict.fromkeys(phase for partition in partitions for phase in partition)
    missing = [",".join(p) for p in phases if frozenset(p) not in table]
    if missing and not partial:
        msg = f"no mixing enthalpy for the phases ({'), ('.join(missing)}); give each in eV/unit"
        raise ValueError(msg)
    n = len(elements)
    result = []
    for partition in partitions:
        if any(frozenset(p) not in table for p in partition):
            continue
        enthalpy = sum(len(p) * table[frozenset(p)] for p in partition) / n
        # One logarithm of an integer: equal entropies are equal numbers, for example of 4+1+1+1+1
        # and 2+2+2+2.
        entropy = kB * log(prod(len(p) ** len(p) for p in partition)) / n
        shares = tuple(len(p) / n for p in partition)
        result.append(
            Decomposition(phases=partition, shares=shares, enthalpy=enthalpy, entropy=entropy)
        )
    return result


def transition_temperatures(decomps: Iterable[Decomposition]) -> list[tuple[float, Decomposition]]:
    """Return the sequence of stable decompositions with rising temperature, exactly.

    G is a straight line in T for each decomposition; the sequence is the lower envelope of these
    lines from T = 0, found by walking from crossing to crossing.

    Parameters
    ----------
    decomps
        The decompositions that compete.

    Returns
    -------
    sequence
        Pairs (T, decomposition stable above T) with T in K, lowest first; the first one is the
        ground state at T = 0.

    Raises
    ------
    ValueError
        If there is nothing to choose from.
    """
    pool = list(decomps)
    if not pool:
        msg = "no decompositions given; at least one is needed"
        raise ValueError(msg)
    current = min(pool, key=lambda d: (d.enthalpy, -d.entropy))
    sequence = [(0.0, current)]
    while steeper := [d for d in pool if d.entropy > current.entropy]:
        at, _, following = min(
            ((d.enthalpy - current.enthalpy) / (d.entropy - current.entropy), -d.entropy, i)
            for i, d in enumerate(steeper)
        )
        current = steeper[following]
        if at <= sequence[-1][0]:  # three lines cross in one point, up to rounding
            at, _ = sequence.pop()
        sequence.append((at, current))
    return sequence


def decomposition_temperature(decomps: Iterable[Decomposition]) -> float | None:
    """Return the temperature (K) above which the full solid solution is stable.

    0 if it is the ground state; None if it is stable at no temperature or not among `decomps`.
    """
    for temperature, decomposition in transition_temperatures(decomps):
        if decomposition.is_solid_solution:
            return temperature
    return None


def hull_depth(decomps: Iterable[Decomposition]) -> float:
    """Return ΔH_hull = −min H (eV/unit), how far the hull at T = 0 lies below the end members."""
    return -min(d.enthalpy for d in decomps)
