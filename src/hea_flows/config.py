"""The campaign file: the science of a campaign, and nothing of the machine it runs on."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import Field, field_validator, model_validator

from hea_flows.alloy.sets import parse
from hea_flows.schemas import AlloySpec, ModelSpec, Record, TrainingSettings

Mode = Literal["fixed lattice", "relaxed"]


class StartSpec(Record):
    """How a start geometry is made before the reference engine sees it."""

    model: ModelSpec = Field(description="Potential that relaxes the ideal structure first.")
    rattle: float = Field(0.0, ge=0, description="Standard deviation of a random shift (Å).")

    @field_validator("model", mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:  # noqa: ANN401
        return model_from_text(value)


class LabelSpec(Record):
    """Which reference engine labels a set, and how."""

    engine: str = Field("archive", description="Row of the reference engines' registry.")
    options: dict[str, Any] = Field(
        default_factory=dict, description="Fields of the engine's Maker, e.g. dataset, fmax."
    )
    start: StartSpec | None = None


class SetSpec(Record):
    """A set of structures and what it is for."""

    set: str = Field(description="Set expression, for example 2(2)+3(3), or a set's name.")
    use: Literal["training", "held-out"] = "training"
    labels: LabelSpec | None = Field(None, description="Default: the campaign's labels.")


class DatasetSpec(Record):
    """How frames become training, test and validation data."""

    split_by: Literal["frame", "structure"] = "frame"
    fractions: tuple[float, float, float] = Field(
        (0.80, 0.15, 0.05), description="Train, test, validation."
    )
    max_missing: int | None = Field(
        None, ge=0, description="Stop if more structures than this have no label; default never."
    )

    @field_validator("fractions")
    @classmethod
    def _sum(cls, value: tuple[float, float, float]) -> tuple[float, float, float]:
        if min(value) < 0 or not math.isclose(sum(value), 1.0, abs_tol=1e-9):
            msg = f"fractions must be positive and add up to 1, got {list(value)}"
            raise ValueError(msg)
        return value


class BenchmarkSpec(Record):
    """What is compared with the reference."""

    relaxed: bool = Field(True, description="Also relax structures whose reference converged.")
    fmax: float = Field(0.05, gt=0, description="Convergence of these relaxations (eV/Å).")
    max_steps: int = Field(100, ge=1)


class MonteCarloSpec(Record):
    """Canonical Monte Carlo chains, one per temperature and run."""

    supercell: str = Field("5x5", description="Supercell, for example 10x10 or 3x3x3.")
    temperatures: list[float] = Field(min_length=1, description="K")
    runs: int = Field(1, ge=1)
    trials: int = Field(5000, ge=1)
    average_from: int = Field(2000, ge=0, description="Trials that are not averaged.")
    mode: Mode = "fixed lattice"

    @model_validator(mode="after")
    def _averages(self) -> Self:
        if self.average_from >= self.trials:
            msg = f"average_from ({self.average_from}) must be below trials ({self.trials})"
            raise ValueError(msg)
        if min(self.temperatures) <= 0:
            msg = f"temperatures must be positive (K), got {self.temperatures}"
            raise ValueError(msg)
        return self


class ThermodynamicsSpec(Record):
    """Decompositions from SQS, and the distribution of random structures."""

    sqs: dict[int, str] = Field(
        default_factory=lambda: {2: "4x4", 3: "3x3", 4: "4x4", 5: "5x5"},
        description="Supercell of the SQS by number of elements.",
    )
    sqs_steps: int = Field(3000, ge=10, description="Annealing steps of an SQS.")
    random_supercell: str = "5x5"
    n_random: int = Field(500, ge=2)
    mode: Mode = "relaxed"
    fmax: float = Field(0.05, gt=0)
    max_steps: int = Field(100, ge=1)


class Campaign(Record):
    """A campaign file."""

    name: str = Field(pattern=r"^[A-Za-z0-9][\w.-]*$", description="Used to find it again.")
    title: str = ""
    seed: int = Field(0, ge=0)
    alloy: AlloySpec
    structures: list[SetSpec] = Field(min_length=1)
    labels: LabelSpec = Field(default_factory=LabelSpec)
    dataset: DatasetSpec = Field(default_factory=DatasetSpec)
    model: ModelSpec | None = Field(
        None, description="family:name fine-tunes a foundation; a family alone starts from scratch."
    )
    training: TrainingSettings = Field(default_factory=TrainingSettings)
    benchmark: BenchmarkSpec = Field(default_factory=BenchmarkSpec)
    monte_carlo: MonteCarloSpec | None = None
    thermodynamics: ThermodynamicsSpec | None = None

    @field_validator("model", mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:  # noqa: ANN401
        return model_from_text(value)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for spec in self.structures:
            parse(spec.set)
        if self.model is None and (self.monte_carlo or self.thermodynamics):
            msg = "monte_carlo and thermodynamics need a model, for example model: chgnet:0.3.0"
            raise ValueError(msg)
        return self


def model_from_text(value: Any) -> Any:  # noqa: ANN401
    """Read ``family`` or ``family:name`` as a `ModelSpec`'s fields; pass anything else on."""
    if not isinstance(value, str):
        return value
    family, _, name = value.partition(":")
    return {"family": family, "name": name or None}


def load_campaign(path: Path) -> tuple[Campaign, str]:
    """Read a campaign file; return it and its text.

    Every set is built once, so that an impossible one is told before anything runs. A dataset or
    checkpoint given as a relative path is looked up beside the file first.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not YAML, or a key is unknown, missing or of a wrong value.
    """
    if not path.is_file():
        msg = f"no campaign file at {path}"
        raise FileNotFoundError(msg)
    text = path.read_text(encoding="utf-8")
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        msg = f"{path} is not valid YAML: {' '.join(str(error).split())}"
        raise ValueError(msg) from error
    if not isinstance(data, dict):
        msg = f"{path} must hold keys such as name, alloy, structures; found {type(data).__name__}"
        raise ValueError(msg)  # noqa: TRY004  a wrong value of the file, not of an argument
    campaign = Campaign.model_validate(data)
    for spec in campaign.structures:
        parse(spec.set).build(campaign.alloy.to_alloy(), campaign.seed)
    for labels in (campaign.labels, *(s.labels for s in campaign.structures if s.labels)):
        dataset = labels.options.get("dataset")
        if isinstance(dataset, str) and (path.parent / dataset).is_file():
            labels.options["dataset"] = str((path.parent / dataset).resolve())
    if campaign.model and campaign.model.path and (path.parent / campaign.model.path).is_file():
        campaign.model.path = str((path.parent / campaign.model.path).resolve())
    return campaign, text


def text_sha256(text: str) -> str:
    """Return the checksum that identifies a campaign file."""
    return hashlib.sha256(text.encode()).hexdigest()
