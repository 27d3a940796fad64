"""Labels read from a dataset file, found by structure identity."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from pydantic import Field

from hea_flows.alloy.lattice import Alloy, Ordering
from hea_flows.alloy.sets import find_card
from hea_flows.inputs import refuse_above
from hea_flows.provenance import settings_id
from hea_flows.reference.base import ReferenceMaker
from hea_flows.reference.document import Calculation, MissingLabelError, Outcome
from hea_flows.runtime.extxyz import read_frames
from hea_flows.schemas import AlloySpec, Record
from hea_flows.settings import get_settings


class DatasetTerms(Record):
    """Whose data a dataset holds and how they may be used: said by their owner, or not at all."""

    licence: str | None = Field(None, description="For example CC-BY-4.0.")
    citation: str | None = Field(None, description="What to cite: a reference, or a doi.")
    authors: list[str] = Field(default_factory=list)


class ExtraFrames(Record):
    """The file of the frames of a dataset that are no label of any structure: they only train."""

    file: str = Field(description="Beside the card, extended XYZ.")
    sha256: str
    n_frames: int


class DatasetCard(DatasetTerms):
    """What a dataset file says of itself, in the JSON file beside it."""

    name: str
    title: str
    file: str = Field(description="Frames file beside the card, extended XYZ.")
    sha256: str = Field(description="Of the frames file.")
    alloy: AlloySpec
    settings: dict[str, Any]
    settings_id: str
    versions: dict[str, str]
    n_structures: int
    n_frames: int
    structures: dict[str, str] = Field(
        description="Structure id to supercell and species: 2 0 0, 0 1 0, 0 0 1: Mo W."
    )
    extra: ExtraFrames | None = None
    content: dict[str, dict[str, int]] = Field(
        description="Set expression to structures asked for, labelled, converged, and frames."
    )
    reference: str = Field(description="Which end points mixing energies should take.")
    notes: list[str] = Field(default_factory=list)
    regenerate: str = Field(description="The command that makes this dataset again.")


#: A card, and frames in order of their steps, by structure id and calculation.
Dataset = tuple[DatasetCard, dict[tuple[str, str], list[Atoms]]]


@lru_cache(maxsize=4)
def load_dataset(card_path: Path) -> Dataset:
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
    card = read_card(card_path)
    trajectories: dict[tuple[str, str], list[Atoms]] = defaultdict(list)
    for frame in _frames_of(card, card_path.with_name(card.file), card.sha256):
        trajectories[frame.info["structure_id"], frame.info["calculation"]].append(frame)
    for frames in trajectories.values():
        frames.sort(key=lambda f: int(f.info["step"]))
    return card, dict(trajectories)


def read_card(card_path: Path) -> DatasetCard:
    """Read the card of a dataset; its settings hash to the settings id.

    Raises
    ------
    ValueError
        If they do not, or it is no card.
    LimitError
        If it is larger than the setting ``max_frames_mb``.
    """
    size, most = card_path.stat().st_size / 1e6, get_settings().max_frames_mb
    refuse_above(size, most, f"{card_path} has {{}} MB", "max_frames_mb")
    card = DatasetCard.model_validate_json(card_path.read_text())
    if settings_id(card.settings) != card.settings_id:
        msg = f"{card_path.name}: the settings do not hash to settings id {card.settings_id}"
        raise ValueError(msg)
    return card


def extra_frames(card_path: Path) -> tuple[DatasetCard, list[Atoms]]:
    """Return a card, and the frames of its dataset that are no label of any structure.

    Raises
    ------
    FileNotFoundError
        If their file is not there.
    ValueError
        If the dataset has none, or the file is not the one the card was written for.
    """
    card = read_card(card_path)
    if card.extra is None:
        msg = f"{card_path.name} names no extra frames: every frame is a label of its structures"
        raise ValueError(msg)
    path = card_path.with_name(card.extra.file)
    return card, _frames_of(card, path, card.extra.sha256)


def _frames_of(card: DatasetCard, path: Path, promised: str) -> list[Atoms]:
    """Return the frames of a file of a dataset."""
    if not path.is_file():
        msg = f"{card.name}.json names {path.name}, which is not beside it"
        raise FileNotFoundError(msg)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if sha256 != promised:
        msg = f"{path.name}: sha256 is {sha256}, its card says {promised}; restore the file"
        raise ValueError(msg)
    frames = read_frames(path)
    for frame in frames:
        if frame.info["settings_id"] != card.settings_id:
            msg = f"{path.name} mixes settings {frame.info['settings_id']} and {card.settings_id}"
            raise ValueError(msg)
    return frames


@dataclass
class ArchiveMaker(ReferenceMaker):
    """Label a structure from dataset files.

    A label keeps the start geometry that it was computed from.

    Parameters
    ----------
    name
        Job name.
    calculation
        Which labels to read: ``relax``, ``static``, or ``either``, relaxations where there are any.
    dataset
        A shipped dataset's name, or the path of its card. Of several, which must have the same
        settings, the first that has a label gives it.
    settings_id
        The settings id the labels must have; default whatever the dataset has.
    """

    category: ClassVar[str] = "cpu"  # it reads a file: any worker can
    calculations: ClassVar[tuple[str, ...]] = ("relax", "static", "either")

    name: str = "archive"
    calculation: Calculation | Literal["either"] = "relax"  # type: ignore[assignment]
    dataset: str | Annotated[list[str], Field(min_length=1)] = "pbe-mo-ta-nb-w-v-s2"
    settings_id: str | None = None

    @property
    def engine(self) -> str:
        """The datasets are what labels."""
        return f"archive:{'+'.join(card.name for card, _ in self._load())}"

    def rule(self) -> dict[str, Any]:
        """Return the rule of the datasets' labels."""
        return self._load()[0][0].settings

    def check(self, alloy: AlloySpec) -> None:
        """Read the datasets, and compare their settings with those asked for.

        Raises
        ------
        FileNotFoundError
            If there is no such dataset.
        ValueError
            If a file was changed, settings differ, or for another ``calculation``.
        """
        super().check(alloy)
        self._load()

    def identity(self) -> None:
        """Return None: reading a label again costs no more than finding it."""
        return

    def unlabelled(self, orderings: Sequence[Ordering]) -> list[Ordering]:
        """Return the structures that no dataset has."""
        return [ordering for ordering in orderings if not self.frames(ordering)]

    def end_point_cells(self, alloy: Alloy) -> dict[str, NDArray[np.float64]]:
        """Return the relaxed cells (Å) of the end points that the dataset has."""
        ends = {e: self._label(Ordering.end_point(alloy, e))[1] for e in alloy.elements}
        return {e: frames[-1].cell.array for e, frames in ends.items() if frames}

    def frames(self, ordering: Ordering) -> int:
        """Return how many frames there are of a structure."""
        return len(self._label(ordering)[1])

    def compute(self, atoms: Atoms, ordering: Ordering) -> Outcome:  # noqa: ARG002  it has its own start
        """Read the label of a structure."""
        calculation, frames = self._label(ordering)
        if frames:
            converged = bool(frames[-1].info["converged"])
            return Outcome(frames, converged, calculation=calculation)
        wanted = " or ".join(self._calculations)
        names = self.engine.removeprefix("archive:")
        msg = f"{names} has no {wanted} label of {ordering.formula}"
        raise MissingLabelError(msg)

    @property
    def _calculations(self) -> tuple[Calculation, ...]:
        return ("relax", "static") if self.calculation == "either" else (self.calculation,)

    def _label(self, ordering: Ordering) -> tuple[Calculation, list[Atoms]]:
        """Return the first calculation that there are frames of, and these; else none."""
        for calculation in self._calculations:
            for _, trajectories in self._load():
                if frames := trajectories.get((ordering.id, calculation)):
                    return calculation, frames
        return self._calculations[0], []

    def _load(self) -> list[Dataset]:
        """Read the datasets; all have the same settings."""
        names = [self.dataset] if isinstance(self.dataset, str) else self.dataset
        datasets = [load_dataset(find_card(name)) for name in names]
        wanted = self.settings_id or datasets[0][0].settings_id
        for card, _ in datasets:
            if card.settings_id != wanted:
                msg = (
                    f"dataset {card.name} has settings id {card.settings_id}, {wanted} was asked "
                    "for; labels of different settings never mix"
                )
                raise ValueError(msg)
        return datasets
