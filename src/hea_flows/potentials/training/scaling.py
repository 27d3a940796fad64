"""What an untrained model is scaled to: statistics of its training frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from hea_flows.potentials.training.labels import read_labels


@dataclass(frozen=True)
class Scaling:
    """Root mean square force (eV/Å) and mean energy per atom (eV) of labelled frames."""

    forces_rms: float
    energy_per_atom: float


def scaling(frames: Sequence[Atoms], family: str) -> Scaling:
    """Return the statistics of labelled frames.

    Raises
    ------
    ValueError
        Without frames, or for frames without labels.
    """
    if not frames:
        msg = f"a {family} model from scratch needs training frames to be scaled to"
        raise ValueError(msg)
    labels = [read_labels(frame) for frame in frames]
    rms = float(np.sqrt(np.mean(np.concatenate([x.forces for x in labels]) ** 2)))
    energies = [x.energy / len(frame) for x, frame in zip(labels, frames, strict=True)]
    return Scaling(rms or 1.0, float(np.mean(energies)))
