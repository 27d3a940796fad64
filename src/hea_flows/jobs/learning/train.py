"""Fine-tuning, or training from scratch, on a dataset."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from pathlib import Path

from jobflow import CURRENT_JOB, Maker, Response

from hea_flows.jobs.failures import result_job
from hea_flows.jobs.learning.dataset import extra_atoms, split_atoms
from hea_flows.jobs.learning.offsets import removed_offsets, without_offsets
from hea_flows.jobs.reuse import identity, load_document, reuse_or
from hea_flows.potentials import family
from hea_flows.potentials.training import methods
from hea_flows.provenance import provenance
from hea_flows.runtime import OutOfTimeError, alone
from hea_flows.runtime.continuation import continue_later
from hea_flows.schemas import (
    DatasetDoc,
    ModelDoc,
    ModelSpec,
    Promised,
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

    @result_job(data=TrainingDoc.in_store(), output_schema=TrainingDoc)
    def make(self, dataset: DatasetDoc | str) -> TrainingDoc | Response[TrainingDoc]:
        """Train; an interrupted job goes on from its last epoch.

        Parameters
        ----------
        dataset
            What to train on, or the uuid of the job that collected it.
        """
        document = load_document(DatasetDoc, dataset)
        try:
            return self._train(document)
        except OutOfTimeError:
            return continue_later(self, document.uuid)

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
        title = self.title or self.model.title
        key = identity(
            frames=[dataset.checksum, list(dataset.n_frames)],  # splits count in this order
            splits=[dataset.train, dataset.test, dataset.validation],
            family=self.model.family,
            parent=parent.checksum if parent else None,
            dtype=self.model.dtype,
            architecture=self.model.architecture,
            settings=methods.recorded(settings),
        )
        folder = get_settings().data_dir / "training" / self._folder(key)

        def train() -> TrainingDoc:
            device = get_settings().device
            # A model of decorations has no use for what is none.
            extra = extra_atoms(dataset) if engine.relaxes else []
            splits = {
                "train": split_atoms(dataset, dataset.train) + extra,
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
                **provenance(*engine.packages, dataset=dataset),
                name=title,
                identity=key,
                parent=parent,
                best_epoch=result.best_epoch,
                model=result.model.model_copy(
                    update={"path": None, "licence": parent and parent.licence}
                ),
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

        with alone(folder):  # what waited finds the other's model, stored or in the folder
            return reuse_or(
                train,
                TrainingDoc,
                key,
                reuse=self.reuse,
                sources={"dataset": dataset},
                name=title,
            )

    def _folder(self, key: str) -> str:
        """Return where the run's state is kept: where nothing is reused, also no finished run."""
        if self.reuse or CURRENT_JOB.job is None:
            return key
        return f"{key}-{CURRENT_JOB.job.uuid}"


def local_model(document: ModelDoc | ModelSpec) -> ModelSpec:
    """Return a model whose file is on this machine, verified.

    That of a document is written to the models folder.
    """
    if isinstance(document, ModelSpec):
        return family(document.family).resolve(document)
    path = document.model_file.write_to(get_settings().models_dir)
    promised = Promised(document.model_file.sha256)  # our own document stands for its file
    return document.model.model_copy(update={"path": str(path), "sha256": promised})
