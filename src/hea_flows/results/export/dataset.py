"""A dataset document as a file that other programs, and campaigns, read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ase import Atoms

from hea_flows.reference import DatasetCard, DatasetTerms
from hea_flows.results.export.archive import label_frames, left_out, write_dataset
from hea_flows.schemas import DatasetDoc, LabelDoc, StructuresDoc, UnreadableDocumentError


def dataset_frames(dataset: DatasetDoc, labels: Sequence[LabelDoc]) -> list[Atoms]:
    """Return the labelled frames of a dataset in its own order, then those of other structures.

    Each carries in `info`: structure_id, calculation, settings_id, step, label (uuid of its
    document), split (train, test, validation or held-out), formula and converged (of the whole
    relaxation).

    Parameters
    ----------
    dataset
        The dataset.
    labels
        The campaign's label documents, loaded. Those that have frames and the dataset's settings
        are written; what the dataset does not split is held out.

    Raises
    ------
    ValueError
        If one of the dataset's labels is not given, or without its trajectory.
    """
    loaded = {label.uuid: label for label in labels if label.trajectory is not None}
    if missing := [key for key, uuid in dataset.labels.items() if uuid not in loaded]:
        msg = (
            f"no label document of {len(missing)} structures of the dataset ({missing[0]}, ...); "
            "read labels with load=True"
        )
        raise ValueError(msg)
    others = {
        d.structure.structure_id: d.uuid
        for d in loaded.values()
        if d.structure.structure_id not in dataset.labels and d.settings_id == dataset.settings_id
    }
    frames = []
    for uuid in (*dataset.labels.values(), *others.values()):
        label = loaded[uuid]
        for frame in label_frames(label):
            frame.info |= {"label": uuid, "split": "held-out", "formula": label.structure.formula}
            frames.append(frame)
    # Frames stand as the dataset counts them: all of one structure, then the next one's.
    for name, indices in (
        ("train", dataset.train),
        ("test", dataset.test),
        ("validation", dataset.validation),
    ):
        for i in indices:
            frames[i].info["split"] = name
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
    terms: DatasetTerms | None = None,
    unreadable: Sequence[UnreadableDocumentError] = (),
) -> DatasetCard:
    """Write a dataset as extended XYZ with its card, and return the card.

    Numbers keep all digits: the file read again by `hea_flows.runtime.extxyz.read_frames` gives
    identical arrays. Results stand under the names that MACE reads by default (``REF_energy``,
    ``REF_forces``, ``REF_stress``: nine numbers, eV/Å³, ASE's sign), so that ``mace_run_train
    --train_file`` takes the file as it is; with ASE's names the file would need the keys given.
    Energies are the reference's own, extrapolated to zero smearing, offsets not removed. The card
    makes the file a dataset of the archive engine.

    Parameters
    ----------
    dataset
        The dataset.
    path
        File to write; a suffix ``.gz`` or ``.xz`` compresses.
    labels, structures
        The campaign's documents, labels with their trajectories loaded.
    title, regenerate, notes
        Texts of the card; the title is by default the campaign's name.
    terms
        Licence, citation and authors; the card says nothing of what is not given.
    unreadable
        Why labels of the campaign could not be read. Held-out ones are named in the card.

    Raises
    ------
    UnreadableDocumentError
        If a label that the dataset holds could not be read.
    ValueError
        If labels are missing or not loaded, or the file or its card cannot have the name.
    """
    held = set(dataset.labels.values())
    for error in unreadable:
        if error.uuid in held:
            raise error
    frames = dataset_frames(dataset, labels)
    uuids = {frame.info["label"] for frame in frames}
    return write_dataset(
        path,
        frames,
        title=title or dataset.campaign or path.name,
        labels=[label for label in labels if label.uuid in uuids],
        structures=structures,
        regenerate=regenerate,
        notes=[*notes, *left_out(unreadable)],
        terms=terms,
    )
