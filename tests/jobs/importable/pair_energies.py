"""A cheap energy of decorations, for chains in processes of their own."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hea_flows.alloy.lattice.bonds import neighbour_pairs


class PairEnergies:
    """Like pairs of nearest neighbours bind, those of the last element most.

    A part that no cluster expansion describes is added, so that blocks are refused too.

    Parameters
    ----------
    alloy, supercell
        The host and its supercell.
    strength
        Energy of a like bond of the first element (eV).
    pause
        Seconds that a call takes at least.
    """

    name = "pairs"

    def __init__(
        self, alloy: Any, supercell: Any, strength: float = 0.02, pause: float = 0.0
    ) -> None:
        self.pairs, self.pause = neighbour_pairs(alloy, supercell), pause
        self.bonds = strength * (1 + np.arange(len(alloy.elements)))

    def energies(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return energies (eV per cell): L = −Σ J_A over like bonds, and 0.05 sin(40 L / eV) eV."""
        time.sleep(self.pause)
        first, second = codes[:, self.pairs[:, 0]], codes[:, self.pairs[:, 1]]
        like = np.where(first == second, self.bonds[first], 0.0).sum(axis=1)
        return 0.1 * codes.sum(axis=1) - like + 0.05 * np.sin(40 * like)
