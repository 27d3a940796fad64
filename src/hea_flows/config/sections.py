"""The sections of a campaign file."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from hea_flows.alloy import stream
from hea_flows.alloy.lattice import Alloy, IntMatrix
from hea_flows.alloy.sampling import (
    MOST_TEMPERATURES,
    ExchangeLadder,
    Mode,
    SamplingSettings,
    check_chains,
)
from hea_flows.alloy.sets import (
    check_random,
    check_sqs,
    supercell_matrix,
)
from hea_flows.inputs import Name, Number, Seed, Whole, shown
from hea_flows.schemas import ModelSpec, Record

MODEL_OF_SECTION = (
    "Name of the model that is used: of several seeds the first. Default: the first model."
)


class StartSpec(Record):
    """How a start geometry is made before the reference engine sees it."""

    model: ModelSpec = Field(description="Potential that relaxes the ideal structure first.")
    rattle: Number = Field(
        0.0, ge=0, le=10, description="Standard deviation of a random shift (Å)."
    )

    @field_validator("model", mode="before")
    @classmethod
    def _short(cls, value: object) -> object:
        return model_from_text(value)


class LabelSpec(Record):
    """Which reference engine labels a set, and how."""

    engine: Name = Field("archive", description="Row of the reference engines' registry.")
    options: dict[str, Any] = Field(
        default_factory=dict, description="Fields of the engine's Maker, e.g. dataset, fmax."
    )
    start: StartSpec | None = None


class SetSpec(Record):
    """A set of structures and what it is for."""

    set: str = Field(description="Set expression, for example 2(2)+3(3), or a set's name.")
    use: Literal["training", "held-out"] = "training"
    labels: LabelSpec | None = Field(None, description="Default: the campaign's labels.")


class TestSetSpec(Record):
    """A set that every model of a campaign is compared with."""

    set: str = Field(description="Set expression, or a set's name.")
    labels: LabelSpec | None = Field(None, description="Default: the campaign's labels.")
    relaxed: bool = Field(True, description="Whether models relax it, where the benchmark does.")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: object) -> object:
        return {"set": value} if isinstance(value, str) else value


class ModelEntry(Record):
    """A model of a study: what it is trained on, a foundation as it is, or a committee.

    ``model: {committee: [A, B], weights: fitted}`` is the same as ``committee`` and ``weights``.
    """

    name: Name = Field(description="What tables and figures call it.")
    set: str | None = Field(None, description="Set it is trained on; without, a foundation as is.")
    labels: LabelSpec | None = Field(None, description="Default: the campaign's labels.")
    model: ModelSpec | None = Field(None, description="Its parent. Default: the campaign's model.")
    training: dict[str, Any] = Field(
        default_factory=dict, description="Changes to the campaign's training settings."
    )
    seeds: list[Seed] = Field(
        default_factory=list,
        max_length=100,
        description="A model per seed. Default: training.seed, else the campaign's.",
    )
    committee: list[Name] = Field(
        default_factory=list,
        max_length=100,
        description="Names of trained models that predict together, each with all its seeds.",
    )
    weights: Literal["equal", "fitted"] = Field(
        "equal", description="Of a committee's members: equal, or fitted to validation frames."
    )

    @model_validator(mode="before")
    @classmethod
    def _committee(cls, value: object) -> object:
        if isinstance(value, dict) and isinstance(value.get("model"), dict):
            model = value["model"]
            if set(model) <= {"committee", "weights"} and "committee" in model:
                return {k: v for k, v in value.items() if k != "model"} | model
        return value

    @field_validator("model", mode="before")
    @classmethod
    def _short(cls, value: object) -> object:
        return model_from_text(value)

    @model_validator(mode="after")
    def _means_something(self) -> Self:
        own = self.model or self.set or self.labels or self.training or self.seeds
        if self.committee and own:
            msg = f"model {self.name!r} is a committee: leave out set, labels, training and seeds"
            raise ValueError(msg)
        if self.weights != "equal" and not self.committee:
            msg = f"model {self.name!r}: weights are those of a committee; leave them out"
            raise ValueError(msg)
        if self.set is None and (self.training or self.seeds or self.labels):
            msg = f"model {self.name!r} has no set, so it is not trained: leave out its training"
            raise ValueError(msg)
        if self.seeds and "seed" in self.training:
            msg = f"model {self.name!r}: give seeds, or training.seed, not both"
            raise ValueError(msg)
        if len(set(self.seeds)) < len(self.seeds):
            msg = f"model {self.name!r}: every seed once, got {shown(self.seeds)}"
            raise ValueError(msg)
        return self


class GrowthSpec(Record):
    """Training sets that are tried in their order until they do not help any more.

    Each step trains on its set and all before it. It is compared with the step before on the
    structures of one test set that neither was trained on.
    """

    sets: list[str] = Field(
        max_length=100, description="Set expressions, in the order they are tried."
    )
    test_set: Name = Field(description="Name of the campaign's test set that decides.")
    seeds: list[Seed] | None = Field(
        None,
        max_length=100,
        description="A model per seed at each step. Default: the campaign's and the next.",
    )
    labels: LabelSpec | None = Field(None, description="Default: the campaign's labels.")
    geometry: Literal["fixed", "relaxed"] = Field(
        "fixed", description="Which errors decide; relaxed leaves out what does not relax."
    )
    tolerance: Number = Field(0.0, ge=0, description="A smaller improvement is none (meV/unit).")

    @model_validator(mode="after")
    def _decides(self) -> Self:
        if len(self.sets) < 2:
            msg = f"grow needs two sets or more to compare, got {shown(self.sets)}"
            raise ValueError(msg)
        if self.seeds is not None and (not self.seeds or len(set(self.seeds)) < len(self.seeds)):
            msg = f"grow needs seeds, every one once, got {shown(self.seeds)}"
            raise ValueError(msg)
        return self


class DatasetSpec(Record):
    """How frames become training, test and validation data."""

    split_by: Literal["frame", "structure"] = "frame"
    fractions: tuple[Number, Number, Number] | None = Field(
        None,
        description="Train, test, validation; default 0.80, 0.15, 0.05, and with fewer than 200 "
        "frames 0.90, 0, 0.10.",
    )
    max_missing: Whole | None = Field(
        None, ge=0, description="Stop if more structures than this have no label; default never."
    )
    extra_frames: str | None = Field(
        None,
        max_length=1000,
        description="Dataset (card, or a shipped name) whose extra frames are trained on too.",
    )

    @field_validator("fractions")
    @classmethod
    def _sum(
        cls, value: tuple[Number, Number, Number] | None
    ) -> tuple[Number, Number, Number] | None:
        if value and (min(value) < 0 or not math.isclose(sum(value), 1.0, abs_tol=1e-9)):
            msg = f"fractions must be positive and add up to 1, got {shown(list(value))}"
            raise ValueError(msg)
        return value


class StabilitySpec(Record):
    """Molecular dynamics with every model: whether a structure holds together."""

    temperatures: list[Annotated[Number, Field(gt=0, le=10_000)]] = Field(
        default_factory=lambda: [300.0, 1000.0], min_length=1, max_length=20, description="K"
    )
    picoseconds: Number = Field(2.0, gt=0, le=1e6, description="Length of each run (ps).")
    min_length: Number = Field(
        10.0, gt=0, le=1000, description="Least length of the repeated cell (Å)."
    )


class BenchmarkSpec(Record):
    """What is compared with the reference."""

    relaxed: bool = Field(True, description="Also relax structures whose reference converged.")
    fmax: Number = Field(0.05, gt=0, description="Convergence of these relaxations (eV/Å).")
    max_steps: Whole = Field(100, ge=1)
    forgetting: str | None = Field(
        None,
        max_length=1000,
        description="Extended XYZ of labelled frames of the foundation's own kind: the error on "
        "them before and after training tells what is forgotten.",
    )
    stability: StabilitySpec | None = Field(
        None, description="Run dynamics of the largest test structure; {} for the defaults."
    )


class MonteCarloSpec(SamplingSettings, Record):
    """Canonical Monte Carlo at several temperatures, with repeats.

    ``temperatures: {from: 200, to: 1600, n: 8}`` is a geometric ladder, ``{from: 200, to: 1600,
    acceptance: 0.3}`` one whose neighbours exchange at about that rate; ``preset: paper`` the
    paper's sampling: four runs of 5000 single swaps, averages from the last 3000.
    """

    model: Name | None = Field(None, description=MODEL_OF_SECTION)
    supercell: str = Field(
        "5x5", max_length=30, description="Supercell, for example 10x10 or 3x3x3."
    )
    mode: Mode = "relaxed"
    composition: dict[Name, Number] = Field(
        default_factory=dict,
        description="Share of each element, adding up to 1. Default: that of the alloy.",
    )
    max_hours: Number | None = Field(
        None, gt=0, description="A job stops after so many hours; another one goes on with it."
    )
    preset: Literal["paper"] | None = Field(None, description="Settings that belong together.")

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, value: object) -> object:
        if not isinstance(value, dict) or value.get("preset") is None:
            return value
        preset = PRESETS.get(value["preset"]) if isinstance(value["preset"], str) else None
        if preset is None:
            msg = f"preset {shown(value['preset'])} is unknown; accepted: {', '.join(PRESETS)}"
            raise ValueError(msg)
        other = sorted(k for k, v in preset.items() if k in value and value[k] != v)
        if other:
            msg = (
                f"preset {value['preset']} sets {', '.join(other)} itself; leave out "
                f"{', '.join(other)}, or the preset"
            )
            raise ValueError(msg)
        return value | preset

    @property
    def sampling(self) -> SamplingSettings:
        """The settings that decide what the chains are, cell and mode apart."""
        return SamplingSettings(**self.model_dump(include=set(SamplingSettings.model_fields)))

    def of(self, alloy: Alloy) -> Alloy:
        """Return the alloy at the composition that is sampled."""
        return replace(alloy, composition=self.composition or alloy.composition)

    def cell(self, alloy: Alloy) -> tuple[IntMatrix, dict[str, int]]:
        """Return the supercell of an alloy and its sites per element, the nearest it holds.

        Raises
        ------
        ValueError
            If the supercell does not fit the host, or does not hold the elements or equal parts of
            them; if the composition is none of the alloy.
        """
        matrix = supercell_matrix(alloy, self.supercell)
        return matrix, self.of(alloy).counts(alloy.n_sites(matrix))

    def check(self, alloy: Alloy) -> None:
        """Raise what `cell` would, or `ValueError` if there is nothing to sample in it."""
        check_chains(alloy, self.cell(alloy)[1])

    @field_validator("temperatures", mode="before")
    @classmethod
    def _ladder(cls, value: object) -> object:
        return ladder(value) if isinstance(value, dict) else value


#: Name to the settings of `MonteCarloSpec` that it stands for.
PRESETS: dict[str, dict[str, Any]] = {
    "paper": {
        "method": "swaps",
        "runs": 4,
        "steps": 5000,
        "burn_in": 0,
        "exchange": False,
        "average_from": 2000,
    }
}


def ladder(given: dict[str, Any]) -> list[float] | dict[str, Any]:
    """Return the temperatures (K) of ``{from: 200, to: 1600, n: 8}``, a geometric series.

    Of ``{from: 200, to: 1600, acceptance: 0.3}`` the fields of an `ExchangeLadder`; these, too,
    are accepted.
    """
    plain = {k: v for k, v in given.items() if not str(k).startswith("@")}
    if set(plain) == set(ExchangeLadder.model_fields):
        return plain
    numbers = all(
        isinstance(v, int | float) and not isinstance(v, bool) and abs(v) < 1e12
        for v in given.values()
    )
    accepted = set(given) in ({"from", "to", "n"}, {"from", "to", "acceptance"})
    if not accepted or not numbers or given.get("n", 2) != int(given.get("n", 2)):
        msg = (
            "temperatures are a list (K), or {from: 200, to: 1600, n: 8}, or {from: 200, to: 1600, "
            f"acceptance: 0.3}}; got {shown(given)}"
        )
        raise ValueError(msg)
    low, high, n = float(given["from"]), float(given["to"]), int(given.get("n", 2))
    if not 0 < low < high or not 2 <= n <= MOST_TEMPERATURES:
        msg = (
            f"temperatures rise from above 0 K in 2 steps or more, at most {MOST_TEMPERATURES}, "
            f"got {shown(given)}"
        )
        raise ValueError(msg)
    if "acceptance" in given:
        if not 0 < given["acceptance"] <= 0.9:
            msg = f"the acceptance of exchanges is above 0 and at most 0.9, got {shown(given)}"
            raise ValueError(msg)
        return {"lowest": low, "highest": high, "acceptance": given["acceptance"]}
    return [round(low * (high / low) ** (i / (n - 1)), 3) for i in range(n)]


class VibrationsSpec(Record):
    """Harmonic vibrations of every phase and end member, from the model's forces."""

    t_max: Number = Field(1500.0, gt=0, description="Highest temperature (K).")
    fmax: Number = Field(0.002, gt=0, description="Convergence of the relaxations before (eV/Å).")
    max_steps: Whole = Field(500, ge=1)
    displacement: Number = Field(0.01, gt=0, description="Å")
    min_length: Number = Field(12.0, gt=0, description="Least length of the repeated cell (Å).")
    mesh_length: Number = Field(80.0, gt=0, description="Mesh points times cell length (Å).")


class ThermodynamicsSpec(Record):
    """Decompositions from SQS, and the distribution of random structures."""

    model: Name | None = Field(None, description=MODEL_OF_SECTION)
    sqs: dict[Whole, str] = Field(
        default_factory=lambda: {2: "4x4", 3: "3x3", 4: "4x4", 5: "5x5"},
        description="Supercell of the SQS by number of elements.",
    )
    sqs_steps: Whole = Field(3000, ge=10, le=10_000_000, description="Annealing steps of an SQS.")
    random_supercell: str = Field("5x5", max_length=30)
    n_random: Whole = Field(500, ge=2, le=100_000)
    mode: Mode = "relaxed"
    fmax: Number = Field(0.05, gt=0)
    max_steps: Whole = Field(300, ge=1)
    sqs_labels: LabelSpec | Literal["reference"] | None = Field(
        None,
        description="Label the SQS too: as the campaign's labels (reference), or as given here.",
    )
    uncertainty_mev: Number | None = Field(
        None,
        ge=0,
        description="Standard deviation of the model's mixing energies (meV/unit). Default: what "
        "the benchmark found on structures that the model was not trained on.",
    )
    vibrations: VibrationsSpec | None = Field(
        None, description="Add harmonic vibrations; {} for the defaults. Needs phonopy."
    )

    @model_validator(mode="after")
    def _relaxed_vibrations(self) -> Self:
        if self.vibrations is not None and self.mode != "relaxed":
            msg = (
                "vibrations are those of relaxed structures; write mode: relaxed, or leave them out"
            )
            raise ValueError(msg)
        return self

    def check(self, alloy: Alloy, seed: int) -> None:
        """Make sure that the cells hold what is asked of them.

        Raises
        ------
        ValueError
            If a quasirandom structure does not fit its supercell, or there are too few random ones.
        """
        for n in range(2, len(alloy.elements) + 1):
            if n in self.sqs:
                try:
                    check_sqs(alloy, self.sqs[n], alloy.elements[:n])
                except ValueError as error:
                    msg = f"the SQS of {n} elements, sqs: {{{n}: {self.sqs[n]}}}: {error}"
                    raise ValueError(msg) from error
        rng = stream(seed, "random structures")
        try:
            check_random(alloy, self.random_supercell, self.n_random, alloy.elements, rng)
        except ValueError as error:
            msg = f"n_random: {self.n_random}, random_supercell: {self.random_supercell}: {error}"
            raise ValueError(msg) from error

    def sqs_set(self, n_elements: int) -> str:
        """Return the set expression of the SQS of every phase of two elements or more.

        Raises
        ------
        ValueError
            If a number of elements has no supercell.
        """
        sizes = range(2, n_elements + 1)
        if missing := [n for n in sizes if n not in self.sqs]:
            msg = (
                f"thermodynamics: no supercell for the SQS of {missing[0]} elements; give one for "
                f"each of 2 to {n_elements}, for example sqs: {{2: 4x4, 3: 3x3}}"
            )
            raise ValueError(msg)
        return " + ".join(
            f"sqs({self.sqs[n]}, components={n}, steps={self.sqs_steps})" for n in sizes
        )


def model_from_text(value: object) -> object:
    """Read ``family`` or ``family:name`` as a `ModelSpec`'s fields; pass anything else on."""
    if not isinstance(value, str):
        return value
    family, _, name = value.partition(":")
    return {"family": family, "name": name or None}
