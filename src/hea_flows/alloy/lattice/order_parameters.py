"""Order parameters from bond counts, zero for a random decoration of the same finite cell."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def own_image_share(pairs: NDArray[np.int64]) -> float:
    """Return the share of bonds (P, 2) that join a site with its own image, as in small cells."""
    return float((pairs[:, 0] == pairs[:, 1]).mean())


def random_bond_shares(numbers: ArrayLike, own_images: float = 0.0) -> Floats:
    """Return the mean share of bonds of each kind over all decorations of a cell.

    Two sites of a cell hold A and A with probability x_A (N x_A − 1)/(N − 1), a site and its image
    with x_A.

    Parameters
    ----------
    numbers
        Sites of each of n elements, shape (..., n).
    own_images
        Of `own_image_share`.

    Returns
    -------
    shares
        N_AB/N_pairs in both triangles, N_AA/N_pairs on the diagonal, shape (..., n, n).
    """
    sites = np.asarray(numbers, dtype=float)
    total = sites.sum(axis=-1)[..., None, None]
    own = sites[..., :, None] * np.eye(sites.shape[-1])
    ordered = sites[..., :, None] * sites[..., None, :] - own
    ends = own_images * own / total + (1 - own_images) * ordered / (
        total * np.maximum(total - 1, 1)
    )
    shares: Floats = ends * (2 - np.eye(sites.shape[-1]))
    return shares


def correlation_matrix(counts: ArrayLike, numbers: ArrayLike, own_images: float = 0.0) -> Floats:
    """Return correlation values (CV) from bond counts.

    CV_AA is N_AA/N_pairs and CV_AB is (N_AA + N_BB − N_AB)/N_pairs, each less its mean over all
    decorations of the same cell and composition, so that they vanish without order. In the infinite
    alloy those means are x_A² and x_A² + x_B² − 2 x_A x_B; at equal parts of n elements these are
    the 1/n² and 0 of the paper, whose CV of a finite cell are therefore not zero without order.

    Parameters
    ----------
    counts
        Symmetric bond counts of `bond_counts`, or a stack of them, shape (..., n, n).
    numbers
        Sites of each element, shape (n,) or (..., n).
    own_images
        Of `own_image_share`.

    Returns
    -------
    values
        Dimensionless, shape (..., n, n), symmetric.
    """
    excess = _excess(counts, numbers, own_images)
    like = np.diagonal(excess, axis1=-2, axis2=-1)
    values: Floats = like[..., :, None] + like[..., None, :] - excess
    return values


def warren_cowley_matrix(counts: ArrayLike, numbers: ArrayLike, own_images: float = 0.0) -> Floats:
    """Return Warren-Cowley parameters α_AB = 1 − P(B | neighbour of A)/x_B from bond counts.

    From each its mean over all decorations of the same cell and composition is taken, which
    vanishes in the infinite alloy only: without it, α of a random cell of twelve sites with two
    elements is ±1/11. Like and unlike pairs are on one scale, whatever the composition.

    Parameters
    ----------
    counts, numbers, own_images
        As in `correlation_matrix`.

    Returns
    -------
    parameters
        Dimensionless, shape (..., n, n), symmetric; not a number for an element without a site.
    """
    sites = np.asarray(numbers, dtype=float)
    x = sites / sites.sum(axis=-1, keepdims=True)
    ends = _excess(counts, numbers, own_images) / (2 - np.eye(sites.shape[-1]))
    with np.errstate(divide="ignore", invalid="ignore"):
        values: Floats = -ends / (x[..., :, None] * x[..., None, :])
    return values


def _excess(counts: ArrayLike, numbers: ArrayLike, own_images: float) -> Floats:
    """Return the share of bonds of each kind less that of random decorations, (..., n, n)."""
    c = np.asarray(counts, dtype=float)
    total = np.triu(c).sum(axis=(-2, -1))[..., None, None]
    excess: Floats = c / total - random_bond_shares(numbers, own_images)
    return excess
