"""Order parameters from bond counts: pair correlation values and Warren-Cowley parameters."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def correlation_matrix(counts: ArrayLike) -> NDArray[np.float64]:
    """Return correlation values from bond counts.

    CV_AB = (N_AA + N_BB − N_AB)/N_total for A ≠ B and CV_AA = N_AA/N_total − 1/n², which vanish
    on average for a random equimolar decoration of n species.

    Parameters
    ----------
    counts
        Symmetric bond counts of `bond_counts`, or a stack of them, shape (..., n, n).

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


def warren_cowley_matrix(counts: ArrayLike, shares: ArrayLike) -> NDArray[np.float64]:
    """Return Warren-Cowley parameters α_AB = 1 − P(B | neighbour of A)/c_B from bond counts.

    Parameters
    ----------
    counts
        Symmetric bond counts of `bond_counts`, or a stack of them, shape (..., n, n).
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
