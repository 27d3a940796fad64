"""Whether a relaxed structure is still the ordering that it started from."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list
from numpy.typing import NDArray

from hea_flows.alloy.lattice.ordering import Ordering
from hea_flows.alloy.lattice.site_index import SiteIndex, int_matrix
from hea_flows.alloy.lattice.sites import SIZE_RATIO, STRETCH_RATIO, Sites, from_nearest

#: A metal and an anion are bonded up to this multiple of the ideal bond. The next shell of a layer
#: lies at 1.65; a strain of 5 % and a lateral shift of 0.2 Å together stretch a bond to 1.1.
BOND_REACH = 1.3
#: A metal is in the plane of its layer within this height (Å): ten times a rattle of 0.05 Å, and a
#: third of its distance from a plane of anions.
PLANE_REACH = 0.5
#: Twist (°) between the triangles of anions over and under a metal is 0 in a prism and 60 in an
#: octahedron; up to 20 from either it is called so, and the middle third neither.
TWIST_REACH = 20.0
#: |mean exp(3iθ)| of a triangle's three azimuths θ: 1 for an equilateral one, 1/3 when one anion
#: went to the next hollow; lateral shifts of 0.2 Å leave 0.96.
TRIANGLE_ORDER = 0.5
#: Second-shortest of the six distances to neighbouring metals over the ideal one. The rows of 1T'
#: have 0.81 to 0.87 (WTe2, MoS2); charge-density waves and unlike sizes stay over 0.93.
ROW_RATIO = 0.9

_PHASE = {"prismatic": "prismatic (2H)", "octahedral": "octahedral (1T)"}
Floats = NDArray[np.float64]


def phase_flags(ordering: Ordering, atoms: Atoms) -> list[str]:
    """Say how a structure left its phase, its decoration or its host; nothing if it did not.

    Rigid translations and rotations, wrapped positions and homogeneous strains below the constants
    of this module change nothing.

    Parameters
    ----------
    ordering
        What the structure started from.
    atoms
        The structure, in the order of `Ordering.to_atoms` and with the same cell vectors,
        strained or not; or those of an equivalent ordering, for labels that were stored under
        another choice of cell. All three directions count as periodic.

    Returns
    -------
    flags
        One phrase each, for example ``2 of 4 units octahedral (1T) instead of prismatic (2H)``.

    Raises
    ------
    ValueError
        If the atoms are not those of the ordering, in its order.
    """
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        return ["cell or positions are not finite numbers"]
    if abs(atoms.cell.volume) < 1e-3 * ordering.to_atoms().cell.volume:
        return ["cell without volume"]
    ordering = _in_cell_of(atoms, ordering)
    ideal = ordering.to_atoms()
    if atoms.get_chemical_symbols() != ideal.get_chemical_symbols():
        msg = (
            f"{ordering.formula} has its atoms in the order of Ordering.to_atoms "
            f"({ideal.get_chemical_formula('reduce')}), got {atoms.get_chemical_formula('reduce')}"
        )
        raise ValueError(msg)
    if flags := _cell_flags(ordering, atoms):
        return flags  # nothing else has a meaning in another lattice
    candidates = _sites(ordering, atoms)
    site_flags = [_site_flags(sites, ordering, atoms) for sites in candidates]
    best = min(range(len(candidates)), key=lambda i: len(site_flags[i]))
    sites, flags = candidates[best], site_flags[best]
    return flags + _layer_flags(ordering, ideal, atoms, sites) if _is_layer(ordering) else flags


def _is_layer(ordering: Ordering) -> bool:
    return ordering.alloy.host.layer


def _in_cell_of(atoms: Atoms, ordering: Ordering) -> Ordering:
    """Return the ordering, or the equivalent one that has the cell and the order of the atoms."""
    symbols = atoms.get_chemical_symbols()
    fits = ordering.to_atoms().get_chemical_symbols() == symbols
    if fits and not _cell_flags(ordering, atoms):
        return ordering
    n = 2 if _is_layer(ordering) else 3
    host = ordering.alloy.host
    if len(symbols) % host.atoms_per_cell:
        return ordering
    cells = len(symbols) // host.atoms_per_cell
    alloyed = ordering.alloy.alloyed_atoms(cells * host.sites_per_cell)
    species = tuple(symbols[i] for i in alloyed)
    prim = ordering.alloy.primitive().cell.array[:n, :n]
    ratio = abs(np.linalg.det(atoms.cell.array[:n, :n]) / np.linalg.det(prim)) / cells
    if ratio < 1e-3:  # turned out of the plane
        return ordering
    matrix = np.eye(3, dtype=np.int64)
    matrix[:n, :n] = np.rint(atoms.cell.array[:n, :n] @ np.linalg.inv(ratio ** (1 / n) * prim))
    if abs(round(np.linalg.det(matrix))) == cells and Counter(species) == ordering.counts:
        other = Ordering(ordering.alloy, int_matrix(matrix), species)
        if other.id == ordering.id and not (fits and _cell_flags(other, atoms)):
            return other
    return ordering


def _cell_flags(ordering: Ordering, atoms: Atoms) -> list[str]:
    """Compare stretches of the periodic directions with each other and with the ideal cell."""
    n = 2 if _is_layer(ordering) else 3
    ideal = ordering.to_atoms().cell.array
    change = np.linalg.inv(ideal[:n, :n]) @ atoms.cell.array[:n]
    stretches = np.linalg.svd(change, compute_uv=False)
    size = float(np.prod(stretches) ** (1 / n))
    if not 1 / SIZE_RATIO < size < SIZE_RATIO:
        return [f"cell {size:.2f} times as long as the ideal one"]
    ratio = float(stretches.max() / stretches.min())
    if ratio > STRETCH_RATIO:
        name = ordering.alloy.host.name
        return [f"cell strained to another lattice than {name}: stretches differ {ratio:.2f}-fold"]
    return []


def _sites(ordering: Ordering, atoms: Atoms) -> list[Sites]:
    """Return which site each alloyed atom may be on."""
    n = 2 if _is_layer(ordering) else 3
    at = _primitive_coordinates(ordering, atoms)[ordering.alloyed_atoms, :n]
    return Sites.candidates(ordering.alloy, at, ordering.lattice_constant(), ordering.supercell)


def _site_flags(sites: Sites, ordering: Ordering, atoms: Atoms) -> list[str]:
    """Compare with the decoration, and the anions of a bulk host with their sites."""
    n, flags = ordering.n_sites, []
    word = "metals" if ordering.alloy.fixed_species else "atoms"
    if len(sites.off):
        far = f"by up to {sites.off.max():.2f} Å"
        flags.append(f"{len(sites.off)} of {n} {word} off their sites {far}")
    elif not sites.whole:
        empty = n - len(set(sites.index.tolist()))
        flags.append(f"{empty} of {n} sites empty, others hold two {word}")
    elif changed := _redecorated(ordering, sites.index):
        flags.append(f"decoration changed: {changed} of {n} sites hold another element")
    host, fixed = ordering.alloy.host, ordering.alloy.fixed_elements
    if not host.layer and fixed:
        prim = ordering.lattice_constant() * ordering.alloy.vectors
        at = _primitive_coordinates(ordering, atoms) - sites.origin
        own = np.array(host.fixed_sites)
        cells = at.reshape(-1, host.atoms_per_cell, 3)
        rest = from_nearest(cells[:, host.sites_per_cell :] - own) @ prim
        lost = int((np.linalg.norm(rest, axis=2) > sites.reach).sum())
        if lost:
            what = f"{len(cells) * len(own)} {' and '.join(fixed)} atoms"
            flags.append(f"{lost} of {what} off their sites")
    return flags


def _primitive_coordinates(ordering: Ordering, atoms: Atoms) -> Floats:
    """Return positions in the strained primitive basis, shape (N, 3)."""
    fractional = atoms.positions @ np.linalg.inv(atoms.cell.array)
    coordinates: Floats = fractional @ np.array(ordering.supercell)
    return coordinates


def _redecorated(ordering: Ordering, index: NDArray[np.int64]) -> int:
    """Return how many sites changed their element; 0 if it is the same ordering, moved."""
    species = [""] * len(index)
    for site, symbol in zip(index.tolist(), ordering.species, strict=True):
        species[site] = symbol
    now = Ordering(ordering.alloy, ordering.supercell, tuple(species))
    if now.species == ordering.species or now.id == ordering.id:
        return 0
    number = SiteIndex.of(ordering.supercell, ordering.alloy.host.sites_per_cell)
    before, after = np.array(ordering.species), np.array(species)
    return min(int((after[number.translated(p)] != before).sum()) for p in number.points)


def _layer_flags(ordering: Ordering, ideal: Atoms, atoms: Atoms, sites: Sites) -> list[str]:
    """Look for a layer that buckled, lost bonds or turned its triangles of anions."""
    n, per, anion = ordering.n_sites, ordering.alloy.host.atoms_per_cell, ordering.alloy.anion
    unit = ordering.alloy.primitive(a=ordering.lattice_constant())
    reach = BOND_REACH * float(unit.get_distance(0, 1, mic=True))
    expected, wanted, _ = _polyhedra(unit, unit, per, reach)
    polyhedra, bonds, anion_bonds = _polyhedra(atoms, ideal, per, reach)

    flags = []
    normal = _normal(atoms)
    heights = (atoms.positions[::per] - atoms.positions[0]) @ normal
    period = abs(atoms.cell.array[2] @ normal)
    heights -= period * np.rint(heights / period)
    heights = np.abs(heights - np.median(heights))
    if out := int((heights > PLANE_REACH).sum()):
        far = f"by up to {heights.max():.2f} Å"
        flags.append(f"layer buckled: {out} of {n} metals off their plane {far}")
    if broken := int((bonds != wanted[0]).sum()):
        flags.append(f"layer broken: {broken} of {n} metals without their {wanted[0]} {anion}")
    if loose := int((anion_bonds == 0).sum()):
        flags.append(f"{loose} of {n * (per - 1)} {anion} atoms desorbed, bonded to no metal")

    rows = _in_rows(ordering, sites) if sites.whole else np.zeros(n, dtype=bool)
    phases = [_PHASE.get(p, "neither prismatic nor octahedral") for p in polyhedra]
    for i in np.flatnonzero(rows):
        if polyhedra[i] == "octahedral":
            phases[i] = "distorted octahedral (1T')"
    whole = [p for p, b in zip(phases, bonds, strict=True) if b == wanted[0]]
    before = _PHASE.get(expected[0], expected[0])
    return flags + [
        f"{whole.count(phase)} of {n} units {phase} instead of {before}"
        for phase in dict.fromkeys(whole)
        if phase != before
    ]


def _normal(atoms: Atoms) -> Floats:
    a, b, _ = atoms.cell.array
    normal: Floats = np.cross(a, b)
    return normal / np.linalg.norm(normal)


def _polyhedra(
    atoms: Atoms, ideal: Atoms, per: int, reach: float
) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
    """Return the polyhedron of anions around each metal, and the bonds of metals and of anions.

    Azimuths are taken in the cell of `ideal`, so that strain does not change them.
    """
    copy = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
    i, j, bonds = neighbor_list("ijD", copy, reach)
    kept = (i % per == 0) & (j % per != 0)
    i, j, bonds = i[kept] // per, j[kept], bonds[kept]
    n = len(atoms) // per
    in_plane = bonds @ np.linalg.inv(np.vstack([atoms.cell.array[:2], _normal(atoms)]))
    x, y = (in_plane[:, :2] @ ideal.cell.array[:2, :2]).T
    waves = np.exp(3j * np.arctan2(y, x))
    above = in_plane[:, 2] > 0
    triangles = np.zeros((2, n), dtype=complex)
    corners = np.zeros((2, n), dtype=np.int64)
    np.add.at(triangles, (above.astype(int), i), waves)
    np.add.at(corners, (above.astype(int), i), 1)
    triangles /= np.maximum(corners, 1)
    twist = np.degrees(np.abs(np.angle(triangles[1] * triangles[0].conj()))) / 3
    regular = (corners == 3).all(axis=0) & (np.abs(triangles) > TRIANGLE_ORDER).all(axis=0)
    names = [
        "irregular"
        if not good or TWIST_REACH < angle < 60 - TWIST_REACH
        else ("prismatic" if angle <= TWIST_REACH else "octahedral")
        for good, angle in zip(regular.tolist(), twist.tolist(), strict=True)
    ]
    own = np.bincount(j, minlength=len(atoms)).reshape(n, per)[:, 1:]
    return names, corners.sum(axis=0), own


def _in_rows(ordering: Ordering, sites: Sites) -> NDArray[np.bool_]:
    """Return which metals have two metals much nearer than in the ideal lattice, as 1T' has."""
    prim = ordering.alloy.primitive(a=ordering.lattice_constant()).cell.array[:2, :2]
    a = float(np.linalg.norm(prim[0]))
    number = SiteIndex.of(ordering.supercell, 1)
    shift = np.empty_like(sites.shift)
    shift[sites.index] = sites.shift
    distances = []
    for x, y in product((-1, 0, 1), repeat=2):
        if 0.99 * a < np.linalg.norm((x, y) @ prim) < 1.01 * a:
            other = number.translated(np.array([x, y, 0]))
            distances.append(np.linalg.norm((x, y) @ prim + shift[other] - shift, axis=1))
    second = np.sort(distances, axis=0)[1]
    near: NDArray[np.bool_] = second[sites.index] < ROW_RATIO * a
    return near
