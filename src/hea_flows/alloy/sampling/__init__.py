"""Monte Carlo on a lattice: energies, sampler, temperature ladders, averages, free energy.

`hea_flows.alloy.sampling.mchammer` has the calculators for mchammer, which takes a second to load.
"""

from __future__ import annotations

from hea_flows.alloy.sampling.averages import Average, average_of
from hea_flows.alloy.sampling.chains import Chain, reference_codes
from hea_flows.alloy.sampling.energies import (
    AseEnergies,
    DecorationEnergies,
    HeldDecoration,
    LocalDecorationEnergies,
    Mode,
)
from hea_flows.alloy.sampling.ensembles import Canonical, Ensemble, VariableComposition
from hea_flows.alloy.sampling.pilot import PilotLadder, run_pilot
from hea_flows.alloy.sampling.sampler import Sampler, check_chains
from hea_flows.alloy.sampling.separation import Separation
from hea_flows.alloy.sampling.settings import (
    HOTTEST,
    MOST_TEMPERATURES,
    ExchangeLadder,
    Kelvin,
    RelaxationSettings,
    SamplingSettings,
)
from hea_flows.alloy.sampling.statistics import autocorrelation_time, effective_samples
from hea_flows.alloy.sampling.summary import (
    AveragedChain,
    ByShell,
    ChainSummary,
    TemperatureSummary,
    separation_of,
    summarise_temperatures,
)

__all__ = [
    "HOTTEST",
    "MOST_TEMPERATURES",
    "AseEnergies",
    "Average",
    "AveragedChain",
    "ByShell",
    "Canonical",
    "Chain",
    "ChainSummary",
    "DecorationEnergies",
    "Ensemble",
    "ExchangeLadder",
    "HeldDecoration",
    "Kelvin",
    "LocalDecorationEnergies",
    "Mode",
    "PilotLadder",
    "RelaxationSettings",
    "Sampler",
    "SamplingSettings",
    "Separation",
    "TemperatureSummary",
    "VariableComposition",
    "autocorrelation_time",
    "average_of",
    "check_chains",
    "effective_samples",
    "reference_codes",
    "run_pilot",
    "separation_of",
    "summarise_temperatures",
]
