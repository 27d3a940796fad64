"""The mean energy as a curve in inverse temperature, between the temperatures sampled."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicHermiteSpline


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
