"""Molecular dynamics at constant temperature: whether a structure holds together with a model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from ase.md.bussi import Bussi
from ase.md.velocitydistribution import Stationary, thermalize_momenta

from hea_flows.potentials.relaxation import MAX_SHIFT

#: Time step (fs), and time constant of the thermostat (fs).
TIME_STEP, DAMPING = 1.0, 100.0
#: Energy and temperature are written down every so many steps.
_EVERY = 10


@dataclass(frozen=True)
class Dynamics:
    """How a structure fared.

    Parameters
    ----------
    picoseconds
        Time that was run.
    temperature
        Mean over the second half (K).
    drift
        Slope of the conserved energy, kinetic and potential without what the thermostat brought
        (meV/atom/ps).
    shift
        Farthest that an atom was from where it started, the motion of all taken away (Å).
    reason
        Why it ended early; empty if it did not.
    """

    picoseconds: float
    temperature: float
    drift: float
    shift: float
    reason: str = ""


def run_dynamics(
    atoms: Atoms,
    calculator: Calculator,
    temperature: float,
    picoseconds: float,
    rng: np.random.Generator,
) -> Dynamics:
    """Run constant-temperature dynamics with stochastic velocity rescaling [1]_.

    It ends early where an atom moves by `MAX_SHIFT`, or a number is not finite.

    Parameters
    ----------
    atoms
        The structure; it stays as it is.
    calculator
        Gives energy and forces.
    temperature, picoseconds
        Temperature (K) and length (ps).
    rng
        Draws velocities and the thermostat's numbers.

    References
    ----------
    .. [1] G. Bussi, D. Donadio and M. Parrinello, J. Chem. Phys. 126, 014101 (2007).
    """
    moving = atoms.copy()
    moving.calc = calculator
    thermalize_momenta(moving, temperature_K=temperature, rng=rng)
    Stationary(moving)
    start = moving.positions - moving.get_center_of_mass()
    dynamics = Bussi(moving, TIME_STEP * units.fs, temperature, DAMPING * units.fs, rng=rng)
    times, conserved, temperatures = [], [], []
    shift, reason = 0.0, ""
    for step in range(0, round(1e3 * picoseconds / TIME_STEP) + 1, _EVERY):
        if step:
            dynamics.run(_EVERY)
        times.append(step * TIME_STEP / 1e3)
        conserved.append(moving.get_total_energy() - dynamics.transferred_energy)
        temperatures.append(moving.get_temperature())
        moved = moving.positions - moving.get_center_of_mass() - start
        shift = max(shift, float(np.linalg.norm(moved, axis=1).max()))
        if not np.isfinite([conserved[-1], shift]).all():
            reason = f"a number is not finite after {times[-1]:g} ps"
        elif shift > MAX_SHIFT:
            reason = f"an atom moved by {shift:.1f} Å after {times[-1]:g} ps"
        if reason:
            break
    drift = float("nan")
    if len(times) > 1 and np.isfinite(conserved).all():
        drift = 1e3 * float(np.polyfit(times, conserved, 1)[0]) / len(moving)
    half = temperatures[len(temperatures) // 2 :]
    return Dynamics(times[-1], float(np.mean(half)), drift, shift, reason)
