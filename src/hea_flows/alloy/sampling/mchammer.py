"""Energies of decorations behind mchammer's calculator interface.

Importing this module loads mchammer and pandas, which the rest of the room does without.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from icet.core.sublattices import Sublattices
from mchammer.calculators.base_calculator import BaseCalculator
from numpy.typing import ArrayLike, NDArray

from hea_flows.alloy.lattice import Alloy, Ordering, int_matrix, species_codes
from hea_flows.alloy.sampling.energies import (
    DecorationEnergies,
    LocalDecorationEnergies,
    checked_energies,
)


class DecorationCalculator(BaseCalculator):  # type: ignore[misc]
    """Energies of decorations behind mchammer's calculator interface, each computed once.

    Occupations are atomic numbers of all atoms in the order of `Ordering.to_atoms`. The held
    decoration changes only through `set_occupations` and `accept_change`.

    Parameters
    ----------
    model
        Energies of decorations.
    alloy, supercell
        The host and its supercell, shape (3, 3).
    """

    def __init__(self, model: DecorationEnergies, alloy: Alloy, supercell: ArrayLike) -> None:
        super().__init__(name=model.name)
        self.model, self.alloy, self.supercell = model, alloy, int_matrix(supercell)
        #: Energies that the model was asked for.
        self.evaluations = 0
        self._energies: dict[bytes, float] = {}
        n = alloy.n_sites(self.supercell)
        self._alloyed = alloy.alloyed_atoms(n)
        self._codes = np.zeros(n, dtype=np.int64)
        primitive = alloy.primitive()
        primitive.pbc = True
        self._sublattices = Sublattices(
            allowed_species=alloy.allowed_species(sorted(alloy.elements)),
            primitive_structure=primitive,
            structure=self.structure([alloy.elements[0]] * n),
            fractional_position_tolerance=1e-4,
        )

    @property
    def sublattices(self) -> Sublattices:
        """The alloyed sublattice, open to the alloy's elements, and the fixed one, closed."""
        return self._sublattices

    @property
    def species(self) -> tuple[str, ...]:
        """The held decoration, in the order of `Ordering.species`."""
        return tuple(self.alloy.elements[c] for c in self._codes)

    def structure(self, species: Sequence[str], a: float | None = None) -> Atoms:
        """Return the ideal structure of a decoration, as mchammer's ensembles take it."""
        return Ordering(self.alloy, self.supercell, tuple(species)).to_atoms(a)

    def energy(self, codes: NDArray[np.int64]) -> float:
        """Return the energy (eV per cell) of a decoration, codes (n_sites,).

        Raises
        ------
        ArithmeticError
            If it is not a number, or minus infinity.
        """
        key = codes.tobytes()
        if key not in self._energies:
            self.evaluations += 1
            [energy] = checked_energies(self.model, codes[None], self.alloy.elements)
            self._energies[key] = float(energy)
        return self._energies[key]

    def calculate_total(self, *, occupations: Sequence[int]) -> float:
        """Return the energy (eV per cell) of all occupations (atomic numbers)."""
        return self.energy(self._read(occupations))

    def calculate_change(
        self,
        *,
        sites: Sequence[int],
        current_occupations: Sequence[int] | None = None,  # noqa: ARG002
        new_site_occupations: Sequence[int],
    ) -> float:
        """Return the change of energy (eV per cell) of the held decoration, which stays as it is.

        Parameters
        ----------
        sites
            Atoms that change, alloyed ones only.
        current_occupations
            Part of the interface; the held decoration is what counts.
        new_site_occupations
            Their new atomic numbers.
        """
        places, codes = self._changes(sites, new_site_occupations)
        changed = self._codes.copy()
        changed[places] = codes
        return self.energy(changed) - self.energy(self._codes)

    def accept_change(
        self, *, sites: Sequence[int] | None = None, species: Sequence[int] | None = None
    ) -> None:
        """Change the held decoration by an accepted change (atoms, atomic numbers)."""
        if sites is None or species is None:
            msg = "accept_change needs the sites and species of the accepted change"
            raise TypeError(msg)
        places, codes = self._changes(sites, species)
        self._codes[places] = codes

    def set_occupations(self, occupations: Sequence[int]) -> None:
        """Hold the decoration of all occupations (atomic numbers)."""
        self._codes = self._read(occupations)

    def _read(self, occupations: Sequence[int]) -> NDArray[np.int64]:
        """Return the codes of the alloyed sites."""
        symbols = [chemical_symbols[z] for z in np.asarray(occupations)[self._alloyed]]
        return species_codes(symbols, self.alloy.elements)

    def _changes(
        self, sites: Sequence[int], numbers: Sequence[int]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the alloyed sites that change and their new codes; anything else is refused."""
        symbols = [chemical_symbols[z] for z in numbers]
        places = np.searchsorted(self._alloyed, sites)
        for site, symbol in zip(sites, symbols, strict=True):
            if site not in self._alloyed or symbol not in self.alloy.elements:
                msg = (
                    f"atom {site} cannot become {symbol}: only alloyed sites change, "
                    f"among {list(self.alloy.elements)}"
                )
                raise ValueError(msg)
        return places, species_codes(symbols, self.alloy.elements)


class LocalCalculator(DecorationCalculator):
    """Changes of energy from the atoms that they reach, behind mchammer's calculator interface.

    The cost of a trial does not grow with the supercell, and totals are not computed again.

    Parameters
    ----------
    model
        Energies of decorations, and of local changes.
    alloy, supercell
        The host and its supercell, shape (3, 3).
    """

    def __init__(self, model: LocalDecorationEnergies, alloy: Alloy, supercell: ArrayLike) -> None:
        super().__init__(model, alloy, supercell)
        self._held = model.local()
        self._stale = True

    def calculate_total(self, *, occupations: Sequence[int]) -> float:
        """Return the energy (eV per cell) of all occupations, at once for the held decoration."""
        codes = self._read(occupations)
        if not self._stale and np.array_equal(codes, self._codes):
            return self._held.energy
        return self.energy(codes)

    def calculate_change(
        self,
        *,
        sites: Sequence[int],
        current_occupations: Sequence[int] | None = None,  # noqa: ARG002
        new_site_occupations: Sequence[int],
    ) -> float:
        """Return the change of energy (eV per cell) of the held decoration, which stays."""
        places, codes = self._changes(sites, new_site_occupations)
        if self._stale:
            self._held.hold(self._codes.copy())
            self.evaluations += 1
            self._stale = False
        return self._held.change(places, codes)

    def accept_change(
        self, *, sites: Sequence[int] | None = None, species: Sequence[int] | None = None
    ) -> None:
        """Change the held decoration by an accepted change (atoms, atomic numbers)."""
        super().accept_change(sites=sites, species=species)
        if sites is not None and species is not None and not self._stale:
            self._held.accept(*self._changes(sites, species))

    def set_occupations(self, occupations: Sequence[int]) -> None:
        """Hold the decoration of all occupations (atomic numbers)."""
        super().set_occupations(occupations)
        self._stale = True
