"""The Ising model on the triangular lattice as an alloy, and its exact results."""

from __future__ import annotations

import numpy as np
from ase.units import kB

from hea_flows.alloy.lattice import Alloy, neighbour_pairs

ALLOY = Alloy(("Nb", "V"))
#: J and the linear term (eV).
COUPLING, LINEAR = 0.012, 0.07
#: R. B. Potts, Phys. Rev. 88, 352 (1952).
CRITICAL = 4 * COUPLING / (kB * np.log(3))


class Ising:
    """E = −J Σ s_i s_j + c N_V, with s = 1 for V and −1 for Nb."""

    name = "Ising"

    def __init__(self, *size: int) -> None:
        self.cell = np.diag([*size, 1])
        self.pairs = neighbour_pairs(ALLOY, self.cell)

    def energies(self, codes: np.ndarray) -> np.ndarray:
        spins = 2 * codes - 1
        bonds = (spins[:, self.pairs[:, 0]] * spins[:, self.pairs[:, 1]]).sum(axis=1)
        return -COUPLING * bonds + LINEAR * codes.sum(axis=1)


def magnetization(temperature: float) -> float:
    """Return the exact spontaneous magnetization below the critical temperature."""
    u = np.exp(-4 * COUPLING / (kB * temperature))
    return float((1 - 16 * u**3 / ((1 + 3 * u) * (1 - u) ** 3)) ** (1 / 8))
