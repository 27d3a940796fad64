"""Temperatures for replica exchange, chosen from the fluctuation of the energy."""

from __future__ import annotations

from collections.abc import Mapping
from math import erfc, sqrt

import numpy as np
from ase.units import kB
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicHermiteSpline, PchipInterpolator
from scipy.optimize import brentq


def exchange_probability(cold: tuple[float, float], hot: tuple[float, float]) -> float:
    """Return the share of accepted exchanges between replicas at two temperatures.

    An exchange is accepted with min(1, exp((β_c − β_h)(E_c − E_h))). By detailed balance those
    taken uphill are as many as those taken downhill, so that the acceptance is exactly
    2 P(E_c > E_h) + P(E_c = E_h). With Gaussian energies this is

        erfc((e_h − e_c)/sqrt(2 (v_c + v_h))),

    or erfc(σ (β_c − β_h)/2) where the total energy has one variance σ² at both temperatures
    (compare D. A. Kofke, J. Chem. Phys. 117, 6911 (2002)).

    Parameters
    ----------
    cold, hot
        Mean e and variance v of the energy at the lower and at the higher temperature; per cell
        or per unit (the variance of the energy per unit then), which is the same.

    Returns
    -------
    acceptance
        Between 0 and 1; 1 if the means are not in the order of the temperatures.
    """
    rise, spread = hot[0] - cold[0], sqrt(2 * (cold[1] + hot[1]))
    if rise <= 0:
        return 1.0
    return erfc(rise / spread) if spread > 0 else 0.0


def ladder(
    energies_by_temperature: Mapping[float, tuple[float, float]],
    n_units: int,
    lowest: float,
    highest: float,
    acceptance: float = 0.3,
) -> list[float]:
    """Return temperatures between which replicas are exchanged at about one rate.

    Between the temperatures measured, the mean is a monotone cubic in β whose slope is the
    variance, de/dβ = −N v, and ln v is a monotone cubic in β. From `lowest` upwards, each
    temperature is where `exchange_probability` has fallen to `acceptance`; the acceptance is then
    raised a little, to the value with which the last temperature is `highest`.

    Parameters
    ----------
    energies_by_temperature
        Mean (eV/unit) and variance (eV²/unit²) of the energy per formula unit by temperature (K),
        at two or more temperatures that enclose the ladder.
    n_units
        Formula units N of the supercell.
    lowest, highest
        Ends of the ladder (K).
    acceptance
        Least acceptance wanted between neighbours, between 0 and 1.

    Returns
    -------
    temperatures
        Rising from `lowest` to `highest` (K), both included.

    Raises
    ------
    ValueError
        If the ends lie outside of what was measured or are not rising, the acceptance is not
        between 0 and 1, or a variance is not positive.
    """
    measured = sorted(energies_by_temperature)
    if len(measured) < 2 or not 0 < measured[0] <= lowest < highest <= measured[-1] < np.inf:
        msg = (
            f"a ladder from {lowest} to {highest} K needs energies at two or more temperatures "
            f"that enclose it, got {measured} K"
        )
        raise ValueError(msg)
    if not 0 < acceptance < 1 or n_units < 1:
        msg = f"acceptance must lie in (0, 1) and n_units be 1 or more: {acceptance}, {n_units}"
        raise ValueError(msg)
    means, variances = np.array([energies_by_temperature[t] for t in measured]).T
    if not (np.isfinite(means).all() and np.isfinite(variances).all() and (variances > 0).all()):
        msg = (
            "every temperature needs a finite mean and a variance above 0, got "
            f"{dict(energies_by_temperature)}; leave out those where the chain stood still"
        )
        raise ValueError(msg)
    betas = 1 / (kB * np.array(measured))
    mean = monotone_energy_curve(betas[::-1], means[::-1], variances[::-1], n_units)
    log_variance = PchipInterpolator(betas[::-1], np.log(variances[::-1]))

    def at(beta: float) -> tuple[float, float]:
        return float(mean(beta)), float(np.exp(log_variance(beta)))

    first, last = 1 / (kB * lowest), 1 / (kB * highest)

    def climb(rate: float, steps: float) -> list[float]:
        """Inverse temperatures from the first, each exchanged with the one before at `rate`."""
        rungs = [first]
        while len(rungs) <= steps and exchange_probability(at(rungs[-1]), at(last)) < rate:
            cold = at(rungs[-1])
            rungs.append(
                brentq(lambda b, c=cold: exchange_probability(c, at(b)) - rate, last, rungs[-1])
            )
        return rungs

    steps = len(climb(acceptance, np.inf)) - 1
    if steps == 0:
        return [float(lowest), float(highest)]

    def excess(rate: float) -> float:
        return exchange_probability(at(climb(rate, steps)[-1]), at(last)) - rate

    rate = acceptance if excess(acceptance) <= 0 else brentq(excess, acceptance, 1 - 1e-9)
    inner = [float(1 / (kB * beta)) for beta in climb(rate, steps)[1:]]
    return [float(lowest), *inner, float(highest)]


def monotone_energy_curve(
    betas: ArrayLike, energies: ArrayLike, variances: ArrayLike, n_units: int
) -> CubicHermiteSpline:
    """Return e(β) as cubic Hermite pieces with the slopes −N var(e), never rising with β.

    A slope steeper than three times the mean slope of a neighbouring piece is cut to that, which
    is enough for the curve to be monotone (Fritsch and Carlson, SIAM J. Numer. Anal. 17, 238
    (1980)); energies that noise has put in the wrong order are set level.

    Parameters
    ----------
    betas
        Inverse temperatures (1/eV), rising, shape (n,), n ≥ 2.
    energies
        Mean energies (eV/unit), shape (n,).
    variances
        Variances of the energy per unit (eV²/unit²), shape (n,).
    n_units
        Formula units N of the supercell.
    """
    beta, e = np.asarray(betas, dtype=float), np.asarray(energies, dtype=float)
    e = np.minimum.accumulate(e)
    secants: NDArray[np.float64] = np.diff(e) / np.diff(beta)
    limit = 3 * np.maximum(np.append(secants, -np.inf), np.append(-np.inf, secants))
    return CubicHermiteSpline(beta, e, np.maximum(-n_units * np.asarray(variances), limit))
