"""Mixing energies of random structures against the hull, and the DEED descriptor."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Self

import numpy as np
from numpy.typing import ArrayLike


def deed(sigma: float, mean: float, depth: float, *, atoms_per_unit: float = 1) -> float:
    """Return the disordered enthalpy-entropy descriptor sqrt(1/(σ (H_ave + ΔH_hull))).

    Parameters
    ----------
    sigma
        Standard deviation of the mixing enthalpies of random configurations (eV/unit).
    mean
        Their mean H_ave (eV/unit).
    depth
        ΔH_hull of `hull_depth` (eV/unit): the hull's distance below the end members, so that
        `mean` + `depth` counts from the hull.
    atoms_per_unit
        Atoms per formula unit for a value in (eV/atom)⁻¹; 1 gives (eV/unit)⁻¹.

    Returns
    -------
    value
        DEED in (eV/unit)⁻¹, or (eV/atom)⁻¹ with the true `atoms_per_unit`.

    Raises
    ------
    ValueError
        If σ or H_ave + ΔH_hull is not positive: the descriptor is not defined there.
    """
    if not sigma > 0 or not mean + depth > 0:
        msg = (
            f"DEED needs sigma > 0 and H_ave + hull depth > 0 (eV/unit), got sigma {sigma}, "
            f"H_ave + hull depth {mean + depth}"
        )
        raise ValueError(msg)
    return atoms_per_unit * sqrt(1 / (sigma * (mean + depth)))


@dataclass(frozen=True)
class Disorder:
    """Mixing energies of random structures against the hull (eV/unit).

    Parameters
    ----------
    mean, sigma
        Mean and standard deviation of the mixing energies.
    depth
        Of `hull_depth`.
    """

    mean: float
    sigma: float
    depth: float

    @classmethod
    def of(cls, mixing_energies: ArrayLike, depth: float) -> Self:
        """Take two mixing energies (eV/unit) or more."""
        energies = np.asarray(mixing_energies, dtype=float)
        return cls(float(energies.mean()), float(energies.std(ddof=1)), depth)

    def deed(self, *, atoms_per_unit: float = 1) -> float | None:
        """Return the descriptor; None where it is not defined."""
        if not (self.sigma > 0 and self.mean + self.depth > 0):
            return None
        return deed(self.sigma, self.mean, self.depth, atoms_per_unit=atoms_per_unit)
