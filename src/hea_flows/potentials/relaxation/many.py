"""Many small relaxations at once: every structure takes ASE's path, all share the model's calls.

torch-sim 0.3.0, its last version for Python 3.11, has no cell mask (c could not be kept), no BFGS
and no CHGNet. So the optimizer is ASE's own, one per structure, on forces evaluated together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.optimize import BFGS

from hea_flows.potentials.base import Evaluate, Prediction, evaluator, family
from hea_flows.potentials.relaxation.geometry import Geometry
from hea_flows.schemas import ModelSpec

#: What a model or an optimizer raises over one bad structure.
_FAILURES = (ValueError, ArithmeticError, RuntimeError)


@dataclass(frozen=True)
class Relaxed:
    """How the relaxation of one structure ended.

    Parameters
    ----------
    atoms
        The last geometry that was evaluated, with its energy, forces and stress; the geometry to
        evaluate, without any, where the evaluation failed.
    converged
        Whether forces and cell gradients are below the threshold.
    steps
        Moves that were made.
    reason
        Why it did not converge; empty if it did.
    """

    atoms: Atoms
    converged: bool
    steps: int
    reason: str = ""


def relax_many(
    evaluate: Evaluate,
    atoms_list: Sequence[Atoms],
    *,
    fmax: float = 0.02,
    max_steps: int = 100,
    on_step: Callable[[int, Atoms], None] | None = None,
) -> list[Relaxed]:
    """Relax many structures, each as `hea_flows.alloy.lattice.relaxation.relax` would.

    One call of `evaluate` per move holds every structure that is still moving. A structure that
    fails (one the model cannot evaluate, numbers that are not finite, atoms that fly apart) ends
    alone, with its reason.

    Parameters
    ----------
    evaluate
        Predicts structures in their order; see `hea_flows.potentials.base.Family.evaluator`.
    atoms_list
        Start geometries, periodic in x and y (c is kept) or bulk; they stay as they are.
    fmax
        Largest force (eV/Å), and largest cell gradient in the same unit, at convergence.
    max_steps
        Largest number of moves of each structure.
    on_step
        Called with the index and the atoms after each evaluation, the first geometry included.

    Returns
    -------
    list of Relaxed
        In the order of `atoms_list`.
    """
    runs = [_Run(index, atoms.copy()) for index, atoms in enumerate(atoms_list)]
    moving = runs
    while moving:
        outcomes = evaluate_each(evaluate, [run.atoms for run in moving])
        for run, outcome in zip(moving, outcomes, strict=True):
            if isinstance(outcome, str):
                run.end(outcome)
                continue
            run.geometry.take(outcome)
            if on_step is not None:
                on_step(run.index, run.atoms)
            run.advance(fmax, max_steps)
        moving = [run for run in moving if run.result is None]
    return [run.result for run in runs if run.result is not None]


def relaxer(
    spec: ModelSpec, *, fmax: float, max_steps: int, device: str = "cpu"
) -> Callable[[Sequence[Atoms]], list[float | str]]:
    """Return a function that relaxes structures with a model, for many calls.

    It returns the energy of each relaxed structure (eV per cell), or why it has none. Of a model of
    decorations, see `Family.relaxes`, that is the energy of the structure as it is. See
    `relax_many` for `fmax` and `max_steps`.
    """
    evaluate = evaluator(spec, device=device)

    def energies(atoms_list: Sequence[Atoms]) -> list[float | str]:
        ends = relax_many(evaluate, atoms_list, fmax=fmax, max_steps=max_steps)
        return [r.reason or float(r.atoms.get_potential_energy()) for r in ends]

    def unrelaxed(atoms_list: Sequence[Atoms]) -> list[float | str]:
        outcomes = evaluate_each(evaluate, atoms_list)
        return [o if isinstance(o, str) else o.energy for o in outcomes]

    return energies if family(spec.family).relaxes else unrelaxed


def evaluate_each(evaluate: Evaluate, atoms_list: Sequence[Atoms]) -> list[Prediction | str]:
    """Predict structures, or say why not; those that cannot be are found by halving the batch."""
    try:
        return list(evaluate(atoms_list))
    except _FAILURES as error:
        if len(atoms_list) == 1:
            return [str(error)]
    half = len(atoms_list) // 2
    return [
        *evaluate_each(evaluate, atoms_list[:half]),
        *evaluate_each(evaluate, atoms_list[half:]),
    ]


class _Run:
    """The relaxation of one structure."""

    def __init__(self, index: int, atoms: Atoms) -> None:
        self.index, self.atoms = index, atoms
        self.geometry = Geometry(atoms)
        self.optimizer = BFGS(self.geometry, alpha=30.0, logfile=None)  # type: ignore[arg-type]
        self.steps = 0
        self.result: Relaxed | None = None

    def end(self, reason: str = "") -> None:
        """Write down how it ended."""
        self.result = Relaxed(self.atoms, converged=not reason, steps=self.steps, reason=reason)

    def advance(self, fmax: float, max_steps: int) -> None:
        """Make the next move, or end."""
        results = self.atoms.calc.results
        odd = [k for k in ("energy", "forces", "stress") if not np.all(np.isfinite(results[k]))]
        if odd:
            value = results[odd[0]] if odd[0] == "energy" else "not finite"
            self.end(f"{self.atoms.get_chemical_formula()}: the {odd[0]} became {value}")
        elif self.geometry.converged(self.geometry.gradient, fmax):
            self.end()
        elif self.steps >= max_steps:
            self.end(f"fmax above {fmax} eV/Å after {max_steps} moves")
        else:
            try:
                with np.errstate(all="ignore"):
                    self.optimizer.step()
            except (ArithmeticError, np.linalg.LinAlgError) as error:
                self.end(f"{self.atoms.get_chemical_formula()}: {error}")
            else:
                self.steps += 1
