"""A reference engine that makes frames up, as many as it is told."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from hea_flows.alloy.lattice import Alloy, Ordering
from hea_flows.reference import Outcome, ReferenceMaker
from hea_flows.schemas import StoredFile

#: Size of what a code says besides the frames (bytes): VASP's task document, compressed.
TASK = 300_000
HOST = Alloy(("Mo", "W"))


def seed_of(structure_id: str) -> int:
    """Return the seed of a structure's frames."""
    return zlib.crc32(structure_id.encode())


def made_up(ideal: Atoms, n_frames: int, seed: int) -> list[Atoms]:
    """Return spin-polarised frames whose every number needs all its digits."""
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(n_frames):
        atoms = ideal.copy()
        strain = 0.01 * rng.normal(size=(3, 1)) * [[1], [1], [0]]
        atoms.set_cell(ideal.cell.array * (1 + strain), scale_atoms=True)
        atoms.positions += rng.normal(scale=0.02, size=atoms.positions.shape)
        atoms.calc = SinglePointCalculator(
            atoms,
            energy=-7.5 * len(atoms) + rng.normal(),
            free_energy=-7.5 * len(atoms) + rng.normal(),
            forces=rng.normal(size=(len(atoms), 3)),
            stress=1e-3 * rng.normal(size=6),
            magmoms=rng.normal(size=len(atoms)),
        )
        atoms.info["seconds"] = float(rng.exponential(100.0))
        frames.append(atoms)
    return frames


@dataclass
class FramesMaker(ReferenceMaker):
    """Label a structure with made-up numbers."""

    name: str = "made-up"
    n_frames: int = 10

    def rule(self) -> dict[str, Any]:
        return {"code": "made-up"}

    def compute(self, atoms: Atoms, ordering: Ordering) -> Outcome:
        seed = seed_of(ordering.id)
        random = np.random.default_rng(seed).bytes(TASK)
        return Outcome(
            made_up(atoms, self.n_frames, seed),
            converged=True,
            corrections=["ALGO: Fast to All"] * 5,
            inputs={"incar": {f"KEY{i}": i for i in range(60)}, "kpoints": [2, 2, 1]},
            directory=Path("/scratch/of/somebody/a/long/folder/attempt-001"),
            task=StoredFile.from_bytes("task.json.xz", random),
        )
