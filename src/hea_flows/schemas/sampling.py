"""The document of Monte Carlo sampling, and the records it is made of."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Discriminator, Field, Tag, model_validator

from hea_flows.alloy.lattice import pair_labels
from hea_flows.schemas.documents import Document, describe_model
from hea_flows.schemas.record import Record
from hea_flows.schemas.records import AlloySpec, ModelSpec, StoredFile

#: Order parameters by shell ("1": nearest neighbours) and pair ("A-B").
ByShell = dict[str, dict[str, float]]

_FILE = "series.npz"


class ExchangeLadder(Record):
    """Temperatures that a pilot run chooses: neighbouring replicas exchange at about one rate."""

    lowest: float = Field(gt=0, allow_inf_nan=False, description="K")
    highest: float = Field(gt=0, allow_inf_nan=False, description="K")
    acceptance: float = Field(gt=0, le=0.9, description="Share of exchanges that are made.")

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.lowest >= self.highest:
            msg = f"a ladder rises, got {self.lowest:g} to {self.highest:g} K"
            raise ValueError(msg)
        return self


def _kind(value: Any) -> str:  # noqa: ANN401
    return "ladder" if isinstance(value, dict | ExchangeLadder) else "list"


#: K, each once; kept from the coldest to the hottest. Or what a ladder is chosen by.
Temperatures = Annotated[
    Annotated[
        list[Annotated[float, Field(gt=0, allow_inf_nan=False)]], Field(min_length=1), Tag("list")
    ]
    | Annotated[ExchangeLadder, Tag("ladder")],
    Discriminator(_kind),
]


class SamplingSettings(Record):
    """How decorations are sampled; see `hea_flows.alloy.sampling.sampler.SamplerSettings`."""

    temperatures: Temperatures
    runs: int = Field(4, ge=1, description="Independent chains per temperature.")
    method: Literal["nested", "swaps"] = Field(
        "nested",
        description="What the model accepts or refuses: blocks of swaps that a cluster expansion "
        "made, or single swaps.",
    )
    steps: int = Field(400, ge=8, description="Of every chain, after the burn-in.")
    burn_in: int = Field(100, ge=0, description="Steps before, in which the sampler adapts.")
    exchange: bool = Field(True, description="Whether neighbouring temperatures exchange.")
    shells: list[Annotated[int, Field(ge=1)]] = Field(
        [1], min_length=1, description="Neighbour shells of the order parameters."
    )
    random: int = Field(
        100, ge=2, description="Random decorations, infinite temperature for the free energy."
    )
    average_from: int | None = Field(
        None, ge=0, description="Steps that are not averaged. Default: detected in each chain."
    )
    fmax: float = Field(0.05, gt=0, description="Convergence of relaxed decorations (eV/Å).")
    max_steps: int = Field(300, ge=1, description="Most moves of a relaxation.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        given = {"shells": self.shells, "temperatures": self.temperatures}
        for name, values in given.items():
            if isinstance(values, list) and len(set(values)) < len(values):
                msg = f"{name}: every one once, got {values}"
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


class LadderRecord(Record):
    """What a pilot run found for `ExchangeLadder`; see `hea_flows.alloy.sampling.pilot`."""

    temperatures: list[float] = Field(description="Chosen, from the coldest to the hottest (K).")
    evaluations: int = Field(description="Decorations that the model was asked for.")
    forbidden: int = Field(0, description="How many of them did not relax.")
    spread_mev: float = Field(
        description="Standard deviation of the model about the pilot's cluster expansion at one "
        "temperature (meV/unit)."
    )


class ChainRecord(Record):
    """One chain: a temperature and a run. Means are over the steps from `averaged_from`."""

    temperature: float = Field(description="K")
    run: int = Field(description="Counted from 0.")
    acceptance: float = Field(description="Share of steps that the model accepted.")
    exchange_acceptance: float | None = Field(
        description="Share of exchanges with the next higher temperature that were made; None: "
        "none were tried."
    )
    block: int = Field(description="Swap trials per step.")
    trials: int = Field(description="Swap trials in all.")
    averaged_from: int = Field(description="First step that is averaged.")
    effective_samples: float = Field(description="Of the energy, from there on.")
    energy_mev: float = Field(description="Mean mixing energy (meV/unit).")
    energy_error_mev: float
    order_parameters: ByShell = Field(description="Mean CV of each pair.")
    order_errors: ByShell = Field(description="Standard errors.")
    initial_species: list[str] = Field(description="Decoration after the burn-in.")
    final_species: list[str]


class TemperatureRecord(Record):
    """All runs of a temperature together; errors are standard errors."""

    temperature: float = Field(description="K")
    n_runs: int
    trials: int = Field(description="Swap trials of all runs.")
    acceptance: float
    effective_samples: float = Field(description="Of the energy, all runs together.")
    r_hat: float = Field(description="Largest split R-hat of energy and order parameters.")
    converged: bool = Field(
        description="Whether energy and all order that changed have long blocks, a small R-hat and "
        "many samples, see `alloy.averages`; otherwise errors are lower bounds."
    )
    energy_mev: float = Field(description="Mean mixing energy (meV/unit).")
    energy_error_mev: float
    heat_capacity: float = Field(description="k_B per unit")
    heat_capacity_error: float
    order_parameters: ByShell = Field(description="CV of each pair.")
    order_errors: ByShell
    warren_cowley: ByShell = Field(description="Short-range order parameter of each pair.")
    warren_cowley_errors: ByShell
    free_energy_mev: float = Field(
        description="Of mixing (meV/unit), integrated from infinite temperature."
    )
    free_energy_error_mev: float
    ideal_free_energy_mev: float = Field(
        description="Mean energy of random decorations minus T times their entropy (meV/unit)."
    )


class SeparationRecord(Record):
    """Which like pair rises first on cooling, and where; nearest neighbours."""

    level: float | None = Field(
        None,
        description="CV that counts as risen: half of the random share of like bonds, 1/(2n²).",
    )
    pair: str | None = Field(
        None, description="The first with a probability of 0.95 or more, else None."
    )
    probabilities: dict[str, float] = Field(
        default_factory=dict, description="Like pair to the probability that it is the first."
    )
    passed: dict[str, float | None] = Field(
        default_factory=dict,
        description="Like pair to the temperature at which it passes the level (K).",
    )
    temperature: float | None = Field(
        None, description="Steepest rise of the most probable pair (K)."
    )
    interval: tuple[float, float] | None = Field(None, description="68 %, K.")
    reason: str = Field("", description="Why there is no temperature.")


class MonteCarloDoc(Document):
    """Canonical Monte Carlo of one alloy at several temperatures, with repeats."""

    kind: Literal["montecarlo"] = "montecarlo"
    identity: str = Field(description="Hash of model, cell, settings and seed.")
    model: ModelSpec
    mode: Literal["fixed lattice", "relaxed"]
    alloy: AlloySpec
    supercell: tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]
    lattice_constant: float = Field(description="Of the reference geometry (Å).")
    seed: int
    settings: SamplingSettings
    ladder: LadderRecord | None = Field(
        None, description="Temperatures chosen by the acceptance of exchanges, if settings ask it."
    )
    end_points: dict[str, float] = Field(
        description="Energy of the pure compounds that mixing energies count from (eV/unit)."
    )
    random_mev: float = Field(description="Mean mixing energy of random decorations (meV/unit).")
    random_error_mev: float
    chains: list[ChainRecord] = Field(description="By temperature, then run.")
    averages: list[TemperatureRecord] = Field(description="From the coldest to the hottest.")
    separation: SeparationRecord
    series: StoredFile = Field(
        description="Energies and bonds along the chains, `ChainSeries`; in the data store."
    )
    evaluations: int = Field(
        description="Decorations that the model was asked for, those of the ladder included."
    )
    forbidden: int = Field(
        description="Decorations that did not relax; they have no energy and no chain holds them."
    )
    seconds: float

    @property
    def n_sites(self) -> int:
        """Number of alloyed sites."""
        return len(self.chains[0].final_species)

    @property
    def heading(self) -> str:
        """Method, number of sites and which energies."""
        return f"{self.settings.method}, {self.n_sites} sites, {self.mode}"

    def headline(self) -> dict[str, object]:
        """Return the model, the seed and how much was sampled."""
        asked, ladder = self.settings.temperatures, {}
        if self.ladder is not None and isinstance(asked, ExchangeLadder):
            ladder = {
                "exchanges asked for": asked.acceptance,
                "evaluations of the pilot": self.ladder.evaluations,
            }
        return {
            **describe_model("model", self.model),
            "mode": self.mode,
            "method": self.settings.method,
            "seed": self.seed,
            "sites": self.n_sites,
            "temperatures": len(self.averages),
            **ladder,
            "runs": self.settings.runs,
            "burn-in": self.settings.burn_in,
            "steps": self.settings.steps,
            "trials": sum(c.trials for c in self.chains),
            "evaluations": self.evaluations,
            "forbidden decorations": self.forbidden,
            "series sha256": self.series.sha256,
        }


@dataclass(frozen=True)
class ChainSeries:
    """What chains went through, the state after the burn-in and the one after each step.

    Parameters
    ----------
    energies
        Energy of the model (eV per unit), shape (C, S + 1) for C chains of S steps, in the order
        of `MonteCarloDoc.chains`.
    counts
        Neighbour shell to bonds of each pair in the order of `pair_labels`, shape (C, S + 1, P).
    """

    energies: NDArray[np.float64]
    counts: dict[int, NDArray[np.int64]]

    @classmethod
    def collect(
        cls, energies: Sequence[ArrayLike], counts: Sequence[dict[int, NDArray[np.int64]]]
    ) -> ChainSeries:
        """Return the series of chains: energies (S + 1,), and matrices (S + 1, n, n) by shell."""
        table = {}
        for shell, first in counts[0].items():
            upper = np.triu_indices(first.shape[-1])
            table[shell] = np.stack([c[shell][:, upper[0], upper[1]] for c in counts])
        return cls(np.array(energies, dtype=float), table)

    def matrices(self, shell: int, n: int) -> NDArray[np.int64]:
        """Return the symmetric bond counts of n elements in a shell, shape (C, S + 1, n, n)."""
        rows, columns = np.triu_indices(n)
        flat = self.counts[shell].astype(np.int64)
        full = np.zeros((*flat.shape[:2], n, n), dtype=np.int64)
        full[..., rows, columns] = flat
        full[..., columns, rows] = flat
        return full

    def to_file(self) -> StoredFile:
        """Return a NumPy archive: `energies`, and `bonds_1`, … of each shell."""
        arrays: dict[str, NDArray[np.float64] | NDArray[np.int64]] = {"energies": self.energies}
        for shell, counts in self.counts.items():
            arrays[f"bonds_{shell}"] = counts.astype(np.min_scalar_type(int(counts.max())))
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        return StoredFile.from_bytes(_FILE, buffer.getvalue())

    @classmethod
    def from_file(cls, file: StoredFile) -> ChainSeries:
        """Read what `to_file` wrote, checksum verified."""
        with np.load(io.BytesIO(file.read()), allow_pickle=False) as arrays:
            counts = {
                int(name.removeprefix("bonds_")): arrays[name].astype(np.int64)
                for name in arrays.files
                if name.startswith("bonds_")
            }
            return cls(arrays["energies"], counts)


def shell_table(values: dict[int, NDArray[np.float64]], elements: Sequence[str]) -> ByShell:
    """Return matrices (n, n) by shell as documents hold them: by shell and pair."""
    rows, columns = np.triu_indices(len(elements))
    labels = pair_labels(elements)
    return {
        str(shell): dict(zip(labels, matrix[rows, columns].tolist(), strict=True))
        for shell, matrix in values.items()
    }
