"""A binary with an energy of mixing Ω x(1−x) in a cell: its free energy, chains and document."""

from __future__ import annotations

import numpy as np
from ase.units import kB
from scipy.special import gammaln

from hea_flows.alloy.phases import (
    CompositionChain,
    CompositionLadder,
    critical_point,
    section_point,
)
from hea_flows.alloy.sampling import SamplingSettings
from hea_flows.jobs.phases.maker import ORDER, fitted
from hea_flows.schemas import AlloySpec, Interaction, ModelSpec, PhaseCell, PhaseDiagramDoc


def free_energy(n: int, omega: float, temperature: float) -> np.ndarray:
    """Return −ln Z of n sites with Ω in eV, (n + 1,)."""
    sites = np.arange(n + 1)
    states = gammaln(n + 1) - gammaln(sites + 1) - gammaln(n - sites + 1)
    return omega * sites * (n - sites) / n / (kB * temperature) - states


def chains(
    n: int, omega: float, temperature: float, samples: int, rng: np.random.Generator
) -> list[CompositionChain]:
    """Return chains of independent samples."""
    ladder, free = CompositionLadder(n, 4.0, (omega, omega)), free_energy(n, omega, temperature)
    drawn = []
    for point in range(len(ladder.compositions)):
        weight = ladder.log_weight(point, 1 / (kB * temperature))
        shares = np.exp(weight - free - (weight - free).max())
        numbers = rng.choice(n + 1, size=samples, p=shares / shares.sum())
        drawn.append(CompositionChain(numbers, weight))
    return drawn


def phase_diagram(
    pair: tuple[str, str] = ("Nb", "V"), omega: float = 0.11, n: int = 36, **fields: object
) -> PhaseDiagramDoc:
    """Return a document of the regular solution; its T_c is Ω/2k_B."""
    rng = np.random.default_rng(0)
    temperatures = [round(s * omega / (2 * kB)) for s in (0.7, 0.85, 1.15)]
    points = [section_point(t, chains(n, omega, t, 200, rng), rng) for t in temperatures]
    cell = PhaseCell(
        supercell=((6, 0, 0), (0, n // 6, 0), (0, 0, 1)),
        n_sites=n,
        dilute_mev=(1e3 * omega, 1e3 * omega),
        kappa=4.0,
        points=points,
        chains=20,
        acceptance=0.4,
        evaluations=1000,
        forbidden=0,
    )
    alloy = AlloySpec(elements=pair)
    solution, rmse = fitted(alloy.to_alloy(), cell)
    assert len(solution.parameters) == ORDER + 1
    given = {
        "identity": "0" * 64,
        "model": ModelSpec(family="chgnet", name="0.3.0"),
        "mode": "fixed lattice",
        "alloy": alloy,
        "lattice_constants": dict.fromkeys(pair, 3.2),
        "seed": 1,
        "settings": SamplingSettings(temperatures=temperatures),
        "cells": [cell],
        "critical": critical_point([points], layer=True),
        "interactions": [
            Interaction(elements=elements, power=power, constant=a, slope=b)
            for (elements, power), (a, b) in solution.parameters.items()
        ],
        "fit_rmse_mev": 1e3 * rmse,
        "seconds": 1.0,
    }
    return PhaseDiagramDoc(**(given | fields))
