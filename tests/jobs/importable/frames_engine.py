"""A reference engine that makes frames up, as many as it is told."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from jobflow import Maker, job
from pymatgen.core import Structure

from hea_flows.alloy.lattice.prototypes import Alloy
from hea_flows.reference.base import LABEL_DATA, Calculation, Labelled, label_document
from hea_flows.schemas import AlloySpec, Document, LabelDoc, StoredFile, StructureEntry

#: Size of what a code says besides the frames (bytes): VASP's task document, compressed.
TASK = 300_000
HOST = Alloy(("Mo", "W"))


def seed_of(structure: StructureEntry) -> int:
    """Return the seed of a structure's frames."""
    return zlib.crc32(structure.structure_id.encode())


def made_up(ideal: Atoms, n_frames: int, seed: int) -> list[Atoms]:
    """Return spin-polarised frames whose every number needs all its digits."""
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(n_frames):
        atoms = ideal.copy()
        atoms.set_cell(ideal.cell.array * (1 + 0.01 * rng.normal(size=(3, 1))), scale_atoms=True)
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
class FramesMaker(Maker):
    """Label a structure with made-up numbers."""

    name: str = "made up"
    calculation: Calculation = "relax"
    n_frames: int = 10

    @job(data=LABEL_DATA, output_schema=LabelDoc)
    def make(
        self,
        structure: StructureEntry,
        alloy: AlloySpec,
        source: Document | None = None,
        start: Structure | None = None,
    ) -> LabelDoc:
        """Label one structure."""
        seed = seed_of(structure)
        ideal = structure.to_ordering(alloy.to_alloy()).to_atoms()
        random = np.random.default_rng(seed).bytes(TASK)
        return label_document(
            lambda: Labelled(
                made_up(ideal, self.n_frames, seed),
                converged=True,
                corrections=["ALGO: Fast to All"] * 5,
                inputs={"incar": {f"KEY{i}": i for i in range(60)}, "kpoints": [2, 2, 1]},
                directory="host.of.a.cluster:/scratch/of/somebody/a/long/folder/attempt-001",
                task=StoredFile.from_bytes("task.json.xz", random),
            ),
            structure=structure,
            alloy=alloy,
            engine="made-up",
            rule={"code": "made-up"},
            calculation=self.calculation,
            source=source,
        )
