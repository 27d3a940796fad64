"""Alloys, orderings and trajectories, as documents and campaign files hold them."""

from __future__ import annotations

from typing import Annotated, Any, Self

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from pydantic import Field, model_validator

from hea_flows.alloy.lattice import Alloy, Ordering
from hea_flows.inputs import Name, Number
from hea_flows.schemas.record import Record


class AlloySpec(Record):
    """An alloy as a campaign file gives it; see `hea_flows.alloy.lattice.prototypes.Alloy`."""

    elements: tuple[Name, ...] = Field(
        max_length=118, description="Elements that share the alloyed sublattice."
    )
    prototype: Name = Field("2H-MX2", description="Host; `hea-flows sets prototypes` lists them.")
    anion: Name | None = Field("S", description="Element of the fixed sublattice, or null.")
    lattice_constants: dict[Name, Annotated[Number, Field(ge=0.1, le=100)]] = Field(
        default_factory=dict, description="Lattice constant per element (Å) where not tabulated."
    )
    vacuum: Number = Field(15.0, gt=0, le=1000, description="Vacuum of a layer (Å).")

    @model_validator(mode="after")
    def _valid(self) -> Self:
        self.to_alloy()
        return self

    def to_alloy(self) -> Alloy:
        """Return the domain object."""
        return Alloy(
            self.elements, self.prototype, self.anion, dict(self.lattice_constants), self.vacuum
        )


class StructureEntry(Record):
    """One ordering, small enough to travel in a Firework."""

    structure_id: str
    formula: str
    counts: dict[str, int]
    supercell: tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]
    species: tuple[str, ...]
    origin: str = Field("", description="The set expression that produced it.")

    @classmethod
    def from_ordering(cls, ordering: Ordering, origin: str = "") -> StructureEntry:
        """Describe an ordering."""
        return cls(
            structure_id=ordering.id,
            formula=ordering.formula,
            counts=ordering.counts,
            supercell=ordering.supercell,
            species=ordering.species,
            origin=origin,
        )

    def to_ordering(self, alloy: Alloy) -> Ordering:
        """Return the ordering in a host; its identity must be the recorded one."""
        ordering = Ordering(alloy, self.supercell, self.species)
        if ordering.id != self.structure_id:
            msg = (
                f"structure {self.structure_id} ({self.formula}) is {ordering.id} in this alloy; "
                "it was made for another host"
            )
            raise ValueError(msg)
        return ordering


class Trajectory(Record):
    """Labelled frames of one structure, atoms in one order.

    Shapes for F frames of N atoms: cells (F, 3, 3), positions and forces (F, N, 3), stresses
    (F, 6), energies (F,), moments (F, N), or (F, N, 3) with spin-orbit coupling. Units eV, Å, μB;
    stress in eV/Å³ with ASE's sign.
    """

    symbols: list[str]
    pbc: tuple[bool, bool, bool]
    cells: list[list[list[float]]]
    positions: list[list[list[float]]]
    energies: list[float]
    free_energies: list[float]
    forces: list[list[list[float]]]
    stresses: list[list[float]]
    magmoms: list[list[float]] | list[list[list[float]]] | None = None
    seconds: list[float] | None = Field(None, description="Wall time of each frame (s).")

    @classmethod
    def from_frames(cls, frames: list[Atoms]) -> Trajectory:
        """Collect frames that carry their results."""
        first = frames[0]
        results = [f.calc.results for f in frames]
        moments = [r.get("magmoms") for r in results]
        seconds: list[Any] = [f.info.get("seconds") for f in frames]
        return cls(
            symbols=first.get_chemical_symbols(),
            pbc=tuple(bool(x) for x in first.pbc),
            cells=[f.cell.array.tolist() for f in frames],
            positions=[f.positions.tolist() for f in frames],
            energies=[float(r["energy"]) for r in results],
            free_energies=[float(r.get("free_energy", r["energy"])) for r in results],
            forces=[np.asarray(r["forces"]).tolist() for r in results],
            stresses=[np.asarray(r["stress"]).tolist() for r in results],
            magmoms=None
            if any(m is None for m in moments)
            else [np.asarray(m).tolist() for m in moments],
            seconds=None if any(s is None for s in seconds) else [float(s) for s in seconds],
        )

    def to_frames(self, **info: object) -> list[Atoms]:
        """Return `ase.Atoms` with results attached; `info` and the step go to each."""
        frames = []
        for i, energy in enumerate(self.energies):
            atoms = Atoms(self.symbols, self.positions[i], cell=self.cells[i], pbc=self.pbc)
            results: dict[str, Any] = {
                "energy": energy,
                "free_energy": self.free_energies[i],
                "forces": np.array(self.forces[i]),
                "stress": np.array(self.stresses[i]),
            }
            if self.magmoms is not None:
                results["magmoms"] = np.array(self.magmoms[i])
            atoms.calc = SinglePointCalculator(atoms, **results)
            atoms.info.update(info, step=i)
            frames.append(atoms)
        return frames
