"""Labels of frames: what a model learns; numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.stress import voigt_6_to_full_3x3_stress
from numpy.typing import NDArray


@dataclass(frozen=True)
class Labels:
    """Labels of one frame.

    Parameters
    ----------
    energy
        Extrapolated to zero smearing, without per-element offsets (eV per cell).
    forces
        eV/Å, shape (N, 3).
    stress
        eV/Å³, shape (3, 3); NaN where the frame has none.
    weight
        Weight of the frame in the loss.
    """

    energy: float
    forces: NDArray[np.float64]
    stress: NDArray[np.float64]
    weight: float = 1.0

    @property
    def has_stress(self) -> bool:
        """Whether the stress is labelled; if not, it does not count in the loss."""
        return not bool(np.isnan(self.stress).any())


def read_labels(frame: Atoms) -> Labels:
    """Read the labels of one frame; its `energy`, not its `free_energy`.

    Raises
    ------
    ValueError
        If the frame has no energy or forces, or one that is not finite.
    """
    results = {} if frame.calc is None else frame.calc.results
    name = f"frame {frame.info.get('structure_id', '')} {frame.get_chemical_formula()}"
    for key in ("energy", "forces"):
        if results.get(key) is None or not np.all(np.isfinite(results[key])):
            msg = f"{name}: {key} is {results.get(key)!r:.60}; training needs a finite one"
            raise ValueError(msg)
    stress = results.get("stress")
    stress = np.full(6, np.nan) if stress is None else np.asarray(stress, dtype=float)
    return Labels(
        energy=float(results["energy"]),
        forces=np.array(results["forces"], dtype=float).reshape(len(frame), 3),
        stress=voigt_6_to_full_3x3_stress(stress) if stress.shape == (6,) else stress,
    )


def with_energies(frames: Sequence[Atoms], energies: Sequence[float]) -> list[Atoms]:
    """Return copies of frames with other energies, for example without per-element offsets.

    Parameters
    ----------
    frames
        Labelled frames; they stay as they are.
    energies
        One per frame (eV per cell).

    Raises
    ------
    ValueError
        If the numbers of frames and energies differ.
    """
    copies = []
    for frame, energy in zip(frames, energies, strict=True):
        copy = frame.copy()
        copy.calc = SinglePointCalculator(copy, **(dict(frame.calc.results) | {"energy": energy}))
        copies.append(copy)
    return copies
