"""Energies of decorations from a model of any family, the fastest way that it offers."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase.data import atomic_numbers
from numpy.typing import ArrayLike, NDArray

from hea_flows.alloy.energy_models import AseEnergyModel, DecorationEnergies, Mode, integer_rows
from hea_flows.alloy.ordering import Ordering
from hea_flows.alloy.prototypes import Alloy
from hea_flows.engines.batched_relaxation import Evaluate, evaluator, relax_many
from hea_flows.engines.registry import family
from hea_flows.schemas import ModelSpec


def decoration_energies(
    spec: ModelSpec,
    alloy: Alloy,
    supercell: ArrayLike,
    a: float,
    *,
    mode: Mode,
    fmax: float = 0.02,
    max_steps: int = 200,
    device: str = "cpu",
) -> DecorationEnergies:
    """Return the energies of decorations of a supercell.

    Parameters
    ----------
    spec
        The model.
    alloy, supercell
        The host and its supercell, shape (3, 3).
    a
        Lattice constant of the reference geometry (Å).
    mode
        ``"fixed lattice"``: at the reference geometry. ``"relaxed"``: relaxed from it.
    fmax, max_steps
        Convergence of relaxations (eV/Å), and the most moves of each.
    device
        Where the model runs.
    """
    if mode == "relaxed":
        evaluate = evaluator(spec, device=device)
        return RelaxedDecorations(evaluate, alloy, supercell, a, fmax=fmax, max_steps=max_steps)
    calculator = family(spec.family).calculator(spec, device)
    potential: Any = getattr(calculator, "potential", None)
    on_lattice = getattr(potential, "on_lattice", None)
    quick = on_lattice(alloy, supercell, a) if on_lattice else None
    if quick is not None:
        energies: DecorationEnergies = quick
        return energies
    return AseEnergyModel(alloy, supercell, a, calculator, mode=mode)


class RelaxedDecorations:
    """Energies of decorations, all relaxed from one reference geometry, many at once.

    Parameters
    ----------
    evaluate
        Predicts structures.
    alloy, supercell, a
        The host, its supercell, shape (3, 3), and the reference's lattice constant (Å).
    fmax, max_steps
        Convergence (eV/Å), and the most moves of each.
    """

    def __init__(
        self,
        evaluate: Evaluate,
        alloy: Alloy,
        supercell: ArrayLike,
        a: float,
        *,
        fmax: float,
        max_steps: int,
    ) -> None:
        self.name = f"relaxed, a = {a:g} Å"
        self._evaluate, self._fmax, self._max_steps = evaluate, fmax, max_steps
        rows = integer_rows(supercell)
        n = abs(round(np.linalg.det(np.array(rows))))
        self._reference = Ordering(alloy, rows, (alloy.elements[0],) * n).to_atoms(a)
        self._alloyed = np.arange(n) * alloy.atoms_per_unit
        self._numbers = np.array([atomic_numbers[e] for e in alloy.elements])

    def energies(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the energies (eV per cell) of decorations (B, n_sites).

        Raises
        ------
        RuntimeError
            If a relaxation does not converge: its energy would depend on where it stopped.
        """
        starts = []
        for row in codes:
            atoms = self._reference.copy()
            atoms.numbers[self._alloyed] = self._numbers[row]
            starts.append(atoms)
        found = relax_many(self._evaluate, starts, fmax=self._fmax, max_steps=self._max_steps)
        for relaxed in found:
            if not relaxed.converged:
                msg = (
                    f"{relaxed.atoms.get_chemical_formula()} did not relax: {relaxed.reason}; "
                    "raise max_steps or fmax"
                )
                raise RuntimeError(msg)
        return np.array([r.atoms.calc.results["energy"] for r in found], dtype=np.float64)
