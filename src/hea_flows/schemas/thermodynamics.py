"""The document of thermodynamics, and the records it is made of."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hea_flows.alloy import asked_and_held
from hea_flows.alloy.thermodynamics import Decomposition, TransitionInterval
from hea_flows.schemas.documents import Document, describe_model
from hea_flows.schemas.files import ModelSpec
from hea_flows.schemas.record import Record


class ModelUncertainty(TransitionInterval):
    """Decomposition temperature within the error of the model."""

    sigma_mev: float = Field(description="Standard deviation of mixing energies (meV/unit).")
    sigma_from: str = Field(description="Where it was measured.")
    seed: int


class ReferencePhases(Record):
    """SQS of the same cells, relaxed by the reference engine, and their decompositions."""

    engine: str
    settings_id: str
    sqs_mixing_mev: dict[str, float] = Field(description="Phase to mixing energy (meV/unit).")
    missing: dict[str, str] = Field(description="Phase to why it has no relaxed label.")
    transitions: list[tuple[float, str]] = Field(
        description="As of the model; empty while a phase is missing."
    )
    decomposition_temperature: float | None = Field(description="K; None while a phase is missing.")
    h_hull_mev: float | None


class Vibrations(Record):
    """Harmonic vibrations of the phases with the model, and the transitions that follow."""

    temperatures: list[float] = Field(description="K")
    mixing_mev: dict[str, list[float]] = Field(
        description="Phase to vibrational free energy relative to its end members (meV/unit)."
    )
    imaginary: dict[str, float] = Field(
        description="Phase or end member to the share of its modes that are imaginary."
    )
    unusable: dict[str, str] = Field(
        description="Phase or end member to why its vibrations cannot be used."
    )
    transitions: list[tuple[float, str]] = Field(
        description="As without vibrations, up to the highest temperature; empty while a phase "
        "is not usable."
    )
    decomposition_temperature: float | None = Field(
        description="K; None where the solid solution is not stable at the highest temperature, "
        "or a phase is not usable."
    )
    displacement: float = Field(description="Å")
    min_length: float = Field(description="Of the repeated cell (Å).")
    mesh_length: float = Field(description="Mesh points times cell length (Å).")


class ThermodynamicsDoc(Document):
    """Decomposition free energies, the random-structure distribution and DEED."""

    kind: Literal["thermodynamics"] = "thermodynamics"
    model: ModelSpec
    mode: Literal["fixed lattice", "relaxed"]
    elements: list[str]
    composition: dict[str, float] = Field(description="Share of each element that was asked for.")
    sqs_counts: dict[str, dict[str, int]] = Field(
        description="Phase to the sites of each element that its SQS holds."
    )
    random_counts: dict[str, int] = Field(description="Sites of each element of random cells.")
    sqs_mixing_mev: dict[str, float] = Field(description="Phase to SQS mixing energy (meV/unit).")
    sqs_objective: dict[str, float]
    decompositions: list[Decomposition] = Field(
        description="At equal parts all set partitions, else mixtures that are stable at some "
        "temperature."
    )
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

    @property
    def solid_solution(self) -> str | None:
        """The phase of all elements, as `sqs_mixing_mev` spells it."""
        phases = (p for p in self.sqs_mixing_mev if set(p.split("-")) == set(self.elements))
        return next(phases, None)

    @property
    def heading(self) -> str:
        """The elements, and which energies."""
        return f"{'-'.join(self.elements)}, {self.mode}"

    def headline(self) -> dict[str, object]:
        """Return the model, the seed and what errors and reference come from."""
        return {
            **describe_model("model", self.model),
            "mode": self.mode,
            "composition of random cells": asked_and_held(self.composition, self.random_counts),
            "random seed": self.random_seed,
            "random structures": len(self.random_mixing_mev),
            "error of mixing energies": self.uncertainty and self.uncertainty.sigma_from,
            "reference settings id": self.reference and self.reference.settings_id,
            "failed": len(self.failed),
        }
