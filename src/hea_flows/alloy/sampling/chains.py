"""Chains of decorations, and the decorations that they start from and are compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Chain:
    """One temperature of one repeat, after the burn-in.

    Parameters
    ----------
    temperature, point, run
        K, the point of the ensemble, and the number of the repeat from 0.
    energies
        At the start and after every step (eV per unit), shape (S + 1,).
    numbers
        Sites of each element, shape (S + 1, n).
    counts
        Bonds between species by shell, each of shape (S + 1, n, n).
    own_images
        Share of the bonds by shell that join a site with its own image.
    initial, final
        First and last decoration, in the order of `Ordering.species`.
    acceptance
        Share of steps that were accepted.
    exchange_acceptance
        Share of exchanges with the next higher temperature or the next point that were accepted;
        None if none were tried.
    block
        Trials of the cluster expansion per step; 1 for swaps.
    trials
        Trials in all steps.
    """

    temperature: float
    point: int
    run: int
    energies: NDArray[np.float64]
    numbers: NDArray[np.int64]
    counts: dict[int, NDArray[np.int64]]
    own_images: dict[int, float]
    initial: tuple[str, ...]
    final: tuple[str, ...]
    acceptance: float
    exchange_acceptance: float | None
    block: int
    trials: int


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
