"""What is sampled, and what comes of it: chains of decorations at given temperatures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hea_flows.alloy.lattice import Alloy


@dataclass(frozen=True)
class SamplerSettings:
    """What is sampled, and how.

    Parameters
    ----------
    temperatures
        K, distinct.
    runs
        Independent repeats of each temperature.
    method
        ``"nested"`` or ``"swaps"``.
    steps
        Decisions of the model per chain that are counted.
    burn_in
        Decisions before: the expansion is refitted and block lengths adapt, then both are frozen.
    exchange
        Whether neighbouring temperatures exchange decorations.
    shells
        Neighbour shells whose bonds are counted.
    training
        Random decorations that the model evaluates for the first expansion.
    cutoffs
        Largest diameters of pairs and triplets of the expansion, in lattice constants.

    Raises
    ------
    ValueError
        If a number is out of range.
    """

    temperatures: tuple[float, ...]
    runs: int = 4
    method: Literal["nested", "swaps"] = "nested"
    steps: int = 400
    burn_in: int = 100
    exchange: bool = True
    shells: tuple[int, ...] = (1,)
    training: int = 60
    cutoffs: tuple[float, ...] = (3.1, 2.1)

    def __post_init__(self) -> None:
        if not self.temperatures or min(self.temperatures) <= 0:
            msg = f"temperatures must be above 0 K, got {list(self.temperatures)}"
            raise ValueError(msg)
        if len(set(self.temperatures)) < len(self.temperatures):
            msg = f"give every temperature once, got {list(self.temperatures)}"
            raise ValueError(msg)
        if self.method not in ("nested", "swaps"):
            msg = f"method is 'nested' or 'swaps', got {self.method!r}"
            raise ValueError(msg)
        if self.runs < 1 or self.steps < 2 or self.burn_in < 0 or self.training < 2:
            msg = (
                "need runs >= 1, steps >= 2, burn_in >= 0 and training >= 2; got "
                f"{self.runs}, {self.steps}, {self.burn_in}, {self.training}"
            )
            raise ValueError(msg)


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
        Share of steps that the model accepted.
    exchange_acceptance
        Share of exchanges with the next higher temperature that were made, None if there is none.
    block
        Swap trials of the cluster expansion per step; 1 for swaps.
    trials
        Swap trials in all.
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
