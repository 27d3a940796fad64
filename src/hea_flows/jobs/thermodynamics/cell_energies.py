"""Energies of cells with a model, in a cache of that model and its settings."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hea_flows.alloy.lattice import Ordering
from hea_flows.alloy.sampling import Mode
from hea_flows.jobs.reuse import identity
from hea_flows.jobs.sampling import Energy, EnergyCache
from hea_flows.potentials import relaxer
from hea_flows.runtime import alone
from hea_flows.schemas import ModelSpec
from hea_flows.services import say
from hea_flows.settings import get_settings


def cell_energies(
    model: ModelSpec,
    orderings: Sequence[Ordering],
    *,
    mode: Mode,
    lattice_constant: float | None,
    fmax: float,
    max_steps: int,
) -> dict[str, Energy]:
    """Return the energy (eV per cell) of each ordering by its id, or why it has none.

    Parameters
    ----------
    model
        The model, its file on this machine.
    orderings
        The cells.
    mode
        At the ideal geometry, or relaxed from it.
    lattice_constant
        Of the ideal geometry (Å); None takes each cell's own, by Vegard.
    fmax, max_steps
        Convergence of relaxations (eV/Å), and the most moves of each.

    Raises
    ------
    OutOfTimeError
        If the batch job would end before all are evaluated; what is done is kept.
    """
    key = identity(
        model=model.content(),
        mode=mode,
        lattice_constant=lattice_constant,
        fmax=fmax,
        max_steps=max_steps,
    )
    energies = relaxer(
        model,
        fmax=fmax if mode == "relaxed" else math.inf,
        max_steps=max_steps,
        device=get_settings().device,
    )

    def relaxed(part: list[Ordering]) -> list[Energy]:
        return energies([o.to_atoms(lattice_constant) for o in part])

    folder = get_settings().data_dir / "energies" / key
    with alone(folder):
        cache = EnergyCache(folder / "energies.json", lambda line: say(f"{line}, {mode}"))
        return cache.energies({o.id: o for o in orderings}, relaxed)
