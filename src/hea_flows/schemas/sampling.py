"""The document of Monte Carlo sampling, and the series of its chains."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from hea_flows.alloy import asked_and_held
from hea_flows.alloy.lattice import IntMatrix
from hea_flows.alloy.sampling import (
    ChainSummary,
    ExchangeLadder,
    Mode,
    PilotLadder,
    SamplingSettings,
    Separation,
    TemperatureSummary,
)
from hea_flows.inputs import Computed
from hea_flows.schemas.documents import Document, describe_model
from hea_flows.schemas.files import ModelSpec, StoredFile
from hea_flows.schemas.record import Record
from hea_flows.schemas.structures import AlloySpec

_FILE = "series.npz"


class RelaxationSummary(Record):
    """How good the energies of relaxed decorations were, and how far atoms are from the lattice."""

    samples: int = Field(description="Decorations along the run that were also relaxed tightly.")
    rms_error_mev: Computed = Field(
        description="Root mean square difference of their energies (meV per cell)."
    )
    largest_error_mev: float = Field(description="What was aimed at (meV per cell).")
    shifts: dict[str, Computed] = Field(
        description="Mean distance of an element's sites from the strained lattice (Å)."
    )

    def words(self) -> str:
        """Return both in a sentence."""
        shifts = ", ".join(f"{e} {shift:.3f}" for e, shift in self.shifts.items())
        return (
            f"Relaxed energies are off by {self.rms_error_mev:.2g} meV per cell (root mean square "
            f"of {self.samples} decorations; aimed at {self.largest_error_mev:.2g}). Mean distance "
            f"of sites from the lattice: {shifts} Å."
        )


class MonteCarloDoc(Document):
    """Canonical Monte Carlo of one alloy at several temperatures, with repeats."""

    blob_fields: ClassVar[tuple[str, ...]] = ("series",)

    kind: Literal["montecarlo"] = "montecarlo"
    identity: str = Field(description="Hash of model, cell, settings and seed.")
    model: ModelSpec
    mode: Mode
    alloy: AlloySpec
    supercell: IntMatrix
    composition: dict[str, float] = Field(description="Share of each element that was asked for.")
    counts: dict[str, int] = Field(description="Sites of each element, what the cell holds of it.")
    lattice_constant: float = Field(description="Of the reference geometry (Å).")
    seed: int
    settings: SamplingSettings
    ladder: PilotLadder | None = Field(
        None, description="Temperatures chosen by the acceptance of exchanges, if settings ask it."
    )
    end_points: dict[str, float] = Field(
        description="Energy of the pure compounds that mixing energies count from (eV/unit)."
    )
    random_mev: float = Field(description="Mean mixing energy of random decorations (meV/unit).")
    random_error_mev: float
    chains: list[ChainSummary] = Field(description="By temperature, then run.")
    averages: list[TemperatureSummary] = Field(description="From the coldest to the hottest.")
    separation: Separation
    series: StoredFile = Field(
        description="Energies and bonds along the chains, `ChainSeries`; in the data store."
    )
    evaluations: int = Field(
        description="Decorations that the model was asked for, those of the ladder included."
    )
    forbidden: int = Field(
        description="Decorations that did not relax; they have no energy and no chain holds them."
    )
    relaxation: RelaxationSummary | None = Field(None, description="None on a fixed lattice.")
    seconds: float

    @property
    def n_sites(self) -> int:
        """Number of alloyed sites."""
        return sum(self.counts.values())

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
            "composition": asked_and_held(self.composition, self.counts),
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
