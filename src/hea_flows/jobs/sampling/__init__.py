"""Monte Carlo with a trained model: the Maker, its runs on disk, and the cache of energies."""

from __future__ import annotations

from hea_flows.jobs.sampling.energy_cache import CachedEnergies, Energy, EnergyCache
from hea_flows.jobs.sampling.montecarlo import MonteCarloMaker, run_chains
from hea_flows.jobs.sampling.run import (
    SamplingRun,
    relaxation_summary,
    run_folder,
    sample_or_continue,
)

__all__ = [
    "CachedEnergies",
    "Energy",
    "EnergyCache",
    "MonteCarloMaker",
    "SamplingRun",
    "relaxation_summary",
    "run_chains",
    "run_folder",
    "sample_or_continue",
]
