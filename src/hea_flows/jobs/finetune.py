"""Fine-tuning, or training from scratch, on a dataset."""

from __future__ import annotations

import os
import platform
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from ase import Atoms
from jobflow import CURRENT_JOB, Maker, OutputReference, Response, job
from numpy.typing import NDArray

from hea_flows.alloy.mixing import apply_offsets, count_matrix, fit_offsets
from hea_flows.engines.registry import family
from hea_flows.engines.targets import with_energies
from hea_flows.engines.walltime import OutOfTimeError
from hea_flows.jobs.dataset import split_atoms
from hea_flows.schemas import DatasetDoc, FineTuneDoc, ModelSpec, StoredFile, TrainingSettings
from hea_flows.settings import get_settings
from hea_flows.stamp import stamp


@dataclass
class FineTuneMaker(Maker):
    """Train a model of any registered family on a dataset.

    Per-element offsets between the reference and the parent are fitted on the training frames and
    removed before training, so that the model keeps the parent's zero of energy.

    Parameters
    ----------
    name
        Job name.
    model
        The parent; without name and path the family's model is trained from scratch.
    training
        Epochs, batch, loss weights, seed.
    """

    name: str = "fine-tune"
    model: ModelSpec = field(default_factory=lambda: ModelSpec(family="chgnet", name="0.3.0"))
    training: TrainingSettings = field(default_factory=TrainingSettings)

    @job(data=["model_file"], output_schema=FineTuneDoc)
    def make(self, dataset: DatasetDoc) -> FineTuneDoc | Response[FineTuneDoc]:
        """Train; an interrupted job goes on from its last epoch."""
        try:
            return self._train(dataset)
        except OutOfTimeError:
            # jobflow adds to the name what it added to this job's, and its place in the queue. The
            # dataset goes along as a reference: it would not fit into a job.
            bare = replace(self, name=type(self).name)
            return Response(replace=bare.make(OutputReference(dataset.uuid)))

    def _train(self, dataset: DatasetDoc) -> FineTuneDoc:
        engine = family(self.model.family)
        parent = self.model if self.model.is_foundation else None
        device = get_settings().device
        splits = {
            "train": split_atoms(dataset, dataset.train),
            "validation": split_atoms(dataset, dataset.validation),
            "test": split_atoms(dataset, dataset.test),
            "held-out": [
                frame
                for key in dataset.held_out
                for frame in dataset.trajectories[key].to_frames(structure_id=key)
            ],
        }
        offsets = element_offsets(parent, splits["train"])
        shifted = {k: without_offsets(v, offsets) for k, v in splits.items()}
        job_uuid = CURRENT_JOB.job.uuid if CURRENT_JOB.job else f"seed-{self.training.seed}"
        result = engine.train(
            parent,
            shifted["train"],
            shifted["validation"],
            shifted["test"],
            self.training,
            get_settings().data_dir / "training" / job_uuid,
            held_out=shifted["held-out"],
            device=device,
        )
        return FineTuneDoc(
            **stamp("torch", "chgnet", "mace-torch", dataset=dataset),
            parent=parent,
            best_epoch=result.best_epoch,
            model=result.model.model_copy(update={"path": None}),
            model_file=StoredFile.from_bytes(
                "model.pt", Path(result.model.path or "").read_bytes()
            ),
            settings=result.settings,
            offsets=offsets,
            dataset_checksum=dataset.checksum,
            curve=result.curve,
            errors=result.errors,
            seconds=result.seconds,
            hardware={
                "machine": platform.machine(),
                "cores": str(os.cpu_count()),
                "device": device,
            },
        )


def local_model(document: FineTuneDoc) -> ModelSpec:
    """Write the model of a document to the models folder, verified; return where it is."""
    path = document.model_file.write_to(get_settings().models_dir)
    return document.model.model_copy(
        update={"path": str(path), "sha256": document.model_file.sha256}
    )


def element_offsets(model: ModelSpec | None, frames: list[Atoms]) -> dict[str, float]:
    """Return the reference's energy per element minus the model's (eV), minimum norm."""
    reference = np.array([f.calc.results["energy"] for f in frames])
    predicted = np.zeros(len(frames))
    if model is not None:
        predictions = family(model.family).evaluate(model, frames, device=get_settings().device)
        predicted = np.array([p.energy for p in predictions])
    compositions, elements = _compositions(frames)
    return fit_offsets(compositions, reference - predicted, elements)


def _compositions(frames: list[Atoms]) -> tuple[NDArray[np.int64], list[str]]:
    counts = [Counter(frame.get_chemical_symbols()) for frame in frames]
    elements = sorted(set().union(*counts))
    return count_matrix(counts, elements), elements


def without_offsets(frames: list[Atoms], offsets: dict[str, float]) -> list[Atoms]:
    """Return copies of frames whose energies are free of the offsets."""
    if not frames:
        return []
    compositions, elements = _compositions(frames)
    energies = [frame.calc.results["energy"] for frame in frames]
    negative = {element: -value for element, value in offsets.items()}
    return with_energies(frames, apply_offsets(energies, compositions, elements, negative).tolist())
