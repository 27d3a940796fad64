"""The archive engine: labels read from a dataset file, found by structure identity."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar, Literal

from ase import Atoms
from jobflow import Maker, job
from pydantic import Field
from pymatgen.core import Structure

from hea_flows.provenance import settings_id
from hea_flows.reference.base import (
    LABEL_DATA,
    Calculation,
    Labelled,
    MissingLabelError,
    label_document,
)
from hea_flows.runtime.frames import read_frames
from hea_flows.schemas import AlloySpec, Document, LabelDoc, Record, StructureEntry


class DatasetCard(Record):
    """What a dataset file says of itself, in the JSON file beside it."""

    name: str
    title: str
    licence: str
    file: str = Field(description="Frames file beside the card, extended XYZ.")
    sha256: str = Field(description="Of the frames file.")
    alloy: AlloySpec
    settings: dict[str, Any]
    settings_id: str
    versions: dict[str, str]
    n_structures: int
    n_frames: int
    content: dict[str, dict[str, int]] = Field(
        description="Set expression to structures asked for, labelled, converged, and frames."
    )
    reference: str = Field(description="Which end points mixing energies should take.")
    notes: list[str] = Field(default_factory=list)
    regenerate: str = Field(description="The command that makes this dataset again.")


def find_card(dataset: str) -> Path:
    """Return the card of a dataset: a shipped name, or the path of a card.

    Raises
    ------
    FileNotFoundError
        If there is neither; the message lists what is shipped.
    """
    if dataset.endswith(".json"):
        path = Path(dataset).expanduser()
        if path.is_file():
            return path
    shipped = Path(str(files("hea_flows"))) / "data"
    path = shipped / f"{dataset}.json"
    if path.is_file():
        return path
    names = ", ".join(sorted(p.stem for p in shipped.glob("*.json"))) or "none"
    msg = f"no dataset {dataset!r}; give the path of a card (.json) or a shipped name: {names}"
    raise FileNotFoundError(msg)


@lru_cache(maxsize=4)
def load_dataset(card_path: Path) -> tuple[DatasetCard, dict[tuple[str, str], list[Atoms]]]:
    """Read a dataset after checking its checksum and its settings id.

    Returns
    -------
    card, trajectories
        Frames in order of their steps, by structure id and calculation.

    Raises
    ------
    ValueError
        If the file is not the one the card was written for, or mixes settings.
    """
    card = DatasetCard.model_validate_json(card_path.read_text())
    path = card_path.with_name(card.file)
    if not path.is_file():
        msg = f"{card_path.name} names {card.file}, which is not beside it"
        raise FileNotFoundError(msg)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != card.sha256:
        msg = f"{path.name}: sha256 is {found}, its card says {card.sha256}; restore the file"
        raise ValueError(msg)
    if settings_id(card.settings) != card.settings_id:
        msg = f"{card_path.name}: the settings do not hash to settings id {card.settings_id}"
        raise ValueError(msg)
    trajectories: dict[tuple[str, str], list[Atoms]] = defaultdict(list)
    for frame in read_frames(path):
        if frame.info["settings_id"] != card.settings_id:
            msg = f"{path.name} mixes settings {frame.info['settings_id']} and {card.settings_id}"
            raise ValueError(msg)
        trajectories[frame.info["structure_id"], frame.info["calculation"]].append(frame)
    for frames in trajectories.values():
        frames.sort(key=lambda f: int(f.info["step"]))
    return card, dict(trajectories)


@dataclass
class ArchiveMaker(Maker):
    """Label a structure from a dataset file.

    Parameters
    ----------
    name
        Job name.
    calculation
        Which labels to read: ``relax``, ``static``, or ``either``, relaxations where there are any.
    dataset
        A shipped dataset's name, or the path of its card.
    settings_id
        The settings id the labels must have; default whatever the dataset has.
    """

    category: ClassVar[str] = "cpu"  # it reads a file: any worker can

    name: str = "archive"
    calculation: Calculation | Literal["either"] = "relax"
    dataset: str = "pbe-mo-ta-nb-w-v-s2"
    settings_id: str | None = None

    def check(self, alloy: AlloySpec) -> None:  # noqa: ARG002  the same for every alloy
        """Read the dataset, and compare its settings with those asked for.

        Raises
        ------
        FileNotFoundError
            If there is no such dataset.
        ValueError
            If its file was changed, or has other settings, or for another ``calculation``.
        """
        if self.calculation not in (accepted := ("relax", "static", "either")):
            msg = f"archive: calculation {self.calculation!r}; accepted: {', '.join(accepted)}"
            raise ValueError(msg)
        self._load()

    def identity(self) -> None:
        """Return None: reading a label again costs no more than finding it."""
        return

    def _load(self) -> tuple[DatasetCard, dict[tuple[str, str], list[Atoms]]]:
        card, trajectories = load_dataset(find_card(self.dataset))
        if self.settings_id not in (None, card.settings_id):
            msg = (
                f"dataset {card.name} has settings id {card.settings_id}, "
                f"{self.settings_id} was asked for; labels of different settings never mix"
            )
            raise ValueError(msg)
        return card, trajectories

    @job(data=LABEL_DATA, output_schema=LabelDoc)
    def make(
        self,
        structure: StructureEntry,
        alloy: AlloySpec,
        source: Document | None = None,
        start: Structure | None = None,  # noqa: ARG002  the archive keeps its own start geometry
    ) -> LabelDoc:
        """Label one structure; see `hea_flows.reference.base.ReferenceEngine`."""
        structure.to_ordering(alloy.to_alloy())
        card, trajectories = self._load()
        wanted: list[Calculation] = (
            ["relax", "static"] if self.calculation == "either" else [self.calculation]
        )
        found = [c for c in wanted if (structure.structure_id, c) in trajectories]

        def read() -> Labelled:
            if not found:
                kinds = " or ".join(wanted)
                msg = f"{card.name} has no {kinds} label of {structure.formula}"
                raise MissingLabelError(msg)
            frames = trajectories[structure.structure_id, found[0]]
            return Labelled(frames, bool(frames[-1].info["converged"]))

        return label_document(
            read,
            structure=structure,
            alloy=alloy,
            engine=f"archive:{card.name}",
            rule=card.settings,
            calculation=(found or wanted)[0],
            source=source,
        )
