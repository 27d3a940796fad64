"""Energies of decorations that outlive their process: a job that goes on asks for none again."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hea_flows.alloy.sampling import DecorationEnergies
from hea_flows.jobs.sampling.run import read_state, write_state
from hea_flows.runtime.atomic_files import clear_partial
from hea_flows.runtime.walltime import OutOfTimeError, seconds_left, too_late

#: File of the energies, in the folder of a run.
KEPT_FILE = "energies.npz"
#: Decorations that the model is asked for at once.
PART = 16


class KeptEnergies:
    """A model whose energies are on disk before it is asked for more.

    Parameters
    ----------
    model
        The model.
    path
        File of the energies, in the folder of one run: it belongs to its model and supercell.
    """

    def __init__(self, model: DecorationEnergies, path: Path) -> None:
        self.name, self.model, self.path = model.name, model, path
        self._known: dict[bytes, float] = {}
        self._longest = 0.0
        clear_partial(path)
        if path.exists():
            state = read_state(path)
            for row, energy in zip(state["codes"], state["energies"].tolist(), strict=True):
                self._known[row.tobytes()] = energy

    @property
    def evaluations(self) -> int:
        """How many energies the model was asked for, before an interruption too."""
        return len(self._known)

    def energies(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the energies (eV per cell) of decorations (B, n_sites).

        Raises
        ------
        OutOfTimeError
            If the batch job ends before the model would answer.
        """
        rows = np.ascontiguousarray(codes, dtype=np.int64)
        for first in range(0, len(rows), PART):
            part = {row.tobytes(): row for row in rows[first : first + PART]}
            if unknown := [row for key, row in part.items() if key not in self._known]:
                self._ask(np.array(unknown))
        return np.array([self._known[row.tobytes()] for row in rows], dtype=np.float64)

    def _ask(self, rows: NDArray[np.int64]) -> None:
        left = seconds_left()
        if too_late(left, self._longest):
            msg = (
                f"{left:.0f} s are left and {PART} energies take {self._longest:.0f} s; the next "
                f"job goes on after {len(self._known)}"
            )
            raise OutOfTimeError(msg)
        clock = time.monotonic()
        found = self.model.energies(rows)
        self._longest = max(self._longest, time.monotonic() - clock)
        self._known |= {row.tobytes(): float(e) for row, e in zip(rows, found, strict=True)}
        write_state(
            self.path,
            {
                "codes": np.array([np.frombuffer(row, dtype=np.int64) for row in self._known]),
                "energies": np.array(list(self._known.values())),
            },
        )
