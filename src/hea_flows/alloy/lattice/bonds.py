"""Bonds between neighbouring alloyed sites, and how many there are of each kind."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hea_flows.alloy.lattice.ordering import coset_index, hermite_normal_form, lattice_points
from hea_flows.alloy.lattice.prototypes import Alloy

#: Squared lengths (in units of a²) are compared as integers in this resolution.
_RESOLUTION = 1_000_000


def shell_vectors(alloy: Alloy, shell: int = 1) -> NDArray[np.int64]:
    """Return one lattice vector of each ± pair of a neighbour shell of the alloyed sublattice.

    Parameters
    ----------
    alloy
        The host; a layer has in-plane neighbours only.
    shell
        Shell in the order of distance, 1 for nearest neighbours.

    Returns
    -------
    vectors
        Integer vectors in the primitive basis, shape (z/2, 3) for coordination number z.

    Raises
    ------
    ValueError
        If `shell` is below 1.
    """
    if shell < 1:
        msg = f"shell is counted from 1 (nearest neighbours), got {shell}"
        raise ValueError(msg)
    dim = 2 if alloy.host.layer else 3
    basis = np.array(alloy.host.vectors)[:dim, :dim]
    gram = np.rint(basis @ basis.T * _RESOLUTION).astype(np.int64)
    # A box of ±reach cells holds every lattice vector up to reach times the smallest distance
    # between opposite faces of the primitive cell.
    height = float(1 / np.linalg.norm(np.linalg.inv(basis), axis=0).max())
    reach = shell
    while True:
        box = np.array(list(np.ndindex(*[2 * reach + 1] * dim)), dtype=np.int64) - reach
        box = box[len(box) // 2 + 1 :]  # lexicographically positive: one of each ± pair
        lengths = np.einsum("vi,ij,vj->v", box, gram, box)
        shells = np.unique(lengths)
        if len(shells) >= shell and shells[shell - 1] <= (reach * height) ** 2 * _RESOLUTION:
            break
        reach += 1
    vectors = np.zeros((int((lengths == shells[shell - 1]).sum()), 3), dtype=np.int64)
    vectors[:, :dim] = box[lengths == shells[shell - 1]]
    return vectors


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
        Shell in the order of distance, 1 for nearest neighbours.

    Returns
    -------
    pairs
        Site indices in `lattice_points` order, as in `Ordering.species`, shape (n z/2, 2) for n
        sites of coordination number z: 3 bonds per site on the triangular lattice, 6 on fcc.
    """
    matrix = np.array(supercell, dtype=np.int64)
    hnf, points = hermite_normal_form(matrix), lattice_points(matrix)
    sites = np.arange(len(points))
    bonds = [
        np.stack([sites, coset_index(points + v, hnf)], axis=1) for v in shell_vectors(alloy, shell)
    ]
    return np.concatenate(bonds)


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
