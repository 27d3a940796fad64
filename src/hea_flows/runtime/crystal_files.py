"""Reading one crystal from a file that a person points at."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import cast

import ase.io
import numpy as np
from ase import Atoms

#: Largest file (bytes): a crystal has some dozen lines.
_MOST_BYTES = 1_000_000
#: Format of ASE by what a file is called.
_FORMATS = {".cif": "cif", ".vasp": "vasp", ".poscar": "vasp", ".xyz": "extxyz"}
_NAMES = {"POSCAR": "vasp", "CONTCAR": "vasp"}


def read_crystal(path: Path) -> Atoms:
    """Return the crystal of a CIF, a POSCAR or an extended XYZ file.

    Raises
    ------
    ValueError
        If there is no such file, or it is of another format, too large or damaged.
    """
    form = _NAMES.get(path.name) or _FORMATS.get(path.suffix.lower())
    if form is None:
        accepted = ", ".join([*_FORMATS, *_NAMES])
        msg = f"{path}: the format of a crystal is told by its name; accepted: {accepted}"
        raise ValueError(msg)
    if not path.is_file():
        msg = f"no file {path}"
        raise ValueError(msg)
    if path.stat().st_size > _MOST_BYTES:
        msg = f"{path} has more than {_MOST_BYTES // 1000} kB, too much for one crystal"
        raise ValueError(msg)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            atoms = cast("Atoms", ase.io.read(path, format=form))
    except Exception as error:  # noqa: BLE001  parsers of foreign formats raise anything
        why = " ".join(str(error).split()) or type(error).__name__
        msg = f"{path} cannot be read as {form}: {why[:200]}"
        raise ValueError(msg) from None
    if not len(atoms) or not np.isfinite(atoms.positions).all():
        msg = f"{path} holds no crystal"
        raise ValueError(msg)
    return atoms
