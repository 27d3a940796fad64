"""A committee of trained models as a model of its own."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jobflow import Maker

from hea_flows.alloy.errors import fit_weights
from hea_flows.jobs.failures import result_job
from hea_flows.jobs.learning.dataset import split_atoms
from hea_flows.jobs.learning.offsets import without_offsets
from hea_flows.jobs.learning.train import local_model
from hea_flows.jobs.reuse import identity
from hea_flows.potentials import family
from hea_flows.provenance import provenance
from hea_flows.schemas import CommitteeModelDoc, DatasetDoc, StoredFile, TrainingDoc
from hea_flows.settings import get_settings


@dataclass
class CommitteeModelMaker(Maker):
    """Join trained models, of several seeds or families, into one that predicts their mean.

    Parameters
    ----------
    name
        Job name.
    title
        The campaign's name of the committee.
    weights
        ``equal``, or ``fitted`` to the energies per atom of the validation frames, which then have
        to be the same for all members.
    """

    name: str = "committee model"
    title: str = ""
    weights: Literal["equal", "fitted"] = "equal"

    @result_job(data=CommitteeModelDoc.in_store(), output_schema=CommitteeModelDoc)
    def make(
        self, trainings: list[TrainingDoc], dataset: DatasetDoc | None = None
    ) -> CommitteeModelDoc:
        """Join the models.

        Parameters
        ----------
        trainings
            The members.
        dataset
            What all of them were trained on; needed to fit weights.

        Raises
        ------
        ValueError
            For fewer than two members, or weights to be fitted without the validation frames of
            all members.
        """
        if len(trainings) < 2:
            msg = f"a committee has two members or more, got {len(trainings)}"
            raise ValueError(msg)
        weights = [1.0 / len(trainings)] * len(trainings)
        if self.weights == "fitted":
            weights = self._fitted(trainings, dataset)
        elements = set.intersection(*(set(t.offsets) for t in trainings))
        from hea_flows.potentials import committee  # loads torch

        members = [
            committee.Member(local_model(t), w) for t, w in zip(trainings, weights, strict=True)
        ]
        with tempfile.TemporaryDirectory() as folder:
            model = committee.join(members, Path(folder) / "committee.pt")
            file = StoredFile.from_bytes("committee.pt", Path(model.path or "").read_bytes())
        checksums = {t.dataset_checksum for t in trainings}
        return CommitteeModelDoc(
            **provenance("torch", trainings=trainings, dataset=dataset),
            name=self.title or "committee",
            identity=identity(members=[t.model_file.sha256 for t in trainings], weights=weights),
            model=model.model_copy(update={"path": None, "licence": _licence(trainings)}),
            model_file=file,
            offsets={
                e: float(np.dot(weights, [t.offsets[e] for t in trainings]))
                for e in sorted(elements)
            },
            dataset_checksum=checksums.pop() if len(checksums) == 1 else identity(of=[*checksums]),
            seconds=sum(t.seconds for t in trainings),
            members=[f"{t.name}, seed {t.seed}" for t in trainings],
            weights=weights,
            weights_from="validation" if self.weights == "fitted" else "equal",
        )

    def _fitted(self, trainings: list[TrainingDoc], dataset: DatasetDoc | None) -> list[float]:
        """Return weights fitted to the energies per atom of the validation frames."""
        same = dataset is not None and all(
            t.dataset_checksum == dataset.checksum for t in trainings
        )
        if dataset is None or not same or not dataset.validation:
            msg = (
                "weights are fitted to the validation frames of a dataset that all members were "
                "trained on; there is none, so write weights: equal"
            )
            raise ValueError(msg)
        frames = split_atoms(dataset, dataset.validation)
        sizes = np.array([len(frame) for frame in frames])
        errors = []
        for training in trainings:
            model = local_model(training)
            shifted = without_offsets(frames, training.offsets)
            predictions = family(model.family).evaluate(
                model, shifted, device=get_settings().device
            )
            labels = [frame.calc.results["energy"] for frame in shifted]
            errors.append((np.array([p.energy for p in predictions]) - labels) / sizes)
        return [float(w) for w in fit_weights(errors, np.zeros(len(frames)))]


def _licence(trainings: list[TrainingDoc]) -> str | None:
    """Return the licences of the members' parents."""
    return ", ".join(sorted({t.model.licence for t in trainings if t.model.licence})) or None
