"""Documents of labelling: sets of structures, and the reference calculation of each."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from hea_flows.schemas.documents import Document, joined
from hea_flows.schemas.files import StoredFile
from hea_flows.schemas.structures import AlloySpec, StructureEntry, Trajectory


class StructuresDoc(Document):
    """The orderings of one set."""

    kind: Literal["structures"] = "structures"
    alloy: AlloySpec
    expression: str
    seed: int
    n_structures: int
    structures: list[StructureEntry]

    @property
    def heading(self) -> str:
        """The set."""
        return self.expression

    def headline(self) -> dict[str, object]:
        """Return what the set was built from."""
        return {
            "set": self.expression,
            "seed": self.seed,
            "structures": self.n_structures,
        }


class LabelDoc(Document):
    """The reference calculation of one structure."""

    blob_fields: ClassVar[tuple[str, ...]] = ("trajectory", "task")

    kind: Literal["label"] = "label"
    structure: StructureEntry
    engine: str
    settings: dict[str, Any]
    settings_id: str
    calculation: Literal["relax", "static"]
    state: Literal["converged", "unconverged", "missing", "failed"]
    reason: str | None = Field(None, description="Why it is missing or failed, or not converged.")
    n_frames: int = 0
    energy: float | None = Field(None, description="Of the last frame (eV per cell).")
    max_force: float | None = Field(None, description="Of the last frame (eV/Å).")
    magnetization: float | None = Field(
        None, description="Of the last frame (μB per cell); the length of a vector."
    )
    corrections: list[str] = Field(
        default_factory=list, description="What was changed to make the code go on."
    )
    flags: list[str] = Field(
        default_factory=list, description="How a relaxation left its phase or its decoration."
    )
    inputs: dict[str, Any] = Field(default_factory=dict, description="Input of the code.")
    code_versions: dict[str, str] = Field(default_factory=dict)
    directory: str | None = Field(None, description="Folder of the calculation, host:path.")
    task: StoredFile | None = Field(
        None, description="The code's own output document, in the data store."
    )
    trajectory: Trajectory | None = Field(None, description="In the data store.")
    trajectory_sha256: str | None = None

    @property
    def heading(self) -> str:
        """Formula of the structure."""
        return self.structure.formula

    def headline(self) -> dict[str, object]:
        """Return how the label was calculated and how it ended."""
        return {
            "structure id": self.structure.structure_id,
            "engine": self.engine,
            "settings id": self.settings_id,
            "calculation": self.calculation,
            "state": self.state,
            "frames": self.n_frames,
            "corrections": "; ".join(self.corrections),
            "codes": joined(self.code_versions),
            "trajectory sha256": self.trajectory_sha256,
        }
