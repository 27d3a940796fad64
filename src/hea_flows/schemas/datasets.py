"""Documents that hold labelled frames: what models are trained on and compared with."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from hea_flows.schemas.documents import Document
from hea_flows.schemas.files import StoredFile
from hea_flows.schemas.record import Record
from hea_flows.schemas.structures import AlloySpec, StructureEntry, Trajectory


class FrameRef(Record):
    """Where a frame of a dataset comes from."""

    label: str = Field(description="uuid of the label document.")
    structure_id: str
    step: int


class LabelledDoc(Document):
    """Labelled frames by structure, those of the end points among them."""

    blob_fields: ClassVar[tuple[str, ...]] = ("trajectories",)

    alloy: AlloySpec
    settings_id: str
    settings: dict[str, Any]
    end_points: dict[str, str] = Field(description="Element to structure id.")
    excluded: dict[str, str] = Field(description="Structure id to why it has no usable label.")
    trajectories: dict[str, Trajectory] = Field(description="By structure id; in the data store.")
    labels: dict[str, str] = Field(description="Structure id to uuid of its label document.")
    structures: dict[str, StructureEntry]
    converged: dict[str, bool] = Field(description="Of the label's relaxation.")
    calculations: dict[str, Literal["relax", "static"]] = Field(
        default_factory=dict, description="Structure id to what its label is."
    )

    @property
    def end_point_cells(self) -> dict[str, list[list[float]]]:
        """Element to the relaxed cell of its end point (Å)."""
        return {e: self.trajectories[key].cells[-1] for e, key in self.end_points.items()}


class TestSetDoc(LabelledDoc):
    """Structures that models are compared with: first and last labelled frame of each.

    The end points that mixing energies count from are among the trajectories, whether they are
    members or not.
    """

    kind: Literal["test_set"] = "test_set"
    name: str
    expressions: list[str] = Field(description="The sets it holds.")
    engine: str = Field(description="What labelled it.")
    members: list[str] = Field(description="Structure ids.")
    relaxed: bool = Field(description="Whether models relax the structures too.")
    checksum: str = Field(description="sha256 of all labels, end points included.")

    @property
    def heading(self) -> str:
        """Name of the test set."""
        return self.name

    def headline(self) -> dict[str, object]:
        """Return what the set holds, and its checksum."""
        return {
            "sets": "; ".join(self.expressions),
            "engine": self.engine,
            "settings id": self.settings_id,
            "structures": len(self.members),
            "excluded": len(self.excluded),
            "checksum": self.checksum,
        }


class DatasetDoc(LabelledDoc):
    """Frames, how they are split, and which reference they share."""

    blob_fields: ClassVar[tuple[str, ...]] = ("trajectories", "extra")

    kind: Literal["dataset"] = "dataset"
    schema_version: int = 2
    seed: int
    split_by: Literal["frame", "structure"]
    fractions: tuple[float, float, float]
    n_structures: int
    n_frames: dict[str, int] = Field(description="Structure id to number of frames.")
    train: list[int] = Field(description="Positions in `frames`.")
    test: list[int]
    validation: list[int]
    checksum: str = Field(description="sha256 of all trajectories, and of the extra frames.")
    extra: StoredFile | None = Field(
        None, description="Extended XYZ of frames of no structure, trained on too."
    )
    n_extra: int = 0

    def calculation(self, key: str) -> Literal["relax", "static"]:
        """Return what the label of a structure is; of older documents, by its frames."""
        guess: Literal["relax", "static"] = "relax" if self.n_frames[key] > 1 else "static"
        return self.calculations.get(key, guess)

    @property
    def frames(self) -> list[FrameRef]:
        """Every frame that is split: all of one structure, then the next one's.

        Not stored: with a hundred bytes each, the frames of 1000 long relaxations would near
        MongoDB's 16 MB.
        """
        return [
            FrameRef(label=self.labels[key], structure_id=key, step=step)
            for key, n in self.n_frames.items()
            for step in range(n)
        ]

    @property
    def heading(self) -> str:
        """The alloy, such as ``(Mo,W)S2``."""
        return f"({','.join(self.alloy.elements)}){self.alloy.to_alloy().fixed_formula(1)}"

    def headline(self) -> dict[str, object]:
        """Return how the frames are split, and their checksum."""
        return {
            "settings id": self.settings_id,
            "split seed": self.seed,
            "split by": self.split_by,
            "frames": len(self.frames),
            "train": len(self.train),
            "test": len(self.test),
            "validation": len(self.validation),
            "extra": self.n_extra,
            "structures": self.n_structures,
            "excluded": len(self.excluded),
            "checksum": self.checksum,
        }
