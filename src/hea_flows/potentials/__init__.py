"""Interatomic potentials: families, model files, training, relaxation, lattice energies."""

from __future__ import annotations

from hea_flows.potentials.base import (
    Evaluate,
    Family,
    Prediction,
    TrainingResult,
    evaluator,
    families,
    family,
)
from hea_flows.potentials.lattice_energies import decoration_energies
from hea_flows.potentials.relaxation import Relaxed, relax_many

__all__ = [
    "Evaluate",
    "Family",
    "Prediction",
    "Relaxed",
    "TrainingResult",
    "decoration_energies",
    "evaluator",
    "families",
    "family",
    "relax_many",
]
