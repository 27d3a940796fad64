"""The section of a campaign file that asks for phase diagrams."""

from __future__ import annotations

from itertools import combinations
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from hea_flows.alloy.lattice import Alloy, IntMatrix
from hea_flows.alloy.sampling import Kelvin, Mode, RelaxationSettings, SamplingSettings
from hea_flows.alloy.sets import supercell_matrix
from hea_flows.config.sections import MODEL_OF_SECTION, ladder
from hea_flows.inputs import Name, Number, Whole, shown
from hea_flows.schemas import Record


class PhaseDiagramSpec(RelaxationSettings, Record):
    """Phase diagrams of binaries, by Monte Carlo of variable composition."""

    model: Name | None = Field(None, description=MODEL_OF_SECTION)
    pairs: list[tuple[Name, Name]] | None = Field(
        None, min_length=1, max_length=1000, description="Binaries. Default: all of the alloy."
    )
    supercells: list[Annotated[str, Field(max_length=30)]] = Field(
        default_factory=lambda: ["6x6"],
        min_length=1,
        max_length=10,
        description="Cells, for example [6x6, 10x10]: two or more give the critical temperature "
        "by its dependence on size.",
    )
    temperatures: list[Kelvin] = Field(
        min_length=1, max_length=100, description="K; or {from: 300, to: 1200, n: 6}."
    )
    runs: Whole = Field(2, ge=1, le=100, description="Chains per composition and temperature.")
    steps: Whole = Field(100, ge=8, description="Of every chain, after the burn-in.")
    burn_in: Whole = Field(40, ge=0, description="Steps before, in which the sampler adapts.")
    kappa: Number | None = Field(
        None,
        ge=0.1,
        le=1000,
        description="κ of the constraint. Default: by the dilute limits, so that chains stay at "
        "every composition at the lowest temperature.",
    )
    mode: Mode = "relaxed"
    max_hours: Number | None = Field(
        None, gt=0, description="A job stops after so many hours; another one goes on with it."
    )

    @field_validator("supercells", mode="before")
    @classmethod
    def _one(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @field_validator("temperatures", mode="before")
    @classmethod
    def _ladder(cls, value: object) -> object:
        chosen = ladder(value) if isinstance(value, dict) else value
        if isinstance(chosen, dict):
            msg = "temperatures are a list (K), or {from: 300, to: 1200, n: 6}"
            raise ValueError(msg)  # noqa: TRY004  pydantic reports it
        return chosen

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        given = {"pairs": [tuple(sorted(p)) for p in self.pairs or ()]}
        for name, values in (given | {"temperatures": self.temperatures}).items():
            if len(set(values)) < len(values):
                msg = f"{name}: every one once, got {shown(getattr(self, name))}"
                raise ValueError(msg)
        self.temperatures.sort()
        return self

    @property
    def sampling(self) -> SamplingSettings:
        """What the sampler is given."""
        shared = set(SamplingSettings.model_fields) & set(type(self).model_fields)
        return SamplingSettings(**self.model_dump(include=shared))

    def pairs_of(self, alloy: Alloy) -> list[tuple[str, str]]:
        """Return the binaries, elements in the alloy's order.

        Raises
        ------
        ValueError
            If one is not of two elements of the alloy.
        """
        chosen = list(combinations(alloy.elements, 2))
        if self.pairs is None:
            return chosen
        for pair in self.pairs:
            if not set(pair) <= set(alloy.elements) or len(set(pair)) < 2:
                msg = f"phase_diagram.pairs: {shown(list(pair))} are not two of {alloy.elements}"
                raise ValueError(msg)
        wanted = [set(pair) for pair in self.pairs]
        return [pair for pair in chosen if set(pair) in wanted]

    def cells(self, alloy: Alloy) -> list[IntMatrix]:
        """Return the supercells, the smallest first.

        Raises
        ------
        ValueError
            If one does not fit the host, or two have as many sites.
        """
        matrices = [supercell_matrix(alloy, cell) for cell in self.supercells]
        sizes = [alloy.n_sites(matrix) for matrix in matrices]
        if len(set(sizes)) < len(sizes):
            msg = f"phase_diagram.supercells: {shown(self.supercells)} are not all of other sizes"
            raise ValueError(msg)
        return [matrix for _, matrix in sorted(zip(sizes, matrices, strict=True))]
