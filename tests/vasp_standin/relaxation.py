"""Move atoms and cell downhill: quasi-Newton (BFGS) on positions and symmetric strain."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vasp_standin.deck import Deck

_STIFFNESS = 35.0  # eV/Å², the first guess of every curvature
_LONGEST_STEP = 0.15  # Å
_VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


class Relaxation:
    """The geometry of a run and what it learned of its curvature.

    Parameters
    ----------
    deck
        The input; INCAR's ISIF, IBRION, LATTICE_CONSTRAINTS and IOPTCELL say what may move.
    """

    def __init__(self, deck: Deck) -> None:
        self.deck = deck
        self.start = deck.cell
        self.frac = deck.frac
        self.mask = cell_mask(deck)
        #: Å of atomic motion that one unit of strain counts for
        self.lever = 0.9 * np.sqrt(deck.n_atoms)
        self.strain = np.zeros((3, 3))
        self.hessian: NDArray[np.float64] | None = None
        self.previous: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
        #: cell and fractional coordinates that stand instead of the own ones
        self.override: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None

    @property
    def cell(self) -> NDArray[np.float64]:
        """Lattice vectors as rows, Å."""
        return self.start @ (np.eye(3) + self.strain)

    def converged(
        self, forces: NDArray[np.float64], stress: NDArray[np.float64], change: float | None
    ) -> bool:
        """Tell whether EDIFFG is met: on atoms and cell if negative, on the energy if positive.

        The cell counts as one more atom: each row of volume · stress, divided by the number of
        atoms, is compared with |EDIFFG|. Not-a-number is never above a limit, as in Fortran.
        """
        limit = float(self.deck.get("EDIFFG"))
        if limit >= 0:
            return change is not None and abs(change) < limit
        free = np.where(self.deck.free, forces, 0.0)
        rows = self.mask * stress * abs(np.linalg.det(self.cell)) / self.deck.n_atoms
        largest = [np.linalg.norm(free, axis=1), np.linalg.norm(rows, axis=1)]
        return not bool(np.any(np.concatenate(largest) > -limit))

    def move(self, forces: NDArray[np.float64], stress: NDArray[np.float64]) -> None:
        """Take one step along the quasi-Newton direction."""
        position, gradient = self._coordinates(), self._gradient(forces, stress)
        if self.hessian is None or self.previous is None:
            self.hessian = np.eye(len(position)) * _STIFFNESS
        else:
            dx, dg = position - self.previous[0], gradient - self.previous[1]
            if np.abs(dx).max() > 1e-9 and abs(dx @ dg) > 1e-12:
                hdx = self.hessian @ dx
                self.hessian += np.outer(dg, dg) / (dx @ dg) - np.outer(hdx, hdx) / (dx @ hdx)
        self.previous = position, gradient
        values, vectors = np.linalg.eigh(self.hessian)
        step = -vectors @ ((gradient @ vectors) / np.maximum(np.abs(values), 1e-3))
        longest = np.linalg.norm(step.reshape(-1, 3), axis=1).max()
        position = position + step * min(1.0, _LONGEST_STEP / max(longest, 1e-12))
        self._set(position)

    def _coordinates(self) -> NDArray[np.float64]:
        voigt = [self.strain[i, j] * self.lever * (1 if i == j else np.sqrt(2)) for i, j in _VOIGT]
        return np.concatenate([(self.frac @ self.start).ravel(), voigt])

    def _set(self, position: NDArray[np.float64]) -> None:
        frac = position[:-6].reshape(-1, 3) @ np.linalg.inv(self.start)
        self.frac = np.where(self.deck.free, frac, self.frac)
        for value, (i, j) in zip(position[-6:], _VOIGT, strict=True):
            if self.mask[i, j]:
                strain = value / self.lever / (1 if i == j else np.sqrt(2))
                self.strain[i, j] = self.strain[j, i] = strain

    def _gradient(self, forces: NDArray[np.float64], stress: Any) -> NDArray[np.float64]:
        deformation = np.eye(3) + self.strain
        on_atoms = -np.where(self.deck.free, forces, 0.0) @ deformation
        virial = np.linalg.inv(deformation) @ stress * abs(np.linalg.det(self.cell))
        virial = self.mask * (virial + virial.T) / 2 / self.lever
        voigt = [virial[i, j] * (1 if i == j else np.sqrt(2)) for i, j in _VOIGT]
        return np.concatenate([on_atoms.ravel(), voigt])


def cell_mask(deck: Deck) -> NDArray[np.float64]:
    """Return which components of the stress drive the cell, (3, 3) of 0 and 1.

    VASP sets the rows and columns of the stress whose LATTICE_CONSTRAINTS is .FALSE. to zero (for
    IBRION = 1 and 2; other optimisers ignore the tag). IOPTCELL is the table of a widespread
    patch: nine 0 or 1.
    """
    mask = np.ones((3, 3)) if deck.get("ISIF") == 3 else np.zeros((3, 3))
    allowed = deck.incar.get("LATTICE_CONSTRAINTS")
    if allowed is not None and deck.get("IBRION") in {1, 2}:
        for axis, free in enumerate(allowed):
            if not free:
                mask[axis] = mask[:, axis] = 0
    table = deck.incar.get("IOPTCELL")
    if table is not None:
        square = np.array(table, dtype=float).reshape(3, 3)
        mask *= square * square.T
    return mask
