"""Energies of decorations from a model of any family, the fastest way that it offers."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase.data import atomic_numbers
from numpy.typing import ArrayLike, NDArray

from hea_flows.alloy.lattice import Alloy, Ordering, int_matrix
from hea_flows.alloy.sampling import AseEnergies, DecorationEnergies, Mode
from hea_flows.potentials.base import family
from hea_flows.potentials.relaxation import Evaluate, evaluator, relax_many
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
    if potential is not None:
        return LatticeDecorations(potential, alloy, supercell, a, on_cpu=device == "cpu")
    return AseEnergies(alloy, supercell, a, calculator, mode=mode)


class LatticeDecorations:
    """Energies of decorations on the ideal lattice from any torch potential, its graph made once.

    Parameters
    ----------
    potential
        A loaded `hea_flows.potentials.torch_family.Potential`.
    alloy, supercell, a
        The host, its supercell, shape (3, 3), and the lattice constant (Å).
    on_cpu
        Where it runs: on a CPU large batches leave its caches and are slower.
    """

    def __init__(
        self,
        potential: Any,  # noqa: ANN401
        alloy: Alloy,
        supercell: ArrayLike,
        a: float,
        *,
        on_cpu: bool = True,
    ) -> None:
        self.name = f"fixed lattice, a = {a:g} Å"
        self._sites = _Sites(alloy, supercell, a)
        self._potential = potential
        potential.module.requires_grad_(requires_grad=False)
        potential.module.eval()
        self._graph = potential.prepare([self._sites.reference])[0]
        recolouring = getattr(potential, "recolouring", None)
        self._quick = recolouring(self._graph) if recolouring else None
        atoms = 128 if on_cpu else 8192
        self._batch = max(1, atoms // len(self._sites.reference))

    def energies(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the energies (eV per cell) of decorations (B, n_sites)."""
        numbers = self._sites.numbers(codes)
        parts = (numbers[i : i + self._batch] for i in range(0, len(numbers), self._batch))
        return np.concatenate([np.empty(0), *map(self._quick or self._energies, parts)])

    def _energies(self, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
        from hea_flows.potentials.torch_family import predict  # loads torch

        graphs = [self._potential.with_species(self._graph, row) for row in numbers]
        batch = self._potential.collate(graphs)
        output = predict(self._potential, batch, forces=False, stress=False)
        energies: NDArray[np.float64] = output.energies.detach().cpu().double().numpy()
        return energies


class _Sites:
    """Atomic numbers of decorations of a supercell, and the geometry that they share."""

    def __init__(self, alloy: Alloy, supercell: ArrayLike, a: float) -> None:
        rows = int_matrix(supercell)
        n = abs(round(np.linalg.det(np.array(rows))))
        self.reference = Ordering(alloy, rows, (alloy.elements[0],) * n).to_atoms(a)
        self._alloyed = np.arange(n) * alloy.atoms_per_unit
        self._elements = np.array([atomic_numbers[e] for e in alloy.elements])

    def numbers(self, codes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the atomic numbers (B, N) of decorations (B, n_sites)."""
        rows = np.asarray(codes, dtype=np.int64).reshape(-1, len(self._alloyed))
        numbers = np.tile(self.reference.numbers, (len(rows), 1)).astype(np.int64)
        numbers[:, self._alloyed] = self._elements[rows]
        return numbers


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
        self._sites = _Sites(alloy, supercell, a)

    def energies(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the energies (eV per cell) of decorations (B, n_sites).

        Infinite where a relaxation does not converge: its energy would depend on where it stopped.
        """
        starts = []
        for numbers in self._sites.numbers(codes):
            atoms = self._sites.reference.copy()
            atoms.numbers = numbers
            starts.append(atoms)
        found = relax_many(self._evaluate, starts, fmax=self._fmax, max_steps=self._max_steps)
        return np.array(
            [r.atoms.calc.results["energy"] if r.converged else np.inf for r in found],
            dtype=np.float64,
        )
