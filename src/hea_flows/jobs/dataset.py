"""Dataset: labels become frames, splits and end points that share one settings id."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np
from ase import Atoms
from jobflow import Maker, job

from hea_flows.alloy.splits import split_frames
from hea_flows.config import DatasetSpec
from hea_flows.schemas import AlloySpec, DatasetDoc, LabelDoc, StructuresDoc
from hea_flows.stamp import stamp

_NO_LABEL = "its job failed and left no label; `hea-flows status` tells why"


@dataclass
class DatasetMaker(Maker):
    """Collect labels into one dataset.

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

    @job(data=["trajectories"], output_schema=DatasetDoc)
    def make(
        self,
        alloy: AlloySpec,
        training: list[list[LabelDoc | None]],
        held_out: list[list[LabelDoc | None]],
        structures: list[StructuresDoc] | None = None,
    ) -> DatasetDoc:
        """Collect label documents, listed by set, that are trained on or held out.

        Parameters
        ----------
        alloy
            The host.
        training, held_out
            Labels; None where a job left none.
        structures
            The sets, so that structures without a label are named.

        Raises
        ------
        ValueError
            If settings are mixed, an end point has no label, nothing can be trained on, or more
            labels are missing than the campaign allows.
        """
        train_labels = _unique([label for group in training for label in group])
        held_labels = _unique([label for group in held_out for label in group])
        everything = [*train_labels.values(), *held_labels.values()]
        asked = {e.structure_id: e.formula for doc in structures or [] for e in doc.structures}
        lost = {k: f"{v}: {_NO_LABEL}" for k, v in asked.items()}
        excluded = {k: v for k, v in lost.items() if k not in train_labels | held_labels} | {
            key: f"{label.structure.formula}: {why}"
            for key, label in (held_labels | train_labels).items()
            if (why := _unusable(label))
        }
        if self.dataset.max_missing is not None and len(excluded) > self.dataset.max_missing:
            msg = (
                f"{len(excluded)} structures have no label, dataset.max_missing allows "
                f"{self.dataset.max_missing}; first: {next(iter(excluded.values()))}"
            )
            raise ValueError(msg)
        used = {k: v for k, v in train_labels.items() if k not in excluded}
        held = {k: v for k, v in held_labels.items() if k not in excluded | used}
        if not used:
            msg = "no structure of the training sets has a label; nothing to train on"
            raise ValueError(msg)
        labels = used | held
        first = next(iter(used.values()))
        if len({label.settings_id for label in labels.values()}) > 1:
            ids = sorted({f"{v.settings_id} ({v.engine})" for v in labels.values()})
            msg = f"labels of different settings never mix in a dataset; found {', '.join(ids)}"
            raise ValueError(msg)
        n_frames = {key: label.n_frames for key, label in used.items()}
        train, test, validation = split_frames(
            [key for key, n in n_frames.items() for _ in range(n)],
            np.random.default_rng(self.seed),
            fractions=self.dataset.fractions,
            by=self.dataset.split_by,
        )
        trajectories = {k: v.trajectory for k, v in labels.items() if v.trajectory is not None}
        checksums = "".join(f"{k}{v.trajectory_sha256}" for k, v in sorted(labels.items()))
        return DatasetDoc(
            **stamp(labels=everything),
            alloy=alloy,
            settings_id=first.settings_id,
            settings=first.settings,
            seed=self.seed,
            split_by=self.dataset.split_by,
            fractions=self.dataset.fractions,
            n_structures=len(used),
            n_frames=n_frames,
            train=train,
            test=test,
            validation=validation,
            end_points=_end_points(alloy, used),
            held_out=list(held),
            excluded=excluded,
            trajectories=trajectories,
            labels={k: v.uuid for k, v in labels.items()},
            structures={k: v.structure for k, v in labels.items()},
            converged={k: v.state == "converged" for k, v in labels.items()},
            checksum=hashlib.sha256(checksums.encode()).hexdigest(),
        )


def split_atoms(dataset: DatasetDoc, split: list[int]) -> list[Atoms]:
    """Return the frames of one split, with results attached."""
    frames = {
        key: t.to_frames(structure_id=key, settings_id=dataset.settings_id)
        for key, t in dataset.trajectories.items()
    }
    refs = dataset.frames
    return [frames[refs[i].structure_id][refs[i].step] for i in split]


def _unusable(label: LabelDoc) -> str | None:
    """Return why a label is not trained on and not compared with."""
    if label.trajectory is None:
        return label.reason or "no frames"
    return f"it left its phase: {'; '.join(label.flags)}" if label.flags else None


def _unique(labels: list[LabelDoc | None]) -> dict[str, LabelDoc]:
    """Return labels by structure id; the first that can be used wins."""
    chosen: dict[str, LabelDoc] = {}
    for label in labels:
        if label is None:
            continue
        key = label.structure.structure_id
        if key not in chosen or _unusable(chosen[key]):
            chosen[key] = label
    return chosen


def _end_points(alloy: AlloySpec, labels: dict[str, LabelDoc]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, label in labels.items():
        if len(label.structure.counts) == 1 and len(label.structure.species) == 1:
            found[next(iter(label.structure.counts))] = key
    if missing := [e for e in alloy.elements if e not in found]:
        msg = (
            f"no label of the end point of {', '.join(missing)}; mixing energies need all of them, "
            "add 1(1) to the training sets"
        )
        raise ValueError(msg)
    return {e: found[e] for e in alloy.elements}
