"""Phases of alloys of any composition: free energies, coexistence, phase diagrams."""

from __future__ import annotations

from hea_flows.alloy.phases.coexistence import (
    Coexistence,
    binder_cumulant,
    coexistences,
    crossing,
    spinodal,
)
from hea_flows.alloy.phases.composition import CompositionFreeEnergy, composition_free_energy
from hea_flows.alloy.phases.equilibrium import (
    Mixture,
    equilibrium,
    lowest_mixture,
    simplex_grid,
)
from hea_flows.alloy.phases.redlich_kister import RedlichKister

__all__ = [
    "Coexistence",
    "CompositionFreeEnergy",
    "Mixture",
    "RedlichKister",
    "binder_cumulant",
    "coexistences",
    "composition_free_energy",
    "crossing",
    "equilibrium",
    "lowest_mixture",
    "simplex_grid",
    "spinodal",
]
