"""Write labelled frames with the card that makes them a dataset of the archive engine."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from ase import Atoms
from pydantic import ValidationError

from hea_flows.alloy.sets import listing
from hea_flows.reference import DatasetCard, DatasetTerms, ExtraFrames
from hea_flows.runtime import atomic_write, to_json
from hea_flows.runtime.extxyz import frames_content
from hea_flows.schemas import LabelDoc, StructuresDoc, UnreadableDocumentError

#: What the card says of mixing energies; labels keep their total energies.
_REFERENCE = (
    "mixing energies count from the relaxed end points of the primitive cell; metallic end points "
    "relaxed in supercells lie lower by what lateral anion shifts gain, and are separate labels"
)
_SUFFIXES = (".extxyz", ".xyz")


def write_archive(
    card_path: Path,
    *,
    title: str,
    labels: Sequence[LabelDoc],
    structures: Sequence[StructuresDoc],
    regenerate: str,
    notes: Sequence[str] = (),
    terms: DatasetTerms | None = None,
    unreadable: Sequence[UnreadableDocumentError] = (),
    extra: Sequence[Atoms] = (),
) -> DatasetCard:
    """Write every frame of a campaign (extended XYZ, xz) and the card beside it.

    Parameters
    ----------
    card_path
        The JSON card to write; the frames file takes its name.
    title, regenerate, notes
        Texts of the card.
    terms
        Licence, citation and authors; the card says nothing of what is not given.
    labels, structures
        The campaign's documents; labels with frames are written, each with its own state.
    unreadable
        Why labels of the campaign could not be read; they are named in the card.
    extra
        Labelled frames that belong to no label; they are written to a file of their own.

    Raises
    ------
    ValueError
        If no label has frames, or their settings differ.
    """
    kept: dict[tuple[str, str], LabelDoc] = {}
    for label in sorted(labels, key=lambda d: (len(d.structure.species), d.structure.formula)):
        if label.trajectory is not None:
            kept.setdefault((label.structure.structure_id, label.calculation), label)
    frames = [frame for label in kept.values() for frame in label_frames(label)]
    return write_dataset(
        card_path.with_suffix(".extxyz.xz"),
        frames,
        title=title,
        labels=list(kept.values()),
        structures=structures,
        regenerate=regenerate,
        notes=[*notes, *left_out(unreadable)],
        terms=terms,
        extra=extra,
    )


def left_out(unreadable: Sequence[UnreadableDocumentError]) -> list[str]:
    """Return the notes of a card on labels that are not in the file."""
    return [f"left out: {e.kind} {e.uuid}, {e.reason}" for e in unreadable]


def label_frames(label: LabelDoc) -> list[Atoms]:
    """Return the frames of a label, each naming its structure, calculation and settings."""
    assert label.trajectory is not None
    frames = label.trajectory.to_frames(
        structure_id=label.structure.structure_id,
        calculation=label.calculation,
        settings_id=label.settings_id,
        converged=label.state == "converged",
    )
    for frame, seconds in zip(frames, label.trajectory.seconds or (), strict=False):
        frame.info["seconds"] = seconds
    return frames


def card_of(path: Path) -> Path:
    """Return the name of the card of a frames file: ``a.json`` for ``a.extxyz.xz``.

    Raises
    ------
    ValueError
        If the suffix is none of extended XYZ, or another file has the card's name.
    """
    stem = path.name.removesuffix(".gz").removesuffix(".xz")
    if not stem.endswith(_SUFFIXES):
        msg = f"{path.name}: frames are written as .extxyz or .xyz, with .gz or .xz to compress"
        raise ValueError(msg)
    card = path.with_name(stem.rpartition(".")[0] + ".json")
    if card.exists():
        try:
            DatasetCard.model_validate_json(card.read_bytes())
        except ValidationError:
            msg = f"{card} exists and is no card of a dataset; choose another name"
            raise ValueError(msg) from None
    return card


def write_dataset(
    path: Path,
    frames: Sequence[Atoms],
    *,
    title: str,
    labels: Sequence[LabelDoc],
    structures: Sequence[StructuresDoc],
    regenerate: str = "",
    notes: Sequence[str] = (),
    terms: DatasetTerms | None = None,
    extra: Sequence[Atoms] = (),
) -> DatasetCard:
    """Write frames under MACE's names, and their card beside them.

    Parameters
    ----------
    path
        File to write; a suffix ``.gz`` or ``.xz`` compresses.
    frames
        All frames of the labels, as `label_frames` describes them.
    title, regenerate, notes
        Texts of the card.
    terms
        Licence, citation and authors; the card says nothing of what is not given.
    labels
        Where the frames come from; trajectories are not needed.
    structures
        The sets the labels were asked for.
    extra
        Labelled frames that belong to no label; they are written to a file of their own.

    Raises
    ------
    ValueError
        If there are no labels, their settings differ, or the file or its card cannot have the name.
    """
    if len(ids := {label.settings_id for label in labels}) != 1:
        msg = f"a dataset needs labels of one settings id, found {sorted(ids) or 'no label'}"
        raise ValueError(msg)
    card_path = card_of(path)
    raw = frames_content(frames, path.suffix, keys="mace")
    atomic_write(path, raw)
    more: ExtraFrames | None = None
    if extra:
        for frame in extra:
            frame.info["settings_id"] = labels[0].settings_id
        extra_raw = frames_content(extra, path.suffix, keys="mace")
        extra_path = path.with_name(path.name.replace(card_path.stem, f"{card_path.stem}-extra", 1))
        atomic_write(extra_path, extra_raw)
        sha256 = hashlib.sha256(extra_raw).hexdigest()
        more = ExtraFrames(file=extra_path.name, sha256=sha256, n_frames=len(extra))
    content: dict[str, dict[str, int]] = {}
    for document in structures:
        members = {entry.structure_id for entry in document.structures}
        own = [d for d in labels if d.structure.structure_id in members]
        content[document.expression] = {
            "structures": document.n_structures,
            "labelled": len({d.structure.structure_id for d in own}),
            "converged": sum(d.state == "converged" for d in own),
            "frames": sum(d.n_frames for d in own),
        }
    terms = terms or DatasetTerms()
    card = DatasetCard(
        **terms.model_dump(),
        name=card_path.stem,
        title=title,
        file=path.name,
        sha256=hashlib.sha256(raw).hexdigest(),
        alloy=structures[0].alloy,
        settings=labels[0].settings,
        settings_id=labels[0].settings_id,
        versions={k: v for d in labels for k, v in (d.versions | d.code_versions).items()},
        n_structures=len(labels),
        n_frames=len(frames),
        structures={
            e.structure_id: listing(e.supercell, e.species) for e in (d.structure for d in labels)
        },
        extra=more,
        content=content,
        reference=_REFERENCE,
        notes=list(notes),
        regenerate=regenerate,
    )
    unsaid = {name for name, value in terms if not value} | ({"extra"} if more is None else set())
    atomic_write(card_path, to_json(card.model_dump(mode="json", exclude=unsaid)) + "\n")
    return card
