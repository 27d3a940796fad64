"""Cluster expansions fitted to labels of a few supercells, their cutoffs by cross-validation."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import null_space

from hea_flows.alloy.clusters.host_expansion import (
    HostExpansion,
    host_space,
    linear,
    pure_vectors,
    vectors_of,
)
from hea_flows.alloy.clusters.space import neighbour_distance
from hea_flows.alloy.lattice import Alloy, Ordering

#: Cutoffs that are tried, in distances of nearest alloyed sites: pairs, then triplets, then
#: quadruplets. The first is always tried, others with no more free parameters than energies.
CUTOFFS: tuple[tuple[float, ...], ...] = (
    (1.1,),
    (1.8,),
    (2.1,),
    (2.7,),
    (1.8, 1.1),
    (2.1, 1.1),
    (2.7, 1.1),
    (2.1, 1.8),
    (2.7, 1.8),
    (2.1, 1.1, 1.1),
    (2.7, 1.8, 1.1),
)
#: Strengths of the ridge that are tried, for mixing energies of standard deviation 1; the first
#: one leaves energies that can be fitted as they are.
RIDGES = (1e-10, 1e-4, 1e-2, 1.0)
#: Parts of the energies that are left out in turn.
FOLDS = 10
#: A larger space has to be better by this part; below the floor (eV per unit) all are exact.
_GAIN, _FLOOR = 0.01, 1e-9

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class HostFit:
    """A fitted expansion, and its errors of mixing energies (eV per unit, root mean square).

    Parameters
    ----------
    expansion
        The expansion.
    ridge
        Strength of the ridge that was chosen.
    rmse
        Of the energies it was fitted to.
    cv_rmse
        Of energies that were left out, by cross-validation.
    n
        Number of energies, end points apart.
    """

    expansion: HostExpansion
    ridge: float
    rmse: float
    cv_rmse: float
    n: int


def fit_host_expansion(
    alloy: Alloy,
    orderings: Sequence[Ordering],
    energies: ArrayLike,
    seed: int,
    cutoffs: Sequence[float] | None = None,
) -> HostFit:
    """Fit an expansion to energies: exact for end points, ridge regression of mixing energies.

    What the energies do not determine is 0, an ideal mixture's. Cutoffs, of `CUTOFFS`, and the
    strength of the ridge, of `RIDGES`, are those of the least error in cross-validation
    (trainstation), of as many folds as there are energies, at most `FOLDS`. The smaller space is
    taken where a larger one does not improve on it by 1 %. The smallest one goes through all
    energies, without a ridge, if they are less than twice its free parameters.

    Parameters
    ----------
    alloy
        The host.
    orderings
        Decorations, the end points of all its elements among them.
    energies
        Their energies (eV per cell), shape (B,).
    seed
        Of the folds.
    cutoffs
        Cutoffs to take in place of `CUTOFFS`, in distances of nearest alloyed sites.

    Raises
    ------
    ValueError
        If an end point is missing, or there are fewer than two energies besides.
    """
    chosen, y, pure = _mixing(alloy, orderings, np.asarray(energies, dtype=float))
    best: _Candidate | None = None
    for trial in [tuple(cutoffs)] if cutoffs else _reachable(alloy):
        candidate = _candidate(alloy, trial, chosen, y, seed, first=best is None)
        if candidate and (best is None or candidate.cv_rmse < (1 - _GAIN) * best.cv_rmse - _FLOOR):
            best = candidate
    assert best is not None  # the first candidate
    residual = best.vectors @ best.parameters - y
    space = host_space(alloy, best.cutoffs)
    expansion = HostExpansion(alloy, best.cutoffs, best.parameters + linear(space, alloy, pure))
    rmse = float(np.sqrt(np.mean(residual**2)))
    return HostFit(expansion, best.ridge, rmse, best.cv_rmse, len(y))


def _mixing(
    alloy: Alloy, orderings: Sequence[Ordering], energies: Floats
) -> tuple[list[Ordering], Floats, Floats]:
    """Return mixed decorations, their mixing energies, and those of the end points (eV per unit).

    Of several cells of an end point the smallest counts.
    """
    n_sites = np.array([o.n_sites for o in orderings])
    per_unit = energies / n_sites
    if not np.isfinite(per_unit).all():
        msg = "a cluster expansion needs finite energies"
        raise ValueError(msg)
    ends: dict[str, float] = {}
    for i in np.argsort(n_sites, kind="stable"):
        if len(orderings[i].counts) == 1:
            ends.setdefault(orderings[i].species[0], float(per_unit[i]))
    if missing := [e for e in alloy.elements if e not in ends]:
        msg = (
            f"a cluster expansion needs the end points of all elements; none of "
            f"{', '.join(missing)} is among the {len(orderings)} energies"
        )
        raise ValueError(msg)
    mixed = [i for i, o in enumerate(orderings) if len(o.counts) > 1]
    if len(mixed) < 2:
        msg = (
            "a cluster expansion needs two energies of mixed structures or more besides those of "
            f"the end points, got {len(mixed)}"
        )
        raise ValueError(msg)
    pure = np.array([ends[e] for e in alloy.elements])
    chosen = [orderings[i] for i in mixed]
    shares = np.array([[o.species.count(e) for e in alloy.elements] for o in chosen])
    return chosen, per_unit[mixed] - shares @ pure / n_sites[mixed], pure


def _reachable(alloy: Alloy) -> list[tuple[float, ...]]:
    """Return the cutoffs that do not reach the next image of a layer; at least the first."""
    height = float(alloy.primitive().cell[2, 2]) if alloy.host.layer else np.inf
    return [c for c in CUTOFFS if c == CUTOFFS[0] or max(c) * neighbour_distance(alloy) < height]


@dataclass(frozen=True)
class _Candidate:
    """Cutoffs and ridge with their error, and the parameters of the mixing energy."""

    cutoffs: tuple[float, ...]
    ridge: float
    cv_rmse: float
    vectors: Floats
    parameters: Floats


def _candidate(
    alloy: Alloy,
    cutoffs: tuple[float, ...],
    orderings: Sequence[Ordering],
    y: Floats,
    seed: int,
    *,
    first: bool,
) -> _Candidate | None:
    """Return the best fit of some cutoffs; None where energies are too few for them."""
    from trainstation import CrossValidationEstimator  # loads scikit-learn

    space = host_space(alloy, cutoffs)
    n_free = len(space) - len(alloy.elements)
    if n_free > len(y) and not first:
        return None
    # With few energies, what one of them alone determines cannot be left out to judge the ridge.
    ridges = RIDGES[:1] if first and len(y) < 2 * n_free else RIDGES
    vectors = vectors_of(space, alloy, orderings)
    free = null_space(pure_vectors(space, alloy))  # mixing energies vanish at the end points
    scale = float(np.sqrt(np.mean(y**2))) or 1.0
    best: _Candidate | None = None
    for ridge in ridges:
        with _quiet():
            estimator = CrossValidationEstimator(
                (vectors @ free, y / scale),
                fit_method="ridge",
                alpha=ridge,
                solver="svd",
                standardize=False,
                check_condition=False,
                n_splits=min(FOLDS, len(y)),
                seed=seed,
            )
            estimator.validate()
            estimator.train()
        off = estimator.scatter_data_validation
        error = scale * float(np.sqrt(np.mean((off.target - off.predicted) ** 2)))
        if best is None or error < best.cv_rmse:
            parameters = scale * (free @ estimator.parameters)
            best = _Candidate(cutoffs, ridge, error, vectors, parameters)
    return best


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep trainstation from telling of few energies and of exact fits, which are no faults."""
    logger = logging.getLogger("trainstation")
    before = logger.disabled
    logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "R\\^2 score is not well-defined")
            warnings.filterwarnings("ignore", "divide by zero encountered in log", RuntimeWarning)
            yield
    finally:
        logger.disabled = before
