"""Errors of averages over correlated samples, and convergence of several chains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase.units import kB
from numpy.typing import ArrayLike, NDArray
from scipy.fft import irfft, next_fast_len, rfft


@dataclass(frozen=True)
class BlockedMean:
    """Mean of a correlated series with the standard error of that mean.

    Parameters
    ----------
    mean
        Mean of all samples, in the unit of the series.
    error
        Standard error of the mean, in the same unit.
    error_of_error
        Standard error of `error`.
    block_size
        Samples per block at which the error was read.
    converged
        True if the blocks are long against the correlation time; otherwise `error` is only a
        lower bound and the chain too short.
    """

    mean: float
    error: float
    error_of_error: float
    block_size: int
    converged: bool


def _series(samples: ArrayLike, minimum: int) -> NDArray[np.float64]:
    x = np.array(samples, dtype=float)
    if x.ndim != 1 or len(x) < minimum or not np.isfinite(x).all():
        msg = f"need a series (n,) of at least {minimum} finite samples, got shape {x.shape}"
        raise ValueError(msg)
    return x


def blocked_mean(samples: ArrayLike) -> BlockedMean:
    """Return the mean of a correlated series and its error by blocking.

    Neighbouring samples are averaged in pairs again and again [1]_; the error is read at the
    first block size b with b³ > 2 n (error_b/error_1)⁴ [2]_, n being the number of samples, or
    at the largest error found where no level satisfies it.

    Parameters
    ----------
    samples
        Samples in the order they were drawn, shape (n,), n ≥ 2.

    Raises
    ------
    ValueError
        For fewer than two samples, or samples that are not finite.

    References
    ----------
    .. [1] H. Flyvbjerg and H. G. Petersen, J. Chem. Phys. 91, 461 (1989).
    .. [2] R. M. Lee et al., Phys. Rev. E 83, 066706 (2011).
    """
    x = _series(samples, 2)
    mean, n = float(x.mean()), len(x)
    if np.ptp(x) == 0:
        return BlockedMean(mean, 0.0, 0.0, 1, converged=False)
    size, levels = 1, []
    while len(x) >= 2:
        error = float(x.std(ddof=1) / np.sqrt(len(x)))
        level = BlockedMean(mean, error, error / np.sqrt(2 * (len(x) - 1)), size, converged=True)
        levels.append(level)
        if size**3 > 2 * n * (error / levels[0].error) ** 4:
            return level
        x = x[len(x) % 2 :].reshape(-1, 2).mean(axis=1)
        size *= 2
    worst = max(levels, key=lambda level: level.error)
    return BlockedMean(mean, worst.error, worst.error_of_error, worst.block_size, converged=False)


def autocorrelation_time(samples: ArrayLike, window: float = 5.0) -> float:
    """Return the integrated autocorrelation time τ = 1 + 2 Σ ρ(t) in samples.

    The error of the mean of n samples of variance σ² is sqrt(σ² τ/n). The sum stops at the first
    t ≥ `window` max(τ(t)/2, 1), τ/2 being the decay time of an exponential (Sokal).

    Parameters
    ----------
    samples
        Samples in the order they were drawn, shape (n,), n ≥ 2.
    window
        Self-consistent window in units of τ/2: longer means less bias and more noise.

    Returns
    -------
    tau
        1 for independent samples, nan for a constant series, whose correlation is unknown.

    Raises
    ------
    ValueError
        For fewer than two samples, or samples that are not finite.
    """
    x = _series(samples, 2)
    x -= x.mean()
    if np.ptp(x) == 0:
        return float("nan")
    n = len(x)
    size = next_fast_len(2 * n, real=True)
    rho = irfft(np.abs(rfft(x, size)) ** 2, size)[:n] / np.arange(n, 0, -1)
    tau = 2 * np.cumsum(rho / rho[0]) - 1
    inside = np.flatnonzero(np.arange(n) >= window * np.maximum(tau / 2, 1))
    return float(tau[inside[0]] if len(inside) else tau[-1])


def effective_samples(samples: ArrayLike) -> float:
    """Return the number n/τ of independent samples that a series of n is worth.

    Parameters
    ----------
    samples
        Samples in the order they were drawn, shape (n,), n ≥ 2.

    Returns
    -------
    number
        Between 1 and n: τ of `autocorrelation_time` below 1 counts as 1, and a constant series,
        which shows nothing of its correlation, as one sample.

    Raises
    ------
    ValueError
        For fewer than two samples, or samples that are not finite.
    """
    tau, n = autocorrelation_time(samples), np.size(samples)
    return float(n / min(max(tau, 1.0), n)) if np.isfinite(tau) else 1.0


def r_hat(chains: ArrayLike) -> float:
    """Return the split potential scale reduction factor of several chains.

    Each chain is cut in half, so that one chain that drifts is noticed too. With W the mean
    variance within the halves and B/n the variance between their means (n samples each),
    R-hat = sqrt(((n − 1)/n W + B/n)/W) (Gelman and Rubin; split after Vehtari et al. 2021).

    Parameters
    ----------
    chains
        Samples, shape (m, n), m ≥ 1 chains of n ≥ 4 samples of one quantity.

    Returns
    -------
    value
        1 if all halves agree; above about 1.01 to 1.1 they do not sample one distribution yet.
        inf if they are constant at different values, nan if all are the same constant.

    Raises
    ------
    ValueError
        For fewer than four samples per chain, or samples that are not finite.
    """
    x = np.array(chains, dtype=float)
    if x.ndim != 2 or x.shape[1] < 4 or x.shape[0] < 1 or not np.isfinite(x).all():
        msg = f"need finite chains of shape (m, n) with n of at least 4, got shape {x.shape}"
        raise ValueError(msg)
    half = x.shape[1] // 2
    halves = np.concatenate([x[:, :half], x[:, -half:]])
    if (np.ptp(halves, axis=1) == 0).all():
        return float("nan") if np.ptp(halves) == 0 else float("inf")
    within = float(halves.var(axis=1, ddof=1).mean())
    between = float(halves.mean(axis=1).var(ddof=1))
    return float(np.sqrt((half - 1) / half + between / within))


def heat_capacity(energies: ArrayLike, temperature: float, n_units: int) -> tuple[float, float]:
    """Return the configurational heat capacity of a canonical chain and its error.

    C/k_B = N var(e)/(k_B T)² per formula unit, for the energy e per unit of N units. The variance
    is the mean of the squared fluctuation; its error is that of a correlated series (blocking).
    Over n effective samples the variance comes out too small by its n-th part, which is less
    than its error, sqrt(2/n) of it, unless n is about two.

    Parameters
    ----------
    energies
        Equilibrated energies (eV/unit) in the order of sampling, shape (n,), n ≥ 2.
    temperature
        K.
    n_units
        Formula units N of the supercell.

    Returns
    -------
    value, error
        In k_B per formula unit; both 0 if the energy never changed.

    Raises
    ------
    ValueError
        For fewer than two samples or samples that are not finite, a temperature that is not
        positive and finite, or no formula unit.
    """
    if not 0 < temperature < np.inf or n_units < 1:
        msg = (
            "need a finite temperature above 0 K and at least one formula unit, got "
            f"{temperature} K and {n_units}"
        )
        raise ValueError(msg)
    e = np.array(energies, dtype=float)
    if e.ndim != 1 or len(e) < 2 or not np.isfinite(e).all():
        msg = f"need energies (n,) of at least 2 finite samples, got shape {e.shape}"
        raise ValueError(msg)
    e -= e[0]
    fluctuation = blocked_mean((e - e.mean()) ** 2)
    scale = n_units / (kB * temperature) ** 2
    return scale * fluctuation.mean, scale * fluctuation.error
