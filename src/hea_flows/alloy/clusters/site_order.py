"""The order of a structure's atoms by the sites of its decoration."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from hea_flows.alloy.lattice import Ordering, from_nearest

#: Farther from every site than this part of a bond, an atom belongs to none.
_REACH = 0.6

Floats = NDArray[np.float64]


def site_order(ordering: Ordering, atoms: Atoms) -> NDArray[np.int64]:
    """Return the order in which a structure's atoms are those of `Ordering.to_atoms`.

    Parameters
    ----------
    ordering
        The decoration that `decoration_of` found: its supercell has the cell vectors of `atoms`.
    atoms
        The structure, strained and displaced, its atoms in any order.

    Returns
    -------
    order
        Indices, shape (N,): ``atoms[order]`` has the symbols of the ideal structure, each atom near
        its site.

    Raises
    ------
    ValueError
        If an atom is near no free site of its element.
    """
    ideal = ordering.to_atoms()
    symbols, wanted = np.array(atoms.get_chemical_symbols()), np.array(ideal.get_chemical_symbols())
    if sorted(symbols) != sorted(wanted):
        msg = f"{atoms.get_chemical_formula()} has not the atoms of {ordering.formula}"
        raise ValueError(msg)
    layer = ordering.alloy.host.layer
    k = 2 if layer else 3
    alloyed = symbols != (ordering.alloy.anion or "")
    sites = wanted != (ordering.alloy.anion or "")
    at, own = _coordinates(atoms, alloyed, k), _coordinates(ideal, sites, k)
    unlike = symbols[:, None] != wanted
    best: tuple[float, NDArray[np.int64]] | None = None
    # The rarest alloyed element is on one of its sites: one translation for each.
    counts = ordering.counts
    rarest = min(counts, key=lambda element: (counts[element], element))
    first = int(np.flatnonzero(symbols == rarest)[0])
    for side in (1.0, -1.0) if layer else (1.0,):  # either side of a layer may be up
        for site in np.flatnonzero(wanted == rarest):
            shift = at[first, :k] - own[site, :k]
            apart = from_nearest(at[:, None, :k] - own[None, :, :k] - shift) @ ideal.cell.array[:k]
            distances = np.linalg.norm(apart, axis=2)
            if layer:
                distances = np.hypot(distances, side * at[:, None, 2] - own[None, :, 2])
            distances[unlike] = 1e3
            rows, columns = linear_sum_assignment(distances)
            worst = float(distances[rows, columns].max())
            if best is None or worst < best[0] - 1e-6:
                best = worst, rows[np.argsort(columns)]
    assert best is not None
    worst, order = best
    if worst > _REACH * _bond(ideal):
        msg = f"{atoms.get_chemical_formula()}: an atom is {worst:.2f} Å from its site"
        raise ValueError(msg)
    return order


def _coordinates(atoms: Atoms, alloyed: NDArray[np.bool_], k: int) -> Floats:
    """Return fractional coordinates; of a layer the third is the height (Å) over its plane."""
    cell = atoms.cell.array[:k]
    coordinates: Floats = atoms.positions @ np.linalg.pinv(cell)
    if k == 3:
        return coordinates
    normal = np.cross(*cell)
    normal /= np.linalg.norm(normal)
    heights = (atoms.positions - atoms.positions[np.flatnonzero(alloyed)[0]]) @ normal
    if period := abs(float(atoms.cell.array[2] @ normal)):
        heights -= period * np.rint(heights / period)
    return np.column_stack([coordinates, heights - np.median(heights[alloyed])])


def _bond(ideal: Atoms) -> float:
    """Return the shortest distance of an ideal structure (Å)."""
    repeated = ideal.repeat([2 if p else 1 for p in ideal.pbc])
    distances: Floats = repeated.get_all_distances(mic=True)
    return float(distances[distances > 0.1].min())
