"""Canonical Monte Carlo on the alloyed sublattice with any energy of a decoration."""

from __future__ import annotations

import random
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from icet.core.sublattices import Sublattices
from mchammer.calculators.base_calculator import BaseCalculator
from mchammer.ensembles import CanonicalEnsemble
from numpy.typing import ArrayLike, NDArray

from hea_flows.alloy.energy_models import EnergyModel, integer_rows
from hea_flows.alloy.order_parameters import (
    by_label,
    correlation_matrix,
    count_matrix,
    neighbour_pairs,
    species_codes,
)
from hea_flows.alloy.ordering import Ordering
from hea_flows.alloy.prototypes import Alloy
from hea_flows.alloy.statistics import autocorrelation_time, blocked_mean


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


@dataclass(frozen=True)
class ChainResult:
    """One canonical chain.

    Parameters
    ----------
    model
        Name of the energy model, which says at what geometry decorations are evaluated.
    temperature
        Temperature (K).
    seed
        Seed of the chain.
    trials
        Swap trials.
    average_from
        Averages are over the samples after this trial.
    acceptance
        Share of trials that were accepted.
    evaluations
        Energies that had to be computed, rather than known already.
    steps
        Trial of each sample, shape (n,), from 0.
    energies
        Energy at each sample (eV per formula unit), shape (n,).
    energy, energy_error
        Mean energy of the averaged part and its blocking error (eV per formula unit).
    energy_autocorrelation
        Integrated autocorrelation time of the energy of that part, in trials; nan if constant.
    cv_series
        Correlation values at each sample by pair label, each of shape (n,).
    cv, cv_errors
        Their means over the averaged part, and the blocking errors.
    initial, final
        First and last decoration, in `lattice_points` order.
    """

    model: str
    temperature: float
    seed: int
    trials: int
    average_from: int
    acceptance: float
    evaluations: int
    steps: NDArray[np.int64]
    energies: NDArray[np.float64]
    energy: float
    energy_error: float
    energy_autocorrelation: float
    cv_series: dict[str, NDArray[np.float64]]
    cv: dict[str, float]
    cv_errors: dict[str, float]
    initial: tuple[str, ...]
    final: tuple[str, ...]


def run_canonical(
    energy_model: EnergyModel,
    alloy: Alloy,
    supercell: ArrayLike,
    species: Sequence[str],
    *,
    temperature: float,
    trials: int,
    seed: int,
    average_from: int,
    elements: Sequence[str] | None = None,
    shell: int = 1,
    interval: int = 1,
    known: MutableMapping[str, float] | None = None,
    on_progress: Callable[[int, tuple[str, ...], float], None] | None = None,
) -> ChainResult:
    """Sample decorations at fixed composition and temperature by swaps of unlike atoms.

    The same arguments give the same chain, whatever else draws random numbers meanwhile.

    Parameters
    ----------
    energy_model
        Energy of a decoration (eV per cell).
    alloy, supercell
        The host and its supercell, shape (3, 3).
    species
        Initial decoration, in `lattice_points` order.
    temperature
        Temperature (K), above 0.
    trials
        Swap trials.
    seed
        Seed of the chain's own generator.
    average_from
        Averages are over the samples after this trial, 0 ≤ `average_from` < `trials`.
    elements
        Elements of the correlation values, in label order; default the alloy's.
    shell
        Neighbour shell of the correlation values.
    interval
        Trials between two samples.
    known
        Energies that are known already, added to; see `EnergyModelCalculator`.
    on_progress
        Called at each sample with the trial, the decoration and the energy (eV per formula unit).

    Raises
    ------
    ValueError
        If a parameter is out of range, or `species` leaves nothing to swap.
    """
    elements = alloy.elements if elements is None else tuple(elements)
    if not temperature > 0:
        msg = f"temperature must be above 0 K, got {temperature}"
        raise ValueError(msg)
    if interval < 1 or not 0 <= average_from <= trials - 2 * interval:
        msg = (
            "need interval >= 1 and 0 <= average_from <= trials - 2 interval, two samples or more "
            f"to average; got interval {interval}, average_from {average_from}, trials {trials}"
        )
        raise ValueError(msg)
    if len(set(species)) < 2:
        msg = f"nothing to swap: all sites hold {sorted(set(species))}; give two elements or more"
        raise ValueError(msg)
    if unknown := sorted(set(species) - set(alloy.elements)):
        msg = f"species {unknown} are not of the alloy {list(alloy.elements)}"
        raise ValueError(msg)
    pairs = neighbour_pairs(alloy, supercell, shell)
    species_codes(species, elements)
    name = getattr(energy_model, "name", type(energy_model).__name__)
    calculator = EnergyModelCalculator(energy_model, alloy, supercell, known=known, name=name)
    steps, energies, counts = [], [], []

    def sample(trial: int, energy: float) -> None:
        steps.append(trial)
        energies.append(energy / len(species))
        codes = species_codes(calculator.species, elements)
        counts.append(count_matrix(codes, pairs, len(elements)))
        if on_progress is not None:
            on_progress(trial, calculator.species, energies[-1])

    rng = np.random.default_rng(seed)
    ensemble = SeededCanonicalEnsemble(
        calculator, species, temperature, rng, interval=interval, on_sample=sample
    )
    ensemble.run(trials)
    averaged = np.array(steps) > average_from
    energy = blocked_mean(np.array(energies)[averaged])
    cv_series = by_label(correlation_matrix(counts), elements)
    cv = {label: blocked_mean(series[averaged]) for label, series in cv_series.items()}
    return ChainResult(
        model=name,
        temperature=temperature,
        seed=seed,
        trials=trials,
        average_from=average_from,
        acceptance=ensemble.accepted / trials,
        evaluations=calculator.evaluations,
        steps=np.array(steps),
        energies=np.array(energies),
        energy=energy.mean,
        energy_error=energy.error,
        energy_autocorrelation=interval * autocorrelation_time(np.array(energies)[averaged]),
        cv_series=cv_series,
        cv={label: value.mean for label, value in cv.items()},
        cv_errors={label: value.error for label, value in cv.items()},
        initial=tuple(species),
        final=calculator.species,
    )
