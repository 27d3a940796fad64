"""Interatomic potentials: families, model files, training, relaxation, lattice energies.

This front loads no torch. Authors of a family start from the modules `torch_family` and `edges`;
`model_files` reads and writes its models.
"""

from __future__ import annotations

from hea_flows.potentials.base import (
    Evaluate,
    Family,
    NativeFile,
    Prediction,
    TrainingResult,
    evaluator,
    families,
    family,
)
from hea_flows.potentials.calculator import load_calculator
from hea_flows.potentials.dynamics import Dynamics, run_dynamics
from hea_flows.potentials.lattice_energies import RelaxedDecorations, decoration_energies
from hea_flows.potentials.relaxation import Relaxed, evaluate_each, relax_many, relaxer
from hea_flows.potentials.timing import Timing, measure

__all__ = [
    "Dynamics",
    "Evaluate",
    "Family",
    "NativeFile",
    "Prediction",
    "Relaxed",
    "RelaxedDecorations",
    "Timing",
    "TrainingResult",
    "committee",
    "decoration_energies",
    "edges",
    "evaluate_each",
    "evaluator",
    "families",
    "family",
    "load_calculator",
    "measure",
    "model_files",
    "relax_many",
    "relaxer",
    "run_dynamics",
    "torch_family",
]
