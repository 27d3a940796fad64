"""Hosts of a sublattice alloy: a Bravais lattice of alloyed sites plus fixed anions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import spglib
from ase import Atoms
from ase.data import atomic_numbers, reference_states
from numpy.typing import ArrayLike, NDArray

_SQRT3_2 = 0.8660254037844386


@dataclass(frozen=True)
class Prototype:
    """Ideal geometry of a host with one alloyed site per primitive cell.

    Parameters
    ----------
    name
        Name used in campaign files, for example ``2H-MX2``.
    vectors
        Primitive lattice vectors in units of ``a``, shape (3, 3), rows. For a layer the third
        row is ignored and replaced by thickness plus vacuum.
    anion_sites
        Fractional in-plane positions and heights (in units of half the layer thickness) of the
        anions of a layer; fractional positions of the anions of a bulk host.
    layer
        True for a two-dimensional host, periodic in the plane only.
    """

    name: str
    vectors: tuple[tuple[float, float, float], ...]
    anion_sites: tuple[tuple[float, float, float], ...] = ()
    layer: bool = False

    @property
    def atoms_per_unit(self) -> int:
        """Atoms in one formula unit (one alloyed site and its anions)."""
        return 1 + len(self.anion_sites)


_HEXAGONAL = ((1.0, 0.0, 0.0), (-0.5, _SQRT3_2, 0.0), (0.0, 0.0, 1.0))
_FCC = ((0.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0))
_BCC = ((-0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.5, 0.5, -0.5))

PROTOTYPES: dict[str, Prototype] = {
    p.name: p
    for p in (
        Prototype("2H-MX2", _HEXAGONAL, ((2 / 3, 1 / 3, 1.0), (2 / 3, 1 / 3, -1.0)), layer=True),
        Prototype("1T-MX2", _HEXAGONAL, ((2 / 3, 1 / 3, 1.0), (1 / 3, 2 / 3, -1.0)), layer=True),
        Prototype("fcc", _FCC),
        Prototype("bcc", _BCC),
        Prototype("rocksalt", _FCC, ((0.5, 0.5, 0.5),)),
    )
}

#: PBE in-plane lattice constants of 2H and 1T layers (Å), good enough to start a relaxation.
_LAYER_A: dict[str, dict[str, float]] = {
    "S": {"Mo": 3.18, "W": 3.18, "Nb": 3.34, "Ta": 3.34, "V": 3.17, "Ti": 3.34, "Cr": 3.04}
    | {"Zr": 3.57, "Hf": 3.54, "Re": 3.20},
    "Se": {"Mo": 3.32, "W": 3.32, "Nb": 3.48, "Ta": 3.48, "V": 3.33, "Ti": 3.49, "Cr": 3.21}
    | {"Zr": 3.70, "Hf": 3.68, "Re": 3.33},
    "Te": {"Mo": 3.55, "W": 3.55, "Nb": 3.70, "Ta": 3.71, "V": 3.60, "Ti": 3.74, "Cr": 3.48}
    | {"Zr": 3.91, "Hf": 3.91, "Re": 3.60},
}
#: Distance between the two anion planes (Å).
_LAYER_THICKNESS = {"S": 3.13, "Se": 3.35, "Te": 3.65}


@dataclass(frozen=True)
class Alloy:
    """A sublattice alloy: a prototype, the elements that share its sublattice, its anion.

    Parameters
    ----------
    elements
        Chemical symbols on the alloyed sublattice.
    prototype
        A key of `PROTOTYPES`.
    anion
        Symbol of the fixed sublattice; None where the prototype has none.
    lattice_constants
        Lattice constant per element (Å); missing ones come from tabulated values.
    vacuum
        Vacuum of a layer (Å), between the outer anion planes of periodic images.

    Raises
    ------
    ValueError
        For an unknown prototype or element, a missing or superfluous anion, or an element
        without a lattice constant.
    """

    elements: tuple[str, ...]
    prototype: str = "2H-MX2"
    anion: str | None = "S"
    lattice_constants: Mapping[str, float] = field(default_factory=dict)
    vacuum: float = 15.0

    def __post_init__(self) -> None:
        if self.prototype not in PROTOTYPES:
            msg = f"unknown prototype {self.prototype!r}; accepted: {', '.join(PROTOTYPES)}"
            raise ValueError(msg)
        for symbol in (*self.elements, *([self.anion] if self.anion else [])):
            if symbol not in atomic_numbers or symbol == "X":
                msg = f"unknown element {symbol!r}; give chemical symbols such as Mo, Ta, S"
                raise ValueError(msg)
        if not self.elements or len(set(self.elements)) != len(self.elements):
            msg = f"elements must be distinct and at least one, got {list(self.elements)}"
            raise ValueError(msg)
        if self.anion in self.elements:
            msg = f"{self.anion} cannot be both the anion and an alloyed element"
            raise ValueError(msg)
        if bool(self.host.anion_sites) != bool(self.anion):
            need = "needs an anion" if self.host.anion_sites else "has no anion, set anion: null"
            msg = f"prototype {self.prototype!r} {need}; got anion {self.anion!r}"
            raise ValueError(msg)
        for symbol in self.elements:
            self.lattice_constant(symbol)

    @property
    def host(self) -> Prototype:
        """The prototype itself."""
        return PROTOTYPES[self.prototype]

    @property
    def atoms_per_unit(self) -> int:
        """Atoms per formula unit."""
        return self.host.atoms_per_unit

    @property
    def pbc(self) -> tuple[bool, bool, bool]:
        """Periodic directions."""
        return (True, True, not self.host.layer)

    def unit_formula(self, element: str) -> str:
        """Return the formula of the end point of `element`, for example ``MoS2``."""
        n = len(self.host.anion_sites)
        return element + (f"{self.anion}{n if n > 1 else ''}" if self.anion else "")

    def lattice_constant(self, element: str) -> float:
        """Return the lattice constant of one end point (Å), given or tabulated."""
        if element in self.lattice_constants:
            return float(self.lattice_constants[element])
        if self.host.layer:
            table = _LAYER_A.get(self.anion or "", {})
            if element in table:
                return table[element]
        elif not self.host.anion_sites:
            state = reference_states[atomic_numbers[element]]
            if state and state.get("symmetry") == self.host.name and "a" in state:
                return float(state["a"])  # type: ignore[arg-type]
        msg = (
            f"no lattice constant known for {self.unit_formula(element)} in {self.prototype}; "
            f"give it under alloy: lattice_constants: {{{element}: <Å>}}"
        )
        raise ValueError(msg)

    def primitive(self, element: str | None = None, a: float | None = None) -> Atoms:
        """Return the primitive cell of one end point.

        The alloyed site is the first atom, at the lattice point; a layer is centred in c.

        Parameters
        ----------
        element
            The element on the alloyed site; default the first.
        a
            Lattice constant (Å); default that of `element`.
        """
        element = element or self.elements[0]
        a = self.lattice_constant(element) if a is None else a
        cell = a * np.array(self.host.vectors)
        symbols = [element] + [self.anion] * len(self.host.anion_sites)
        if not self.host.layer:
            frac = np.array([(0.0, 0.0, 0.0), *self.host.anion_sites])
            return Atoms(symbols, scaled_positions=frac, cell=cell, pbc=True)
        thickness = _LAYER_THICKNESS.get(self.anion or "", 3.2)
        height = thickness + self.vacuum
        cell[2] = (0.0, 0.0, height)
        frac = np.array(
            [(0.0, 0.0, 0.5)]
            + [(x, y, 0.5 + 0.5 * z * thickness / height) for x, y, z in self.host.anion_sites]
        )
        return Atoms(symbols, scaled_positions=frac, cell=cell, pbc=self.pbc)

    @cached_property
    def rotations(self) -> NDArray[np.int64]:
        """Point group of the host as integer matrices on fractional coordinates, (n, 3, 3)."""
        cell = self.primitive()
        lattice = (cell.cell.array, cell.get_scaled_positions(), cell.numbers)
        dataset = spglib.get_symmetry(lattice, symprec=1e-4)
        assert dataset is not None
        unique = {tuple(map(tuple, w)) for w in dataset["rotations"].tolist()}
        return np.array(sorted(unique), dtype=np.int64)


def mean_lattice_constant(alloy: Alloy, cells: Mapping[str, ArrayLike]) -> float:
    """Return the mean lattice constant of relaxed end points (Å).

    Derived from the area per unit of a layer and from the volume of a bulk host, relative to the
    tabulated lattice constants, so that it does not depend on the choice of cell vectors.

    Parameters
    ----------
    alloy
        The host.
    cells
        Element to the relaxed cell of its end point (Å), shape (3, 3), one unit each.
    """
    size = 2 if alloy.host.layer else 3
    values = []
    for element, cell in cells.items():
        ideal = alloy.primitive(element).cell.array[:size, :size]
        strain = np.linalg.det(np.asarray(cell)[:size, :size]) / np.linalg.det(ideal)
        values.append(alloy.lattice_constant(element) * float(strain) ** (1 / size))
    return float(np.mean(values))
