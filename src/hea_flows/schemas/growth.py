"""The document of a training set that grows, and the records it is made of."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hea_flows.schemas.documents import Document
from hea_flows.schemas.record import Record
from hea_flows.schemas.structures import AlloySpec

Stopped = Literal["no improvement beyond its error", "sets exhausted"]


class GrowthInputs(Record):
    """What every step of a growth needs, by uuid: big documents stay in the store."""

    alloy: AlloySpec
    campaign_file: str
    test_set: str
    beside: list[tuple[str, str]] = Field(
        default_factory=list,
        description="Structures and labels of sets that are labelled in the same way.",
    )


class GrowthSources(Record):
    """Documents of one step, by the uuids of their jobs."""

    structures: str
    labels: str = Field(description="The job that holds the list of labels.")
    dataset: str
    trainings: list[str] = Field(description="One per seed.")
    benchmarks: list[str] = Field(description="One per seed.")


class GrowthStep(Record):
    """One training set and the errors of its models; mixing energies in meV/unit.

    Errors are of structures that no split of the dataset holds; end points are not counted.
    """

    expression: str = Field(description="The set that was added.")
    sources: GrowthSources
    n_new: int = Field(description="Structures of the set that no earlier step had.")
    n_structures: int = Field(description="Structures that were trained on, of all steps so far.")
    n_frames: int
    n_compared: int = Field(description="Structures that every seed's model has an error for.")
    n_failed: int = Field(description="Structures that some seed's model could not relax.")
    mae_mev: float = Field(description="Mean over the seeds.")
    mae_interval_mev: tuple[float, float] = Field(
        description="95 %, bootstrap over seeds and structures."
    )
    mae_by_seed_mev: list[float]
    change_mev: float | None = Field(
        description="MAE minus that of the step before, on structures neither was trained on."
    )
    change_interval_mev: tuple[float, float] | None = Field(
        description="95 %, bootstrap over seeds and structures."
    )
    p_value: float | None = Field(description="Of the change, by flipping signs.")
    improved: bool = Field(description="The whole interval lies below minus the tolerance.")
    label_hours: float | None = Field(
        description="What the labels of the new structures took, whenever they were made (h)."
    )
    n_timed: int = Field(description="New structures whose labels tell their time.")


class NextPoint(Record):
    """What the next training set would cost."""

    expression: str
    n_structures: int = Field(description="Structures that are not labelled yet.")
    hours: float | None = Field(description="Of all their labels, one after the other (h).")
    hours_interval: tuple[float, float] | None = Field(
        None, description="95 %, bootstrap; only where labels were timed."
    )
    basis: str = Field(description="What the hours rest on, or why there are none.")


class GrowthDoc(Document):
    """Training sets that grew until the error stopped falling by more than its own error."""

    kind: Literal["growth"] = "growth"
    name: str = Field(description="The test set that decided.")
    geometry: Literal["fixed", "relaxed"]
    seeds: list[int] = Field(description="Of the trainings of each step.")
    tolerance_mev: float
    steps: list[GrowthStep]
    stopped_because: Stopped | None = Field(description="None while it goes on.")
    recommended: int = Field(
        description="Position of the last step that was better than the one before it."
    )
    next_point: NextPoint | None = Field(description="None where no set is left.")
    bootstrap_seed: int

    @property
    def heading(self) -> str:
        """The test set that decided."""
        return self.name

    def headline(self) -> dict[str, object]:
        """Return the sets and what was decided."""
        return {
            "sets": "; ".join(step.expression for step in self.steps),
            "geometry": self.geometry,
            "stopped because": self.stopped_because,
            "recommended step": self.recommended + 1,
            "training seeds": ", ".join(map(str, self.seeds)),
            "tolerance (meV/unit)": self.tolerance_mev,
            "bootstrap seed": self.bootstrap_seed,
        }
