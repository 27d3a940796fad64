"""The one loss of every family, and the errors that are reported: eV/atom, eV/Å, eV/Å³."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from hea_flows.potentials.potential import Output
from hea_flows.potentials.training.labels import Labels
from hea_flows.schemas import ErrorSummary, LossWeights


@dataclass(frozen=True)
class BatchLabels:
    """Labels of a batch: energies (B,), forces (N, 3), stresses (S, 3, 3), weights (B,) or none.

    `stressed` are the S frames that have a stress, or None where all have one.
    """

    energies: Tensor
    forces: Tensor
    stresses: Tensor
    weights: Tensor | None = None
    stressed: Tensor | None = None


@dataclass
class SquaredErrors:
    """Sums of squared errors and how many numbers each holds.

    The energy counts once per structure (eV/atom), forces by Cartesian component (eV/Å), the
    stress by the nine components of the tensor (eV/Å³), of frames that have one.
    """

    energy: Tensor | float = 0.0
    forces: Tensor | float = 0.0
    stress: Tensor | float = 0.0
    n_energy: int = 0
    n_forces: int = 0
    n_stress: int = 0

    def add(self, other: SquaredErrors) -> None:
        """Add the numbers of another batch, as plain floats."""
        for name in ("energy", "forces", "stress"):
            setattr(self, name, _float(getattr(self, name)) + _float(getattr(other, name)))
            count = f"n_{name}"
            setattr(self, count, getattr(self, count) + getattr(other, count))

    def loss(self, weights: LossWeights) -> Tensor:
        """Return the weighted sum of the mean squared errors; a float where the sums are."""
        total: Tensor = 0.0
        for name in ("energy", "forces", "stress"):
            weight = getattr(weights, name)
            if weight > 0:
                total = total + weight * getattr(self, name) / max(getattr(self, f"n_{name}"), 1)
        return total

    def summary(self) -> ErrorSummary:
        """Return root mean squares as a document holds them; NaN where there are no numbers."""
        return ErrorSummary(
            n_frames=self.n_energy,
            energy_mev=1000.0 * _rms(self.energy, self.n_energy),
            forces_mev=1000.0 * _rms(self.forces, self.n_forces),
            stress=_rms(self.stress, self.n_stress),
        )


def squared_errors(output: Output, labels: BatchLabels) -> SquaredErrors:
    """Compare predictions with labels; what was not predicted does not count.

    Weights multiply the squared errors of their frames and leave the counts as they are. A frame
    without stress counts neither in the sum of the stress nor in its number.
    """
    predicted, weights = output.stresses, labels.weights
    if labels.stressed is not None:
        predicted = None if predicted is None else predicted.index_select(0, labels.stressed)
    energy = ((output.energies - labels.energies) / output.n_atoms) ** 2
    forces = None if output.forces is None else (output.forces - labels.forces) ** 2
    stress = None if predicted is None else (predicted - labels.stresses) ** 2
    if weights is not None:
        energy = energy * weights
        if forces is not None:
            forces = forces * torch.repeat_interleave(weights, output.n_atoms)[:, None]
        if stress is not None:
            own = weights if labels.stressed is None else weights.index_select(0, labels.stressed)
            stress = stress * own[:, None, None]
    errors = SquaredErrors(energy=energy.sum(), n_energy=energy.numel())
    if forces is not None:
        errors.forces, errors.n_forces = forces.sum(), forces.numel()
    if stress is not None:
        errors.stress, errors.n_stress = stress.sum(), stress.numel()
    return errors


def loss(output: Output, labels: BatchLabels, weights: LossWeights) -> Tensor:
    """Return the loss of one batch (SCIENCE: energy:forces:stress = 100:10:1).

    ``w_E mean(ΔE/N)² + w_F mean(ΔF)² + w_S mean(Δσ)²``, means over structures, Cartesian
    components of all atoms, and the nine components of the stress tensors that are labelled.
    """
    return squared_errors(output, labels).loss(weights)


def join_labels(labels: Sequence[Labels], like: Tensor) -> BatchLabels:
    """Join labels into one batch, with the precision and device of the tensor `like`."""

    def tensor(values: ArrayLike) -> Tensor:
        return torch.as_tensor(np.asarray(values), dtype=like.dtype, device=like.device)

    weights = [x.weight for x in labels]
    stressed = [i for i, x in enumerate(labels) if x.has_stress]
    return BatchLabels(
        tensor([x.energy for x in labels]),
        tensor(np.concatenate([x.forces for x in labels])),
        tensor(np.array([labels[i].stress for i in stressed]).reshape(-1, 3, 3)),
        None if set(weights) == {1.0} else tensor(weights),
        None if len(stressed) == len(labels) else torch.tensor(stressed, device=like.device).long(),
    )


def _rms(total: Tensor | float, n: int) -> float:
    return math.sqrt(_float(total) / n) if n else math.nan


def _float(value: Tensor | float) -> float:
    return float(value.detach() if isinstance(value, torch.Tensor) else value)
