"""Physics of sublattice alloys, pure: numpy, scipy, ase, icet; no workflow, database or torch."""

from __future__ import annotations

from hea_flows.alloy.composition import (
    asked_and_held,
    cell_entropy,
    equal_counts,
    ideal_entropy,
    is_rounded,
    whole_counts,
)
from hea_flows.alloy.streams import seed_of, stream

__all__ = [
    "asked_and_held",
    "cell_entropy",
    "clusters",
    "equal_counts",
    "errors",
    "ideal_entropy",
    "is_rounded",
    "lattice",
    "phases",
    "sampling",
    "seed_of",
    "sets",
    "stream",
    "thermodynamics",
    "whole_counts",
]
