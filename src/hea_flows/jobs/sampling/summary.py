"""Chains as the records of a document: averages, errors, order, free energy, separation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isnan, sqrt
from statistics import fmean, stdev

import numpy as np
from ase.units import kB
from numpy.typing import NDArray

from hea_flows.alloy.lattice import correlation_matrix, warren_cowley_matrix
from hea_flows.alloy.sampling import (
    Average,
    Chain,
    average_of,
    configurational_entropy,
    equilibrated_from_all,
    first_to_separate,
    free_energy,
    heat_capacity,
    ideal_mixing,
    separation_temperature,
)
from hea_flows.schemas import ChainRecord, SeparationRecord, TemperatureRecord
from hea_flows.schemas.sampling import shell_table

Array = NDArray[np.float64]


@dataclass(frozen=True)
class AveragedChain:
    """A chain and the part of it that is averaged; energies are mixing energies.

    Parameters
    ----------
    chain
        The chain.
    elements
        Of the alloyed sublattice, in the order of the bond counts.
    start
        First sample that is averaged; sample 0 is the state after the burn-in.
    shift
        What makes mixing energies of the model's energies (eV/unit).
    """

    chain: Chain
    elements: tuple[str, ...]
    start: int
    shift: float

    @classmethod
    def of(
        cls, chain: Chain, elements: Sequence[str], average_from: int | None, shift: float
    ) -> AveragedChain:
        """Return a chain with what is averaged: as given, or detected in energy and bonds."""
        start = None if average_from is None else average_from + 1
        if start is None:
            upper = np.triu_indices(len(elements))
            bonds = [c[:, i, j] for c in chain.counts.values() for i, j in zip(*upper, strict=True)]
            start = equilibrated_from_all([chain.energies, *bonds])
        return cls(chain, tuple(elements), start, shift)

    @property
    def energies(self) -> Array:
        """Mixing energies that are averaged (eV/unit)."""
        return self.chain.energies[self.start :] + self.shift

    def correlations(self, shell: int) -> Array:
        """Return the CV that are averaged, shape (S, n, n)."""
        return correlation_matrix(self.chain.counts[shell][self.start :])

    def warren_cowley(self, shell: int) -> Array:
        """Return the Warren-Cowley parameters that are averaged, shape (S, n, n)."""
        final = self.chain.final
        shares = [final.count(e) / len(final) for e in self.elements]
        return warren_cowley_matrix(self.chain.counts[shell][self.start :], shares)


def chain_record(one: AveragedChain) -> ChainRecord:
    """Return the record of a chain."""
    chain, energy = one.chain, average_of([one.energies])
    order, errors, _ = _averaged([one], AveragedChain.correlations)
    return ChainRecord(
        temperature=chain.temperature,
        run=chain.run,
        acceptance=chain.acceptance,
        exchange_acceptance=chain.exchange_acceptance,
        block=chain.block,
        trials=chain.trials,
        averaged_from=one.start,
        effective_samples=energy.effective_samples,
        energy_mev=1e3 * energy.mean,
        energy_error_mev=1e3 * energy.error,
        order_parameters=shell_table(order, one.elements),
        order_errors=shell_table(errors, one.elements),
        initial_species=list(chain.initial),
        final_species=list(chain.final),
    )


def temperature_records(
    chains: Sequence[AveragedChain], random_energies: Array
) -> list[TemperatureRecord]:
    """Return the records of all temperatures, coldest first.

    Parameters
    ----------
    chains
        Every chain, by temperature and run.
    random_energies
        Mixing energies of random decorations (eV/unit), shape (R,), R ≥ 2: the free energy is
        integrated from them.
    """
    temperatures = sorted({one.chain.temperature for one in chains})
    groups = [[one for one in chains if one.chain.temperature == t] for t in temperatures]
    energies = [average_of([one.energies for one in group]) for group in groups]
    capacities = [_heat_capacity(group) for group in groups]
    n_units = len(chains[0].chain.final)
    entropy = configurational_entropy([chains[0].chain.final.count(e) for e in chains[0].elements])
    t = np.array(temperatures)
    free = free_energy(
        t,
        [e.mean for e in energies],
        [e.error for e in energies],
        entropy,
        float(random_energies.mean()),
        float(random_energies.std(ddof=1) / sqrt(len(random_energies))),
        variances=[c * (kB * x) ** 2 / n_units for (c, _), x in zip(capacities, t, strict=True)],
        variance_infinite=float(random_energies.var(ddof=1)),
        n_units=n_units,
    )
    ideal = ideal_mixing(t, float(random_energies.mean()), entropy)
    records = []
    for i, group in enumerate(groups):
        order, errors, averages = _averaged(group, AveragedChain.correlations)
        short, short_errors, _ = _averaged(group, AveragedChain.warren_cowley)
        changed = [a for a in (energies[i], *averages) if not isnan(a.r_hat)]
        records.append(
            TemperatureRecord(
                temperature=temperatures[i],
                n_runs=len(group),
                trials=sum(one.chain.trials for one in group),
                acceptance=fmean(one.chain.acceptance for one in group),
                effective_samples=energies[i].effective_samples,
                r_hat=max((a.r_hat for a in changed), default=float("nan")),
                converged=all(a.converged for a in changed),
                energy_mev=1e3 * energies[i].mean,
                energy_error_mev=1e3 * energies[i].error,
                heat_capacity=capacities[i][0],
                heat_capacity_error=capacities[i][1],
                order_parameters=shell_table(order, group[0].elements),
                order_errors=shell_table(errors, group[0].elements),
                warren_cowley=shell_table(short, group[0].elements),
                warren_cowley_errors=shell_table(short_errors, group[0].elements),
                free_energy_mev=1e3 * float(free.free_energies[i]),
                free_energy_error_mev=1e3 * float(free.errors[i]),
                ideal_free_energy_mev=1e3 * float(ideal[i]),
            )
        )
    return records


def separation_record(
    averages: Sequence[TemperatureRecord], elements: Sequence[str], rng: np.random.Generator
) -> SeparationRecord:
    """Return which like pair rises first: nearest neighbours, or the first shell counted."""
    if len(averages) < 5:
        return SeparationRecord(reason=f"five temperatures are needed, there are {len(averages)}")
    shell = next(iter(averages[0].order_parameters))
    labels = [f"{e}-{e}" for e in elements]
    values = {p: [r.order_parameters[shell][p] for r in averages] for p in labels}
    errors = {p: [r.order_errors[shell][p] for r in averages] for p in labels}
    moving = [p for p in labels if any(errors[p])]
    if not moving:
        return SeparationRecord(reason="no order parameter ever changed")
    temperatures = [r.temperature for r in averages]
    level = 0.5 / len(elements) ** 2
    first = first_to_separate(
        temperatures,
        {p: values[p] for p in moving},
        {p: errors[p] for p in moving},
        rng,
        level=level,
    )
    likely = max(first.probabilities, key=lambda p: first.probabilities[p])
    if first.probabilities[likely] == 0:
        return SeparationRecord(
            level=level, reason=f"no CV of a like pair passes {level:g}, half of the random share"
        )
    found = separation_temperature(temperatures, values[likely], errors[likely], rng)
    interval = None if found.low is None or found.high is None else (found.low, found.high)
    return SeparationRecord(
        level=level,
        pair=first.label,
        probabilities=first.probabilities,
        passed=first.passed,
        temperature=found.temperature,
        interval=interval,
        reason=found.reason,
    )


def _averaged(
    runs: Sequence[AveragedChain], values: Callable[[AveragedChain, int], Array]
) -> tuple[dict[int, Array], dict[int, Array], list[Average]]:
    """Return means and errors by shell, shape (n, n), and the average of each pair."""
    n = len(runs[0].elements)
    means: dict[int, Array] = {}
    errors: dict[int, Array] = {}
    found: list[Average] = []
    for shell in runs[0].chain.counts:
        means[shell], errors[shell] = np.zeros((n, n)), np.zeros((n, n))
        series = [values(one, shell) for one in runs]
        for i, j in zip(*np.triu_indices(n), strict=True):
            average = average_of([x[:, i, j] for x in series])
            means[shell][[i, j], [j, i]] = average.mean
            errors[shell][[i, j], [j, i]] = average.error
            found.append(average)
    return means, errors, found


def _heat_capacity(runs: Sequence[AveragedChain]) -> tuple[float, float]:
    """Return the mean over runs (k_B/unit) and its error: within them or between, the larger."""
    chain = runs[0].chain
    found = [heat_capacity(one.energies, chain.temperature, len(chain.final)) for one in runs]
    values, errors = [v for v, _ in found], [e for _, e in found]
    within = sqrt(sum(e * e for e in errors)) / len(errors)
    between = stdev(values) / sqrt(len(values)) if len(values) > 1 else 0.0
    return fmean(values), max(within, between)
