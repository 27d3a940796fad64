"""The document of a binary phase diagram, and the records it is made of."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hea_flows.alloy.lattice import IntMatrix
from hea_flows.alloy.phases import CriticalPoint, Gap, RedlichKister, SectionPoint
from hea_flows.alloy.sampling import Mode, SamplingSettings
from hea_flows.inputs import Computed
from hea_flows.schemas.documents import Document, describe_model
from hea_flows.schemas.files import ModelSpec
from hea_flows.schemas.record import Record
from hea_flows.schemas.sampling import RelaxationSummary
from hea_flows.schemas.structures import AlloySpec


class PhaseCell(Record):
    """A binary in one cell, at all temperatures."""

    supercell: IntMatrix
    n_sites: int = Field(description="Alloyed sites.")
    dilute_mev: tuple[float, float] = Field(
        description="Energy of mixing of one site of the second element in the first, and of the "
        "first in the second (meV per cell)."
    )
    kappa: float = Field(description="κ of the variance-constrained ensemble.")
    points: list[SectionPoint] = Field(description="From the coldest to the hottest.")
    failed: dict[str, str] = Field(
        default_factory=dict, description="Temperature to why its chains could not be combined."
    )
    chains: int = Field(description="Chains at each temperature.")
    acceptance: Computed = Field(description="Share of steps that the model accepted.")
    evaluations: int = Field(description="Decorations that the model was asked for.")
    forbidden: int = Field(description="Decorations that did not relax.")
    relaxation: RelaxationSummary | None = Field(None, description="None on a fixed lattice.")


class Interaction(Record):
    """A parameter L = constant + slope × T of a Redlich–Kister solution."""

    elements: tuple[str, ...]
    power: int = Field(description="Of the difference of the two elements' shares.")
    constant: float = Field(description="eV/unit")
    slope: float = Field(description="eV/(unit K)")


class PhaseDiagramDoc(Document):
    """Phases of a binary against temperature, in one prototype."""

    kind: Literal["phase_diagram"] = "phase_diagram"
    identity: str = Field(description="Hash of model, cells, settings and seed.")
    model: ModelSpec
    mode: Mode
    alloy: AlloySpec = Field(description="The two elements on the host.")
    lattice_constants: dict[str, float] = Field(
        description="Of the end points (Å); a composition has their mean (Vegard's rule)."
    )
    seed: int
    settings: SamplingSettings
    cells: list[PhaseCell] = Field(description="From the smallest to the largest.")
    critical: CriticalPoint | None = Field(
        description="Where two phases become one; None if not between the temperatures."
    )
    interactions: list[Interaction] = Field(
        description="Excess free energy of the largest cell, fitted at all temperatures."
    )
    fit_rmse_mev: float = Field(description="Root mean square error of the fit (meV/unit).")
    seconds: float

    @property
    def pair(self) -> tuple[str, str]:
        """The two elements."""
        first, second = self.alloy.elements
        return first, second

    @property
    def points(self) -> list[SectionPoint]:
        """The binary at each temperature, in the largest cell."""
        return self.cells[-1].points

    def gaps(self, point: SectionPoint) -> list[Gap]:
        """Return the phases that coexist at a point of the largest cell.

        Above the critical temperature, where a small cell has them still, there are none.
        """
        above = self.critical is not None and point.temperature > self.critical.temperature
        return [] if above else point.gaps

    @property
    def solution(self) -> RedlichKister:
        """The fitted free energy of mixing."""
        terms = {(i.elements, i.power): (i.constant, i.slope) for i in self.interactions}
        return RedlichKister(self.pair, terms)

    @property
    def heading(self) -> str:
        """Elements, sites and which energies."""
        return f"{'-'.join(self.pair)}, {self.cells[-1].n_sites} sites, {self.mode}"

    def headline(self) -> dict[str, object]:
        """Return the model, the seed and how much was sampled."""
        return {
            **describe_model("model", self.model),
            "mode": self.mode,
            "seed": self.seed,
            "cells": ", ".join(f"{c.n_sites} sites" for c in self.cells),
            "temperatures": len(self.points),
            "chains": sum(c.chains * len(c.points) for c in self.cells),
            "evaluations": sum(c.evaluations for c in self.cells),
            "forbidden decorations": sum(c.forbidden for c in self.cells),
        }
