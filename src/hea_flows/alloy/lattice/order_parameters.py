"""Order parameters of a decoration: bonds of a shell, pair correlation values, Warren-Cowley."""

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


def count_matrix(codes: ArrayLike, pairs: NDArray[np.int64], n: int) -> NDArray[np.int64]:
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


def correlation_matrix(counts: ArrayLike) -> NDArray[np.float64]:
    """Return correlation values from bond counts.

    CV_AB = (N_AA + N_BB − N_AB)/N_total for A ≠ B and CV_AA = N_AA/N_total − 1/n², which vanish
    on average for a random equimolar decoration of n species.

    Parameters
    ----------
    counts
        Symmetric bond counts of `count_matrix`, or a stack of them, shape (..., n, n).

    Returns
    -------
    values
        Dimensionless, shape (..., n, n), symmetric.
    """
    c = np.asarray(counts, dtype=float)
    n = c.shape[-1]
    like = np.diagonal(c, axis1=-2, axis2=-1)
    total = ((c.sum(axis=(-2, -1)) + like.sum(axis=-1)) / 2)[..., None, None]
    values: NDArray[np.float64] = (like[..., :, None] + like[..., None, :] - c) / total
    diagonal = np.arange(n)
    values[..., diagonal, diagonal] = like / total[..., 0] - 1 / n**2
    return values


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
        msg = f"species {unknown} are not among the elements {list(elements)} of the pair counts"
        raise ValueError(msg)
    return np.array([index[s] for s in species], dtype=np.int64)


def pair_labels(elements: Sequence[str]) -> list[str]:
    """Return the labels "A-B" of all pairs, like ones included, in the order of `elements`."""
    return [f"{a}-{b}" for i, a in enumerate(elements) for b in elements[i:]]


def by_label(
    matrix: NDArray[np.float64], elements: Sequence[str]
) -> dict[str, NDArray[np.float64]]:
    """Return the upper triangle of matrices (..., n, n) by pair label, each of shape (...)."""
    rows, columns = np.triu_indices(len(elements))
    return {
        label: matrix[..., i, j]
        for label, i, j in zip(pair_labels(elements), rows, columns, strict=True)
    }


def pair_counts(
    species: Sequence[str], pairs: NDArray[np.int64], elements: Sequence[str] | None = None
) -> dict[str, int]:
    """Return the number of bonds of each kind of pair.

    Parameters
    ----------
    species
        Element on each site, in `lattice_points` order.
    pairs
        Bonds from `neighbour_pairs`, shape (P, 2).
    elements
        Elements to count, in the order that labels follow; default those present, sorted.

    Returns
    -------
    counts
        N_AB by label "A-B"; they sum to P.

    Raises
    ------
    ValueError
        If a species is not among `elements`.
    """
    elements = sorted(set(species)) if elements is None else elements
    counts = count_matrix(species_codes(species, elements), pairs, len(elements))
    return {k: int(v) for k, v in by_label(counts.astype(float), elements).items()}


def correlation_values(
    species: Sequence[str], pairs: NDArray[np.int64], elements: Sequence[str]
) -> dict[str, float]:
    """Return the pair correlation values of one decoration.

    CV_AB = (N_AA + N_BB − N_AB)/N_total for A ≠ B, CV_AA = N_AA/N_total − 1/n², with N_total all
    bonds and n the number of `elements`. Positive values mean that like neighbours prevail.

    Parameters
    ----------
    species
        Element on each site, in `lattice_points` order.
    pairs
        Bonds from `neighbour_pairs`, shape (P, 2).
    elements
        The n elements of the alloyed sublattice; labels follow their order.

    Returns
    -------
    values
        Dimensionless, by label "A-B".

    Raises
    ------
    ValueError
        If a species is not among `elements`.
    """
    counts = count_matrix(species_codes(species, elements), pairs, len(elements))
    return {k: float(v) for k, v in by_label(correlation_matrix(counts), elements).items()}


def warren_cowley_matrix(counts: ArrayLike, shares: ArrayLike) -> NDArray[np.float64]:
    """Return Warren-Cowley parameters α_AB = 1 − P(B | neighbour of A)/c_B from bond counts.

    Parameters
    ----------
    counts
        Symmetric bond counts of `count_matrix`, or a stack of them, shape (..., n, n).
    shares
        Concentrations c of the n species, positive, shape (n,).

    Returns
    -------
    parameters
        Dimensionless, shape (..., n, n), symmetric: 0 for a random decoration.
    """
    ends = np.array(counts, dtype=float)
    diagonal = np.arange(ends.shape[-1])
    ends[..., diagonal, diagonal] *= 2  # a like bond has two ends of the same kind
    total = ends.sum(axis=(-2, -1))[..., None, None]
    c = np.asarray(shares, dtype=float)
    values: NDArray[np.float64] = 1 - ends / total / np.outer(c, c)
    return values


def warren_cowley(species: Sequence[str], pairs: NDArray[np.int64]) -> dict[str, float]:
    """Return the Warren-Cowley parameters α_AB = 1 − P(B | neighbour of A)/c_B.

    Parameters
    ----------
    species
        Element on each site, in `lattice_points` order.
    pairs
        Bonds from `neighbour_pairs`, shape (P, 2).

    Returns
    -------
    parameters
        By label "A-B" of the elements present, like pairs included: 0 for a random decoration,
        negative where A and B are neighbours more often than by chance.
    """
    elements = sorted(set(species))
    codes = species_codes(species, elements)
    share = np.bincount(codes, minlength=len(elements)) / len(codes)
    alpha = warren_cowley_matrix(count_matrix(codes, pairs, len(elements)), share)
    return {k: float(v) for k, v in by_label(alpha, elements).items()}
