"""Models of decorations behind mchammer's calculator interface."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase.data import atomic_numbers
from numpy.typing import ArrayLike, NDArray

from hea_flows.alloy.lattice import Alloy
from hea_flows.alloy.sampling.energy_models import DecorationEnergies, LocalDecorationEnergies
from hea_flows.alloy.sampling.mchammer import EnergyModelCalculator


class DecorationCalculator(EnergyModelCalculator):
    """Energies of decorations behind mchammer's calculator interface; see its base.

    Parameters
    ----------
    model
        Energies of decorations.
    alloy, supercell
        The host and its supercell, shape (3, 3).
    """

    def __init__(self, model: DecorationEnergies, alloy: Alloy, supercell: ArrayLike) -> None:
        super().__init__(_OneByOne(model, alloy), alloy, supercell, name=model.name)


class LocalCalculator(EnergyModelCalculator):
    """Changes by what they reach, behind mchammer's calculator interface.

    What a trial costs does not grow with the supercell, and totals are not computed anew.

    Parameters
    ----------
    model
        Energies of decorations that offers local changes.
    alloy, supercell
        The host and its supercell, shape (3, 3).
    """

    def __init__(self, model: LocalDecorationEnergies, alloy: Alloy, supercell: ArrayLike) -> None:
        super().__init__(_OneByOne(model, alloy), alloy, supercell, name=model.name)
        self._codes = {atomic_numbers[e]: i for i, e in enumerate(alloy.elements)}
        self._held = model.local()
        self._stale = True

    def calculate_total(self, *, occupations: Sequence[int]) -> float:
        """Return the energy (eV per cell) of all occupations, at once if they are those held."""
        codes = self._read(np.asarray(occupations)[self._alloyed])
        if not self._stale and codes.tolist() == self._held_codes().tolist():
            return self._held.energy
        return self.energy([self.alloy.elements[c] for c in codes])

    def calculate_change(
        self,
        *,
        sites: Sequence[int],
        current_occupations: Sequence[int] | None = None,  # noqa: ARG002
        new_site_occupations: Sequence[int],
    ) -> float:
        """Return the change of energy (eV per cell) of the held decoration, which stays."""
        self._changed(sites, new_site_occupations)  # refuses anions
        self._hold()
        return self._held.change(*self._moves(sites, new_site_occupations))

    def accept_change(
        self, *, sites: Sequence[int] | None = None, species: Sequence[int] | None = None
    ) -> None:
        """Advance the held decoration by an accepted change (atoms, atomic numbers)."""
        super().accept_change(sites=sites, species=species)
        if sites is not None and species is not None and not self._stale:
            self._held.accept(*self._moves(sites, species))

    def set_occupations(self, occupations: Sequence[int]) -> None:
        """Hold the decoration of all occupations (atomic numbers)."""
        super().set_occupations(occupations)
        self._stale = True

    def _hold(self) -> None:
        if self._stale:
            self._held.hold(self._held_codes())
            self.evaluations += 1
            self._stale = False

    def _held_codes(self) -> NDArray[np.int64]:
        return np.array([self.alloy.elements.index(s) for s in self.species], dtype=np.int64)

    def _read(self, numbers: ArrayLike) -> NDArray[np.int64]:
        return np.array([self._codes[int(z)] for z in np.asarray(numbers)], dtype=np.int64)

    def _moves(
        self, sites: Sequence[int], numbers: Sequence[int]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        places = np.array([int(s) // self.alloy.atoms_per_unit for s in sites], dtype=np.int64)
        return places, self._read(numbers)


class _OneByOne:
    """The energy of one decoration at a time."""

    def __init__(self, model: DecorationEnergies, alloy: Alloy) -> None:
        self.model, self.name = model, model.name
        self._index = {e: i for i, e in enumerate(alloy.elements)}

    def energy(self, species_by_site: Sequence[str]) -> float:
        """Return its energy (eV per cell)."""
        codes = np.array([[self._index[s] for s in species_by_site]], dtype=np.int64)
        return float(self.model.energies(codes)[0])
