"""Labels read from a dataset file, found by structure identity."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from pydantic import Field

from hea_flows.alloy.lattice import Alloy, Ordering
from hea_flows.inputs import refuse_above, shown
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
    msg = f"no dataset {shown(dataset)}; give the path of a card (.json) or a shipped name: {names}"
    raise FileNotFoundError(msg)


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
    size, most = card_path.stat().st_size / 1e6, get_settings().max_frames_mb
    refuse_above(size, most, f"{card_path} has {{}} MB", "max_frames_mb")
    card = DatasetCard.model_validate_json(card_path.read_text())
    path = card_path.with_name(card.file)
    if not path.is_file():
        msg = f"{card_path.name} names {card.file}, which is not beside it"
        raise FileNotFoundError(msg)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if sha256 != card.sha256:
        msg = f"{path.name}: sha256 is {sha256}, its card says {card.sha256}; restore the file"
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
