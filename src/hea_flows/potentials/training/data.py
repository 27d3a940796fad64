"""What a training run is fed with: splits as graphs and labels, the order of frames, a hash."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from ase import Atoms

from hea_flows.potentials import checkpoints
from hea_flows.potentials.torch_family import Batch, Potential, SelfDerived, predict
from hea_flows.potentials.training.labels import Target, target
from hea_flows.potentials.training.loss import (
    BatchTarget,
    SquaredErrors,
    collate_targets,
    squared_errors,
)
from hea_flows.potentials.training.methods import recorded
from hea_flows.potentials.training.schedule import weighs
from hea_flows.schemas import TrainingSettings


def batches(n_frames: int, settings: TrainingSettings, epoch: int) -> list[list[int]]:
    """Return the frames of each batch of an epoch, a function of seed and epoch alone.

    `settings` are resolved ones, see `hea_flows.potentials.training.schedule`.
    """
    rng = np.random.default_rng([settings.seed, epoch])
    order = rng.permutation(n_frames).tolist()
    size = settings.batch_size or n_frames
    return [order[i : i + size] for i in range(0, n_frames, size)]


@dataclass(frozen=True)
class Split:
    """Frames of one split, ready for use: graphs built once, and labels."""

    frames: Sequence[Atoms]
    graphs: list[Any]
    targets: list[Target]

    @classmethod
    def of(
        cls,
        potential: Potential | SelfDerived,
        frames: Sequence[Atoms],
        settings: TrainingSettings,
        weight: float = 1.0,
    ) -> Split:
        """Build the graphs and read the labels; `weight` is what these frames count in the loss.

        Raises
        ------
        ValueError
            For frames without energy or forces, or without a stress that has a loss weight.
        """
        targets = [replace(target(frame), weight=weight) for frame in frames]
        if weighs(settings, "stress") and any(np.isnan(t.stress).any() for t in targets):
            msg = "a frame has no stress; set the loss weight of the stress to 0 or label it"
            raise ValueError(msg)
        return cls(frames, potential.prepare(frames), targets)

    def __add__(self, other: Split) -> Split:
        """Return the frames of both."""
        return Split(
            [*self.frames, *other.frames],
            [*self.graphs, *other.graphs],
            [*self.targets, *other.targets],
        )

    def batch(
        self, potential: Potential | SelfDerived, chosen: Sequence[int]
    ) -> tuple[Batch, BatchTarget]:
        """Join the chosen frames."""
        joined = potential.collate([self.graphs[i] for i in chosen])
        return joined, collate_targets([self.targets[i] for i in chosen], joined.positions)

    def errors(self, potential: Potential | SelfDerived, batch_size: int) -> SquaredErrors:
        """Evaluate the whole split; every frame counts once, whatever its weight."""
        potential.module.eval()
        total = SquaredErrors()
        for start in range(0, len(self.targets), batch_size):
            chosen = range(start, min(start + batch_size, len(self.targets)))
            joined, labels = self.batch(potential, chosen)
            plain = replace(labels, weights=None)
            total.add(squared_errors(predict(potential, joined), plain))
        return total


def fingerprint(
    potential: Potential | SelfDerived, split: Mapping[str, Split], settings: TrainingSettings
) -> str:
    """Hash everything that decides how a run ends."""
    start = potential.checkpoint()
    content = {
        "settings": json.dumps(recorded(settings), sort_keys=True),
        "config": json.dumps(start.config, sort_keys=True),
        "state": start.state,
        "labels": {
            name: [torch.as_tensor(a) for t in part.targets for a in (t.forces, t.stress)]
            for name, part in split.items()
        },
        "energies": {name: [t.energy for t in part.targets] for name, part in split.items()},
        "frames": {
            name: [
                torch.as_tensor(a)
                for f in part.frames
                for a in (f.numbers, f.positions, f.cell.array)
            ]
            for name, part in split.items()
        },
    }
    return checkpoints.digest(content)
