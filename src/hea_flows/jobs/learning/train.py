"""Fine-tuning, or training from scratch, on a dataset."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from ase import Atoms
from jobflow import CURRENT_JOB, JobConfig, Maker, Response, job
from numpy.typing import NDArray

from hea_flows.alloy.thermodynamics import apply_offsets, composition_matrix, fit_offsets
from hea_flows.jobs.identity import found_again, identity
from hea_flows.jobs.learning.dataset import split_atoms
from hea_flows.potentials.base import family
from hea_flows.potentials.training import methods
from hea_flows.potentials.training.labels import with_energies
from hea_flows.provenance import provenance
from hea_flows.runtime.locks import alone
from hea_flows.runtime.walltime import OutOfTimeError
from hea_flows.schemas import (
    DatasetDoc,
    ModelSpec,
    Offsets,
    StoredFile,
    TrainingDoc,
    TrainingSettings,
)
from hea_flows.settings import get_settings


@dataclass
class TrainMaker(Maker):
    """Train a model of any registered family on a dataset.

    Where another process trains the same model, this one waits and takes what it made.

    Per-element offsets are removed from the labels before training, see `removed_offsets`; by
    default the model keeps the parent's zero of energy.

    Parameters
    ----------
    name
        Job name.
    model
        The parent; without name and path the family's model is trained from scratch.
    training
        Epochs, batch, loss weights, seed, method, offsets.
    title
        The campaign's name of the model; default the parent's.
    reuse
        Whether a model that is in the store already is taken: the same frames and splits, parent
        and settings.
    """

    name: str = "fine-tune"
    model: ModelSpec = field(default_factory=lambda: ModelSpec(family="chgnet", name="0.3.0"))
    training: TrainingSettings = field(default_factory=TrainingSettings)
    title: str = ""
    reuse: bool = True

    @job(data=["model_file"], output_schema=TrainingDoc, config=JobConfig(expose_store=True))
    def make(self, dataset: DatasetDoc | str) -> TrainingDoc | Response[TrainingDoc]:
        """Train; an interrupted job goes on from its last epoch.

        Parameters
        ----------
        dataset
            What to train on, or the uuid of the job that collected it: a job that goes on after a
            time limit is added while another runs, and may not refer to jobs of elsewhere.
        """
        if isinstance(dataset, str):
            dataset = DatasetDoc.model_validate(CURRENT_JOB.store.get_output(dataset, load=True))
        try:
            return self._train(dataset)
        except OutOfTimeError:
            # jobflow adds to the name what it added to this job's, and its place in the queue.
            bare = replace(self, name=type(self).name)
            return Response(replace=bare.make(dataset.uuid))

    def _train(self, dataset: DatasetDoc) -> TrainingDoc:
        engine = family(self.model.family)
        methods.check(engine, self.model if self.model.pretrained else None, self.training)
        parent = None
        if self.model.pretrained:
            parent = engine.resolve(self.model)
        else:
            own = self.model.model_dump(include={"architecture", "dtype"}, exclude_defaults=True)
            engine = family(self.model.family, **own)
        settings = methods.resolve(self.training)
        title = self.title or self.model.label
        key = identity(
            frames=[dataset.checksum, list(dataset.n_frames)],  # splits count in this order
            splits=[dataset.train, dataset.test, dataset.validation],
            family=self.model.family,
            parent=parent.sha256 if parent else None,
            dtype=self.model.dtype,
            architecture=self.model.architecture,
            settings=methods.recorded(settings),
        )
        folder = get_settings().data_dir / "training" / self._folder(key)
        with alone(folder):  # what waited finds the other's model, stored or in the folder
            if self.reuse and (known := found_again(TrainingDoc, "training", key)):
                sources = provenance(dataset=dataset, reused=known) | {"versions": known.versions}
                return known.model_copy(update=sources | {"name": title})
            device = get_settings().device
            splits = {
                "train": split_atoms(dataset, dataset.train),
                "validation": split_atoms(dataset, dataset.validation),
                "test": split_atoms(dataset, dataset.test),
            }
            offsets = removed_offsets(settings.offsets, parent, splits["train"])
            shifted = {k: without_offsets(v, offsets) for k, v in splits.items()}
            result = engine.train(
                parent,
                shifted["train"],
                shifted["validation"],
                shifted["test"],
                settings,
                folder,
                device=device,
            )
            model_file = StoredFile.from_bytes(
                "model.pt", Path(result.model.path or "").read_bytes()
            )
        return TrainingDoc(
            **provenance(*getattr(engine, "packages", ()), dataset=dataset),
            name=title,
            identity=key,
            parent=parent,
            best_epoch=result.best_epoch,
            model=result.model.model_copy(update={"path": None}),
            model_file=model_file,
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

    def _folder(self, key: str) -> str:
        """Return where the run's state is kept: where nothing is reused, also no finished run."""
        if self.reuse or CURRENT_JOB.job is None:
            return key
        return f"{key}-{CURRENT_JOB.job.uuid}"


def local_model(document: TrainingDoc) -> ModelSpec:
    """Write the model of a document to the models folder, verified; return where it is."""
    path = document.model_file.write_to(get_settings().models_dir)
    return document.model.model_copy(
        update={"path": str(path), "sha256": document.model_file.sha256}
    )


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
