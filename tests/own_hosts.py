"""Hosts of one's own with two alloyed sites per primitive cell, and hcp."""

from __future__ import annotations

from ase import Atoms
from ase.spacegroup import crystal

from hea_flows.alloy.lattice import Alloy, prototype_of


def carbide() -> Atoms:
    """Metals in hexagonal close packing, carbon in half of the octahedra."""
    cell = [3.07, 3.07, 5.0, 90, 90, 120]
    return crystal(["Ti", "C"], [(1 / 3, 2 / 3, 0.26), (0, 0, 0)], spacegroup=164, cellpar=cell)


def oxide() -> Atoms:
    """LiCoO2: the oxygens alone form a lattice of half the cell, nearly."""
    cell = [2.816, 2.816, 14.05, 90, 90, 120]
    places = [(0, 0, 0.5), (0, 0, 0), (0, 0, 0.25)]
    return crystal(["Li", "Co", "O"], places, spacegroup=166, cellpar=cell)


HCP = Alloy(("Ti", "Zr", "Hf"), "hcp")
CARBIDE = Alloy(("Ti", "V"), prototype_of(carbide(), ["Ti"]), None, {"Ti": 3.07, "V": 2.91})
OXIDE = Alloy(("O", "S"), prototype_of(oxide(), ["O"]), None, {"O": 2.816, "S": 3.3})
