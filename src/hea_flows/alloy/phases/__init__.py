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

__all__ = [
    "Coexistence",
    "CompositionFreeEnergy",
    "binder_cumulant",
    "coexistences",
    "composition_free_energy",
    "crossing",
    "spinodal",
]
