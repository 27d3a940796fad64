"""Relaxation with a model: many structures at once, and decorations of one lattice quickly."""

from __future__ import annotations

from hea_flows.potentials.relaxation.geometry import MAX_SHIFT
from hea_flows.potentials.relaxation.harmonic import HarmonicHost, relax_decorations
from hea_flows.potentials.relaxation.many import Relaxed, evaluate_each, relax_many, relaxer

__all__ = [
    "MAX_SHIFT",
    "HarmonicHost",
    "Relaxed",
    "evaluate_each",
    "relax_decorations",
    "relax_many",
    "relaxer",
]
