"""Settings of Monte Carlo sampling, as the sampler takes them and as documents store them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from ase.units import kB
from pydantic import BaseModel, Discriminator, Field, Tag, model_validator

from hea_flows.inputs import Number, Whole, shown

#: Highest temperature (K) and most temperatures of one sampling.
HOTTEST, MOST_TEMPERATURES = 1e6, 1000
#: K
Kelvin = Annotated[Number, Field(gt=0, le=HOTTEST)]


class ExchangeLadder(BaseModel, extra="forbid"):
    """Temperatures that a pilot run chooses: neighbouring replicas exchange at about one rate."""

    lowest: Kelvin = Field(description="K")
    highest: Kelvin = Field(description="K")
    acceptance: Number = Field(gt=0, le=0.9, description="Share of exchanges that are accepted.")

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.lowest >= self.highest:
            msg = f"a ladder rises, got {self.lowest:g} to {self.highest:g} K"
            raise ValueError(msg)
        return self


def _kind(value: object) -> str:
    return "ladder" if isinstance(value, dict | ExchangeLadder) else "list"


#: Distinct temperatures (K), sorted from the coldest to the hottest, or the choice left to a pilot.
Temperatures = Annotated[
    Annotated[list[Kelvin], Field(min_length=1, max_length=MOST_TEMPERATURES), Tag("list")]
    | Annotated[ExchangeLadder, Tag("ladder")],
    Discriminator(_kind),
]


class RelaxationSettings(BaseModel, extra="forbid"):
    """How well decorations are relaxed."""

    energy_error: Number = Field(
        0.1,
        gt=0,
        description="Of the energy of a relaxed cell, root mean square, in k_B T of the lowest "
        "temperature.",
    )
    max_steps: Whole = Field(50, ge=1, description="Most steps of a relaxation.")


class SamplingSettings(RelaxationSettings):
    """How decorations are sampled."""

    temperatures: Temperatures
    runs: Whole = Field(4, ge=1, le=1000, description="Independent chains per temperature.")
    method: Literal["nested", "swaps"] = Field(
        "nested",
        description="What the model accepts or rejects: blocks of swaps proposed by a cluster "
        "expansion, or single swaps.",
    )
    steps: Whole = Field(400, ge=8, description="Of every chain, after the burn-in.")
    burn_in: Whole = Field(100, ge=0, description="Steps before, in which the sampler adapts.")
    exchange: bool = Field(True, description="Whether neighbouring temperatures exchange.")
    shells: list[Annotated[Whole, Field(ge=1, le=100)]] = Field(
        [1], min_length=1, max_length=100, description="Neighbour shells of the order parameters."
    )
    random: Whole = Field(
        100,
        ge=2,
        le=100_000,
        description="Random decorations, infinite temperature for the free energy.",
    )
    average_from: Whole | None = Field(
        None, ge=0, description="Steps that are not averaged. Default: detected in each chain."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        given = {"shells": self.shells, "temperatures": self.temperatures}
        for name, values in given.items():
            if isinstance(values, list) and len(set(values)) < len(values):
                msg = f"{name}: every one once, got {shown(values)}"
                raise ValueError(msg)
        if isinstance(self.temperatures, list):
            self.temperatures.sort()
        elif not self.exchange:
            msg = (
                "temperatures are chosen by the acceptance of exchanges, but exchange is off; turn "
                "it on (preset paper has none), or give their number, {from: 200, to: 1600, n: 8}"
            )
            raise ValueError(msg)
        if self.average_from is not None and self.average_from > self.steps - 8:
            msg = (
                f"average_from ({self.average_from}) leaves fewer than 8 of {self.steps} steps to "
                "average; lower it or raise steps"
            )
            raise ValueError(msg)
        return self

    @property
    def largest_error(self) -> float:
        """`energy_error` in eV per cell."""
        chosen = self.temperatures
        lowest = chosen[0] if isinstance(chosen, list) else chosen.lowest
        return self.energy_error * kB * lowest

    def at(self, temperatures: list[float]) -> Self:
        """Return the same settings at given temperatures (K)."""
        return self.model_copy(update={"temperatures": sorted(temperatures)})
