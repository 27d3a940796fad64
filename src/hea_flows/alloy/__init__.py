"""Physics of sublattice alloys, pure: numpy, scipy, ase, icet; no workflow, database or torch."""

from __future__ import annotations

__all__ = ["clusters", "errors", "lattice", "sampling", "sets", "thermodynamics"]
