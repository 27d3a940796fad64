"""Phases of alloys of any composition: free energies, coexistence, phase diagrams."""

from __future__ import annotations

from hea_flows.alloy.phases.coexistence import (
    Coexistence,
    binder_cumulant,
    coexistences,
    spinodal,
    zero_crossing,
)
from hea_flows.alloy.phases.composition import CompositionFreeEnergy, composition_free_energy
from hea_flows.alloy.phases.equilibrium import (
    Mixture,
    equilibrium,
    lowest_mixture,
    simplex_grid,
    single_phase_above,
)
from hea_flows.alloy.phases.ladder import CompositionLadder
from hea_flows.alloy.phases.redlich_kister import RedlichKister
from hea_flows.alloy.phases.section import (
    CompositionChain,
    CriticalPoint,
    Gap,
    SectionPoint,
    critical_point,
    section_point,
)

__all__ = [
    "Coexistence",
    "CompositionChain",
    "CompositionFreeEnergy",
    "CompositionLadder",
    "CriticalPoint",
    "Gap",
    "Mixture",
    "RedlichKister",
    "SectionPoint",
    "binder_cumulant",
    "coexistences",
    "composition_free_energy",
    "critical_point",
    "equilibrium",
    "lowest_mixture",
    "section_point",
    "simplex_grid",
    "single_phase_above",
    "spinodal",
    "zero_crossing",
]
