"""Models that other packages evaluate and train: any ASE calculator, NequIP and Allegro.

Each is a row of the registry, named by its class; nothing else is for others.
"""

from __future__ import annotations

__all__ = ["ase_calculator", "nequip"]
