"""Mixing energies, decompositions and their temperatures, convex hulls, vibrations."""

from __future__ import annotations

from hea_flows.alloy.thermodynamics.decomposition import (
    Decomposition,
    decomposition_temperature,
    decompositions,
    hull_depth,
    transition_temperatures,
)
from hea_flows.alloy.thermodynamics.disorder import Disorder, deed
from hea_flows.alloy.thermodynamics.hull import Hull, convex_hull
from hea_flows.alloy.thermodynamics.mixing import (
    apply_offsets,
    composition_matrix,
    fit_offsets,
    mixing_energies,
)
from hea_flows.alloy.thermodynamics.mixtures import PhasePool, competing_decompositions
from hea_flows.alloy.thermodynamics.transition_interval import (
    TransitionInterval,
    decomposition_temperature_interval,
)
from hea_flows.alloy.thermodynamics.vibrational_stability import (
    vibrational_mixing,
    vibrational_transitions,
)
from hea_flows.alloy.thermodynamics.vibrations import harmonic_modes, require_phonopy

__all__ = [
    "Decomposition",
    "Disorder",
    "Hull",
    "PhasePool",
    "TransitionInterval",
    "apply_offsets",
    "competing_decompositions",
    "composition_matrix",
    "convex_hull",
    "decomposition_temperature",
    "decomposition_temperature_interval",
    "decompositions",
    "deed",
    "fit_offsets",
    "harmonic_modes",
    "hull_depth",
    "mixing_energies",
    "require_phonopy",
    "transition_temperatures",
    "vibrational_mixing",
    "vibrational_transitions",
]
