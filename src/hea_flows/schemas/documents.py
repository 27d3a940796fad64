"""Every document that MongoDB holds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from hea_flows.alloy.thermodynamics import Decomposition
from hea_flows.schemas.record import Record
from hea_flows.schemas.records import (
    AlloySpec,
    Epoch,
    ErrorSummary,
    ModelSpec,
    StoredFile,
    StructureEntry,
    TrainingSettings,
    Trajectory,
)
from hea_flows.schemas.thermodynamics import ModelUncertainty, ReferencePhases, Vibrations


def _date_text(value: Any) -> Any:  # noqa: ANN401  validated by pydantic
    """Return the text of a date that monty wrote to JSON, as runners without BSON do."""
    return value.get("string", value) if isinstance(value, dict) else value


class Document(Record):
    """What every stored document carries."""

    kind: str
    uuid: str = Field("", description="The job that wrote it.")
    campaign: str | None = None
    sources: dict[str, list[str]] = Field(
        default_factory=dict, description="Role to uuids of the documents it was made from."
    )
    versions: dict[str, str] = Field(default_factory=dict)
    created_at: Annotated[datetime, BeforeValidator(_date_text)] = Field(
        default_factory=lambda: datetime.now(UTC)
    )


class CampaignDoc(Document):
    """The campaign file itself."""

    kind: Literal["campaign"] = "campaign"
    name: str
    config: str = Field(description="The file, as the user wrote it.")
    config_sha256: str


class StructuresDoc(Document):
    """The orderings of one set."""

    kind: Literal["structures"] = "structures"
    alloy: AlloySpec
    expression: str
    seed: int
    n_structures: int
    structures: list[StructureEntry]


class LabelDoc(Document):
    """What a reference engine says of one structure."""

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
    magnetization: float | None = Field(None, description="Of the last frame (μB per cell).")
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


class FrameRef(Record):
    """Where a frame of a dataset comes from."""

    label: str = Field(description="uuid of the label document.")
    structure_id: str
    step: int


class TestSetDoc(Document):
    """Structures that models are compared with: first and last labelled frame of each.

    The end points that mixing energies count from are among the trajectories, whether they are
    members or not.
    """

    kind: Literal["test_set"] = "test_set"
    name: str
    expressions: list[str] = Field(description="The sets it holds.")
    alloy: AlloySpec
    engine: str = Field(description="What labelled it.")
    settings_id: str
    settings: dict[str, Any]
    members: list[str] = Field(description="Structure ids.")
    end_points: dict[str, str] = Field(description="Element to structure id.")
    excluded: dict[str, str] = Field(description="Structure id to why it has no usable label.")
    trajectories: dict[str, Trajectory] = Field(description="By structure id; in the data store.")
    labels: dict[str, str] = Field(description="Structure id to uuid of its label document.")
    structures: dict[str, StructureEntry]
    converged: dict[str, bool] = Field(description="Of the label's relaxation.")
    calculations: dict[str, Literal["relax", "static"]] = Field(
        default_factory=dict, description="Structure id to what its label is."
    )
    relaxed: bool = Field(description="Whether models relax the structures too.")
    checksum: str = Field(description="sha256 of all labels, end points included.")


class DatasetDoc(Document):
    """Frames, how they are split, and which reference they share."""

    kind: Literal["dataset"] = "dataset"
    alloy: AlloySpec
    settings_id: str
    settings: dict[str, Any]
    seed: int
    split_by: Literal["frame", "structure"]
    fractions: tuple[float, float, float]
    n_structures: int
    n_frames: dict[str, int] = Field(description="Structure id to number of frames.")
    train: list[int] = Field(description="Positions in `frames`.")
    test: list[int]
    validation: list[int]
    end_points: dict[str, str] = Field(description="Element to structure id.")
    excluded: dict[str, str] = Field(description="Structure id to why it is not in the dataset.")
    trajectories: dict[str, Trajectory] = Field(description="By structure id; in the data store.")
    labels: dict[str, str] = Field(description="Structure id to uuid of its label document.")
    structures: dict[str, StructureEntry]
    converged: dict[str, bool]
    checksum: str = Field(description="sha256 of all trajectories.")

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
    def end_point_cells(self) -> dict[str, list[list[float]]]:
        """Element to the relaxed cell of its end point (Å)."""
        return {e: self.trajectories[key].cells[-1] for e, key in self.end_points.items()}


class TrainingDoc(Document):
    """A trained model, the path it took and what it was trained on."""

    kind: Literal["training"] = "training"
    name: str = Field(description="The campaign's name of the model.")
    identity: str = Field(description="Hash of frames, splits, parent and settings.")
    parent: ModelSpec | None = Field(description="None: trained from scratch.")
    model: ModelSpec
    model_file: StoredFile = Field(description="In the data store.")
    settings: TrainingSettings = Field(description="With what the size of the set decided.")
    offsets: dict[str, float] = Field(description="Removed from the labels, eV/atom.")
    dataset_checksum: str
    curve: list[Epoch]
    best_epoch: int = Field(description="The epoch, by validation loss, whose weights are kept.")
    errors: dict[Literal["train", "test", "validation", "replay"], ErrorSummary] = Field(
        description="Of the kept epoch."
    )
    seconds: float
    hardware: dict[str, str] = Field(default_factory=dict)


class ParityPoint(Record):
    """One structure of a test set; energies in eV/unit, mixing energies in meV/unit."""

    structure_id: str
    formula: str
    n_components: int
    test_set: str
    trained: bool = Field(description="Whether the model was trained on this structure.")
    reference_energy: float
    model_energy: float
    reference_mixing_mev: float
    model_mixing_mev: float


class BenchmarkTable(Record):
    """Errors on one test set: MAE of total (after offsets) and mixing energy, meV/unit.

    End points, whose mixing energy is zero by definition, are not counted.
    """

    test_set: str
    geometry: Literal["fixed", "relaxed"]
    n: int
    n_trained: int = Field(description="How many of them the model was trained on.")
    n_failed: int = Field(0, description="Relaxations that failed; they are in no error.")
    total_mae_mev: float
    mixing_mae_mev: float
    mixing_mae_interval_mev: tuple[float, float] = Field(description="95 %, bootstrap.")
    new_mixing_mae_mev: float | None = Field(
        description="Of the structures that the model was not trained on."
    )
    by_components: dict[str, float] = Field(description="Mixing MAE per number of elements.")
    new_frames: ErrorSummary | None = Field(
        None,
        description="At fixed geometry: RMSE over first and last frames of structures that the "
        "model was not trained on, offsets removed.",
    )
    reference: str = Field(description="Which end points the mixing energies take.")


class BenchmarkDoc(Document):
    """A model against the reference, on test sets."""

    kind: Literal["benchmark"] = "benchmark"
    name: str = Field(description="The campaign's name of the model.")
    identity: str = Field(description="Hash of model, test sets, offsets and settings.")
    model: ModelSpec
    role: Literal["foundation", "fine-tuned", "from scratch"]
    seed: int | None = Field(None, description="Of the training.")
    engine: str = Field(description="What labelled the test sets.")
    settings_id: str
    offsets: dict[str, float]
    offsets_from: Literal["training frames", "end points"] = Field(
        description="What the offsets in total energies were fitted on."
    )
    test_sets: dict[str, str] = Field(description="Name to checksum.")
    tables: list[BenchmarkTable]
    fixed: list[ParityPoint]
    relaxed: list[ParityPoint]
    failed: dict[str, str] = Field(description="Structure id to why its relaxation failed.")
    bootstrap_seed: int = 0


class CommitteeTable(Record):
    """A committee on one test set: mixing energies, meV/unit; None where it cannot be told."""

    test_set: str
    geometry: Literal["fixed", "relaxed"]
    n: int
    n_dropped: int = Field(description="Structures without the values of two members.")
    mixing_mae_mev: float = Field(description="Of the members' mean.")
    spread_mev: float = Field(description="Root mean square standard deviation of the members.")
    spearman: float | None = Field(None, description="Rank correlation of spread and error.")
    spearman_interval: tuple[float, float] | None = Field(None, description="95 %, bootstrap.")
    scale: float | None = Field(None, description="Factor that makes the spread fit the errors.")
    scale_interval: tuple[float, float] | None = Field(None, description="95 %, bootstrap.")
    miscalibration_area: float | None = Field(
        None, description="Between observed and nominal coverage; 0 is calibrated, 1/2 the worst."
    )
    too_sure: float | None = Field(
        None, description="Nominal minus observed coverage, mean; positive: too sure."
    )
    alarm_auc: float | None = Field(
        None, description="How well the spread finds large errors: 1 always, 1/2 by chance."
    )


class CommitteeDoc(Document):
    """Whether the spread of models of several seeds predicts the error of their mean."""

    kind: Literal["committee"] = "committee"
    name: str = Field(description="The campaign's name of the model.")
    seeds: list[int]
    engine: str = Field(description="What labelled the test sets.")
    settings_id: str
    alarm_mev: float = Field(description="Error that counts as large (meV/unit).")
    tables: list[CommitteeTable]
    bootstrap_seed: int


class ThermodynamicsDoc(Document):
    """Decomposition free energies, the random-structure distribution and DEED."""

    kind: Literal["thermodynamics"] = "thermodynamics"
    model: ModelSpec
    mode: Literal["fixed lattice", "relaxed"]
    elements: list[str]
    sqs_mixing_mev: dict[str, float] = Field(description="Phase to SQS mixing energy (meV/unit).")
    sqs_objective: dict[str, float]
    decompositions: list[Decomposition]
    transitions: list[tuple[float, str]] = Field(
        description="Temperature (K) above which a decomposition is stable, lowest first."
    )
    decomposition_temperature: float | None = Field(
        description="Above it the solid solution of all elements is stable (K)."
    )
    random_mixing_mev: list[float]
    random_seed: int
    h_ave_mev: float
    sigma_mev: float
    h_hull_mev: float
    deed_per_unit: float | None = Field(description="(eV/unit)⁻¹")
    deed_per_atom: float | None = Field(description="(eV/atom)⁻¹")
    uncertainty: ModelUncertainty | None = Field(
        None, description="None where nothing tells the error of the model."
    )
    reference: ReferencePhases | None = Field(None, description="None where SQS were not labelled.")
    vibrations: Vibrations | None = Field(None, description="None where not asked for.")
    failed: dict[str, str] = Field(default_factory=dict)


class ReportDoc(Document):
    """The report of a campaign."""

    kind: Literal["report"] = "report"
    title: str
    summary: dict[str, Any]
    missing: dict[str, str] = Field(
        default_factory=dict,
        description="Models and other results that there are none of, and why.",
    )
    html: StoredFile = Field(description="Self-contained page, in the data store.")
