"""Bonds between neighbouring alloyed sites, and how many there are of each kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hea_flows.alloy.lattice.prototypes import Alloy, Prototype
from hea_flows.alloy.lattice.site_index import SiteIndex

#: Squared lengths (in units of a²) that differ by less are one shell.
_RESOLUTION = 1e-5


@dataclass(frozen=True)
class Shell:
    """Bonds of a neighbour shell, one of each ± pair: from a place to one of another cell.

    Parameters
    ----------
    starts, ends
        Places of the two sites in the primitive cell, shape (B,).
    vectors
        Cell of the end as seen from that of the start, in the primitive basis, shape (B, 3).
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    vectors: NDArray[np.int64]


def neighbour_shell(host: Prototype, shell: int = 1) -> Shell:
    """Return the bonds of a shell of the alloyed sublattice, as the prototype's geometry has it.

    Parameters
    ----------
    host
        The prototype; a layer has in-plane neighbours only, and hcp the ideal c/a.
    shell
        Shell in the order of distance, 1 for nearest neighbours.

    Returns
    -------
    bonds
        m z/2 for m sites per primitive cell and coordination number z.

    Raises
    ------
    ValueError
        If `shell` is below 1.
    """
    if shell < 1:
        msg = f"shell is counted from 1 (nearest neighbours), got {shell}"
        raise ValueError(msg)
    dim = 2 if host.layer else 3
    basis, places = np.array(host.vectors)[:dim, :dim], np.array(host.alloyed_sites)[:, :dim]
    # A box of ±reach cells holds every vector between sites up to reach - 1 times the smallest
    # distance between opposite faces of the primitive cell.
    height = float(1 / np.linalg.norm(np.linalg.inv(basis), axis=0).max())
    pairs = np.array(list(product(range(len(places)), repeat=2)))
    reach = shell + 1
    while True:
        box = np.array(list(np.ndindex(*[2 * reach + 1] * dim)), dtype=np.int64) - reach
        starts, ends = np.repeat(pairs, len(box), axis=0).T
        vectors = np.tile(box, (len(pairs), 1))
        positive = np.tile(np.arange(len(box)) > len(box) // 2, len(pairs))  # lexicographically
        once = (starts < ends) | ((starts == ends) & positive)
        starts, ends, vectors = starts[once], ends[once], vectors[once]
        away = (vectors + places[ends] - places[starts]) @ basis
        lengths = (away**2).sum(axis=1)
        ordered = np.sort(lengths)
        shells = ordered[np.diff(ordered, prepend=-1.0) > _RESOLUTION]
        if len(shells) >= shell and shells[shell - 1] <= ((reach - 1) * height) ** 2:
            break
        reach += 1
    chosen = np.abs(lengths - shells[shell - 1]) < _RESOLUTION
    whole = np.zeros((int(chosen.sum()), 3), dtype=np.int64)
    whole[:, :dim] = vectors[chosen]
    return Shell(starts[chosen], ends[chosen], whole)


def neighbour_pairs(alloy: Alloy, supercell: ArrayLike, shell: int = 1) -> NDArray[np.int64]:
    """Return the bonds of one neighbour shell of the alloyed sublattice, each once.

    In a small supercell a site may be bonded to its own image, a pair (i, i), or several times
    to one other site; each of these bonds is a row of its own, as in the infinite crystal.

    Parameters
    ----------
    alloy
        The host.
    supercell
        Integer matrix, rows are supercell vectors in the primitive basis, shape (3, 3).
    shell
        Shell in the order of distance, 1 for nearest neighbours; see `neighbour_shell`.

    Returns
    -------
    pairs
        Site indices in the order of `Ordering.species`, shape (n z/2, 2) for n sites of
        coordination number z: 3 bonds per site on the triangular lattice, 6 on fcc and hcp.
    """
    number = SiteIndex.of(supercell, alloy.host.sites_per_cell)
    bonds = neighbour_shell(alloy.host, shell)
    return np.concatenate(
        [
            np.stack([number(number.points, start), number(number.points + v, end)], axis=1)
            for start, end, v in zip(bonds.starts, bonds.ends, bonds.vectors, strict=True)
        ]
    )


def species_codes(species: Sequence[str], elements: Sequence[str]) -> NDArray[np.int64]:
    """Return the position in `elements` of each site's species, shape (n_sites,).

    Raises
    ------
    ValueError
        If a species is not among `elements`, or an element is named twice.
    """
    index = {el: i for i, el in enumerate(elements)}
    if len(index) != len(elements):
        msg = f"elements must be distinct, got {list(elements)}"
        raise ValueError(msg)
    if unknown := sorted(set(species) - set(index)):
        msg = f"species {unknown} are not among the elements {list(elements)}"
        raise ValueError(msg)
    return np.array([index[s] for s in species], dtype=np.int64)


def bond_counts(codes: ArrayLike, pairs: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return the number of bonds between each two of n species, shape (n, n), symmetric.

    Parameters
    ----------
    codes
        Species of each site as an integer below n, shape (n_sites,).
    pairs
        Bonds, shape (P, 2).
    n
        Number of species.

    Returns
    -------
    counts
        N_AB of unordered pairs in both triangles, N_AA on the diagonal: the upper triangle with
        the diagonal sums to P.
    """
    c = np.asarray(codes)
    directed = np.bincount(c[pairs[:, 0]] * n + c[pairs[:, 1]], minlength=n * n).reshape(n, n)
    counts: NDArray[np.int64] = directed + directed.T
    counts[np.diag_indices(n)] //= 2
    return counts


def pair_labels(elements: Sequence[str]) -> list[str]:
    """Return the labels "A-B" of all pairs, like ones included, in the order of `elements`."""
    return [f"{a}-{b}" for i, a in enumerate(elements) for b in elements[i:]]
