"""Vibrations of the phases of an alloy, with a model, and the transitions that follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from ase.calculators.calculator import BaseCalculator
from numpy.typing import NDArray

from hea_flows.alloy.lattice import Ordering, relax
from hea_flows.alloy.thermodynamics import (
    Decomposition,
    PhasePool,
    harmonic_modes,
    vibrational_mixing,
    vibrational_transitions,
)
from hea_flows.config import VibrationsSpec
from hea_flows.schemas import Vibrations

#: Share of imaginary modes above which a structure is not at a minimum.
MAX_IMAGINARY = 0.01
#: Distance of temperatures (K).
STEP = 10.0

Phase = tuple[str, ...]


def phase_vibrations(
    structures: Mapping[Phase, Ordering],
    competing: Sequence[Decomposition] | PhasePool,
    calculator: BaseCalculator,
    spec: VibrationsSpec,
) -> Vibrations:
    """Return the vibrations of structures, and the stable phases with them.

    Parameters
    ----------
    structures
        Of every phase and end member.
    competing
        The decompositions that compete; or the phases, whose mixtures are found.
    calculator
        The model.
    spec
        Temperatures, relaxations, displacements and meshes.
    """
    t = np.append(np.arange(0.0, spec.t_max, STEP), spec.t_max)
    free: dict[Phase, NDArray[np.float64]] = {}
    imaginary: dict[str, float] = {}
    unusable: dict[str, str] = {}
    for phase, ordering in structures.items():
        name, atoms = "-".join(phase), ordering.to_atoms()
        atoms.calc = calculator
        if not relax(atoms, fmax=spec.fmax, max_steps=spec.max_steps):
            unusable[name] = f"did not relax to {spec.fmax} eV/Å in {spec.max_steps} moves"
            continue
        modes = harmonic_modes(
            atoms,
            calculator,
            min_length=spec.min_length,
            mesh_length=spec.mesh_length,
            displacement=spec.displacement,
        )
        imaginary[name] = modes.imaginary
        if modes.imaginary > MAX_IMAGINARY:
            unusable[name] = f"{100 * modes.imaginary:.1f} % of its modes are imaginary"
            continue
        free[phase] = modes.free_energy(t) / ordering.n_sites
    counts = {phase: ordering.counts for phase, ordering in structures.items()}
    mixing = vibrational_mixing(free, counts)
    if isinstance(competing, PhasePool):
        competing = [] if unusable else competing.stable_at(t, mixing)
    stable = [] if unusable else vibrational_transitions(competing, mixing, t)
    last = stable[-1] if stable else None
    return Vibrations(
        temperatures=t.tolist(),
        mixing_mev={"-".join(p): (1e3 * f).tolist() for p, f in mixing.items()},
        imaginary=imaginary,
        unusable=unusable,
        transitions=[(at, d.name) for at, d in stable],
        decomposition_temperature=last[0] if last and last[1].is_solid_solution else None,
        displacement=spec.displacement,
        min_length=spec.min_length,
        mesh_length=spec.mesh_length,
    )
