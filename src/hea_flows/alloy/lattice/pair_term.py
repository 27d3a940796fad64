"""A known term between alloyed atoms, to make one potential differ from another by it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.neighborlist import neighbor_list
from ase.stress import full_3x3_to_voigt_6_stress


class PairTerm(Calculator):
    r"""Smooth pair energies between neighbouring alloyed atoms.

    .. math:: E = \sum_{i<j} A_{ij} \, (1 - r_{ij}^2 / r_c^2)^3, \quad r_{ij} < r_c

    The energy, its first and its second derivatives vanish at the cutoff.

    Parameters
    ----------
    strengths
        ``A`` of pairs of elements (eV), for example ``{"Mo-Ta": 0.02}``; the others do not act.
    cutoff
        ``r_c`` (Å).
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012  ASE

    def __init__(self, strengths: Mapping[str, float], cutoff: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.strengths = {frozenset(pair.split("-")): a for pair, a in strengths.items()}
        self.cutoff = cutoff

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Compute energy (eV), forces (eV/Å) and stress (eV/Å³)."""
        super().calculate(atoms, properties or ["energy"], system_changes)  # type: ignore[no-untyped-call]
        cell: Any = self.atoms
        i, j, r, vectors = neighbor_list("ijdD", cell, self.cutoff)
        symbols = np.array(cell.get_chemical_symbols())
        strength = np.array(
            [
                self.strengths.get(frozenset(pair), 0.0)
                for pair in zip(symbols[i], symbols[j], strict=True)
            ]
        )
        inside = 1 - (r / self.cutoff) ** 2
        # Each pair is listed twice; the gradient is with respect to the vector from i to j.
        energy = 0.5 * float(np.sum(strength * inside**3))
        gradient = (-6 * strength * inside**2 / self.cutoff**2)[:, None] * vectors
        forces = np.zeros((len(cell), 3))
        np.add.at(forces, i, gradient)
        virial = 0.5 * np.einsum("na,nb->ab", gradient, vectors) / cell.get_volume()
        self.results = {
            "energy": energy,
            "free_energy": energy,
            "forces": forces,
            "stress": full_3x3_to_voigt_6_stress(virial),
        }
