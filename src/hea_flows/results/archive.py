"""Write a dataset with its card, as the archive engine reads it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from hea_flows.alloy.frames import write_frames
from hea_flows.engines.archive import DatasetCard
from hea_flows.schemas import LabelDoc, StructuresDoc

#: Every label keeps its total energy; what mixing energies are counted from is told here.
_REFERENCE = (
    "mixing energies count from the relaxed end points of the primitive cell; metallic end points "
    "relaxed in supercells lie lower by what lateral anion shifts gain, and are separate labels"
)


def write_archive(
    card_path: Path,
    *,
    title: str,
    labels: Sequence[LabelDoc],
    structures: Sequence[StructuresDoc],
    regenerate: str,
    notes: Sequence[str] = (),
) -> DatasetCard:
    """Write every frame of a campaign (extended XYZ, xz) and the card beside it.

    Parameters
    ----------
    card_path
        The JSON card to write; the frames file takes its name.
    title, regenerate, notes
        Texts of the card.
    labels, structures
        The campaign's documents; labels with frames are written, each with its own state.

    Raises
    ------
    ValueError
        If no label has frames, or their settings differ.
    """
    labels = [label for label in labels if label.trajectory is not None]
    if len(ids := {label.settings_id for label in labels}) != 1:
        msg = f"a dataset needs labels of one settings id, found {sorted(ids) or 'no label'}"
        raise ValueError(msg)
    frames = []
    versions: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    for label in sorted(labels, key=lambda d: (len(d.structure.species), d.structure.formula)):
        key = (label.structure.structure_id, label.calculation)
        if key in seen:
            continue
        seen.add(key)
        assert label.trajectory is not None
        versions |= label.versions
        frames += label.trajectory.to_frames(
            structure_id=key[0],
            calculation=key[1],
            settings_id=label.settings_id,
            converged=label.state == "converged",
        )
    file = card_path.with_suffix(".extxyz.xz")
    write_frames(file, frames)
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
    card = DatasetCard(
        name=card_path.stem,
        title=title,
        licence="CC-BY-4.0",
        file=file.name,
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        alloy=structures[0].alloy,
        settings=labels[0].settings,
        settings_id=labels[0].settings_id,
        versions=versions,
        n_structures=len(seen),
        n_frames=len(frames),
        content=content,
        reference=_REFERENCE,
        notes=list(notes),
        regenerate=regenerate,
    )
    card_path.write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return card
