"""Time and memory of a GPAW label, from what was measured."""

from __future__ import annotations

from functools import cache

import numpy as np
from ase.units import Bohr, Ha

from hea_flows.alloy.lattice import Ordering
from hea_flows.reference.cost import LabelCost, irreducible_points
from hea_flows.reference.gpaw.settings import GPAWSettings

#: Seconds of an SCF per k-point, and per k-point, band² and plane wave.
_PER_POINT, _PER_BAND2_WAVE = 0.20, 1.9e-7
#: Time with spin over time without.
_SPIN = 2.7
#: Gigabytes of a process that has loaded GPAW; complex numbers are kept in 16 bytes.
_PROGRAM, _COMPLEX = 0.205, 16e-9
#: Sets of wave functions that one k-point is worked on with.
_WORK = 12
#: Ionic steps of a relaxation: of the primitive cell, and of larger ones.
_STEPS_PRIMITIVE, _STEPS = 4, 6


def gpaw_cost(
    ordering: Ordering, settings: GPAWSettings, *, max_moves: int, symmetric: bool = True
) -> LabelCost:
    """Return what a GPAW label of a structure costs on one core.

    With N_k irreducible k-points, N_b bands, N_G plane waves (N_G = Ω (2 E_cut)^{3/2} / 6π²),
    N_p projector functions and N_a atoms,

        seconds per ionic step = N_k · (0.20 + 1.9e-7 · N_b² · N_G)        · 2.7 with spin
        gigabytes = 0.205 + 16e-9 · N_G · (N_k · (N_b · N_s · N_c + 9 + N_p + N_a) + 12 N_b · N_s)

    where N_s is 2 with spin, else 1, and N_c is 2 in a relaxation, because the wave functions of
    a moved cell are made from those before, else 1. Both were fitted to what was measured on one
    core (docs/gpaw.md lists it). N_b is GPAW's default, 1.2 times the occupied bands plus 4; the
    9 + N_p + N_a are how GPAW keeps the projectors. A relaxation is taken to have 4 steps in the
    primitive cell and 6 in others, as those of the shipped dataset had.

    Parameters
    ----------
    ordering
        The structure.
    settings
        Cutoff, mesh and moments.
    max_moves
        Largest number of moves; 0 for a single point.
    symmetric
        Whether it starts from its ideal geometry; another one has lost its symmetry.

    Raises
    ------
    ModuleNotFoundError
        If GPAW or its setups are not installed.
    """
    settings.rule()
    atoms = ordering.to_atoms()
    symbols = atoms.get_chemical_symbols()
    spin = settings.spin_polarised(ordering)
    points = irreducible_points(atoms, settings.k_points(ordering).points, symmetric=symmetric)
    volume = atoms.cell.volume / Bohr**3
    waves = volume * (2 * settings.cutoff / Ha) ** 1.5 / (6 * np.pi**2)
    moments = settings.start_moments(ordering)
    electrons = sum(_dataset(s)[0] + moments.get(s, 0.0) for s in symbols)
    bands = int(np.ceil(1.2 * electrons / 2)) + 4
    bands = min(bands, sum(_dataset(s)[1] for s in symbols))
    projectors = sum(_dataset(s)[2] for s in set(symbols))
    step = points * (_PER_POINT + _PER_BAND2_WAVE * bands**2 * waves) * (_SPIN if spin else 1.0)
    sets = bands * (2 if spin else 1)
    kept = points * (sets * (2 if max_moves else 1) + 9 + projectors + len(atoms))
    steps = min(max_moves + 1, _STEPS_PRIMITIVE if ordering.is_end_point else _STEPS)
    return LabelCost(
        k_points=points,
        spin_polarised=spin,
        steps=steps,
        seconds=float(steps * step),
        gigabytes=float(_PROGRAM + _COMPLEX * waves * (kept + _WORK * sets)),
    )


def has_setup(symbol: str) -> bool:
    """Return whether GPAW finds a PBE setup of an element."""
    try:
        _dataset(symbol)
    except (FileNotFoundError, RuntimeError):
        return False
    return True


@cache
def _dataset(symbol: str) -> tuple[int, int, int]:
    """Return valence electrons, bound partial waves and projector functions of an element."""
    from gpaw.setup_data import SetupData

    data = SetupData(symbol, "PBE")
    bound = sum(2 * l + 1 for n, l in zip(data.n_j, data.l_j, strict=True) if n > 0)  # noqa: E741
    return int(data.Nv), bound, len(data.l_j)
