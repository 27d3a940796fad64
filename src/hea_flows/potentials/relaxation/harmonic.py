"""Decorations of one lattice relaxed in few evaluations, with the harmonic response of their host.

The host's force constants, those of its pure compounds on this lattice and their mean, say where
forces lead the atoms. A Newton step with them removes most of the energy that a relaxation gains,
and half the product of gradient and step is what is left of it: the energy of the minimum is known
before the minimum is reached, with an error that is a share of that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from hea_flows.alloy.lattice import SiteIndex
from hea_flows.potentials.base import Evaluate
from hea_flows.potentials.relaxation.geometry import Geometry
from hea_flows.potentials.relaxation.many import evaluate_each

Floats = NDArray[np.float64]

#: Shift of an atom (Å), and strain of the cell, from which force constants are taken.
SHIFT, STRAIN = 0.01, 0.002
#: Least curvature (eV/Å²): softer directions, and those in which a pure compound is unstable on
#: this lattice, get it.
SOFTEST = 2.0
#: Longest move of an atom in one step (Å).
LONGEST = 0.3
#: Steps and gradients that correct the curvature (limited-memory BFGS).
MEMORY = 6


@dataclass(frozen=True)
class HarmonicHost:
    """The response of a host to forces, the same for all its decorations.

    Its coordinates are the atoms' positions in the unstrained cell (Å), and the strains of the
    periodic directions, each times √N so that they are as stiff as atoms.

    Parameters
    ----------
    strains
        Symmetric strains of unit norm that the cell may take, shape (m, 3, 3).
    inverse
        Inverse of the matrix of second derivatives (Å²/eV), shape (3N + m, 3N + m); zero for
        translations.
    """

    strains: Floats
    inverse: Floats

    @classmethod
    def of(cls, evaluate: Evaluate, pure: Sequence[Atoms], supercell: SiteIndex) -> Self:
        """Differentiate the pure compounds on the lattice.

        Parameters
        ----------
        evaluate
            Predicts structures.
        pure
            The supercell with each element on all alloyed sites, atoms cell by cell.
        supercell
            Numbers of its primitive cells, one place each.

        Raises
        ------
        ArithmeticError
            If a displaced compound has no energy, forces or stress.
        """
        strains = _strains(Geometry(pure[0]))
        n, cells = len(pure[0]), len(supercell)
        basis = n // cells
        size = 3 * n + len(strains)
        hessian = np.zeros((size, size))
        moved = [supercell.translated(point) for point in supercell.points]
        chosen = [*range(3 * basis), *range(3 * n, size)]
        for atoms in pure:
            columns = _second_derivatives(evaluate, atoms, strains, chosen)
            for k, column in zip(chosen, columns, strict=True):
                if k >= 3 * n:
                    hessian[:, k] += column
                    hessian[k, : 3 * n] += column[: 3 * n]
                    continue
                first = column[: 3 * n].reshape(cells, -1)
                for cell, to in enumerate(moved):
                    shifted = np.empty_like(first)
                    shifted[to] = first
                    hessian[: 3 * n, 3 * basis * cell + k] += shifted.ravel()
        hessian = 0.5 * (hessian + hessian.T) / len(pure)
        translations = np.zeros((size, 3))
        translations[: 3 * n] = np.tile(np.eye(3), (n, 1)) / np.sqrt(n)
        hessian += 1e6 * translations @ translations.T
        curvatures, directions = np.linalg.eigh(hessian)
        stiffness = np.maximum(np.abs(curvatures), SOFTEST)
        inverse = (directions / stiffness) @ directions.T
        return cls(strains, inverse - 1e-6 * translations @ translations.T)


def _strains(geometry: Geometry) -> Floats:
    """Return the symmetric strains of unit norm that a cell may take, shape (m, 3, 3)."""
    found = []
    for i in range(3):
        for j in range(i, 3):
            strain = np.zeros((3, 3))
            strain[i, j] = strain[j, i] = 1.0
            if geometry.mask[i, j]:
                found.append(strain / np.linalg.norm(strain))
    return np.array(found)


def _second_derivatives(
    evaluate: Evaluate, atoms: Atoms, strains: Floats, coordinates: Sequence[int]
) -> Floats:
    """Return second derivatives along some coordinates, shape (K, 3N + m), by differences."""
    n = len(atoms)
    size = 3 * n + len(strains)
    steps = [SHIFT if k < 3 * n else STRAIN * np.sqrt(n) for k in coordinates]
    moved = []
    for k, step in zip(coordinates, steps, strict=True):
        for sign in (1, -1):
            one = _Relaxation(atoms.copy(), strains)
            one.move(sign * step * np.eye(1, size, k)[0])
            moved.append(one)
    for one, outcome in zip(
        moved, evaluate_each(evaluate, [one.atoms for one in moved]), strict=True
    ):
        if isinstance(outcome, str):
            raise ArithmeticError(outcome)  # noqa: TRY004  a text is a reason
        one.geometry.take(outcome)
    gradients = np.array([one.gradient() for one in moved]).reshape(-1, 2, size)
    if not np.isfinite(gradients).all():
        msg = (
            f"the model has no finite forces and stress of {atoms.get_chemical_formula()}, so it "
            "relaxes no decoration; write mode: fixed lattice"
        )
        raise ArithmeticError(msg)
    second: Floats = (gradients[:, 0] - gradients[:, 1]) / (2 * np.array(steps)[:, None])
    return second


@dataclass
class _Relaxation:
    """One decoration on its way: limited-memory BFGS that begins with the host's response."""

    atoms: Atoms
    strains: Floats
    steps: int = 0
    result: float | None = None
    geometry: Geometry = field(init=False)
    memory: deque[tuple[Floats, Floats]] = field(default_factory=lambda: deque(maxlen=MEMORY))
    last: tuple[float, Floats, Floats] | None = None

    def __post_init__(self) -> None:
        self.geometry = Geometry(self.atoms)

    def gradient(self) -> Floats:
        """Return the gradient (eV/Å) in the host's coordinates, shape (3N + m,)."""
        n = len(self.atoms)
        atoms, strain = np.split(self.geometry.gradient.reshape(-1, 3), [n])
        return np.concatenate([atoms.ravel(), np.sqrt(n) * np.tensordot(self.strains, strain)])

    def move(self, step: Floats) -> None:
        """Move along the host's coordinates."""
        n = len(self.atoms)
        strain = np.sqrt(n) * np.tensordot(step[3 * n :], self.strains, axes=1)
        change = np.concatenate([step[: 3 * n].reshape(-1, 3), strain])
        self.geometry.set_x(self.geometry.x + change)

    def shifts(self) -> Floats:
        """Return how far every atom is from its place, shape (N,)."""
        n = len(self.atoms)
        moved = (self.geometry.x - self.geometry.start)[:n]
        distances: Floats = np.linalg.norm(moved - moved.mean(axis=0), axis=1)
        return distances

    def direction(self, gradient: Floats, inverse: Floats) -> Floats:
        """Return minus the inverse curvature times the gradient, by the two-loop recursion."""
        q, factors = gradient.copy(), []
        for s, y in reversed(self.memory):
            factors.append((s @ q) / (s @ y))
            q -= factors[-1] * y
        r: Floats = inverse @ q
        for (s, y), factor in zip(self.memory, reversed(factors), strict=True):
            r += s * (factor - (y @ r) / (s @ y))
        return -r

    def advance(self, inverse: Floats, tolerance: float, max_steps: int) -> None:
        """Make the next step, or write down the energy of the minimum."""
        energy, gradient = self.geometry.get_value(), self.gradient()
        if not (np.isfinite(energy) and np.isfinite(gradient).all()):
            self.result = np.inf
            return
        if self.last is not None:
            before, old, step = self.last
            change = gradient - old
            if step @ change > 0:
                self.memory.append((step, change))
            if energy > before + tolerance:  # too far: half of the way back
                self._go(-0.5 * step, (before, old, 0.5 * step), max_steps)
                return
        direction = self.direction(gradient, inverse)
        left = -0.5 * float(gradient @ direction)
        if 0 <= left < tolerance:
            self.result = energy - left
            return
        farthest = np.abs(direction[: 3 * len(self.atoms)]).max()
        step = direction * min(1.0, LONGEST / farthest)
        self._go(step, (energy, gradient, step), max_steps)

    def _go(self, step: Floats, last: tuple[float, Floats, Floats], max_steps: int) -> None:
        if self.steps >= max_steps:
            self.result = np.inf
            return
        try:
            self.move(step)
        except ArithmeticError:
            self.result = np.inf
        self.last, self.steps = last, self.steps + 1


def relax_decorations(
    evaluate: Evaluate,
    starts: Sequence[Atoms],
    host: HarmonicHost,
    *,
    tolerance: float,
    max_steps: int,
) -> tuple[Floats, Floats]:
    """Relax decorations.

    The result of each is a function of its start alone, whatever else is relaxed beside it.

    Parameters
    ----------
    evaluate
        Predicts structures.
    starts
        Decorations on the lattice; they stay as they are.
    host
        The response of the lattice.
    tolerance
        Energy that a relaxation may be expected to gain still when it ends (eV per cell); the
        energy that is returned is without it.
    max_steps
        Most steps of each; one that needs more has the energy infinity.

    Returns
    -------
    energies, shifts
        eV per cell, shape (B,), and how far every atom is from its place on the strained lattice
        when the relaxation ends (Å), shape (B, N).
    """
    runs = [_Relaxation(atoms.copy(), host.strains) for atoms in starts]
    while moving := [run for run in runs if run.result is None]:
        outcomes = evaluate_each(evaluate, [run.atoms for run in moving])
        for run, outcome in zip(moving, outcomes, strict=True):
            if isinstance(outcome, str):
                run.result = np.inf
                continue
            run.geometry.take(outcome)
            run.advance(host.inverse, tolerance, max_steps)
    energies = np.array([run.result for run in runs], dtype=np.float64)
    return energies, np.array([run.shifts() for run in runs])
