"""Dataset: labels become frames and splits that share one settings id."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from ase import Atoms
from jobflow import Maker

from hea_flows.alloy import stream
from hea_flows.alloy.errors import default_fractions, split_frames
from hea_flows.config import DatasetSpec
from hea_flows.jobs.failures import result_job
from hea_flows.jobs.inputs import unreadable_inputs
from hea_flows.jobs.labelling.collect import collect, end_points, labels_checksum, require_one_rule
from hea_flows.provenance import provenance
from hea_flows.reference import extra_frames, find_card
from hea_flows.runtime.extxyz import read_frames
from hea_flows.schemas import AlloySpec, DatasetDoc, LabelDoc, StoredFile, StructuresDoc


@dataclass
class DatasetMaker(Maker):
    """Collect labels into one dataset to train on.

    Parameters
    ----------
    name
        Job name.
    dataset
        Fractions, and whether frames or whole structures are split.
    seed
        Seed of the split.
    """

    name: str = "dataset"
    dataset: DatasetSpec = field(default_factory=DatasetSpec)
    seed: int = 0

    @result_job(data=DatasetDoc.in_store(), output_schema=DatasetDoc)
    def make(
        self,
        alloy: AlloySpec,
        labels: list[list[LabelDoc | None]],
        structures: list[StructuresDoc] | None = None,
    ) -> DatasetDoc:
        """Collect label documents, listed by set.

        Parameters
        ----------
        alloy
            The host.
        labels
            Labels; None where a job left none.
        structures
            The sets to train on; default whatever is labelled.

        Raises
        ------
        ValueError
            If settings are mixed, an end point has no label, nothing can be trained on, or more
            labels are missing than the campaign allows.
        """
        collected = collect(labels, structures, unreadable_inputs())
        excluded, used = collected.excluded, collected.labels
        if self.dataset.max_missing is not None and len(excluded) > self.dataset.max_missing:
            msg = (
                f"{len(excluded)} structures have no label, dataset.max_missing allows "
                f"{self.dataset.max_missing}; first: {next(iter(excluded.values()))}"
            )
            raise ValueError(msg)
        if not used:
            msg = "no structure of the training sets has a label; nothing to train on"
            raise ValueError(msg)
        first = require_one_rule(used)
        extra, n_extra = self._extra(first)
        n_frames = {key: label.n_frames for key, label in used.items()}
        fractions = self.dataset.fractions or default_fractions(sum(n_frames.values()))
        train, test, validation = split_frames(
            [key for key, n in n_frames.items() for _ in range(n)],
            stream(self.seed, "split"),
            fractions=fractions,
            by=self.dataset.split_by,
        )
        return DatasetDoc(
            **provenance(labels=list(used.values()), structures=structures),
            alloy=alloy,
            settings_id=first.settings_id,
            settings=first.settings,
            seed=self.seed,
            split_by=self.dataset.split_by,
            fractions=fractions,
            n_structures=len(used),
            n_frames=n_frames,
            train=train,
            test=test,
            validation=validation,
            end_points=end_points(alloy, used),
            excluded=excluded,
            trajectories={k: v.trajectory for k, v in used.items() if v.trajectory is not None},
            labels={k: v.uuid for k, v in used.items()},
            structures={k: v.structure for k, v in used.items()},
            converged={k: v.state == "converged" for k, v in used.items()},
            calculations={k: v.calculation for k, v in used.items()},
            checksum=labels_checksum(used, extra),
            extra=extra,
            n_extra=n_extra,
        )

    def _extra(self, first: LabelDoc) -> tuple[StoredFile | None, int]:
        """Return the file of the frames that only train, and their number.

        Raises
        ------
        ValueError
            If they have other settings than the labels.
        """
        if self.dataset.extra_frames is None:
            return None, 0
        path = find_card(self.dataset.extra_frames)
        card, frames = extra_frames(path)
        if card.settings_id != first.settings_id:
            msg = (
                f"the extra frames of {card.name} have settings id {card.settings_id}, the labels "
                f"{first.settings_id}; labels of different settings never mix in a dataset"
            )
            raise ValueError(msg)
        assert card.extra is not None
        raw = path.with_name(card.extra.file).read_bytes()
        return StoredFile.from_bytes(card.extra.file, raw), len(frames)


def extra_atoms(dataset: DatasetDoc) -> list[Atoms]:
    """Return the frames of no structure that are trained on, with results attached."""
    if not dataset.n_extra:
        return []
    assert dataset.extra is not None, "read the dataset with its fields in the data store"
    with TemporaryDirectory() as folder:
        return read_frames(dataset.extra.write_to(Path(folder)))


def split_atoms(dataset: DatasetDoc, split: list[int]) -> list[Atoms]:
    """Return the frames of one split, with results attached.

    Their ``info`` says what they are: alloy and structure, which step of how many, of which
    calculation, whether that converged, and how the dataset is split.
    """
    alloy = dataset.alloy.model_dump(mode="json")
    frames = {
        key: t.to_frames(
            structure_id=key,
            settings_id=dataset.settings_id,
            alloy=alloy,
            n_steps=dataset.n_frames[key],
            calculation=dataset.calculation(key),
            converged=dataset.converged.get(key, False),
            split_by=dataset.split_by,
        )
        for key, t in dataset.trajectories.items()
    }
    refs = dataset.frames
    return [frames[refs[i].structure_id][refs[i].step] for i in split]
