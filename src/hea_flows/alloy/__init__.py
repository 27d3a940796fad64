"""Physics of sublattice alloys, pure: numpy, scipy, ase, icet; no workflow, database or torch."""

from __future__ import annotations

from hea_flows.alloy.streams import seed_of, stream

__all__ = [
    "clusters",
    "errors",
    "lattice",
    "phases",
    "sampling",
    "seed_of",
    "sets",
    "stream",
    "thermodynamics",
]
