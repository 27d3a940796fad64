"""Free energy and entropy by thermodynamic integration from infinite temperature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase.units import kB
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline

Array = NDArray[np.float64]


@dataclass(frozen=True)
class FreeEnergy:
    """Configurational free energy and entropy per formula unit at the temperatures sampled.

    Parameters
    ----------
    temperatures
        K, in the order given, shape (n,).
    free_energies, errors
        F and its standard error (eV/unit), relative to what the energies are relative to.
    entropies, entropy_errors
        S = (E − F)/T and its standard error (eV/K per unit).
    """

    temperatures: Array
    free_energies: Array
    errors: Array
    entropies: Array
    entropy_errors: Array


def _weights(betas: Array) -> tuple[Array, Array]:
    """Return what values and slopes at the knots give to the integrals from the first to each.

    Of cubic Hermite pieces, ∫ = h/2 (e_0 + e_1) + h²/12 (e'_0 − e'_1), each of shape (n, n).
    """
    h = np.diff(betas)
    values, slopes = np.zeros((2, len(betas), len(betas)))
    for i, step in enumerate(h):
        values[i + 1 :, i : i + 2] += step / 2
        slopes[i + 1 :, i] += step**2 / 12
        slopes[i + 1 :, i + 1] -= step**2 / 12
    return values, slopes


def free_energy(
    temperatures: ArrayLike,
    energies: ArrayLike,
    errors: ArrayLike,
    entropy_infinite: float,
    energy_infinite: float,
    error_infinite: float = 0.0,
    *,
    variances: ArrayLike | None = None,
    variance_infinite: float | None = None,
    n_units: int | None = None,
) -> FreeEnergy:
    """Return F and S per formula unit along a ladder of temperatures.

    βF(β) = −S_∞/k_B + ∫_0^β e dβ', with e piecewise cubic in β between the temperatures and
    β = 0. Its slopes are de/dβ = −N var(e) where the variances are given, else those of the cubic
    spline through the energies. F is linear in the energies, and so are the errors propagated:
    energies at different temperatures count as independent, the statistical error of the
    variances and that of the interpolation are not included (the former is about a sixth of that
    of the energies for a ladder of acceptance 0.3; take every other temperature to see the
    latter).

    Parameters
    ----------
    temperatures
        Distinct, in any order (K), shape (n,), n ≥ 1.
    energies, errors
        Mean energy and its standard error (eV/unit), for example relative to the end members.
    entropy_infinite
        S_∞ (eV/K per unit): `cell_entropy` of the supercell's composition.
    energy_infinite, error_infinite
        Mean energy of random decorations of that supercell and composition and its standard
        error (eV/unit).
    variances, variance_infinite, n_units
        Variance of the energy per unit (eV²/unit²) at the temperatures, shape (n,), and of random
        decorations, and formula units N of the supercell: all three or none.

    Raises
    ------
    ValueError
        If shapes differ, a temperature is not positive or given twice, an error is negative, or
        only some of the last three are given.
    """
    t, e, sigma = (np.asarray(x, dtype=float) for x in (temperatures, energies, errors))
    fluctuation = (variances, variance_infinite, n_units)
    given = [x is not None for x in fluctuation]
    v = None if variances is None else np.asarray(variances, dtype=float)
    if any(given) != all(given):
        msg = "variances, variance_infinite and n_units go together: give all three or none"
        raise ValueError(msg)
    columns = [e, sigma] if v is None else [e, sigma, v]
    if t.ndim != 1 or not t.size or any(x.shape != t.shape for x in columns):
        msg = (
            "temperatures, energies, errors (and variances) need one shape (n,), n of at least 1, "
            f"got {[t.shape, *(x.shape for x in columns)]}"
        )
        raise ValueError(msg)
    finite = np.isfinite([t, *columns]).all()
    if not finite or len(np.unique(t)) < t.size or (t <= 0).any() or (sigma < 0).any():
        msg = (
            "need distinct finite temperatures above 0 K with finite energies and errors of 0 or "
            f"more, got temperatures {t.tolist()}, energies {e.tolist()}, errors {sigma.tolist()}"
        )
        raise ValueError(msg)
    order = np.argsort(-t)
    betas = np.append(0, 1 / (kB * t[order]))
    e_all, sigma_all = np.append(energy_infinite, e[order]), np.append(error_infinite, sigma[order])
    values, slopes = _weights(betas)
    if v is None or variance_infinite is None or n_units is None:
        operator = values + slopes @ _spline_slopes(betas)
        integral = operator @ e_all
    else:
        operator = values
        integral = values @ e_all - n_units * slopes @ np.append(variance_infinite, v[order])
    # F_i = (−S_∞/k_B + ∫)/β_i and S_i = (e_i − F_i)/T_i, in the order given.
    back = 1 + np.argsort(order)
    share = operator[back] / betas[back, None]
    free = integral[back] / betas[back] - t * entropy_infinite
    of_entropy = np.eye(len(betas))[back] - share
    return FreeEnergy(
        temperatures=t,
        free_energies=free,
        errors=np.linalg.norm(share * sigma_all, axis=1),
        entropies=(e - free) / t,
        entropy_errors=np.linalg.norm(of_entropy * sigma_all, axis=1) / t,
    )


def _spline_slopes(betas: Array) -> Array:
    """Return the matrix from values at the knots to the slopes of the cubic spline there."""
    slopes: Array = CubicSpline(betas, np.eye(len(betas)))(betas, 1)
    return slopes


def ideal_mixing(temperatures: ArrayLike, energy: float, entropy: float) -> Array:
    """Return E − T S (eV/unit) of ideal mixing at temperatures (K), in their shape.

    With the mean energy of random decorations and the entropy of their cell (`cell_entropy`) it
    bounds the cell's F from above (Gibbs-Bogoliubov); what F lies below it is the gain by ordering
    or separation. With `ideal_entropy` it is that of the infinite alloy, which lies lower.
    """
    return np.asarray(energy - np.asarray(temperatures, dtype=float) * entropy)
