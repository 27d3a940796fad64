"""The one loss of every family, and the errors that are reported: eV/atom, eV/Å, eV/Å³."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hea_flows.potentials.torch_family import Output
from hea_flows.potentials.training.labels import Target
from hea_flows.schemas import ErrorSummary, LossWeights


@dataclass(frozen=True)
class BatchTarget:
    """Labels of a batch: energies (B,), forces (N, 3), stresses (B, 3, 3), weights (B,) or none."""

    energies: Any
    forces: Any
    stresses: Any
    weights: Any = None


@dataclass
class SquaredErrors:
    """Sums of squared errors and how many numbers each holds.

    The energy counts once per structure (eV/atom), forces by Cartesian component (eV/Å), the
    stress by the nine components of the tensor (eV/Å³).
    """

    energy: Any = 0.0
    forces: Any = 0.0
    stress: Any = 0.0
    n_energy: int = 0
    n_forces: int = 0
    n_stress: int = 0

    def add(self, other: SquaredErrors) -> None:
        """Add the numbers of another batch, as plain floats."""
        for name in ("energy", "forces", "stress"):
            setattr(self, name, _float(getattr(self, name)) + _float(getattr(other, name)))
            count = f"n_{name}"
            setattr(self, count, getattr(self, count) + getattr(other, count))

    def loss(self, weights: LossWeights) -> Any:  # noqa: ANN401
        """Return the weighted sum of the mean squared errors."""
        total: Any = 0.0
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


def squared_errors(output: Output, target: BatchTarget) -> SquaredErrors:
    """Compare predictions with labels; what was not predicted does not count.

    Weights multiply the squared errors of their frames and leave the counts as they are.
    """
    energy = ((output.energies - target.energies) / output.n_atoms) ** 2
    forces = None if output.forces is None else (output.forces - target.forces) ** 2
    stress = None if output.stresses is None else (output.stresses - target.stresses) ** 2
    if target.weights is not None:
        energy = energy * target.weights
        if forces is not None:
            forces = forces * torch.repeat_interleave(target.weights, output.n_atoms)[:, None]
        if stress is not None:
            stress = stress * target.weights[:, None, None]
    errors = SquaredErrors(energy=energy.sum(), n_energy=energy.numel())
    if forces is not None:
        errors.forces, errors.n_forces = forces.sum(), forces.numel()
    if stress is not None:
        errors.stress, errors.n_stress = stress.sum(), stress.numel()
    return errors


def loss(output: Output, target: BatchTarget, weights: LossWeights) -> Any:  # noqa: ANN401
    """Return the loss of one batch (SCIENCE: energy:forces:stress = 100:10:1).

    ``w_E mean(ΔE/N)² + w_F mean(ΔF)² + w_S mean(Δσ)²``, means over structures, Cartesian
    components of all atoms, and the nine components of the stress tensors.
    """
    return squared_errors(output, target).loss(weights)


def collate_targets(targets: Sequence[Target], like: Any) -> BatchTarget:  # noqa: ANN401
    """Join labels into one batch, with the precision and device of the tensor `like`."""

    def tensor(values: Any) -> Any:  # noqa: ANN401
        return torch.as_tensor(np.asarray(values), dtype=like.dtype, device=like.device)

    weights = [t.weight for t in targets]
    return BatchTarget(
        tensor([t.energy for t in targets]),
        tensor(np.concatenate([t.forces for t in targets])),
        tensor(np.stack([t.stress for t in targets])),
        None if set(weights) == {1.0} else tensor(weights),
    )


def _rms(total: Any, n: int) -> float:  # noqa: ANN401
    return math.sqrt(_float(total) / n) if n else math.nan


def _float(value: Any) -> float:  # noqa: ANN401
    return float(value.detach() if isinstance(value, torch.Tensor) else value)
