"""Folders of VASP runs that the stand-in wrote in no time: its atoms lie in harmonic wells."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import SETTINGS
from vasp_standin import faults, potcars, program

from hea_flows.alloy.lattice import Ordering
from hea_flows.reference.vasp import VaspMaker
from hea_flows.reference.vasp.potcars import judged_once
from hea_flows.reference.vasp.task import as_structure

_STIFFNESS = np.array([12.0, 25.0, 60.0])  # eV/Å²
_ENERGIES = {"Mo": -10.0, "W": -11.0, "Nb": -9.5, "Ta": -10.5, "V": -9.0, "S": -5.0}


class Wells:
    """A potential as `vasp_standin.client.Potential`: each atom has a well near where it starts."""

    #: Shift of the wells of the upper anions (Å), which are every third atom of an ordering.
    slide = np.zeros(3)

    def __init__(self, home: Path) -> None:
        self.bottom: NDArray[np.float64] | None = None

    def evaluate(
        self, cell: NDArray[np.float64], frac: NDArray[np.float64], symbols: list[str]
    ) -> dict[str, Any]:
        """Return energy (eV), forces (eV/Å), stress (eV/Å³) and moments (μB)."""
        if self.bottom is None:
            shift = np.random.default_rng(len(symbols)).normal(scale=0.02, size=frac.shape)
            upper = (np.array(symbols) == "S") & (frac[:, 2] > np.median(frac[:, 2]) + 1e-3)
            shift[upper] += self.slide
            self.bottom = frac + shift @ np.linalg.inv(cell)
        away = frac - self.bottom
        away = (away - np.round(away)) @ cell
        energy = sum(_ENERGIES[s] for s in symbols) + float((_STIFFNESS * away**2).sum()) / 2
        return {
            "energy": round(energy, 8),
            "forces": -_STIFFNESS * away,
            "stress": np.zeros((3, 3)),
            "magmoms": np.zeros(len(symbols)),
        }


@contextmanager
def standin(home: Path) -> Iterator[None]:
    """Let pymatgen find synthetic POTCARs, and the stand-in its wells."""
    potcars.write_psp_dir(home / "potcars")
    faults.read_plan(home)
    pseudopotentials = {"PMG_VASP_PSP_DIR": str(home / "potcars")}
    potential = patch.object(program, "Potential", Wells)
    with patch.dict(SETTINGS, pseudopotentials), potential, judged_once():
        yield


def run(
    folder: Path,
    ordering: Ordering,
    home: Path,
    *,
    fault: dict[str, Any] | None = None,
    slide: tuple[float, float, float] = (0.0, 0.0, 0.0),
    **options: Any,
) -> None:
    """Run the stand-in once in a folder; options are the engine's."""
    folder.mkdir(parents=True)
    atoms = ordering.to_atoms()
    atoms.positions[:, 2] += 3.0  # clear of the boundary, as the engine has it
    generator = VaspMaker.from_options(**options).maker_for(ordering).input_set_generator
    generator.get_input_set(as_structure(atoms)).write_input(folder)
    with patch.object(Wells, "slide", np.array(slide)):
        status, reason = program.Run(home, folder, fault or {}).run()
    assert status == 0, reason
