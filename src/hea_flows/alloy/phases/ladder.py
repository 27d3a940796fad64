"""Points of the variance-constrained ensemble that cover all compositions of a binary cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from ase.units import kB
from numpy.typing import NDArray

from hea_flows.alloy.lattice import Alloy
from hea_flows.alloy.sampling import VariableComposition

Floats = NDArray[np.float64]

#: Smallest κ, and what it has more than the cell needs to be stable at every composition.
LEAST, MARGIN = 4.0, 2.0
#: Distance of neighbouring points in standard deviations of the composition.
SPACING = 1.5


@dataclass(frozen=True)
class CompositionLadder:
    """Points of a binary, spread so that neighbours visit the same compositions.

    The chains of each point would have its composition on average, if the alloy were ideal beyond
    an energy of mixing x(1−x)[(1−x)h₀ + x h₁] that follows from its dilute limits.

    Parameters
    ----------
    n_sites
        Alloyed sites of the cell.
    kappa
        κ of the constraint.
    dilute
        Energy of mixing of a cell with one site of the other element (eV): of the second element
        in the first, h₀, and of the first in the second, h₁.
    """

    n_sites: int
    kappa: float
    dilute: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def stable(cls, n_sites: int, temperature: float, dilute: tuple[float, float]) -> Self:
        """Return a ladder with κ so large that no composition is unstable.

        Parameters
        ----------
        n_sites, dilute
            As of the class.
        temperature
            The lowest (K).
        """
        x, (h0, h1) = np.linspace(0.01, 0.99, 99), dilute
        curvature = (h0 * (6 * x - 4) + h1 * (2 - 6 * x)) / (kB * temperature) + 1 / (x * (1 - x))
        return cls(n_sites, max(LEAST, MARGIN - 0.5 * float(curvature.min())), dilute)

    @property
    def compositions(self) -> Floats:
        """Mean share of the second element at each point, shape (P,)."""
        n = self.n_sites
        x = np.linspace(0.5 / n, 1 - 0.5 / n, 100 * n)
        widths = 1 / np.sqrt(n * (2 * self.kappa + 1 / (x * (1 - x))))
        steps = np.diff(x) / (0.5 * (widths[1:] + widths[:-1]))
        distance = np.concatenate([[0.0], np.cumsum(steps)])
        points = int(np.ceil(distance[-1] / SPACING)) + 1
        return np.interp(np.linspace(0, distance[-1], points), distance, x)

    @property
    def centres(self) -> Floats:
        """−φ/2 of the second element, shape (P,)."""
        x = self.compositions
        return x + np.log(x / (1 - x)) / (2 * self.kappa)

    @property
    def potentials(self) -> Floats:
        """Δμ of the second element (eV), the slope of the energy of mixing, shape (P,)."""
        x, (h0, h1) = self.compositions, self.dilute
        return h0 * (1 - x) * (1 - 3 * x) + h1 * x * (2 - 3 * x)

    def ensemble(self, alloy: Alloy) -> VariableComposition:
        """Return the ensemble of a binary alloy."""
        second = alloy.elements[1]
        return VariableComposition.variance_constrained(
            alloy,
            self.kappa,
            [{second: -2 * c} for c in self.centres.tolist()],
            [{second: p} for p in self.potentials.tolist()],
        )

    def log_weight(self, point: int, beta: float) -> Floats:
        """Return the logarithm of the weight beside exp(−βE) with N = 0, …, n sites, (n + 1,)."""
        sites = np.arange(self.n_sites + 1)
        off = sites / self.n_sites - self.centres[point]
        weight: Floats = beta * self.potentials[point] * sites - self.kappa * self.n_sites * off**2
        return weight
