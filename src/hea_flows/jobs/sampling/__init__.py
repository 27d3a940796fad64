"""Monte Carlo with a trained model: chains that can be resumed, and their averages."""

from __future__ import annotations

from hea_flows.jobs.sampling.montecarlo import MonteCarloMaker

__all__ = ["MonteCarloMaker"]
