"""Monte Carlo on a lattice: energy models, sampler, temperature ladders, statistics."""

from __future__ import annotations

from hea_flows.alloy.sampling.averages import Average, average_of
from hea_flows.alloy.sampling.calculators import LocalCalculator
from hea_flows.alloy.sampling.chains import Chain, SamplerSettings
from hea_flows.alloy.sampling.energy_models import (
    AseEnergyModel,
    DecorationEnergies,
    Mode,
    integer_rows,
)
from hea_flows.alloy.sampling.equilibration import equilibrated_from_all
from hea_flows.alloy.sampling.integration import configurational_entropy, free_energy, ideal_mixing
from hea_flows.alloy.sampling.mchammer import EnergyModelCalculator, SeededCanonicalEnsemble
from hea_flows.alloy.sampling.pilot import run_pilot
from hea_flows.alloy.sampling.sampler import Sampler
from hea_flows.alloy.sampling.separation import first_to_separate, separation_temperature
from hea_flows.alloy.sampling.statistics import (
    autocorrelation_time,
    effective_samples,
    heat_capacity,
)

__all__ = [
    "AseEnergyModel",
    "Average",
    "Chain",
    "DecorationEnergies",
    "EnergyModelCalculator",
    "LocalCalculator",
    "Mode",
    "Sampler",
    "SamplerSettings",
    "SeededCanonicalEnsemble",
    "autocorrelation_time",
    "average_of",
    "configurational_entropy",
    "effective_samples",
    "equilibrated_from_all",
    "first_to_separate",
    "free_energy",
    "heat_capacity",
    "ideal_mixing",
    "integer_rows",
    "run_pilot",
    "separation_temperature",
]
