"""Hosts of a sublattice alloy: equivalent alloyed sites, and the fixed sublattice around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import spglib
from ase import Atoms
from ase.data import atomic_numbers, reference_states
from numpy.typing import ArrayLike, NDArray

from hea_flows.alloy.composition import equal_counts, unequal_shares, whole_counts

_SQRT3_2 = 0.8660254037844386
_IDEAL_C = (8 / 3) ** 0.5  # c/a of close-packed spheres

Site = tuple[float, float, float]


@dataclass(frozen=True)
class Prototype:
    """Ideal geometry of a host.

    Parameters
    ----------
    name
        Name used in campaign files, for example ``2H-MX2``; of a host from a file, one that its
        geometry makes.
    vectors
        Primitive lattice vectors in units of ``a``, shape (3, 3), rows. For a layer the third
        row is ignored and replaced by thickness plus vacuum.
    alloyed_sites
        Fractional positions of the alloyed sites, equivalent by symmetry; of a layer one.
    fixed_sites
        Fractional in-plane positions and heights (in units of half the layer thickness) of the
        anions of a layer; fractional positions of the fixed atoms of a bulk host.
    fixed_species
        Element of each fixed site; empty where the alloy names one for all, its anion.
    anion
        The anion of an alloy that names none.
    layer
        True for a two-dimensional host, periodic in the plane only.
    uniaxial
        Whether c/a is the alloy's own: the third vector is along z and is scaled.
    """

    name: str
    vectors: tuple[tuple[float, float, float], ...]
    alloyed_sites: tuple[Site, ...] = ((0.0, 0.0, 0.0),)
    fixed_sites: tuple[Site, ...] = ()
    fixed_species: tuple[str, ...] = ()
    anion: str | None = None
    layer: bool = False
    uniaxial: bool = False

    @property
    def sites_per_cell(self) -> int:
        """Alloyed sites per primitive cell, each with its share of the fixed atoms one unit."""
        return len(self.alloyed_sites)

    @property
    def atoms_per_cell(self) -> int:
        """Atoms per primitive cell."""
        return len(self.alloyed_sites) + len(self.fixed_sites)

    @property
    def atoms_per_unit(self) -> float:
        """Atoms in one formula unit (one alloyed site and its share of the fixed atoms)."""
        return self.atoms_per_cell / self.sites_per_cell

    @property
    def takes_anion(self) -> bool:
        """Whether the alloy names the element of the fixed sites."""
        return bool(self.fixed_sites) and not self.fixed_species

    @cached_property
    def site_distance(self) -> float:
        """Distance of nearest alloyed sites, in units of ``a``."""
        k = 2 if self.layer else 3
        sites, basis = np.array(self.alloyed_sites)[:, :k], np.array(self.vectors)[:k, :k]
        shifts = np.array(list(product((-1, 0, 1), repeat=k)))
        away = (sites[None, :, None] - sites[:, None, None] + shifts).reshape(-1, k) @ basis
        lengths = np.linalg.norm(away, axis=1)
        return float(lengths[lengths > 1e-6].min())


_HEXAGONAL = ((1.0, 0.0, 0.0), (-0.5, _SQRT3_2, 0.0), (0.0, 0.0, 1.0))
_HCP = (*_HEXAGONAL[:2], (0.0, 0.0, _IDEAL_C))
_FCC = ((0.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0))
_BCC = ((-0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.5, 0.5, -0.5))
_ORIGIN = ((0.0, 0.0, 0.0),)
_PRISM = ((2 / 3, 1 / 3, 1.0), (2 / 3, 1 / 3, -1.0))
_OCTAHEDRON = ((2 / 3, 1 / 3, 1.0), (1 / 3, 2 / 3, -1.0))

PROTOTYPES: dict[str, Prototype] = {
    p.name: p
    for p in (
        Prototype("2H-MX2", _HEXAGONAL, _ORIGIN, _PRISM, anion="S", layer=True),
        Prototype("1T-MX2", _HEXAGONAL, _ORIGIN, _OCTAHEDRON, anion="S", layer=True),
        Prototype("fcc", _FCC),
        Prototype("bcc", _BCC),
        Prototype("hcp", _HCP, (*_ORIGIN, (1 / 3, 2 / 3, 0.5)), uniaxial=True),
        Prototype("rocksalt", _FCC, _ORIGIN, ((0.5, 0.5, 0.5),)),
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


class UnknownConstantsError(ValueError):
    """Elements of an alloy whose lattice constants are neither given nor tabulated."""

    def __init__(self, message: str, elements: tuple[str, ...]) -> None:
        super().__init__(message)
        self.elements = elements


@dataclass(frozen=True)
class SiteOperations:
    """Symmetry operations of a host, exact in integers (G operations, m sites per cell).

    An operation moves the site at place b of the cell at lattice point p to place ``places[b]`` of
    the cell at ``rotation @ p + shifts[b]``.
    """

    rotations: NDArray[np.int64]  # (G, 3, 3), on fractional coordinates
    shifts: NDArray[np.int64]  # (G, m, 3)
    places: NDArray[np.int64]  # (G, m)


@dataclass(frozen=True)
class Alloy:
    """A sublattice alloy: a host, and the elements that share its alloyed sites.

    Parameters
    ----------
    elements
        Chemical symbols on the alloyed sublattice.
    prototype
        A key of `PROTOTYPES`, or a host of one's own.
    anion
        Symbol of the fixed sublattice, of prototypes that leave it open; default the prototype's.
    lattice_constants
        Lattice constant per element (Å); missing ones come from tabulated values.
    vacuum
        Vacuum of a layer (Å), between the outer anion planes of periodic images.
    c_over_a
        c/a of a uniaxial prototype (hcp); default the mean of the elements' own, which for those
        that are not hcp is the ideal one.
    composition
        Share of each element on the alloyed sublattice, adding up to 1; default equal parts, which
        are kept as no composition.

    Raises
    ------
    ValueError
        For an unknown prototype or element, a missing or superfluous anion or c/a, or a composition
        that is none of the elements.
    UnknownConstantsError
        For elements without a lattice constant.
    """

    elements: tuple[str, ...]
    prototype: str | Prototype = "2H-MX2"
    anion: str | None = None
    lattice_constants: Mapping[str, float] = field(default_factory=dict)
    vacuum: float = 15.0
    c_over_a: float | None = None
    composition: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.prototype, str) and self.prototype not in PROTOTYPES:
            msg = f"unknown prototype {self.prototype!r}; accepted: {', '.join(PROTOTYPES)}"
            raise ValueError(msg)
        host = self.host
        if self.anion is None:
            object.__setattr__(self, "anion", host.anion)
        for symbol in (*self.elements, *([self.anion] if self.anion else [])):
            if symbol not in atomic_numbers or symbol == "X":
                msg = f"unknown element {symbol!r}; give chemical symbols such as Mo, Ta, S"
                raise ValueError(msg)
        if not self.elements or len(set(self.elements)) != len(self.elements):
            msg = f"elements must be distinct and at least one, got {list(self.elements)}"
            raise ValueError(msg)
        if host.takes_anion != bool(self.anion):
            need = "needs an anion" if host.takes_anion else "takes no anion; leave it out"
            msg = f"prototype {host.name} {need}; got anion {self.anion!r}"
            raise ValueError(msg)
        if both := [e for e in self.elements if e in self.fixed_species]:
            msg = f"{both[0]} cannot be both on the fixed sublattice and an alloyed element"
            raise ValueError(msg)
        if self.c_over_a is not None and not host.uniaxial:
            msg = f"prototype {host.name} has no c/a of its own; leave c_over_a out"
            raise ValueError(msg)
        object.__setattr__(self, "composition", unequal_shares(self.composition, self.elements))
        if missing := tuple(e for e in self.elements if self._constant(e) is None):
            raise self._unknown(missing)

    def shares(self, elements: Sequence[str] | None = None) -> dict[str, float]:
        """Return the alloy's own ratio of some elements, by default all, adding up to 1."""
        chosen = self.elements if elements is None else elements
        parts = {e: self.composition.get(e, 1.0) for e in chosen}
        total = sum(parts.values())
        return {e: x / total for e, x in parts.items()}

    def counts(self, n_sites: int, elements: Sequence[str] | None = None) -> dict[str, int]:
        """Return the sites per element of a cell at the alloy's own ratio of some elements.

        Raises
        ------
        ValueError
            If there are more elements than sites, or the cell does not hold equal parts exactly;
            any other composition is rounded to the nearest that the cell holds.
        """
        shares = self.shares(elements)
        if not self.composition:
            return equal_counts(list(shares), n_sites)
        return whole_counts(shares, n_sites)

    @property
    def host(self) -> Prototype:
        """The prototype itself."""
        return PROTOTYPES[self.prototype] if isinstance(self.prototype, str) else self.prototype

    @property
    def atoms_per_unit(self) -> float:
        """Atoms per formula unit."""
        return self.host.atoms_per_unit

    @property
    def fixed_species(self) -> tuple[str, ...]:
        """Element of each fixed site of the primitive cell."""
        return self.host.fixed_species or (self.anion or "",) * len(self.host.fixed_sites)

    @property
    def fixed_elements(self) -> tuple[str, ...]:
        """Elements of the fixed sublattice, each once."""
        return tuple(dict.fromkeys(self.fixed_species))

    @property
    def pbc(self) -> tuple[bool, bool, bool]:
        """Periodic directions."""
        return (True, True, not self.host.layer)

    def n_sites(self, supercell: ArrayLike) -> int:
        """Return the alloyed sites of a supercell given by its integer matrix (3, 3)."""
        cells = abs(round(float(np.linalg.det(np.asarray(supercell)))))
        return cells * self.host.sites_per_cell

    def n_cells(self, n_sites: int) -> int:
        """Return the primitive cells that have so many alloyed sites.

        Raises
        ------
        ValueError
            If it is no whole number.
        """
        cells, rest = divmod(n_sites, self.host.sites_per_cell)
        if rest:
            per = self.host.sites_per_cell
            msg = (
                f"size {n_sites} is no whole number of primitive cells: {self.host.name} has {per} "
                f"alloyed sites per cell, so sizes are multiples of {per}"
            )
            raise ValueError(msg)
        return cells

    def n_atoms(self, n_sites: int) -> int:
        """Return the atoms of a supercell of so many alloyed sites."""
        return self.n_cells(n_sites) * self.host.atoms_per_cell

    def alloyed_atoms(self, n_sites: int) -> NDArray[np.int64]:
        """Return which atoms of `Ordering.to_atoms` are alloyed, in the order of the species."""
        atoms = np.arange(self.n_atoms(n_sites)).reshape(-1, self.host.atoms_per_cell)
        return atoms[:, : self.host.sites_per_cell].ravel()

    def allowed_species(self, elements: Sequence[str]) -> list[list[str]]:
        """Return what each site of the primitive cell may hold, as icet takes it."""
        fixed = [[e] for e in self.fixed_species]
        return [list(elements) for _ in self.host.alloyed_sites] + fixed

    def fixed_formula(self, n_sites: int) -> str:
        """Return the fixed atoms of so many alloyed sites, for example ``S2``; 1 is not written."""
        per_site = n_sites / self.host.sites_per_cell
        numbers = {e: self.fixed_species.count(e) * per_site for e in self.fixed_elements}
        return "".join(f"{e}{n:g}" if n != 1 else e for e, n in numbers.items())

    @property
    def end_point_set(self) -> str:
        """The set of all end points, in the notation of sets: ``1(1)`` with one site per cell."""
        return f"1({self.host.sites_per_cell})"

    def unit_formula(self, element: str) -> str:
        """Return the formula of one unit of the end point of `element`, for example ``MoS2``."""
        return element + self.fixed_formula(1)

    def _unknown(self, missing: tuple[str, ...]) -> UnknownConstantsError:
        formulas = ", ".join(self.unit_formula(e) for e in missing)
        values = ", ".join(f"{e}: <Å>" for e in missing)
        them = "it" if len(missing) == 1 else "them"
        msg = (
            f"no lattice constant known for {formulas} in {self.host.name}; "
            f"give {them} under alloy: lattice_constants: {{{values}}}"
        )
        return UnknownConstantsError(msg, missing)

    def lattice_constant(self, element: str) -> float:
        """Return the lattice constant of one end point (Å), given or tabulated."""
        constant = self._constant(element)
        if constant is None:
            raise self._unknown((element,))
        return constant

    def _constant(self, element: str) -> float | None:
        if element in self.lattice_constants:
            return float(self.lattice_constants[element])
        if self.host.layer:
            return _LAYER_A.get(self.anion or "", {}).get(element)
        if self.host.fixed_sites:
            return None
        state = _tabulated(element)
        if state.get("symmetry") == self.host.name:
            return float(state["a"])
        if "volume" not in state:
            return None
        per_site = abs(float(np.linalg.det(self.vectors))) / self.host.sites_per_cell
        return float((state["volume"] / per_site) ** (1 / 3))

    @cached_property
    def vectors(self) -> NDArray[np.float64]:
        """Primitive vectors in units of the lattice constant, with the alloy's c/a; (3, 3)."""
        vectors = np.array(self.host.vectors)
        if self.host.uniaxial:
            own = [_tabulated(e) for e in self.elements]
            vectors[2, 2] = self.c_over_a or np.mean([s.get("c/a", _IDEAL_C) for s in own])
        return vectors

    def primitive(self, element: str | None = None, a: float | None = None) -> Atoms:
        """Return the primitive cell of one end point.

        The alloyed sites are the first atoms; a layer is centred in c.

        Parameters
        ----------
        element
            The element on the alloyed sites; default the first.
        a
            Lattice constant (Å); default that of `element`.
        """
        element = element or self.elements[0]
        a = self.lattice_constant(element) if a is None else a
        cell = a * self.vectors
        host = self.host
        symbols = [element] * host.sites_per_cell + list(self.fixed_species)
        if not host.layer:
            frac = np.array([*host.alloyed_sites, *host.fixed_sites])
            return Atoms(symbols, scaled_positions=frac, cell=cell, pbc=True)
        thickness = _LAYER_THICKNESS.get(self.anion or "", 3.2)
        height = thickness + self.vacuum
        cell[2] = (0.0, 0.0, height)
        places = (*host.alloyed_sites, *host.fixed_sites)
        frac = np.array([(x, y, 0.5 + 0.5 * z * thickness / height) for x, y, z in places])
        return Atoms(symbols, scaled_positions=frac, cell=cell, pbc=self.pbc)

    @cached_property
    def operations(self) -> SiteOperations:
        """Symmetry operations of the host on its alloyed sites, one per rotation."""
        cell = self.primitive()
        lattice = (cell.cell.array, cell.get_scaled_positions(), cell.numbers)
        dataset = spglib.get_symmetry(lattice, symprec=1e-4)
        assert dataset is not None
        pairs = zip(dataset["rotations"].tolist(), dataset["translations"], strict=True)
        unique = {tuple(map(tuple, w)): t for w, t in pairs}
        rotations = np.array(sorted(unique), dtype=np.int64)
        translations = np.array([unique[w] for w in sorted(unique)])
        sites = lattice[1][: self.host.sites_per_cell]
        moved = np.einsum("gij,bj->gbi", rotations, sites) + translations[:, None]
        away = moved[:, :, None] - sites
        off = np.abs(away - np.rint(away)).max(axis=3)
        places = off.argmin(axis=2)
        shifts = np.rint(moved - sites[places]).astype(np.int64)
        return SiteOperations(rotations, shifts, places)

    @property
    def rotations(self) -> NDArray[np.int64]:
        """Point group of the host as integer matrices on fractional coordinates, (n, 3, 3)."""
        return self.operations.rotations


def _tabulated(element: str) -> dict[str, Any]:
    """Return structure, ``a`` (Å), ``c/a`` and volume per atom (Å³) of an fcc, bcc or hcp metal."""
    state: dict[str, Any] = reference_states[atomic_numbers[element]] or {}
    symmetry, a = state.get("symmetry"), state.get("a")
    if symmetry not in ("fcc", "bcc", "hcp") or a is None:
        return {}
    volume = {"fcc": a**3 / 4, "bcc": a**3 / 2}.get(symmetry)
    if volume is None:
        volume = _SQRT3_2 / 2 * a**3 * state["c/a"]
    return {**state, "volume": volume}


def end_point_constants(alloy: Alloy, cells: Mapping[str, ArrayLike]) -> dict[str, float]:
    """Return the lattice constant of each relaxed end point (Å).

    Derived from the area per unit of a layer and from the volume of a bulk host, relative to the
    tabulated lattice constants, so that it does not depend on the choice of cell vectors.

    Parameters
    ----------
    alloy
        The host.
    cells
        Element to the relaxed cell of its end point (Å), shape (3, 3), a primitive cell each.
    """
    size = 2 if alloy.host.layer else 3
    constants = {}
    for element, cell in cells.items():
        ideal = alloy.primitive(element).cell.array[:size, :size]
        strain = np.linalg.det(np.asarray(cell)[:size, :size]) / np.linalg.det(ideal)
        constants[element] = alloy.lattice_constant(element) * float(strain) ** (1 / size)
    return constants


def mean_lattice_constant(alloy: Alloy, cells: Mapping[str, ArrayLike]) -> float:
    """Return the mean of `end_point_constants` at the alloy's composition (Å)."""
    constants = end_point_constants(alloy, cells)
    shares = [*alloy.shares([*cells]).values()] if alloy.composition else None
    return float(np.average([*constants.values()], weights=shares))
