"""Model files opened in a process that cannot import hea_flows, as their users open them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from hea_flows.potentials import NativeFile, Prediction

#: `sys.modules` with None: whatever imports hea_flows fails.
_PROGRAM = """
import json, sys, warnings
warnings.simplefilter("ignore")
sys.modules["hea_flows"] = None
import ase.io
openings, structures = json.load(open("openings.json")), ase.io.read("structures.traj", ":")
told = {}
for name, opening in openings.items():
    names = {}
    exec(opening, names)
    told[name] = []
    for atoms in structures:
        atoms.calc = names["calc"]
        told[name].append([float(atoms.get_potential_energy()), atoms.get_forces().tolist()])
print(json.dumps(told))
"""
Told = list[tuple[float, NDArray[np.float64]]]


def tell(
    files: Mapping[str, NativeFile],
    structures: Sequence[Atoms],
    folder: Path,
    python: Path | str = sys.executable,
) -> dict[str, Told]:
    """Return energies (eV) and forces (eV/Å) that the lines of native files lead to, by name."""
    openings = {}
    for name, file in files.items():
        path = folder / f"{name}{file.suffix}"
        path.write_bytes(file.content)
        openings[name] = file.opening.format(path=json.dumps(str(path)))
    (folder / "openings.json").write_text(json.dumps(openings))
    bare = [Atoms(a.numbers, a.positions, cell=a.cell.array, pbc=True) for a in structures]
    ase.io.write(folder / "structures.traj", bare)
    done = subprocess.run(
        [str(python), "-I", "-c", _PROGRAM],
        capture_output=True, text=True, check=False, timeout=600, cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return {name: [(e, np.array(f)) for e, f in rows] for name, rows in told.items()}


def shift(atoms: Atoms, offsets: dict[str, float]) -> float:
    """Return what offsets add to the energy of a structure (eV)."""
    return sum(offsets.get(symbol, 0.0) for symbol in atoms.get_chemical_symbols())


def compare(
    told: Told,
    ours: Sequence[Prediction],
    structures: Sequence[Atoms],
    offsets: dict[str, float],
    *,
    energy: float,
    forces: float,
) -> None:
    """Check energies (eV/atom) and forces (eV/Å) against our own, with the offsets added."""
    assert len(told) == len(ours) > 0
    for (e, f), prediction, atoms in zip(told, ours, structures, strict=True):
        expected = prediction.energy + shift(atoms, offsets)
        assert abs(e - expected) / len(atoms) < energy
        assert np.abs(f - prediction.forces).max() < forces
