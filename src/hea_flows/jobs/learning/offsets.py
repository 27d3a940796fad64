"""Energies per element that labels lose before training, and that predictions get back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from hea_flows.alloy.thermodynamics import apply_offsets, composition_matrix, fit_offsets
from hea_flows.potentials import family
from hea_flows.potentials.training import with_energies
from hea_flows.schemas import ModelSpec, Offsets
from hea_flows.settings import get_settings


def removed_offsets(
    policy: Offsets, parent: ModelSpec | None, frames: list[Atoms]
) -> dict[str, float]:
    """Return the energies per element (eV) that labels lose before training.

    Parameters
    ----------
    policy
        ``"fit"``: the reference minus the parent, or minus nothing from scratch, by
        `element_offsets`. ``"none"``: zero for every element of the frames; the model moves to the
        zero of the reference. Numbers are taken as they are.
    parent
        What is fine-tuned.
    frames
        Training frames.

    Raises
    ------
    ValueError
        If numbers are given and an element of the frames has none.
    """
    if policy == "fit":
        return element_offsets(parent, frames)
    elements = sorted({e for frame in frames for e in frame.get_chemical_symbols()})
    if policy == "none":
        return dict.fromkeys(elements, 0.0)
    if missing := [e for e in elements if e not in policy]:
        msg = (
            f"training offsets have no number for {', '.join(missing)}; given: {', '.join(policy)}"
        )
        raise ValueError(msg)
    return dict(policy)


def element_offsets(model: ModelSpec | None, frames: list[Atoms]) -> dict[str, float]:
    """Return the reference's energy per element minus the model's (eV), minimum norm."""
    predicted = [0.0] * len(frames)
    if model is not None:
        predictions = family(model.family).evaluate(model, frames, device=get_settings().device)
        predicted = [p.energy for p in predictions]
    return offsets_between(frames, predicted)


def offsets_between(frames: list[Atoms], predicted: Sequence[float]) -> dict[str, float]:
    """Return the labels' energy per element minus predicted ones (eV), minimum norm."""
    reference = np.array([f.calc.results["energy"] for f in frames])
    compositions, elements = _compositions(frames)
    return fit_offsets(compositions, reference - np.array(predicted), elements)


def _compositions(frames: list[Atoms]) -> tuple[NDArray[np.int64], list[str]]:
    counts = [Counter(frame.get_chemical_symbols()) for frame in frames]
    elements = sorted(set().union(*counts))
    return composition_matrix(counts, elements), elements


def without_offsets(frames: list[Atoms], offsets: dict[str, float]) -> list[Atoms]:
    """Return copies of frames whose energies are free of the offsets."""
    if not frames:
        return []
    compositions, elements = _compositions(frames)
    energies = [frame.calc.results["energy"] for frame in frames]
    negative = {element: -value for element, value in offsets.items()}
    return with_energies(frames, apply_offsets(energies, compositions, elements, negative).tolist())
