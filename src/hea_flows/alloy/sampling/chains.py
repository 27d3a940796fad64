"""Chains of decorations, and the decorations that they start from and are compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hea_flows.alloy.lattice import Alloy


@dataclass(frozen=True)
class Chain:
    """One temperature of one repeat, after the burn-in.

    Parameters
    ----------
    temperature, run
        K, and the number of the repeat from 0.
    energies
        At the start and after every step (eV per unit), shape (S + 1,).
    counts
        Bonds between species by shell, each of shape (S + 1, n, n).
    initial, final
        First and last decoration, in `lattice_points` order.
    acceptance
        Share of steps that were accepted.
    exchange_acceptance
        Share of exchanges with the next higher temperature that were accepted; None if none were
        tried.
    block
        Swap trials of the cluster expansion per step; 1 for swaps.
    trials
        Swap trials in all steps.
    """

    temperature: float
    run: int
    energies: NDArray[np.float64]
    counts: dict[int, NDArray[np.int64]]
    initial: tuple[str, ...]
    final: tuple[str, ...]
    acceptance: float
    exchange_acceptance: float | None
    block: int
    trials: int


def filling(alloy: Alloy, counts: Mapping[str, int], n_sites: int) -> NDArray[np.int64]:
    """Return the species codes of a composition, element by element, shape (n_sites,).

    Raises
    ------
    ValueError
        If the counts do not fill the sites, name an element that the alloy does not have, or are
        those of one element alone.
    """
    if unknown := sorted(set(counts) - set(alloy.elements)):
        msg = f"species {unknown} are not of the alloy {list(alloy.elements)}"
        raise ValueError(msg)
    numbers = [counts.get(e, 0) for e in alloy.elements]
    if min(numbers) < 0 or sum(numbers) != n_sites:
        msg = f"the supercell has {n_sites} sites, counts {dict(counts)} fill {sum(numbers)}"
        raise ValueError(msg)
    if sum(n > 0 for n in numbers) < 2:
        msg = f"nothing to swap: all sites hold one element, got {dict(counts)}"
        raise ValueError(msg)
    return np.repeat(np.arange(len(numbers), dtype=np.int64), numbers)


def reference_codes(
    counts: Mapping[str, int], random: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return the pure decorations, by element, then random ones of a composition.

    Returns
    -------
    codes
        Positions in the elements of `counts`, shape (n + `random`, n_sites) for n elements.
    """
    pure = np.repeat(np.arange(len(counts))[:, None], sum(counts.values()), axis=1)
    sites = np.repeat(np.arange(len(counts)), list(counts.values()))
    return np.concatenate([pure, [rng.permutation(sites) for _ in range(random)]])
