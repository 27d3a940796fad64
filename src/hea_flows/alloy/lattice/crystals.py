"""A host of one's own: the alloyed sublattice and the fixed atoms of a crystal."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import permutations, product
from typing import Any

import numpy as np
import spglib
from ase import Atoms
from ase.data import atomic_numbers
from ase.geometry import minkowski_reduce
from numpy.typing import ArrayLike, NDArray

from hea_flows.alloy.lattice.prototypes import Prototype

#: How far a file's atoms may be from symmetric positions (Å); they are moved there.
_TOLERANCE = 0.01
#: A crystal has no empty space wider than this (Å); layers of van der Waals crystals are 3.5 apart.
_EMPTY = 6.0
#: Most atoms of a primitive cell.
_MOST_ATOMS = 100

Floats = NDArray[np.float64]
#: Primitive vectors (3, 3), the order of the atoms, their fractional positions (N, 3) in it.
_View = tuple[Floats, NDArray[np.int64], Floats]


def prototype_of(atoms: Atoms, alloyed: Sequence[str]) -> Prototype:
    """Return the host that a crystal is: all sites of some elements alloyed, all others fixed.

    The primitive cell is found and made exactly symmetric, an alloyed site its origin, the first
    vector along x and the second in the xy plane; which cell of the crystal is given makes no
    difference. The unit of length is the first vector of the given cell.

    Parameters
    ----------
    atoms
        The crystal, any cell of it.
    alloyed
        Elements whose sites the alloy's elements share.

    Raises
    ------
    ValueError
        If it is no bulk crystal, has none of the elements, or the alloyed sites are not equivalent
        by symmetry.
    """
    symbols = atoms.get_chemical_symbols()
    if missing := [e for e in alloyed if e not in symbols]:
        have = ", ".join(dict.fromkeys(symbols))
        msg = f"it has no {missing[0]} to be alloyed; its elements: {have}"
        raise ValueError(msg)
    _check_bulk(atoms)
    kinds = np.where(np.isin(symbols, alloyed), 0, atoms.numbers)
    crystal: Any = (atoms.cell.array, atoms.get_scaled_positions(), kinds)
    primitive: Any = spglib.standardize_cell(crystal, to_primitive=True, symprec=_TOLERANCE)
    symmetry = primitive and spglib.get_symmetry(primitive, symprec=_TOLERANCE)
    if symmetry is None:
        msg = f"it has no symmetry within {_TOLERANCE:g} Å: do atoms overlap?"
        raise ValueError(msg)
    lattice, positions, kinds = primitive
    if len(kinds) > _MOST_ATOMS:
        msg = f"it has {len(kinds)} atoms per primitive cell; at most {_MOST_ATOMS}"
        raise ValueError(msg)
    orbits = symmetry["equivalent_atoms"][kinds == 0]
    if len(sets := set(orbits.tolist())) > 1:
        msg = (
            f"its {' and '.join(alloyed)} sites are of {len(sets)} kinds that no symmetry maps on "
            "each other; two alloyed sublattices, Janus cells and vacancies are out of scope"
        )
        raise ValueError(msg)
    names = dict(zip(atoms.numbers.tolist(), symbols, strict=True))
    basis, order, positions = _canonical(lattice, positions @ lattice, kinds)
    own = kinds[order]
    return own_prototype(
        np.linalg.cholesky(basis @ basis.T) / float(np.linalg.norm(atoms.cell.array[0])),
        positions[own == 0],
        {names[z]: positions[own == z] for z in dict.fromkeys(own.tolist()) if z},
    )


def _canonical(lattice: Floats, positions: Floats, kinds: NDArray[np.int64]) -> _View:
    """Return the basis of short vectors and the origin that give a primitive cell least numbers.

    So the cell that a file has, and the order of its atoms, make no difference.
    """
    reduced, _ = minkowski_reduce(lattice)
    volume = abs(float(np.linalg.det(reduced)))
    box = np.array(list(product(range(-2, 3), repeat=3))) @ reduced
    lengths = np.linalg.norm(box, axis=1)
    longest = float(np.linalg.norm(reduced, axis=1).max())
    short = box[(lengths > 1e-6) & (lengths < 1.001 * longest)]
    best: tuple[object, _View] | None = None
    for vectors in permutations(short, 3):
        basis = np.array(vectors)
        if abs(np.linalg.det(basis) / volume - 1) > 1e-3:  # another lattice, or left-handed
            continue
        metric = _metric(basis)
        if best is not None and metric > best[0][0]:  # type: ignore[index]
            continue
        fractions = positions @ np.linalg.inv(basis)
        for origin in fractions[kinds == 0]:
            moved = fractions - origin
            moved -= np.floor(moved + 1e-3)
            rounded = (moved.round(3) + 0.0).tolist()
            view = sorted((int(kinds[k]), place, k) for k, place in enumerate(rounded))
            key = (metric, [row[:2] for row in view])
            if best is None or key < best[0]:  # type: ignore[operator]
                order = np.array([k for *_, k in view])
                best = (key, (basis, order, moved[order]))
    assert best is not None  # the reduced vectors, or their mirror image
    return best[1]


def _metric(basis: Floats) -> list[list[float]]:
    """Return the inner products of vectors, in units that make their volume 1."""
    metric = basis @ basis.T / abs(np.linalg.det(basis)) ** (2 / 3)
    rounded: list[list[float]] = (metric.round(3) + 0.0).tolist()
    return rounded


def own_prototype(
    vectors: ArrayLike, alloyed_sites: ArrayLike, fixed_sites: Mapping[str, ArrayLike]
) -> Prototype:
    """Return the host of a geometry. Its name is the formula, M alloyed, and a hash of the shape.

    Parameters
    ----------
    vectors
        Primitive vectors in units of the lattice constant, shape (3, 3).
    alloyed_sites
        Fractional positions, shape (m, 3).
    fixed_sites
        Fractional positions by element, each of shape (n, 3).

    Raises
    ------
    ValueError
        If the vectors span no volume, or a fixed element is none.
    """
    basis, sites = np.asarray(vectors, dtype=float), np.asarray(alloyed_sites, dtype=float)
    if abs(np.linalg.det(basis)) < 1e-6:
        msg = "the vectors of the host span no volume"
        raise ValueError(msg)
    if unknown := [e for e in fixed_sites if e not in atomic_numbers or e == "X"]:
        msg = f"unknown element {unknown[0]!r} on the fixed sublattice of the host"
        raise ValueError(msg)
    fixed = [(e, site) for e in fixed_sites for site in np.asarray(fixed_sites[e], dtype=float)]
    atoms = [("M", site) for site in sites] + fixed
    places = [(e, (site.round(3) % 1).tolist()) for e, site in atoms]
    content = hashlib.sha256(json.dumps([_metric(basis), places]).encode()).hexdigest()
    numbers = Counter(e for e, _ in atoms)
    formula = "".join(f"{e}{n if n > 1 else ''}" for e, n in numbers.items())
    return Prototype(
        name=f"{formula}-{content[:8]}",
        vectors=_rows(basis),
        alloyed_sites=_rows(sites),
        fixed_sites=_rows([site for _, site in fixed]),
        fixed_species=tuple(e for e, _ in fixed),
    )


def _check_bulk(atoms: Atoms) -> None:
    """Refuse layers and molecules, and sites that are empty or shared in part."""
    if any(share < 1 for site in _occupancies(atoms) for share in site.values()):
        msg = (
            "it has partly occupied sites: give the ordered crystal; two alloyed sublattices, "
            "Janus cells and vacancies are out of scope"
        )
        raise ValueError(msg)
    layers = "hosts of one's own are bulk crystals, layers are 2H-MX2 and 1T-MX2"
    if not atoms.pbc.all() or atoms.cell.volume < 1e-3:
        msg = f"it is not periodic in three directions; {layers}"
        raise ValueError(msg)
    heights = 1 / np.linalg.norm(np.linalg.inv(atoms.cell.array), axis=0)
    for fractions, height in zip(atoms.get_scaled_positions().T, heights, strict=True):
        planes = np.sort(fractions)
        gap = height * float(np.diff(planes, append=planes[0] + 1).max())
        if gap > _EMPTY:
            msg = f"it has {gap:.1f} Å of empty space; {layers}"
            raise ValueError(msg)


def _occupancies(atoms: Atoms) -> list[Mapping[str, float]]:
    """Return what ASE read of a CIF's occupancies."""
    return list(atoms.info.get("occupancy", {}).values())


def _rows(sites: ArrayLike) -> tuple[tuple[float, float, float], ...]:
    return tuple(tuple(map(float, row)) for row in np.asarray(sites).reshape(-1, 3))  # type: ignore[misc]
