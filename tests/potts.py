"""All decorations of a small Potts lattice, and what a canonical ensemble makes of them exactly."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np
from ase.units import kB

#: Bond energies (eV) of three species: 0 and 1 mix, 2 stays apart.
BONDS = np.array([[0.0, -0.036, 0.06], [-0.036, 0.0, 0.045], [0.06, 0.045, 0.0]])


@dataclass(frozen=True)
class Potts:
    """Energies per site (eV) of all decorations at one composition."""

    energies: np.ndarray
    n_sites: int

    def averages(self, temperature: float) -> tuple[float, float, float, float]:
        """Mean and variance of the energy per site, F per site (eV) and S per site (eV/K)."""
        x = -self.n_sites * self.energies / (kB * temperature)
        p = np.exp(x - x.max())
        log_z = np.log(p.sum()) + x.max()
        p /= p.sum()
        mean = float(p @ self.energies)
        entropy = -kB * float(p[p > 0] @ np.log(p[p > 0])) / self.n_sites
        variance = float(p @ (self.energies - mean) ** 2)
        return mean, variance, -kB * temperature * float(log_z) / self.n_sites, entropy

    def sample(self, temperature: float, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw n independent energies per site."""
        x = -self.n_sites * self.energies / (kB * temperature)
        p = np.exp(x - x.max())
        return rng.choice(self.energies, n, p=p / p.sum())


def triangular_potts(counts: tuple[int, ...] = (3, 3, 3), size: tuple[int, int] = (3, 3)) -> Potts:
    """Return the enumeration of a periodic triangular lattice with given counts of species."""
    rows, columns = size
    sites = np.arange(rows * columns).reshape(size)
    bonds = np.concatenate(
        [
            np.stack([sites.ravel(), np.roll(sites, shift, axis=(0, 1)).ravel()], axis=1)
            for shift in ((1, 0), (0, 1), (1, -1))
        ]
    )
    species = [s for s, n in enumerate(counts) for _ in range(n)]
    decorations = np.array(sorted(set(permutations(species))))
    energy = BONDS[decorations[:, bonds[:, 0]], decorations[:, bonds[:, 1]]].sum(axis=1)
    return Potts(energy / len(species), len(species))
