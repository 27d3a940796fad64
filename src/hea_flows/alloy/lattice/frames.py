"""Largest force and checksum of labelled frames (`ase.Atoms` with results)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from ase import Atoms


def max_force(frame: Atoms) -> float:
    """Return the largest force on an atom (eV/Å)."""
    return float(np.linalg.norm(frame.calc.results["forces"], axis=1).max())


def frames_checksum(frames: Sequence[Atoms]) -> str:
    """Return the sha256 of the frames' cells, positions, elements and labels."""
    digest = hashlib.sha256()
    for frame in frames:
        digest.update(",".join(frame.get_chemical_symbols()).encode())
        results = frame.calc.results
        free = results.get("free_energy", results["energy"])
        labels = (results["energy"], free, results["forces"], results["stress"])
        for part in (frame.cell.array, frame.positions, *labels):
            digest.update(np.ascontiguousarray(part, dtype="<f8").tobytes())
    return digest.hexdigest()
