"""Heat capacity from the fluctuation of the energy."""

from __future__ import annotations

import numpy as np
from ase.units import kB
from numpy.typing import ArrayLike

from hea_flows.alloy.statistics import blocked_mean


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
