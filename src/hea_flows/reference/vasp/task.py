"""What VASP is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ase import Atoms
from atomate2.vasp.jobs.base import BaseVaspMaker
from pymatgen.core import Structure


@dataclass(frozen=True)
class Task:
    """What VASP is asked for.

    Parameters
    ----------
    maker
        atomate2's Maker; its input set holds everything but structure and k-points.
    atoms
        Start geometry, atoms in the order in which frames are returned.
    passes
        Relaxations in a row, each with a basis made for the cell that it starts from; 0 for a
        single point.
    folder
        Folder of this structure's attempts.
    prev_dir
        Earlier calculation that the first attempt takes files from.
    job
        uuid of the job; a structure that failed in another job is tried again.
    """

    maker: BaseVaspMaker
    atoms: Atoms
    passes: int
    folder: Path
    prev_dir: str | Path | None = None
    job: str = ""

    @property
    def order(self) -> list[int]:
        """The atoms in POSCAR's order: pymatgen sorts them by electronegativity."""
        sites = as_structure(self.atoms)
        return sorted(range(len(sites)), key=sites.__getitem__)


def as_structure(atoms: Atoms) -> Structure:
    """Return the atoms as pymatgen's structure, as they are: not wrapped, not sorted."""
    positions = atoms.get_scaled_positions(wrap=False)
    return Structure(atoms.cell.array, atoms.get_chemical_symbols(), positions)
