"""Energies of many cells with one model, kept on disk as they come: a killed job goes on."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from hea_flows.alloy.lattice import Ordering
from hea_flows.alloy.sampling import Mode
from hea_flows.jobs.resume import identity
from hea_flows.potentials import evaluator, relax_many
from hea_flows.runtime.atomic_files import atomic_write
from hea_flows.schemas import ModelSpec
from hea_flows.services.progress import say
from hea_flows.settings import get_settings

#: Cells between two writes of what is known.
_TOGETHER = 16


@dataclass(frozen=True)
class CellEnergies:
    """How a model evaluates cells.

    Parameters
    ----------
    model
        The model, its file on this machine.
    mode
        At the ideal geometry, or relaxed from it.
    lattice_constant
        Of the ideal geometry (Å); None takes each cell's own, by Vegard.
    fmax, max_steps
        Convergence of relaxations (eV/Å), and the most moves of each.
    """

    model: ModelSpec
    mode: Mode
    lattice_constant: float | None
    fmax: float
    max_steps: int

    def __call__(self, orderings: Sequence[Ordering]) -> dict[str, float | str]:
        """Return the energy (eV per cell) of each ordering by its id, or why it has none."""
        key = identity(
            model=self.model.sha256,
            dtype=self.model.dtype,
            mode=self.mode,
            lattice_constant=self.lattice_constant,
            fmax=self.fmax,
            max_steps=self.max_steps,
        )
        path = get_settings().data_dir / "energies" / f"{key}.json"
        known: dict[str, float | str] = json.loads(path.read_text()) if path.exists() else {}
        missing = list({o.id: o for o in orderings if o.id not in known}.values())
        evaluate = evaluator(self.model, device=get_settings().device)
        for start in range(0, len(missing), _TOGETHER):
            part = missing[start : start + _TOGETHER]
            cells = [o.to_atoms(self.lattice_constant) for o in part]
            fmax = self.fmax if self.mode == "relaxed" else math.inf
            found = relax_many(evaluate, cells, fmax=fmax, max_steps=self.max_steps)
            for ordering, relaxed in zip(part, found, strict=True):
                results = relaxed.atoms.calc.results if relaxed.converged else {}
                known[ordering.id] = results.get("energy", relaxed.reason)
            atomic_write(path, json.dumps(known).encode())
            say(f"{start + len(part)} of {len(missing)} cells, {self.mode}")
        return {o.id: known[o.id] for o in orderings}
