"""Cluster expansions fitted to the energies of a model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hea_flows.alloy.clusters.tables import Clusters, Tables


@dataclass(frozen=True)
class Expansion:
    """A fitted cluster expansion.

    Parameters
    ----------
    parameters
        In the order of icet's cluster space (eV per unit), shape (P,).
    tables
        The expansion on the supercell.
    rmse
        Root mean square residual of the fitted energies (eV per unit).
    """

    parameters: NDArray[np.float64]
    tables: Tables
    rmse: float


def zero_expansion(clusters: Clusters) -> Expansion:
    """Return the expansion that is zero, for which all swaps are equally likely."""
    parameters = np.zeros(1 + len(clusters.functions))
    return Expansion(parameters, clusters.tables(parameters), 0.0)


def fit_expansion(clusters: Clusters, vectors: ArrayLike, energies: ArrayLike) -> Expansion:
    """Fit an expansion by Bayesian ridge regression (trainstation), which regularises itself.

    Only the smallest clusters are used, with at most half as many parameters as there are energies:
    more parameters would reproduce every fitted energy and predict no other.

    Parameters
    ----------
    clusters
        Clusters of the supercell.
    vectors
        Cluster vectors of decorations, shape (B, P).
    energies
        Their energies (eV per unit), shape (B,), B ≥ 2.

    Raises
    ------
    ValueError
        For fewer than two energies, or energies that are not finite.
    """
    x, y = np.asarray(vectors, dtype=float), np.asarray(energies, dtype=float)
    if len(y) < 2 or not np.isfinite(y).all():
        msg = f"a cluster expansion needs two finite energies or more, got {len(y)}"
        raise ValueError(msg)
    from trainstation import Optimizer  # loads scikit-learn

    used = 1 + np.argsort(clusters.sizes, kind="stable")[: max(1, len(y) // 2)]
    level, scale = float(y.mean()), float(y.std())
    parameters = np.zeros(x.shape[1])
    if np.ptp(y) == 0:  # equal energies, which cannot be scaled
        parameters[0] = y[0]
        return Expansion(parameters, clusters.tables(parameters), 0.0)
    centre = x[:, used].mean(axis=0)
    optimizer = Optimizer(
        (x[:, used] - centre, (y - level) / scale),
        fit_method="bayesian-ridge",
        train_size=1.0,
        check_condition=False,
        fit_intercept=False,
    )
    optimizer.train()
    parameters[used] = scale * optimizer.parameters
    parameters[0] = level - float(centre @ parameters[used])
    residual = x @ parameters - y
    return Expansion(parameters, clusters.tables(parameters), float(np.sqrt(np.mean(residual**2))))
