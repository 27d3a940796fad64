"""A cluster expansion that imitates a model, fitted to the model's own energies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from trainstation import Optimizer

from hea_flows.alloy.clusters.tables import Clusters, Tables


@dataclass(frozen=True)
class Surrogate:
    """A fitted cluster expansion.

    Parameters
    ----------
    parameters
        In the order of icet's cluster space (eV per unit), shape (P,).
    tables
        The same on the supercell.
    rmse
        Root mean square residual of the fitted energies (eV per unit).
    """

    parameters: NDArray[np.float64]
    tables: Tables
    rmse: float


def flat(clusters: Clusters) -> Surrogate:
    """Return the expansion that is zero: every swap it proposes is as likely as any other."""
    parameters = np.zeros(1 + len(clusters.functions))
    return Surrogate(parameters, clusters.tables(parameters), 0.0)


def fit(clusters: Clusters, vectors: ArrayLike, energies: ArrayLike) -> Surrogate:
    """Fit an expansion by Bayesian ridge regression (trainstation), which regularises itself.

    With few energies only the smallest clusters take part, half as many parameters as energies:
    more would pass through every energy and predict none.

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
    used = 1 + np.argsort(clusters.sizes, kind="stable")[: max(1, len(y) // 2)]
    level, scale = float(y.mean()), float(y.std())
    parameters = np.zeros(x.shape[1])
    if np.ptp(y) == 0:  # one energy for all, which no regression scales
        parameters[0] = y[0]
        return Surrogate(parameters, clusters.tables(parameters), 0.0)
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
    return Surrogate(parameters, clusters.tables(parameters), float(np.sqrt(np.mean(residual**2))))
