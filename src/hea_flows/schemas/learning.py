"""Documents of models: their training, their errors, and committees of several seeds."""

from __future__ import annotations

from math import nan
from typing import ClassVar, Literal

from pydantic import Field

from hea_flows.inputs import Computed
from hea_flows.schemas.documents import Document, describe_model, joined
from hea_flows.schemas.files import ModelSpec, StoredFile
from hea_flows.schemas.record import Record
from hea_flows.schemas.training import Epoch, ErrorSummary, TrainingSettings

#: Energies at the geometry of the label, or each method's own; the two are never compared.
Geometry = Literal["fixed", "relaxed"]


#: What a model is to the campaign that compares it.
Role = Literal["foundation", "fine-tuned", "from scratch", "committee"]


class ModelDoc(Document):
    """A model that a campaign made: what other jobs need of it."""

    blob_fields: ClassVar[tuple[str, ...]] = ("model_file",)

    name: str = Field(description="The campaign's name of the model.")
    identity: str = Field(description="Hash of all that the model depends on.")
    model: ModelSpec
    model_file: StoredFile = Field(description="In the data store.")
    offsets: dict[str, float] = Field(description="Removed from the labels, eV/atom.")
    dataset_checksum: str
    seconds: float = Field(description="Time of the training, or of those of all members.")

    @property
    def heading(self) -> str:
        """Name of the model in its campaign, and in tables."""
        return f"{self.name}, {self.model.title}"

    @property
    def role(self) -> Role:
        """What the model is to its campaign."""
        raise NotImplementedError

    @property
    def seed(self) -> int | None:
        """Seed of the training, if there was one."""
        return None


class TrainingDoc(ModelDoc):
    """A trained model, the path it took and what it was trained on."""

    kind: Literal["training"] = "training"
    parent: ModelSpec | None = Field(description="None: trained from scratch.")
    settings: TrainingSettings = Field(description="With what the size of the set decided.")
    curve: list[Epoch]
    best_epoch: int = Field(description="The epoch, by validation loss, whose weights are kept.")
    errors: dict[Literal["train", "test", "validation", "replay"], ErrorSummary] = Field(
        description="Of the kept epoch."
    )
    hardware: dict[str, str] = Field(default_factory=dict)

    @property
    def role(self) -> Role:
        """What the model is to its campaign."""
        return "fine-tuned" if self.parent else "from scratch"

    @property
    def seed(self) -> int:
        """Seed of the training."""
        return self.settings.seed

    def headline(self) -> dict[str, object]:
        """Return what the model was trained from, and how."""
        return {
            **describe_model("parent", self.parent),
            **describe_model("model", self.model),
            "seed": self.settings.seed,
            "epochs": len(self.curve),
            "best epoch": self.best_epoch,
            "dataset checksum": self.dataset_checksum,
            "hardware": joined(self.hardware),
        }


class CommitteeModelDoc(ModelDoc):
    """Several trained models that predict together: the weighted mean of their predictions."""

    kind: Literal["committee_model"] = "committee_model"
    members: list[str] = Field(description="Names of the members, seeds included.")
    weights: list[float] = Field(description="Of the members, in their order; they add up to 1.")
    weights_from: Literal["equal", "validation"] = Field(
        description="Whether all are equal, or fitted on the validation frames of the members."
    )

    @property
    def role(self) -> Role:
        """What the model is to its campaign."""
        return "committee"

    def headline(self) -> dict[str, object]:
        """Return the members and their weights."""
        return {
            **describe_model("model", self.model),
            "members": ", ".join(self.members),
            "weights": ", ".join(f"{w:.3g}" for w in self.weights),
            "weights from": self.weights_from,
        }


class ParityPoint(Record):
    """One structure of a test set; energies in eV/unit, mixing energies in meV/unit."""

    structure_id: str
    formula: str
    n_components: int
    test_set: str
    trained: bool = Field(description="Whether the model was trained on this structure.")
    reference_energy: Computed
    model_energy: Computed
    reference_mixing_mev: Computed
    model_mixing_mev: Computed


class BenchmarkTable(Record):
    """Errors on one test set: MAE of total (after offsets) and mixing energy, meV/unit.

    End points, whose mixing energy is zero by definition, are not counted.
    """

    test_set: str
    geometry: Geometry
    n: int
    n_trained: int = Field(description="How many of them the model was trained on.")
    n_failed: int = Field(0, description="Relaxations that failed; they are in no error.")
    total_mae_mev: Computed
    mixing_mae_mev: Computed
    mixing_mae_interval_mev: tuple[Computed, Computed] = Field(description="95 %, bootstrap.")
    mixing_bias_mev: Computed = Field(nan, description="Mean of model minus reference.")
    mixing_bias_interval_mev: tuple[Computed, Computed] = Field(
        (nan, nan), description="95 %, bootstrap."
    )
    new_mixing_mae_mev: float | None = Field(
        description="Of the structures that the model was not trained on."
    )
    by_components: dict[str, Computed] = Field(description="Mixing MAE per number of elements.")
    new_frames: ErrorSummary | None = Field(
        None,
        description="At fixed geometry: RMSE over first and last frames of structures that the "
        "model was not trained on, offsets removed.",
    )
    reference: str = Field(description="Which end points the mixing energies take.")


class ForgettingTable(Record):
    """Errors on frames of the foundation's own kind, means of absolute values.

    Energies of a foundation, and of models that keep its zero, count as they are; those of others
    after per-element offsets that are fitted to these frames.
    """

    file: str
    sha256: str
    n_frames: int
    n_left_out: int = Field(description="Frames that the model cannot evaluate.")
    offsets_fitted: bool = Field(description="Whether energies count after offsets.")
    energy_mev: Computed = Field(description="meV/atom")
    forces_mev: Computed = Field(description="meV/Å")


class StabilityRow(Record):
    """How a structure fared in dynamics at one temperature (K) for some time (ps)."""

    structure_id: str
    formula: str = Field(description="Of the repeated cell.")
    temperature: Computed
    mean_temperature: Computed = Field(description="Of the second half.")
    picoseconds: Computed
    drift_mev: Computed = Field(description="Of the conserved energy, meV/atom/ps.")
    shift: Computed = Field(description="Farthest of an atom from where it started (Å).")
    reason: str = Field("", description="Why it ended early; empty if it held together.")


class BenchmarkDoc(Document):
    """A model against the reference, on test sets."""

    kind: Literal["benchmark"] = "benchmark"
    name: str = Field(description="The campaign's name of the model.")
    identity: str = Field(description="Hash of model, test sets, offsets and settings.")
    model: ModelSpec
    role: Role
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
    training_seconds: float | None = Field(None, description="Of the model, or of its members.")
    forgetting: ForgettingTable | None = None
    stability: list[StabilityRow] = Field(default_factory=list)

    def points(self, geometry: Geometry) -> list[ParityPoint]:
        """Return the structures of all test sets, end points included."""
        return self.relaxed if geometry == "relaxed" else self.fixed

    @property
    def heading(self) -> str:
        """Name, role and kind of the model."""
        return f"{self.name}, {self.role} {self.model.title}"

    def headline(self) -> dict[str, object]:
        """Return which model was compared with what."""
        return {
            **describe_model("model", self.model),
            "test sets": joined({k: v[:12] for k, v in self.test_sets.items()}),
            "engine": self.engine,
            "settings id": self.settings_id,
            "offsets fitted on": self.offsets_from,
            "bootstrap seed": self.bootstrap_seed,
            "failed": len(self.failed),
        }


class CommitteeTable(Record):
    """A committee on one test set: mixing energies, meV/unit; None where unknown."""

    test_set: str
    geometry: Geometry
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
    """Whether the spread of models, of several seeds or others, predicts the error of their mean.

    The mean has equal weights.
    """

    kind: Literal["committee"] = "committee"
    name: str = Field(description="The campaign's name of the model, or of the committee.")
    seeds: list[int] = Field(description="Of the members that were trained with one.")
    engine: str = Field(description="What labelled the test sets.")
    settings_id: str
    alarm_mev: float = Field(description="Error that counts as large (meV/unit).")
    tables: list[CommitteeTable]
    bootstrap_seed: int

    @property
    def heading(self) -> str:
        """The campaign's name of the model."""
        return self.name

    def headline(self) -> dict[str, object]:
        """Return the seeds of the members and of the bootstrap."""
        return {
            "seeds": ", ".join(map(str, self.seeds)),
            "engine": self.engine,
            "settings id": self.settings_id,
            "bootstrap seed": self.bootstrap_seed,
        }
