"""Records of a thermodynamics document: its uncertainty, the reference, vibrations."""

from __future__ import annotations

from pydantic import Field

from hea_flows.alloy.thermodynamics import TransitionInterval
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
