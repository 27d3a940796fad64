"""mchammer's calculator and canonical ensemble for any energy of a decoration."""

from __future__ import annotations

import random
from collections.abc import Callable, MutableMapping, Sequence
from math import isfinite

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from icet.core.sublattices import Sublattices
from mchammer.calculators.base_calculator import BaseCalculator
from mchammer.ensembles import CanonicalEnsemble
from numpy.typing import ArrayLike

from hea_flows.alloy.lattice import Alloy, Ordering
from hea_flows.alloy.sampling.energy_models import EnergyModel, integer_rows


class EnergyModelCalculator(BaseCalculator):  # type: ignore[misc]
    """An energy model behind mchammer's calculator interface, each decoration evaluated once.

    Occupations are atomic numbers of all atoms in the order of `Ordering.to_atoms`. The held
    decoration moves only through `set_occupations` and `accept_change`.

    Parameters
    ----------
    model
        The energy of a decoration.
    alloy, supercell
        The host and its supercell, shape (3, 3).
    known
        Energies (eV per cell) by decoration, the symbols in site order in one string. Read before
        the model is asked, and added to: pass one mapping to share energies between chains of
        the same model and supercell, or one that was saved to replay an interrupted chain.
    name
        Name of the calculator.
    """

    def __init__(
        self,
        model: EnergyModel,
        alloy: Alloy,
        supercell: ArrayLike,
        *,
        known: MutableMapping[str, float] | None = None,
        name: str = "energy model",
    ) -> None:
        super().__init__(name=name)
        self.model, self.alloy, self.supercell = model, alloy, integer_rows(supercell)
        self.known: MutableMapping[str, float] = {} if known is None else known
        #: Number of times the model itself was asked.
        self.evaluations = 0
        n = abs(round(np.linalg.det(np.array(self.supercell))))
        self._alloyed = np.arange(n) * alloy.atoms_per_unit
        primitive = alloy.primitive()
        primitive.pbc = True
        anions = [[s] for s in primitive.get_chemical_symbols()[1:]]
        self._sublattices = Sublattices(
            allowed_species=[sorted(alloy.elements), *anions],
            primitive_structure=primitive,
            structure=self.structure([alloy.elements[0]] * n),
            fractional_position_tolerance=1e-4,
        )
        self._species = [alloy.elements[0]] * n

    @property
    def sublattices(self) -> Sublattices:
        """The alloyed sublattice, open to the alloy's elements, and the anions, closed."""
        return self._sublattices

    @property
    def species(self) -> tuple[str, ...]:
        """The held decoration, in `lattice_points` order."""
        return tuple(self._species)

    def structure(self, species: Sequence[str], a: float | None = None) -> Atoms:
        """Return the ideal structure of a decoration, as mchammer's ensembles take it."""
        return Ordering(self.alloy, self.supercell, tuple(species)).to_atoms(a)

    def energy(self, species: Sequence[str]) -> float:
        """Return the energy of a decoration (eV per cell), from memory if it was met before.

        Raises
        ------
        ArithmeticError
            If the model returns a value that is not finite.
        """
        key = "".join(species)
        if key not in self.known:
            value = float(self.model.energy(tuple(species)))
            self.evaluations += 1
            if not isfinite(value):
                msg = f"energy model {self.name!r} returned {value} eV for decoration {key}"
                raise ArithmeticError(msg)
            self.known[key] = value
        return self.known[key]

    def calculate_total(self, *, occupations: Sequence[int]) -> float:
        """Return the energy (eV per cell) of all occupations (atomic numbers)."""
        return self.energy([chemical_symbols[z] for z in np.asarray(occupations)[self._alloyed]])

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
        return self.energy(self._changed(sites, new_site_occupations)) - self.energy(self._species)

    def accept_change(
        self, *, sites: Sequence[int] | None = None, species: Sequence[int] | None = None
    ) -> None:
        """Advance the held decoration by an accepted change (atoms, atomic numbers)."""
        if sites is None or species is None:
            msg = "accept_change needs the sites and species of the accepted change"
            raise TypeError(msg)
        self._species = self._changed(sites, species)

    def set_occupations(self, occupations: Sequence[int]) -> None:
        """Hold the decoration of all occupations (atomic numbers)."""
        self._species = [chemical_symbols[z] for z in np.asarray(occupations)[self._alloyed]]

    def _changed(self, sites: Sequence[int], numbers: Sequence[int]) -> list[str]:
        species = list(self._species)
        for site, number in zip(sites, numbers, strict=True):
            index, rest = divmod(int(site), self.alloy.atoms_per_unit)
            symbol = chemical_symbols[number]
            if rest or symbol not in self.alloy.elements:
                msg = (
                    f"atom {site} cannot become {symbol}: only alloyed sites change, "
                    f"among {list(self.alloy.elements)}"
                )
                raise ValueError(msg)
            species[index] = symbol
        return species


class SeededCanonicalEnsemble(CanonicalEnsemble):  # type: ignore[misc]
    """mchammer's canonical ensemble with a random generator of its own.

    mchammer seeds and draws from Python's global generator, so that whatever else draws from it,
    an energy model or a callback, changes the chain. Here the swap (any alloyed site with any
    site of another element, mchammer's own proposal) and the Metropolis draw come from
    `rng`, and the global generators are left as they were.

    Parameters
    ----------
    calculator
        Calculator of the energy.
    species
        Initial decoration, in `lattice_points` order.
    temperature
        Temperature (K).
    rng
        Generator of this chain.
    interval
        Trials between two samples.
    on_sample
        Called with the trial and the energy (eV per cell) at each sample, the initial one
        included.
    """

    def __init__(
        self,
        calculator: EnergyModelCalculator,
        species: Sequence[str],
        temperature: float,
        rng: np.random.Generator,
        *,
        interval: int = 1,
        on_sample: Callable[[int, float], None] | None = None,
    ) -> None:
        self._rng, self._on_sample = rng, on_sample
        #: Accepted trials since the start.
        self.accepted = 0
        state = random.getstate()
        try:
            super().__init__(
                structure=calculator.structure(species),
                calculator=calculator,
                temperature=temperature,
                random_seed=0,
                ensemble_data_write_interval=interval,
                trajectory_write_interval=np.inf,
            )
        finally:
            random.setstate(state)
        (sublattice,) = self.sublattices.active_sublattices
        self._sites = np.array(sublattice.indices)

    def _next_random_number(self) -> float:
        return float(self._rng.random())

    def _do_trial_step(self) -> int:
        occupations = self.configuration.occupations
        first = self._sites[self._rng.integers(len(self._sites))]
        others = self._sites[occupations[self._sites] != occupations[first]]
        second = others[self._rng.integers(len(others))]
        sites, species = [first, second], [occupations[second], occupations[first]]
        accept = self._acceptance_condition(self._get_property_change(sites, species))
        if accept:
            self.update_occupations(sites, species)
            self.accepted += 1
        return int(accept)

    def _get_ensemble_data(self) -> dict[str, float]:
        data: dict[str, float] = super()._get_ensemble_data()
        if self._on_sample is not None:
            self._on_sample(self.step, data["potential"])
        return data
