"""A dataset document as a file that other programs, and campaigns, read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ase import Atoms

from hea_flows.engines.archive import DatasetCard
from hea_flows.results.archive import label_frames, write_dataset
from hea_flows.schemas import DatasetDoc, FrameRef, LabelDoc, StructuresDoc


def dataset_frames(dataset: DatasetDoc, labels: Sequence[LabelDoc]) -> list[Atoms]:
    """Return the labelled frames of a dataset in its own order, then the held-out structures'.

    Each carries in `info`: structure_id, calculation, settings_id, step, label (uuid of its
    document), split (train, test, validation or held-out), formula and converged (of the whole
    relaxation).

    Parameters
    ----------
    dataset
        With its trajectories loaded.
    labels
        The campaign's label documents; their trajectories are not needed.

    Raises
    ------
    ValueError
        If the document was read without its trajectories, or one of its labels is not given.
    """
    used = {f.structure_id for f in dataset.frames}
    needed = sorted({*dataset.labels, *used})
    if missing := [key for key in needed if key not in dataset.trajectories]:
        msg = (
            f"the dataset holds no trajectory of {len(missing)} structures ({missing[0]}, ...); "
            "read it with load=True"
        )
        raise ValueError(msg)
    known = {label.uuid: label for label in labels}
    if missing := [key for key in needed if dataset.labels.get(key) not in known]:
        msg = f"no label document of {len(missing)} structures of the dataset ({missing[0]}, ...)"
        raise ValueError(msg)
    trajectories = {
        key: label_frames(
            known[dataset.labels[key]].model_copy(update={"trajectory": dataset.trajectories[key]})
        )
        for key in needed
    }
    refs = [
        *dataset.frames,
        *(
            FrameRef(label=dataset.labels[key], structure_id=key, step=step)
            for key in needed
            if key not in used
            for step in range(len(trajectories[key]))
        ),
    ]
    splits = dict.fromkeys(range(len(refs)), "held-out")
    for name, indices in (
        ("train", dataset.train),
        ("test", dataset.test),
        ("validation", dataset.validation),
    ):
        splits |= dict.fromkeys(indices, name)
    frames = []
    for i, ref in enumerate(refs):
        frame = trajectories[ref.structure_id][ref.step]
        frame.info |= {
            "label": ref.label,
            "split": splits[i],
            "formula": dataset.structures[ref.structure_id].formula,
        }
        frames.append(frame)
    return frames


def export_dataset(
    dataset: DatasetDoc,
    path: Path,
    *,
    labels: Sequence[LabelDoc],
    structures: Sequence[StructuresDoc],
    title: str = "",
    regenerate: str = "",
    notes: Sequence[str] = (),
) -> DatasetCard:
    """Write a dataset as extended XYZ with its card, and return the card.

    Numbers keep all digits: the file read again by `hea_flows.alloy.frames.read_frames` gives
    identical arrays. Results stand under the names that MACE reads by default (``REF_energy``,
    ``REF_forces``, ``REF_stress``: nine numbers, eV/Å³, ASE's sign), so that ``mace_run_train
    --train_file`` takes the file as it is; with ASE's names the file would need the keys given.
    Energies are the reference's own, extrapolated to zero smearing, offsets not removed. The card
    makes the file a dataset of the archive engine.

    Parameters
    ----------
    dataset
        With its trajectories loaded.
    path
        File to write; a suffix ``.gz`` or ``.xz`` compresses.
    labels, structures
        The campaign's documents.
    title, regenerate, notes
        Texts of the card; the title is by default the campaign's name.

    Raises
    ------
    ValueError
        If the document was read without its trajectories, labels are missing, or the file or its
        card cannot have the name.
    """
    frames = dataset_frames(dataset, labels)
    uuids = set(dataset.labels.values())
    return write_dataset(
        path,
        frames,
        title=title or dataset.campaign or path.name,
        labels=[label for label in labels if label.uuid in uuids],
        structures=structures,
        regenerate=regenerate,
        notes=notes,
    )
