"""Energies of decorations from a model of any family, the fastest way that it offers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial

import numpy as np
from ase.data import atomic_numbers
from numpy.typing import ArrayLike, NDArray

from hea_flows.alloy.lattice import Alloy, Ordering, int_matrix
from hea_flows.alloy.sampling import DecorationEnergies, Mode
from hea_flows.potentials.base import Evaluate, family
from hea_flows.potentials.relaxation import relax_many
from hea_flows.schemas import ModelSpec


def decoration_energies(
    spec: ModelSpec,
    alloy: Alloy,
    supercell: ArrayLike,
    a: float | Mapping[str, float],
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
        Lattice constant of the reference geometry (Å); or that of each element, so that every
        composition has its own by Vegard's rule.
    mode
        ``"fixed lattice"``: at the reference geometry. ``"relaxed"``: relaxed from it. Of a model
        of decorations, see `Family.relaxes`, both are the same.
    fmax, max_steps
        Convergence of relaxations (eV/Å), and the most moves of each.
    device
        Where the model runs.
    """
    model = family(spec.family)
    at: Callable[[float], DecorationEnergies]
    if mode == "relaxed" and model.relaxes:
        evaluate = model.evaluator(spec, device=device)
        at = partial(RelaxedDecorations, evaluate, alloy, supercell, fmax=fmax, max_steps=max_steps)
    else:
        at = partial(model.lattice_energies(spec, device=device), alloy, supercell)
    return VegardDecorations(at, alloy, a) if isinstance(a, Mapping) else at(a)


class VegardDecorations:
    """Energies of decorations, those of each composition at a lattice constant of its own.

    Parameters
    ----------
    at
        Returns the energies at a lattice constant (Å).
    alloy
        The host.
    constants
        Lattice constant of each element (Å); that of a composition is their mean over its sites.
    """

    def __init__(
        self,
        at: Callable[[float], DecorationEnergies],
        alloy: Alloy,
        constants: Mapping[str, float],
    ) -> None:
        self._at = lru_cache(maxsize=256)(at)
        self._constants = np.array([constants[e] for e in alloy.elements])
        self.name = f"{at(float(self._constants[0])).name.partition(',')[0]}, a by Vegard's rule"

    def energies(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the energies (eV per cell) of decorations (B, n_sites)."""
        found = np.empty(len(codes))
        own = self._constants[codes].mean(axis=1).round(9)  # sums of the same terms, reordered
        for a in np.unique(own):
            found[own == a] = self._at(float(a)).energies(codes[own == a])
        return found


class DecoratedLattice:
    """A supercell on its ideal lattice, and the atomic numbers of its decorations.

    Parameters
    ----------
    alloy, supercell
        The host and its supercell, shape (3, 3).
    a
        Lattice constant (Å).
    """

    def __init__(self, alloy: Alloy, supercell: ArrayLike, a: float) -> None:
        rows = int_matrix(supercell)
        n = alloy.n_sites(rows)
        self.a = a
        self.reference = Ordering(alloy, rows, (alloy.elements[0],) * n).to_atoms(a)
        self._alloyed = alloy.alloyed_atoms(n)
        self._elements = np.array([atomic_numbers[e] for e in alloy.elements])

    def numbers(self, codes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the atomic numbers (B, N) of decorations (B, n_sites)."""
        rows = np.asarray(codes, dtype=np.int64).reshape(-1, len(self._alloyed))
        numbers = np.tile(self.reference.numbers, (len(rows), 1)).astype(np.int64)
        numbers[:, self._alloyed] = self._elements[rows]
        return numbers


class LatticeDecorations:
    """Energies of decorations on the ideal lattice from a function of atomic numbers.

    Parameters
    ----------
    lattice
        The supercell.
    energies
        Returns energies (eV per cell) for atomic numbers (B, N) on its sites.
    max_atoms
        Most atoms of the decorations that it gets at once.
    """

    def __init__(
        self,
        lattice: DecoratedLattice,
        energies: Callable[[NDArray[np.int64]], NDArray[np.float64]],
        max_atoms: int,
    ) -> None:
        self.name = f"fixed lattice, a = {lattice.a:g} Å"
        self._lattice, self._energies = lattice, energies
        self._batch = max(1, max_atoms // len(lattice.reference))

    def energies(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the energies (eV per cell) of decorations (B, n_sites)."""
        numbers = self._lattice.numbers(codes)
        parts = (numbers[i : i + self._batch] for i in range(0, len(numbers), self._batch))
        return np.concatenate([np.empty(0), *map(self._energies, parts)])


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
        self._lattice = DecoratedLattice(alloy, supercell, a)

    def energies(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the energies (eV per cell) of decorations (B, n_sites).

        Infinite where a relaxation does not converge: its energy would depend on where it stopped.
        """
        starts = []
        for numbers in self._lattice.numbers(codes):
            atoms = self._lattice.reference.copy()
            atoms.numbers = numbers
            starts.append(atoms)
        ends = relax_many(self._evaluate, starts, fmax=self._fmax, max_steps=self._max_steps)
        return np.array(
            [r.atoms.calc.results["energy"] if r.converged else np.inf for r in ends],
            dtype=np.float64,
        )
