"""Where a Monte Carlo series is in equilibrium, read from the series itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from hea_flows.alloy.sampling.statistics import effective_samples

#: Starts that are tried, so that at most 1/STARTS of a series is discarded needlessly.
STARTS = 40


def equilibrated_from(series: ArrayLike) -> int:
    """Return the index from which a series is in equilibrium.

    The start t0 that leaves the largest number of effective samples (n − t0)/τ(t0) [1]_: samples
    kept from before equilibrium make τ long. The start is one of `STARTS` evenly spaced ones, the
    first of equals.

    Parameters
    ----------
    series
        One observable in the order of sampling, shape (n,), n ≥ 4.

    Returns
    -------
    start
        Keep ``series[start:]``. A series that drifts to its end has a start too, but few effective
        samples after it: check `effective_samples` of what is kept. A constant stretch counts as
        one sample, so a frozen chain is kept from its start.

    Raises
    ------
    ValueError
        For fewer than four samples, or samples that are not finite.

    References
    ----------
    .. [1] J. D. Chodera, J. Chem. Theory Comput. 12, 1799 (2016).
    """
    x = np.asarray(series, dtype=float)
    if x.ndim != 1 or len(x) < 4 or not np.isfinite(x).all():
        msg = f"need a series (n,) of at least 4 finite samples, got shape {x.shape}"
        raise ValueError(msg)
    starts = np.unique(np.arange(STARTS) * len(x) // STARTS)
    starts = starts[starts <= len(x) - 2]
    return int(starts[np.argmax([effective_samples(x[t:]) for t in starts])])


def equilibrated_from_all(series: Sequence[ArrayLike]) -> int:
    """Return the index from which all observables of one chain are in equilibrium.

    Parameters
    ----------
    series
        Observables of one chain, each of the same shape (n,), n ≥ 4.

    Returns
    -------
    start
        The latest of their starts; see `equilibrated_from`.

    Raises
    ------
    ValueError
        If there is none, their lengths differ, or one is too short or not finite.
    """
    lengths = sorted({np.size(x) for x in series})
    if len(lengths) != 1:
        msg = f"need observables of one chain, sampled together, got series of lengths {lengths}"
        raise ValueError(msg)
    return max(equilibrated_from(x) for x in series)
