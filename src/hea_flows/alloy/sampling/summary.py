"""Summaries of chains: averages with errors, order parameters, free energy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan, sqrt
from statistics import fmean, stdev
from typing import Self

import numpy as np
from ase.units import kB
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from hea_flows.alloy.composition import cell_entropy, ideal_entropy
from hea_flows.alloy.lattice import correlation_matrix, pair_labels, warren_cowley_matrix
from hea_flows.alloy.sampling.averages import Average, average_of
from hea_flows.alloy.sampling.chains import Chain
from hea_flows.alloy.sampling.equilibration import equilibrated_from_all
from hea_flows.alloy.sampling.free_energy import free_energy, ideal_mixing
from hea_flows.alloy.sampling.separation import Separation, separation_of_like_pairs
from hea_flows.alloy.sampling.statistics import heat_capacity
from hea_flows.inputs import Computed

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
#: Order parameters by shell ("1": nearest neighbours) and pair ("A-B").
ByShell = dict[str, dict[str, Computed]]


@dataclass(frozen=True)
class AveragedChain:
    """A chain, and the part of it that is averaged.

    Parameters
    ----------
    chain
        The chain.
    elements
        Of the alloyed sublattice, in the order of the bond counts.
    start
        First sample that is averaged; sample 0 is the state after the burn-in.
    shift
        Mixing energy minus the model's energy (eV/unit).
    """

    chain: Chain
    elements: tuple[str, ...]
    start: int
    shift: float

    @classmethod
    def of(
        cls, chain: Chain, elements: Sequence[str], average_from: int | None, shift: float
    ) -> AveragedChain:
        """Return a chain averaged from a given step, or from where energy and bonds equilibrate."""
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
        return correlation_matrix(*self._bonds(shell))

    def warren_cowley(self, shell: int) -> Array:
        """Return the Warren-Cowley parameters that are averaged, shape (S, n, n)."""
        return warren_cowley_matrix(*self._bonds(shell))

    def _bonds(self, shell: int) -> tuple[Integers, Integers, float]:
        """Return counts of bonds, sites by element, and the share of bonds to own images."""
        chain, start = self.chain, self.start
        return chain.counts[shell][start:], chain.numbers[start:], chain.own_images[shell]


class ChainSummary(BaseModel, extra="forbid", ser_json_inf_nan="constants"):
    """One chain: a temperature and a run. Means are over the steps from `averaged_from`."""

    temperature: Computed = Field(description="K")
    run: int = Field(description="Counted from 0.")
    acceptance: Computed = Field(description="Share of steps that the model accepted.")
    exchange_acceptance: float | None = Field(
        description="Share of exchanges with the next higher temperature that were accepted; None: "
        "none were tried."
    )
    block: int = Field(description="Swap trials per step.")
    trials: int = Field(description="Swap trials in all.")
    averaged_from: int = Field(description="First step that is averaged.")
    effective_samples: Computed = Field(description="Of the energy, from there on.")
    energy_mev: Computed = Field(description="Mean mixing energy (meV/unit).")
    energy_error_mev: Computed
    order_parameters: ByShell = Field(
        description="Mean CV of each pair, less that of random decorations of the cell."
    )
    order_errors: ByShell = Field(description="Standard errors.")
    initial_species: list[str] = Field(description="Decoration after the burn-in.")
    final_species: list[str]

    @classmethod
    def of(cls, averaged: AveragedChain) -> Self:
        """Average a chain."""
        chain, energy = averaged.chain, average_of([averaged.energies])
        order, errors, _ = _averages([averaged], AveragedChain.correlations)
        return cls(
            temperature=chain.temperature,
            run=chain.run,
            acceptance=chain.acceptance,
            exchange_acceptance=chain.exchange_acceptance,
            block=chain.block,
            trials=chain.trials,
            averaged_from=averaged.start,
            effective_samples=energy.effective_samples,
            energy_mev=1e3 * energy.mean,
            energy_error_mev=1e3 * energy.error,
            order_parameters=order,
            order_errors=errors,
            initial_species=list(chain.initial),
            final_species=list(chain.final),
        )


class TemperatureSummary(BaseModel, extra="forbid", ser_json_inf_nan="constants"):
    """All runs of a temperature together; errors are standard errors."""

    temperature: Computed = Field(description="K")
    n_runs: int
    trials: int = Field(description="Swap trials of all runs.")
    acceptance: Computed
    effective_samples: Computed = Field(description="Of the energy, all runs together.")
    r_hat: Computed = Field(description="Largest split R-hat of energy and order parameters.")
    converged: bool = Field(
        description="Whether energy and all order that changed have long blocks, a small R-hat and "
        "many samples, see `Average`; otherwise errors are lower bounds."
    )
    energy_mev: Computed = Field(description="Mean mixing energy (meV/unit).")
    energy_error_mev: Computed
    heat_capacity: Computed = Field(description="k_B per unit")
    heat_capacity_error: Computed
    order_parameters: ByShell = Field(
        description="CV of each pair, less that of random decorations of the cell."
    )
    order_errors: ByShell
    warren_cowley: ByShell = Field(
        description="Warren-Cowley parameter of each pair, less that of random decorations."
    )
    warren_cowley_errors: ByShell
    free_energy_mev: Computed = Field(
        description="Of mixing of this cell (meV/unit), integrated from infinite temperature."
    )
    free_energy_error_mev: Computed
    ideal_free_energy_mev: Computed = Field(
        description="Mean energy of random decorations less T k_B ln(N!/ΠN_A!)/N, the ideal mixing "
        "of this cell (meV/unit)."
    )
    ideal_infinite_mev: Computed = Field(
        description="The same with −T k_B Σ x ln x, the ideal mixing of the infinite alloy."
    )


def summarise_temperatures(
    chains: Sequence[AveragedChain], random_energies: Array
) -> list[TemperatureSummary]:
    """Return the summaries of all temperatures, coldest first.

    Parameters
    ----------
    chains
        Every chain, by temperature and run.
    random_energies
        Mixing energies of random decorations (eV/unit), shape (R,), R ≥ 2, from which the free
        energy is integrated.
    """
    temperatures = sorted({one.chain.temperature for one in chains})
    groups = [[one for one in chains if one.chain.temperature == t] for t in temperatures]
    energies = [average_of([one.energies for one in group]) for group in groups]
    capacities = [_heat_capacity(group) for group in groups]
    n_units = len(chains[0].chain.final)
    sites = [chains[0].chain.final.count(e) for e in chains[0].elements]
    entropy = cell_entropy(sites)
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
    ideal, infinite = (
        ideal_mixing(t, float(random_energies.mean()), s)
        for s in (entropy, ideal_entropy([n / n_units for n in sites]))
    )
    summaries = []
    for i, group in enumerate(groups):
        order, errors, averages = _averages(group, AveragedChain.correlations)
        short, short_errors, _ = _averages(group, AveragedChain.warren_cowley)
        changed = [a for a in (energies[i], *averages) if not isnan(a.r_hat)]
        summaries.append(
            TemperatureSummary(
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
                order_parameters=order,
                order_errors=errors,
                warren_cowley=short,
                warren_cowley_errors=short_errors,
                free_energy_mev=1e3 * float(free.free_energies[i]),
                free_energy_error_mev=1e3 * float(free.errors[i]),
                ideal_free_energy_mev=1e3 * float(ideal[i]),
                ideal_infinite_mev=1e3 * float(infinite[i]),
            )
        )
    return summaries


def separation_of(
    summaries: Sequence[TemperatureSummary], shares: Mapping[str, float], rng: np.random.Generator
) -> Separation:
    """Return which like pair rises first on cooling, in the first shell that was counted.

    Parameters
    ----------
    summaries
        Of all temperatures.
    shares
        Share of each element.
    rng
        Draws values and noise.
    """
    shell = next(iter(summaries[0].order_parameters))
    like = {f"{e}-{e}": x for e, x in shares.items()}
    return separation_of_like_pairs(
        [s.temperature for s in summaries],
        {p: [s.order_parameters[shell][p] for s in summaries] for p in like},
        {p: [s.order_errors[shell][p] for s in summaries] for p in like},
        rng,
        levels={p: x**2 / 2 for p, x in like.items()},
    )


def _averages(
    runs: Sequence[AveragedChain], values: Callable[[AveragedChain, int], Array]
) -> tuple[ByShell, ByShell, list[Average]]:
    """Return means and errors by shell and pair, and the average of each."""
    elements = runs[0].elements
    labels, upper = pair_labels(elements), np.triu_indices(len(elements))
    means: ByShell = {}
    errors: ByShell = {}
    averages: list[Average] = []
    for shell in runs[0].chain.counts:
        series = [values(one, shell) for one in runs]
        pairs = [average_of([x[:, i, j] for x in series]) for i, j in zip(*upper, strict=True)]
        means[str(shell)] = {k: a.mean for k, a in zip(labels, pairs, strict=True)}
        errors[str(shell)] = {k: a.error for k, a in zip(labels, pairs, strict=True)}
        averages += pairs
    return means, errors, averages


def _heat_capacity(runs: Sequence[AveragedChain]) -> tuple[float, float]:
    """Return the mean over runs (k_B/unit) and its error: within them or between, the larger."""
    chain = runs[0].chain
    values, errors = zip(
        *(heat_capacity(one.energies, chain.temperature, len(chain.final)) for one in runs),
        strict=True,
    )
    within = sqrt(sum(e * e for e in errors)) / len(errors)
    between = stdev(values) / sqrt(len(values)) if len(values) > 1 else 0.0
    return fmean(values), max(within, between)
