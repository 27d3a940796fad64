"""Monte Carlo with a trained model: the Maker, its runs on disk, and the cache of energies."""

from __future__ import annotations

from hea_flows.jobs.sampling.energy_cache import Energy, EnergyCache
from hea_flows.jobs.sampling.montecarlo import MonteCarloMaker, run_chains

__all__ = ["Energy", "EnergyCache", "MonteCarloMaker", "run_chains"]
