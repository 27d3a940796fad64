"""Data of a training run: splits as graphs and labels, the order of frames, a fingerprint."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from ase import Atoms

from hea_flows.alloy import stream
from hea_flows.potentials import model_files
from hea_flows.potentials.potential import Batch, Graph, Potential
from hea_flows.potentials.training.labels import Labels, read_labels
from hea_flows.potentials.training.loss import (
    BatchLabels,
    SquaredErrors,
    join_labels,
    squared_errors,
)
from hea_flows.potentials.training.methods import recorded
from hea_flows.schemas import TrainingSettings


def batches(n_frames: int, settings: TrainingSettings, epoch: int) -> list[list[int]]:
    """Return the frames of each batch of an epoch, a function of seed and epoch alone.

    `settings` are those of `hea_flows.potentials.training.schedule.with_defaults`.
    """
    rng = stream(settings.seed, "batches", epoch)
    order = rng.permutation(n_frames).tolist()
    size = settings.batch_size or n_frames
    return [order[i : i + size] for i in range(0, n_frames, size)]


@dataclass(frozen=True)
class Split:
    """Frames of one split, ready for use: graphs built once, and labels."""

    frames: Sequence[Atoms]
    graphs: list[Graph]
    labels: list[Labels]

    @classmethod
    def of(cls, potential: Potential, frames: Sequence[Atoms], weight: float = 1.0) -> Split:
        """Build the graphs and read the labels; `weight` is what these frames count in the loss.

        Raises
        ------
        ValueError
            For frames without energy or forces.
        """
        labels = [replace(read_labels(frame), weight=weight) for frame in frames]
        return cls(frames, potential.prepare(frames), labels)

    def __add__(self, other: Split) -> Split:
        """Return the frames of both."""
        return Split(
            [*self.frames, *other.frames],
            [*self.graphs, *other.graphs],
            [*self.labels, *other.labels],
        )

    def batch(self, potential: Potential, chosen: Sequence[int]) -> tuple[Batch, BatchLabels]:
        """Join the chosen frames."""
        joined = potential.collate([self.graphs[i] for i in chosen])
        return joined, join_labels([self.labels[i] for i in chosen], joined.positions)

    def errors(self, potential: Potential, batch_size: int) -> SquaredErrors:
        """Evaluate the whole split; every frame counts once, whatever its weight."""
        potential.module.eval()
        total = SquaredErrors()
        for start in range(0, len(self.labels), batch_size):
            chosen = range(start, min(start + batch_size, len(self.labels)))
            joined, labels = self.batch(potential, chosen)
            plain = replace(labels, weights=None)
            total.add(squared_errors(potential.predict(joined), plain))
        return total


def fingerprint(
    potential: Potential, split: Mapping[str, Split], settings: TrainingSettings
) -> str:
    """Hash everything that decides how a run ends."""
    start = potential.checkpoint()
    content = {
        "settings": json.dumps(recorded(settings), sort_keys=True),
        "config": json.dumps(start.config, sort_keys=True),
        "state": start.state,
        "labels": {
            name: [torch.as_tensor(a) for t in part.labels for a in (t.forces, t.stress)]
            for name, part in split.items()
        },
        "energies": {name: [t.energy for t in part.labels] for name, part in split.items()},
        "frames": {
            name: [
                torch.as_tensor(a)
                for f in part.frames
                for a in (f.numbers, f.positions, f.cell.array)
            ]
            for name, part in split.items()
        },
    }
    return model_files.digest(content)
