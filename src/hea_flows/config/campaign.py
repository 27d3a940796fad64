"""The campaign file: the science of a campaign, and nothing of the machine it runs on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError, field_validator, model_validator

from hea_flows.alloy.lattice import Ordering
from hea_flows.alloy.sets import located_set, named_sets_path, parse
from hea_flows.config.beside import located, with_constants, with_host
from hea_flows.config.costs import affordable, check_cells, check_sets
from hea_flows.config.phase_diagram import PhaseDiagramSpec
from hea_flows.config.sections import (
    BenchmarkSpec,
    DatasetSpec,
    GrowthSpec,
    LabelSpec,
    ModelEntry,
    MonteCarloSpec,
    SetSpec,
    TestSetSpec,
    ThermodynamicsSpec,
    model_from_text,
)
from hea_flows.inputs import Name, Seed, read_yaml, shown
from hea_flows.schemas import AlloySpec, ModelSpec, Record, Replay, TrainingSettings
from hea_flows.settings import get_settings


class Campaign(Record):
    """A campaign file.

    `structures` with `model` is one model and what it is compared with; `models` with `test_sets`
    a study of several.
    """

    name: str = Field(
        max_length=60,  # of a file with an ending, in any script
        pattern=r"^[A-Za-z0-9][\w.-]*$",
        description="Used to find it again.",
    )
    title: str = Field("", max_length=200)
    seed: Seed = Field(0, description="Of everything random that says no seed of its own.")
    alloy: AlloySpec
    structures: list[SetSpec] = Field(default_factory=list)
    labels: LabelSpec = Field(default_factory=LabelSpec)
    test_sets: dict[Name, TestSetSpec] = Field(
        default_factory=dict, description="Name to the set that models are compared with."
    )
    dataset: DatasetSpec = Field(default_factory=DatasetSpec)
    model: ModelSpec | None = Field(
        None, description="family:name fine-tunes a foundation; a family alone starts from scratch."
    )
    models: list[ModelEntry] = Field(default_factory=list, description="Models of a study.")
    grow: GrowthSpec | None = Field(
        None, description="Training sets that are tried until they do not help any more."
    )
    training: TrainingSettings = Field(default_factory=TrainingSettings)
    benchmark: BenchmarkSpec = Field(default_factory=BenchmarkSpec)
    monte_carlo: MonteCarloSpec | None = None
    thermodynamics: ThermodynamicsSpec | None = None
    phase_diagram: PhaseDiagramSpec | None = None

    @field_validator("model", mode="before")
    @classmethod
    def _short(cls, value: object) -> object:
        return model_from_text(value)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not (self.structures or self.test_sets or self.models):
            msg = "nothing to do: give structures, or models and test sets"
            raise ValueError(msg)
        if self.thermodynamics is not None:
            self._check_sqs(self.thermodynamics)
        for expression in self.expressions():
            parse(expression)
        self._check_models()
        sections = {
            "monte_carlo": self.monte_carlo,
            "thermodynamics": self.thermodynamics,
            "phase_diagram": self.phase_diagram,
        }
        if any(sections.values()) and not self.usable:
            msg = (
                f"{', '.join(sections)} need a model: give model, for example chgnet:0.3.0, and "
                "structures to train on, or models"
            )
            raise ValueError(msg)
        for section, spec in sections.items():
            if spec is not None and spec.model not in (None, *self.usable):
                msg = (
                    f"{section}: there is no model {spec.model!r}; models of this campaign: "
                    f"{', '.join(self.usable)}"
                )
                raise ValueError(msg)
        if self.structures and (taken := {"training", "held-out"} & set(self.test_sets)):
            msg = f"test_sets: {min(taken)!r} is what structures are called; rename it"
            raise ValueError(msg)
        if self.models and not self.test_sets:
            msg = "models need test sets to be compared with, for example Database 2: database-2"
            raise ValueError(msg)
        if self.grow is not None:
            self._check_growth(self.grow)
        return self

    def _check_models(self) -> None:
        names = [entry.name for entry in self.models]
        if twice := sorted({n for n in names if names.count(n) > 1}):
            msg = f"models: the name {twice[0]!r} is given twice; use seeds for several of one kind"
            raise ValueError(msg)
        if self._trains_its_own() and self.name in names:
            msg = f"models: {self.name!r} is what the campaign's own model is called; rename one"
            raise ValueError(msg)
        for entry in self.models:
            self._check(entry)

    def _check_sqs(self, spec: ThermodynamicsSpec) -> None:
        if len(self.alloy.elements) < 2:
            msg = f"thermodynamics needs two elements or more, got {', '.join(self.alloy.elements)}"
            raise ValueError(msg)
        spec.sqs_set(len(self.alloy.elements))
        if self.sqs and self.sqs[1].options.get("calculation") == "static":
            msg = (
                "thermodynamics.sqs_labels are static, and enthalpies count from relaxed end "
                "members; give labels of relaxations"
            )
            raise ValueError(msg)

    def _check_growth(self, grow: GrowthSpec) -> None:
        if self.model is None:
            msg = "grow needs a model to train, for example model: chgnet:0.3.0"
            raise ValueError(msg)
        if grow.test_set not in self.test_sets:
            msg = (
                f"grow: no test set {grow.test_set!r}; this campaign's test sets: "
                f"{', '.join(self.test_sets) or 'none'}"
            )
            raise ValueError(msg)
        relaxes = self.benchmark.relaxed and self.test_sets[grow.test_set].relaxed
        if grow.geometry == "relaxed" and not relaxes:
            msg = (
                f"grow: models do not relax {grow.test_set!r}; write geometry: fixed, or let the "
                "benchmark and the test set be relaxed"
            )
            raise ValueError(msg)

    def _check(self, entry: ModelEntry) -> None:
        if entry.committee:
            if unknown := [name for name in entry.committee if name not in self.trained]:
                msg = (
                    f"model {entry.name!r}: no model {unknown[0]!r} is trained; accepted as "
                    f"members: {', '.join(self.trained) or 'none'}"
                )
                raise ValueError(msg)
            return
        parent = entry.model or self.model
        if parent is None:
            msg = f"model {entry.name!r} has no parent: give its model, or one for the campaign"
            raise ValueError(msg)
        if entry.set is None and not parent.pretrained:
            msg = (
                f"model {entry.name!r} has no set and {parent.family} alone is untrained; give one"
            )
            raise ValueError(msg)
        try:
            self.settings_of(entry)
        except ValidationError as error:  # pydantic would leave out which model it is
            first = error.errors(include_url=False)[0]
            key = ".".join(map(str, ("training", *first["loc"])))
            why = first["msg"].removeprefix("Value error, ")
            msg = f"model {entry.name!r}: {key}: {why[:1].lower()}{why[1:]}"
            if first["type"] == "extra_forbidden":
                msg += f"; accepted: {', '.join(TrainingSettings.model_fields)}"
            raise ValueError(msg) from None

    @property
    def trained(self) -> list[str]:
        """Names of the models that are trained."""
        own = [self.name] if self._trains_its_own() else []
        return own + [entry.name for entry in self.models if entry.set is not None]

    @property
    def usable(self) -> list[str]:
        """Names of the models that Monte Carlo and thermodynamics may use."""
        return self.trained + [entry.name for entry in self.models if entry.set is None]

    def _trains_its_own(self) -> bool:
        return self.model is not None and any(s.use == "training" for s in self.structures)

    @property
    def own_training(self) -> TrainingSettings:
        """How a model that changes nothing is trained; seeds that are not given are `seed`."""
        return _with_seed(self.training, self.seed)

    def settings_of(self, entry: ModelEntry) -> TrainingSettings:
        """Return how a model of a study is trained if it gives no `seeds`."""
        changed = self.training.model_dump(exclude_unset=True) | entry.training
        return _with_seed(TrainingSettings.model_validate(changed), self.seed)

    def expressions(self) -> list[str]:
        """Return every set expression of the file."""
        return [
            *(s.set for s in self.structures),
            *(m.set for m in self.models if m.set is not None),
            *(d.set for d in self.test_sets.values()),
            *(self.grow.sets if self.grow else ()),
            *([self.sqs[0]] if self.sqs else ()),
        ]

    def label_specs(self) -> list[LabelSpec]:
        """Return how sets are labelled, each way once."""
        specs = [one.labels or self.labels for one in self.structures]
        specs += [one.labels or self.labels for one in self.test_sets.values()]
        specs += [one.labels or self.labels for one in self.models if one.set is not None]
        specs += [self.grow.labels or self.labels] if self.grow else []
        specs += [self.sqs[1]] if self.sqs else []
        return [spec for k, spec in enumerate(specs) if spec not in specs[:k]]

    @property
    def sqs(self) -> tuple[str, LabelSpec] | None:
        """The set of quasirandom structures and its labels, if they are to be labelled."""
        spec = self.thermodynamics
        if spec is None or spec.sqs_labels is None:
            return None
        labels = self.labels if spec.sqs_labels == "reference" else spec.sqs_labels
        return spec.sqs_set(len(self.alloy.elements)), labels


def _with_seed(settings: TrainingSettings, seed: int) -> TrainingSettings:
    """Return settings whose seeds, of the training and of a replay's draw, are given."""
    update: dict[str, object] = {}
    if "seed" not in settings.model_fields_set:
        update["seed"] = seed
    method = settings.method
    if isinstance(method, Replay) and "seed" not in method.model_fields_set:
        update["method"] = method.model_copy(update={"seed": seed})
    return settings.model_copy(update=update)


def find_campaign_file(path: Path) -> Path:
    """Return a campaign file: a path, or the name of one that the package carries.

    Raises
    ------
    FileNotFoundError
        If there is neither.
    OSError
        If the path cannot be looked at.
    """
    if path.is_file():
        return path
    root = named_sets_path().parent
    files = [p for p in root.glob("*.yaml") if p.stem != "sets"] + [*root.glob("studies/*.yaml")]
    shipped = {p.relative_to(root).with_suffix("").as_posix(): p for p in files}
    if file := shipped.get(path.as_posix().removesuffix(".yaml")):
        return file
    why = f"{path} is no regular file" if path.exists() else f"no campaign file at {path}"
    names = ", ".join(sorted(shipped))
    msg = f"{why}; give the path of one, or a shipped name: {names}"
    raise FileNotFoundError(msg)


def read_campaign(path: Path) -> tuple[Campaign, str]:
    """Read a campaign file; return it and its text. No set is built.

    A host, dataset, checkpoint or replay file given as a relative path is looked up beside the
    file first. Lattice constants that are neither given nor tabulated are taken from labels of the
    end points, where a dataset has them.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is not YAML, or a key is unknown, missing or of a wrong value.
    LimitError
        If a set or a cell is larger than the settings accept.
    """
    if not path.is_file():
        msg = f"no campaign file at {path}"
        raise FileNotFoundError(msg)
    data, text = read_yaml(path, get_settings().max_yaml_values)
    if not isinstance(data, dict):
        msg = f"{path} must hold keys such as name, alloy, structures; found {shown(data)}"
        raise ValueError(msg)  # noqa: TRY004  a wrong value of the file, not of an argument
    if isinstance(alloy := data.get("alloy"), dict):
        data["alloy"] = with_constants(with_host(alloy, path.parent), data, path.parent)
    campaign = Campaign.model_validate(data)
    if (key := _too_large(data)) is not None:  # among an engine's options
        msg = f"{path}: {key} is a number of more than 64 bits, which no database holds"
        raise ValueError(msg)
    host = campaign.alloy.to_alloy()
    _locate_files(campaign, path.parent)
    check_sets(campaign.expressions(), host)
    check_cells(host, campaign.monte_carlo, campaign.thermodynamics, campaign.phase_diagram)
    return campaign, text


def _too_large(data: object, key: str = "") -> str | None:
    """Return the key of the first whole number that does not fit into 64 bits."""
    if isinstance(data, dict | list):
        items = data.items() if isinstance(data, dict) else enumerate(data)
        inner = (_too_large(v, f"{key}.{k}".removeprefix(".")) for k, v in items)
        return next((found for found in inner if found is not None), None)
    return key if isinstance(data, int) and data.bit_length() > 63 else None


def load_campaign(path: Path) -> tuple[Campaign, str]:
    """Read a campaign file as `read_campaign` does, and build every set once.

    So an impossible set is told before anything runs. `hea_flows.flows.check_campaign` tells
    everything that is wrong.

    Raises
    ------
    OSError, ValueError
        As `read_campaign`; also if a set cannot be built.
    """
    campaign, text = read_campaign(path)
    for expression in campaign.expressions():
        orderings_of(expression, campaign.alloy, campaign.seed)
    return campaign, text


def _locate_files(campaign: Campaign, folder: Path) -> None:
    """Make relative paths absolute that lie in a folder."""
    beside = partial(located, folder=folder)
    _locate_sets(campaign, beside)
    campaign.dataset.extra_frames = beside(campaign.dataset.extra_frames)
    labels = [
        campaign.labels,
        *(s.labels for s in campaign.structures),
        *(m.labels for m in campaign.models),
        *(d.labels for d in campaign.test_sets.values()),
        campaign.grow and campaign.grow.labels,
        campaign.sqs and campaign.sqs[1],
    ]
    for spec in labels:
        if spec and "dataset" in spec.options:
            spec.options["dataset"] = beside(spec.options["dataset"])
    for model in (campaign.model, *(entry.model for entry in campaign.models)):
        if model:
            model.path = beside(model.path)
    campaign.benchmark.forgetting = beside(campaign.benchmark.forgetting)
    method = campaign.training.method
    if isinstance(method, Replay):
        method.file = beside(method.file)
    for entry in campaign.models:
        changed = entry.training.get("method")
        if isinstance(changed, dict) and "file" in changed:
            changed["file"] = beside(changed["file"])


def _locate_sets(campaign: Campaign, beside: Callable[[str], str]) -> None:
    """Make paths of datasets in set expressions absolute."""
    within = partial(located_set, locate=beside)
    for one in campaign.structures:
        one.set = within(one.set)
    for test_set in campaign.test_sets.values():
        test_set.set = within(test_set.set)
    for entry in campaign.models:
        entry.set = entry.set and within(entry.set)
    if campaign.grow is not None:
        campaign.grow.sets = [within(one) for one in campaign.grow.sets]


def orderings_of(expression: str, alloy: AlloySpec, seed: int) -> tuple[Ordering, ...]:
    """Return the structures of a set; built once in this process."""
    return _orderings_of(expression, alloy.model_dump_json(), seed)


@lru_cache(maxsize=256)
def _orderings_of(expression: str, alloy: str, seed: int) -> tuple[Ordering, ...]:
    host = AlloySpec.model_validate_json(alloy).to_alloy()
    return tuple(parse(expression).build(host, seed, most=affordable()))


def text_sha256(text: str) -> str:
    """Return the checksum of a campaign file as it was written."""
    return hashlib.sha256(text.encode()).hexdigest()


def campaign_sha256(campaign: Campaign) -> str:
    """Return the checksum of what a campaign file says.

    Comments, white space, the order of keys and ways to write a value make no difference.
    """
    # A seed that is given differs from one that is derived, even if both are 0: unset stays unset.
    content = campaign.model_dump(mode="json", exclude_unset=True)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
