"""Temperatures for replica exchange of a model in a cell, chosen by a pilot run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase.units import kB
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, Field

from hea_flows.alloy.clusters import (
    Clusters,
    Expansion,
    Tables,
    cluster_space,
    fit_expansion,
    neighbour_distance,
)
from hea_flows.alloy.lattice import Alloy
from hea_flows.alloy.sampling.energies import DecorationEnergies, checked_energies
from hea_flows.alloy.sampling.ensembles import Canonical
from hea_flows.alloy.sampling.ladder import ladder
from hea_flows.alloy.sampling.sampler import CUTOFFS, TRAINING
from hea_flows.alloy.sampling.settings import ExchangeLadder

#: A ladder of more temperatures is an error.
LONGEST_LADDER = 64
#: Pilot temperatures, a geometric series; times that the expansion is refitted to decorations from
#: them; repeated anneals.
PILOTS, REFITS, REPEATS = 16, 2, 4
#: Samples of an anneal at each temperature, one swap trial per site apart, where decorations are
#: drawn and where energies are averaged; the share of them that is left out.
_DRAWN, _AVERAGED, _LEFT_OUT = 100, 2000, 0.2
#: Smaller spreads of the energy (eV per unit) are rounding.
_ROUNDING = 1e-7


class PilotLadder(BaseModel, extra="forbid"):
    """Temperatures that a pilot run chose for an `ExchangeLadder`."""

    temperatures: list[float] = Field(description="Chosen, from the coldest to the hottest (K).")
    evaluations: int = Field(description="Decorations that the model was asked for.")
    forbidden: int = Field(0, description="How many of them did not relax.")
    spread_mev: float = Field(
        description="Standard deviation of the model about the pilot's cluster expansion at one "
        "temperature (meV/unit)."
    )


@dataclass(frozen=True)
class PilotEnergies:
    """Energies of a model against temperature, from a pilot run.

    Parameters
    ----------
    moments
        Mean (eV/unit) and variance (eV²/unit²) of the energy by pilot temperature (K).
    spread
        Standard deviation of the model about the expansion at one temperature (eV/unit), part of
        these variances.
    evaluations, forbidden
        Distinct decorations that the model was asked for, and those without a finite energy.
    """

    moments: dict[float, tuple[float, float]]
    spread: float
    evaluations: int
    forbidden: int


def run_pilot(
    model: DecorationEnergies,
    alloy: Alloy,
    supercell: ArrayLike,
    counts: Mapping[str, int],
    asked: ExchangeLadder,
    rng: np.random.Generator,
    *,
    training: int = TRAINING,
    cutoffs: Sequence[float] = CUTOFFS,
) -> PilotLadder:
    """Choose temperatures between which replicas of a model are exchanged at about one rate.

    Parameters
    ----------
    model
        Energies of decorations; infinite ones are left out.
    alloy, supercell, counts
        The host, its supercell, shape (3, 3), and the sites per element.
    asked
        Ends of the ladder and least acceptance between neighbours.
    rng
        Decides everything that is random.
    training, cutoffs
        Random decorations and clusters of the first expansion, as of `Sampler`.

    Raises
    ------
    ValueError
        If the ladder becomes longer than `LONGEST_LADDER`, or an argument is out of range.
    ArithmeticError
        If the model returns an energy that is not a number.
    """
    ends = (asked.lowest, asked.highest)
    pilot = pilot_energies(
        model, alloy, supercell, counts, *ends, rng, training=training, cutoffs=cutoffs
    )
    n = sum(counts.values())
    rungs = [round(t, 3) for t in ladder(pilot.moments, n, *ends, asked.acceptance)]
    if len(rungs) > LONGEST_LADDER:
        msg = (
            f"to exchange at a rate of {asked.acceptance:g} between {ends[0]:g} and {ends[1]:g} K, "
            f"this cell of {n} units needs {len(rungs)} temperatures, more than {LONGEST_LADDER}: "
            "lower the acceptance, start from a higher temperature, take a smaller supercell, or "
            "give the number of temperatures, {from: …, to: …, n: …}"
        )
        raise ValueError(msg)
    return PilotLadder(
        temperatures=[ends[0], *rungs[1:-1], ends[1]],
        evaluations=pilot.evaluations,
        forbidden=pilot.forbidden,
        spread_mev=1e3 * pilot.spread,
    )


def pilot_energies(
    model: DecorationEnergies,
    alloy: Alloy,
    supercell: ArrayLike,
    counts: Mapping[str, int],
    lowest: float,
    highest: float,
    rng: np.random.Generator,
    *,
    training: int = TRAINING,
    cutoffs: Sequence[float] = CUTOFFS,
) -> PilotEnergies:
    """Return the mean and the variance of a model's energy at `PILOTS` temperatures.

    A cluster expansion is fitted to random decorations, then refitted to decorations drawn from it
    at the pilot temperatures, which the model evaluates. Long anneals of the expansion give mean e
    and variance v of the energy. What it does not describe is taken as independent Gaussian noise
    of variance s² of the energy per unit: v + s² and e − β N s², for N units (the random-energy
    model; B. Derrida, Phys. Rev. B 24, 2613 (1981)). s² is measured on the decorations of the last
    refit, before it.

    Parameters
    ----------
    model, alloy, supercell, counts, rng, training, cutoffs
        As for `run_pilot`.
    lowest, highest
        Range of the temperatures (K).
    """
    space = cluster_space(alloy, [c * neighbour_distance(alloy) for c in cutoffs])
    clusters = Clusters.of(space, alloy, supercell)
    n, ensemble = clusters.n_sites, Canonical(alloy, counts)
    ensemble.check(n)
    start = ensemble.filling
    temperatures = np.geomspace(lowest, highest, PILOTS)
    temperatures[[0, -1]] = lowest, highest
    betas = 1 / (kB * temperatures)

    codes = np.array([rng.permutation(start) for _ in range(training)])
    energies = checked_energies(model, codes, alloy.elements) / n
    expansion, spread = _refitted(clusters, codes, energies), 0.0
    for _ in range(REFITS):
        _, drawn = anneal(expansion.tables, start, betas, _DRAWN, rng)
        more = drawn.reshape(-1, n)
        values = checked_energies(model, more, alloy.elements) / n
        residuals = values - clusters.vectors(more) @ expansion.parameters
        spread = _spread(residuals.reshape(PILOTS, REPEATS))
        codes, energies = np.concatenate([codes, more]), np.concatenate([energies, values])
        expansion = _refitted(clusters, codes, energies)

    series, _ = anneal(expansion.tables, start, betas, _AVERAGED, rng)
    kept = series[:, :, round(_LEFT_OUT * _AVERAGED) :].reshape(PILOTS, -1) / n
    means = kept.mean(axis=1) - betas * n * spread**2
    variances = _never_frozen(kept.var(axis=1) + spread**2, kept.shape[1])
    return PilotEnergies(
        moments=dict(
            zip(
                temperatures.tolist(),
                zip(means.tolist(), variances.tolist(), strict=True),
                strict=True,
            )
        ),
        spread=spread,
        evaluations=len(np.unique(codes, axis=0)),
        forbidden=len(np.unique(codes[np.isinf(energies)], axis=0)),
    )


def anneal(
    tables: Tables,
    start: NDArray[np.int64],
    betas: NDArray[np.float64],
    samples: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Cool an expansion from the last to the first inverse temperature, `REPEATS` times.

    Returns
    -------
    series, decorations
        Energies (eV per cell), shape (T, `REPEATS`, `samples`), and the last decoration of each
        temperature, shape (T, `REPEATS`, n_sites).
    """
    series = np.empty((len(betas), REPEATS, samples))
    decorations = np.empty((len(betas), REPEATS, len(start)), dtype=np.int64)
    for repeat in range(REPEATS):
        codes = rng.permutation(start)
        energy = tables.energy(codes)
        for level in reversed(range(len(betas))):
            for sample in range(samples):
                change, _ = tables.run(codes, len(codes), float(betas[level]), rng)
                energy += change
                series[level, repeat, sample] = energy
            decorations[level, repeat] = codes
    return series, decorations


def _refitted(
    clusters: Clusters, codes: NDArray[np.int64], energies: NDArray[np.float64]
) -> Expansion:
    finite = np.isfinite(energies)
    return fit_expansion(clusters, clusters.vectors(codes[finite]), energies[finite])


def _spread(residuals: NDArray[np.float64]) -> float:
    """Return the standard deviation of residuals (T, R) about their means, infinite ones aside."""
    groups = [row[np.isfinite(row)] for row in residuals]
    freedom = sum(max(len(group) - 1, 0) for group in groups)
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in groups if len(group))
    return float(np.sqrt(squares / freedom)) if freedom else 0.0


def _never_frozen(variances: NDArray[np.float64], samples: int) -> NDArray[np.float64]:
    """Return variances (T,) above 0, coldest first.

    Where no excited state was seen in so many samples, their share is below 1/samples of what it
    is at the next temperature, and so is the variance.
    """
    raised = np.maximum(variances, _ROUNDING**2)
    for level in reversed(range(len(raised) - 1)):
        raised[level] = max(raised[level], raised[level + 1] / samples)
    return raised
