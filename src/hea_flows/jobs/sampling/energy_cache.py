"""Energies of cells on disk, written as they come: a job that was stopped asks for none again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hea_flows.alloy.sampling import DecorationEnergies
from hea_flows.runtime import OutOfTimeError, atomic_write, clear_partial, seconds_left, too_late

Cell = TypeVar("Cell")
#: Energy of a cell (eV), or why it has none.
Energy = float | str
#: Cells that are evaluated between two writes of the file.
PART = 16


class EnergyCache:
    """Energies by key of a cell, in a JSON file that belongs to one model and its settings.

    Parameters
    ----------
    path
        The file; one process at a time writes it.
    tell
        Called with one line of progress after every write.
    """

    def __init__(self, path: Path, tell: Callable[[str], None] = lambda _: None) -> None:
        self.path, self.tell = path, tell
        clear_partial(path)
        self._energies: dict[str, Energy] = json.loads(path.read_text()) if path.exists() else {}
        self._longest = 0.0

    def __len__(self) -> int:
        """Return how many cells were evaluated, before an interruption too."""
        return len(self._energies)

    def energies(
        self, cells: Mapping[str, Cell], evaluate: Callable[[list[Cell]], Sequence[Energy]]
    ) -> dict[str, Energy]:
        """Return the energy (eV) of each cell, or why it has none; new ones are evaluated.

        Parameters
        ----------
        cells
            Key to cell.
        evaluate
            Returns the energies of up to `PART` cells, in their order.

        Raises
        ------
        OutOfTimeError
            If the batch job would end before the next part is evaluated.
        """
        missing = [key for key in cells if key not in self._energies]
        for first in range(0, len(missing), PART):
            self._check_time()
            keys = missing[first : first + PART]
            clock = time.monotonic()
            values = evaluate([cells[key] for key in keys])
            self._longest = max(self._longest, time.monotonic() - clock)
            self._energies |= zip(keys, values, strict=True)
            atomic_write(self.path, json.dumps(self._energies))
            self.tell(f"{first + len(keys)} of {len(missing)} cells")
        return {key: self._energies[key] for key in cells}

    def _check_time(self) -> None:
        left = seconds_left()
        if too_late(left, self._longest):
            msg = (
                f"{left:.0f} s are left and {PART} energies take {self._longest:.0f} s; the next "
                f"job goes on after {len(self)}"
            )
            raise OutOfTimeError(msg)


@dataclass(frozen=True)
class CachedEnergies:
    """Energies of decorations of one supercell, with a cache before the model."""

    model: DecorationEnergies
    cache: EnergyCache

    @property
    def name(self) -> str:
        """Geometry at which decorations are evaluated."""
        return self.model.name

    def energies(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the energies (eV per cell) of decorations (B, n_sites)."""
        rows = np.ascontiguousarray(codes, dtype=np.int64)
        keys = [row.astype(np.uint8).tobytes().hex() for row in rows]
        energies = self.cache.energies(
            dict(zip(keys, rows, strict=True)),
            lambda part: self.model.energies(np.array(part)).tolist(),
        )
        return np.array([energies[key] for key in keys], dtype=np.float64)
