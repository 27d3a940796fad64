"""mchammer's canonical ensemble with a random generator of its own, for the benchmarks."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
from mchammer.ensembles import CanonicalEnsemble

from hea_flows.alloy.sampling.mchammer import DecorationCalculator


class SeededCanonicalEnsemble(CanonicalEnsemble):  # type: ignore[misc]
    """mchammer's canonical ensemble with a random generator of its own.

    mchammer seeds Python's global generator and draws from it, so that any other draw, by a model
    or a callback, changes the chain. Here the swap (any alloyed site with any site of another
    element, as in mchammer) and the Metropolis draw use `rng`; global generators stay untouched.

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
        calculator: DecorationCalculator,
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
