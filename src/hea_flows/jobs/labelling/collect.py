"""Choose the labels of a dataset or a test set from label documents."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from hea_flows.schemas import (
    AlloySpec,
    LabelDoc,
    StoredFile,
    StructuresDoc,
    UnreadableDocumentError,
)

_NO_LABEL = "its job failed and left no label; `hea-flows status` says why"


@dataclass(frozen=True)
class Collected:
    """Usable labels of the structures that were asked for, by structure id.

    Parameters
    ----------
    labels
        The labels.
    excluded
        Structure id to why it has no usable one.
    """

    labels: dict[str, LabelDoc]
    excluded: dict[str, str]


def collect(
    labels: Sequence[Sequence[LabelDoc | None] | None],
    structures: Sequence[StructuresDoc | None] | None,
    unreadable: Sequence[UnreadableDocumentError] = (),
) -> Collected:
    """Choose labels of structures; of several labels of one the first that can be used counts.

    Parameters
    ----------
    labels
        Documents by set; None where a job left none.
    structures
        The sets that are asked for; None: whatever is labelled.
    unreadable
        Why labels could not be read.

    Raises
    ------
    ValueError
        If a whole set is missing.
    """
    groups = [group for group in labels if group is not None]
    sets = [doc for doc in structures or () if doc is not None]
    if len(groups) < len(labels) or len(sets) < len(structures or ()):
        msg = "a whole set is missing, since the job failed that makes it or the jobs that label it"
        raise ValueError(msg)
    chosen: dict[str, LabelDoc] = {}
    for label in (x for group in groups for x in group if x is not None):
        key = label.structure.structure_id
        if key not in chosen or unusable(chosen[key]):
            chosen[key] = label
    excluded: dict[str, str] = {}
    if structures is not None:
        asked = {e.structure_id: e.formula for doc in sets for e in doc.structures}
        excluded = {k: f"{v}: {_NO_LABEL}" for k, v in asked.items() if k not in chosen}
        lost = {e.structure_id: str(e) for e in unreadable if e.kind == "label"}
        excluded |= {k: f"{asked[k]}: {lost[k]}" for k in excluded if k in lost}
        chosen = {k: chosen[k] for k in asked if k in chosen}
    excluded |= {
        k: f"{v.structure.formula}: {why}" for k, v in chosen.items() if (why := unusable(v))
    }
    used = {k: v for k, v in chosen.items() if k not in excluded}
    return Collected(used, excluded)


def unusable(label: LabelDoc) -> str | None:
    """Return why a label is not trained on and not compared with."""
    if label.trajectory is None:
        return label.reason or "no frames"
    return f"it left its phase: {'; '.join(label.flags)}" if label.flags else None


def end_points(alloy: AlloySpec, labels: dict[str, LabelDoc]) -> dict[str, str]:
    """Return the structure id of each element's primitive cell.

    Raises
    ------
    ValueError
        If one has no label.
    """
    ends = {v.structure.species[0]: k for k, v in labels.items() if v.structure.is_end_point}
    if missing := [e for e in alloy.elements if e not in ends]:
        msg = (
            f"no label of the end point of {', '.join(missing)}; mixing energies need all of them, "
            f"add {alloy.to_alloy().end_point_set} to the training sets"
        )
        raise ValueError(msg)
    return {e: ends[e] for e in alloy.elements}


def require_one_rule(labels: dict[str, LabelDoc]) -> LabelDoc:
    """Return the first label, after making sure that all were made with the same settings.

    Raises
    ------
    ValueError
        If settings are mixed.
    """
    if len({label.settings_id for label in labels.values()}) > 1:
        ids = sorted({f"{v.settings_id} ({v.engine})" for v in labels.values()})
        msg = f"labels of different settings never mix in a dataset; found {', '.join(ids)}"
        raise ValueError(msg)
    return next(iter(labels.values()))


def labels_checksum(labels: dict[str, LabelDoc], extra: StoredFile | None = None) -> str:
    """Return the sha256 that identifies a collection of labels, and of extra frames."""
    text = "".join(f"{k}{v.trajectory_sha256}" for k, v in sorted(labels.items()))
    text += "" if extra is None else extra.sha256
    return hashlib.sha256(text.encode()).hexdigest()
