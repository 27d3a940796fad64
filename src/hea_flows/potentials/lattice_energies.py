"""Energies of decorations from a model of any family, the fastest way that it offers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache, partial

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from numpy.typing import ArrayLike, NDArray

from hea_flows.alloy.lattice import Alloy, Ordering, SiteIndex, int_matrix
from hea_flows.alloy.sampling import DecorationEnergies, Mode
from hea_flows.potentials.base import Evaluate, family
from hea_flows.potentials.relaxation import HarmonicHost, relax_decorations, relax_many
from hea_flows.schemas import ModelSpec

#: What a relaxation may still gain, over the error that is aimed at: the prediction of what is left
#: is that much better than nothing (docs/validation.md).
LEFT = 3.0
#: Error of a tight relaxation over the usual one.
TIGHT = 0.01
#: Convergence of the safer optimizer (eV/Å).
SAFE = 0.01


def decoration_energies(
    spec: ModelSpec,
    alloy: Alloy,
    supercell: ArrayLike,
    a: float | Mapping[str, float],
    *,
    mode: Mode,
    error: float = 1e-3,
    max_steps: int = 50,
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
    error, max_steps
        Root mean square error of relaxed energies that is aimed at (eV per cell), and the most
        steps of each relaxation.
    device
        Where the model runs.
    """
    model = family(spec.family)
    if mode == "relaxed" and model.relaxes:
        evaluate = model.evaluator(spec, device=device)
        return RelaxedDecorations(evaluate, alloy, supercell, a, error=error, max_steps=max_steps)
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
    """Energies of decorations, all relaxed from one lattice, many at once.

    Parameters
    ----------
    evaluate
        Predicts structures.
    alloy, supercell
        The host and its supercell, shape (3, 3).
    a
        Lattice constant that relaxations begin with (Å), or that of each element; see
        `decoration_energies`.
    error
        Root mean square error of the energies that is aimed at (eV per cell).
    max_steps
        Most steps of each.
    """

    def __init__(
        self,
        evaluate: Evaluate,
        alloy: Alloy,
        supercell: ArrayLike,
        a: float | Mapping[str, float],
        *,
        error: float,
        max_steps: int,
    ) -> None:
        constants = a if isinstance(a, Mapping) else dict.fromkeys(alloy.elements, a)
        self._constants = np.array([constants[e] for e in alloy.elements])
        own = "a by Vegard's rule" if isinstance(a, Mapping) else f"a = {a:g} Å"
        self.name = f"relaxed, {own}"
        self.elements, self.error = alloy.elements, error
        self._evaluate, self._max_steps = evaluate, max_steps
        self._alloyed = alloy.alloyed_atoms(alloy.n_sites(int_matrix(supercell)))
        self._cells = SiteIndex.of(supercell, 1)
        self._lattice = lru_cache(maxsize=256)(partial(DecoratedLattice, alloy, supercell))

    @cached_property
    def _host(self) -> HarmonicHost:
        """The response of the host at the mean lattice constant."""
        lattice = self._lattice(float(self._constants.mean()))
        kinds = np.arange(len(self._constants))
        pure = np.repeat(kinds[:, None], len(self._alloyed), axis=1)
        return HarmonicHost.of(self._evaluate, self.starts(pure, lattice), self._cells)

    def starts(
        self, codes: NDArray[np.int64], lattice: DecoratedLattice | None = None
    ) -> list[Atoms]:
        """Return decorations (B, n_sites) on a lattice; default that of their composition."""
        starts = []
        for row, a in zip(codes, self._constants[codes].mean(axis=1).round(9), strict=True):
            own = lattice or self._lattice(float(a))
            atoms = own.reference.copy()
            [atoms.numbers] = own.numbers(row)
            starts.append(atoms)
        return starts

    def _relaxed(
        self, codes: NDArray[np.int64], error: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return energies, and shifts of the alloyed atoms, (B, n_sites)."""
        rows = np.asarray(codes, dtype=np.int64).reshape(-1, len(self._alloyed))
        if not len(rows):
            return np.empty(0), np.empty(rows.shape)
        starts = self.starts(rows)
        energies, shifts = relax_decorations(
            self._evaluate,
            starts,
            self._host,
            tolerance=LEFT * error,
            max_steps=self._max_steps,
        )
        # The way of a general optimizer is longer and safer.
        lost = np.flatnonzero(np.isinf(energies))
        again = [starts[i] for i in lost]
        ends = relax_many(self._evaluate, again, fmax=SAFE, max_steps=10 * self._max_steps)
        for i, end in zip(lost, ends, strict=True):
            if end.converged:
                energies[i] = end.atoms.calc.results["energy"]
        return energies, shifts[:, self._alloyed]

    def energies(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the energies (eV per cell) of decorations (B, n_sites).

        Infinite where a relaxation does not converge: its energy would depend on where it stopped.
        """
        return self._relaxed(codes, self.error)[0]

    def audit(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Relax one decoration, (n_sites,), as always and tightly.

        Returns
        -------
        row
            The difference of the energies (eV per cell), then the mean shift of the sites of each
            element from the lattice (Å); NaN of elements that are not there; shape (1 + n,).
        """
        [usual] = self.energies(codes)
        [tight], [shifts] = self._relaxed(codes, TIGHT * self.error)
        means = [
            float(shifts[codes == k].mean()) if (codes == k).any() else np.nan
            for k in range(len(self.elements))
        ]
        return np.array([usual - tight, *means])
