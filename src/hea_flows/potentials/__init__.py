"""Interatomic potentials: families, checkpoints, training, relaxation, lattice energies."""

from __future__ import annotations

from hea_flows.potentials.base import Family, Prediction, TrainingResult, families, family
from hea_flows.potentials.lattice_energies import decoration_energies
from hea_flows.potentials.relaxation import evaluator, relax_many

__all__ = [
    "Family",
    "Prediction",
    "TrainingResult",
    "decoration_energies",
    "evaluator",
    "families",
    "family",
    "relax_many",
]
