"""Energies of structures and of decorations by a cluster expansion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from numpy.typing import ArrayLike, NDArray

from hea_flows.alloy.clusters import HostExpansion, decoration_of
from hea_flows.alloy.lattice import Alloy
from hea_flows.potentials.base import Prediction


def predict(expansion: HostExpansion, atoms_list: Sequence[Atoms]) -> list[Prediction]:
    """Predict structures by their decorations; forces and stress are NaN."""
    energies = expansion.energies([decoration_of(expansion.alloy, a) for a in atoms_list])
    return [
        Prediction(float(energy), np.full((len(atoms), 3), np.nan), np.full(6, np.nan))
        for energy, atoms in zip(energies, atoms_list, strict=True)
    ]


class ExpansionCalculator(Calculator):
    """The energy (eV) of an expansion as an ASE calculator; it has no forces."""

    implemented_properties = ["energy", "free_energy"]  # noqa: RUF012

    def __init__(self, expansion: HostExpansion) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.expansion = expansion

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Compute the energy; called by ASE."""
        super().calculate(atoms, properties or ["energy"], system_changes)  # type: ignore[no-untyped-call]
        [prediction] = predict(self.expansion, [cast("Atoms", self.atoms)])
        self.results = dict.fromkeys(self.implemented_properties, prediction.energy)


class ExpansionEnergies:
    """Energies of decorations of a supercell, in compiled code.

    Parameters
    ----------
    expansion
        The expansion.
    alloy, supercell
        The host whose elements codes count, and its supercell, shape (3, 3).

    Raises
    ------
    ValueError
        If the alloy has another prototype or anion than the expansion, or more elements.
    """

    def __init__(self, expansion: HostExpansion, alloy: Alloy, supercell: ArrayLike) -> None:
        own = expansion.alloy
        alike = (own.host, own.anion) == (alloy.host, alloy.anion)
        if not alike or not set(alloy.elements) <= set(own.elements):
            msg = f"the cluster expansion is of {_words(own)}, not of {_words(alloy)}"
            raise ValueError(msg)
        self.name = "cluster expansion"
        self._tables = expansion.tables(supercell)
        self._codes = np.array([own.elements.index(e) for e in alloy.elements], dtype=np.int64)

    def energies(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the energies (eV per cell) of decorations (B, n_sites)."""
        rows = self._codes[np.asarray(codes, dtype=np.int64)]
        return np.array([self._tables.energy(row) for row in rows], dtype=np.float64)


def _words(alloy: Alloy) -> str:
    return f"{alloy.host.name} ({','.join(alloy.elements)}){alloy.fixed_formula(1)}"
