"""The stand-in for VASP with atoms in harmonic wells: all its files, next to no computing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path[0] = str(Path(__file__).resolve().parents[1] / "tests")

from vasp_standin import deck, program  # noqa: E402

_STIFFNESS = np.array([12.0, 25.0, 60.0])  # eV/Å²; three curvatures are three or more steps
_SHIFT = 0.02  # Å, from where the atoms start to where their wells are


class Wells:
    """A potential as `vasp_standin.client.Potential`."""

    def __init__(self, folder: Path) -> None:  # noqa: ARG002  as the stand-in calls it
        start = deck.read(Path.cwd())
        shift = np.random.default_rng(0).normal(scale=_SHIFT, size=start.frac.shape)
        self.bottom = start.frac + shift @ np.linalg.inv(start.cell)

    def evaluate(
        self, cell: NDArray[np.float64], frac: NDArray[np.float64], symbols: list[str]
    ) -> dict[str, Any]:
        """Return energy (eV), forces (eV/Å), stress (eV/Å³) and moments (μB)."""
        away = frac - self.bottom
        away = (away - np.round(away)) @ cell
        return {
            "energy": round(-8.0 * len(symbols) + float((_STIFFNESS * away**2).sum()) / 2, 8),
            "forces": -_STIFFNESS * away,
            "stress": np.zeros((3, 3)),
            "magmoms": np.zeros(len(symbols)),
        }


program.Potential = Wells  # type: ignore[assignment,misc]
sys.exit(program.main())
