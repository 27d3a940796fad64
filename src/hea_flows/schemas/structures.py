"""Alloys, orderings and trajectories, as documents and campaign files hold them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from pydantic import Field, field_validator, model_validator

from hea_flows.alloy.lattice import (
    Alloy,
    Ordering,
    Prototype,
    own_prototype,
    prototype_of,
    supercell_size,
)
from hea_flows.inputs import Name, Number, shown
from hea_flows.runtime.crystal_files import read_crystal
from hea_flows.schemas.record import Record

Vector = tuple[Number, Number, Number]


class HostSpec(Record):
    """A host of one's own, as documents hold it: the file it came from is not needed again."""

    vectors: tuple[Vector, Vector, Vector] = Field(
        description="Primitive vectors in units of the lattice constant."
    )
    alloyed_sites: list[Vector] = Field(
        min_length=1, max_length=100, description="Fractional positions of the alloyed sites."
    )
    fixed_sites: dict[Name, list[Vector]] = Field(
        default_factory=dict, description="Fractional positions of the others, by element."
    )

    @classmethod
    def of(cls, prototype: Prototype) -> Self:
        """Describe a host that is not among `PROTOTYPES`."""
        fixed: dict[str, list[Vector]] = {}
        for element, site in zip(prototype.fixed_species, prototype.fixed_sites, strict=True):
            fixed.setdefault(element, []).append(site)
        return cls(
            vectors=prototype.vectors,
            alloyed_sites=list(prototype.alloyed_sites),
            fixed_sites=fixed,
        )

    def to_prototype(self) -> Prototype:
        """Return the domain object."""
        return own_prototype(self.vectors, self.alloyed_sites, self.fixed_sites)


class HostFile(Record):
    """A host of one's own, as a campaign file gives it."""

    file: str = Field(max_length=1000, description="CIF, POSCAR or extended XYZ of a crystal.")
    alloyed: list[Name] = Field(
        min_length=1, max_length=10, description="Elements whose sites are alloyed, all of them."
    )

    def read(self) -> tuple[HostSpec, dict[str, float]]:
        """Return the host, and the lattice constant (Å) of the elements in its alloyed sites.

        Raises
        ------
        ValueError
            If the file cannot be read, or is no host.
        """
        atoms = read_crystal(Path(self.file).expanduser())
        try:
            host = HostSpec.of(prototype_of(atoms, self.alloyed))
        except ValueError as error:
            msg = f"{self.file}: {error}"
            raise ValueError(msg) from None
        return host, dict.fromkeys(self.alloyed, float(np.linalg.norm(atoms.cell.array[0])))


class AlloySpec(Record):
    """An alloy as a campaign file gives it; see `hea_flows.alloy.lattice.prototypes.Alloy`."""

    elements: tuple[Name, ...] = Field(
        max_length=118, description="Elements that share the alloyed sublattice."
    )
    prototype: Name | HostSpec | HostFile = Field(
        "2H-MX2",
        description="Host: `hea-flows sets prototypes` lists them; or {file: host.cif, alloyed: "
        "[Ti]}.",
    )
    anion: Name | None = Field(
        None, description="Element of the fixed sublattice, of prototypes that leave it open."
    )
    lattice_constants: dict[Name, Annotated[Number, Field(ge=0.1, le=100)]] = Field(
        default_factory=dict, description="Lattice constant per element (Å) where not tabulated."
    )
    vacuum: Number = Field(15.0, gt=0, le=1000, description="Vacuum of a layer (Å).")
    c_over_a: Number | None = Field(
        None, ge=0.1, le=10, description="c/a of hcp; default the mean of the elements' own."
    )
    composition: dict[Name, Number] = Field(
        default_factory=dict,
        description="Share of each element, adding up to 1, of what follows; default equal parts.",
    )

    @field_validator("prototype", mode="before")
    @classmethod
    def _host(cls, value: object) -> object:
        if isinstance(value, dict):
            return (HostSpec if "vectors" in value else HostFile).model_validate(value)
        if not isinstance(value, str | HostSpec | HostFile):
            msg = f"a name, or {{file: host.cif, alloyed: [Ti]}}; got {shown(value)}"
            raise ValueError(msg)  # noqa: TRY004  pydantic reports it
        return value

    @model_validator(mode="after")
    def _valid(self) -> Self:
        if isinstance(self.prototype, HostFile):
            self.prototype, constants = self.prototype.read()
            own = {e: a for e, a in constants.items() if e in self.elements}
            self.lattice_constants = own | self.lattice_constants
        self.anion = self.to_alloy().anion
        return self

    @classmethod
    def of(cls, alloy: Alloy) -> Self:
        """Describe an alloy completely: nothing is left to tables."""
        return cls(
            elements=alloy.elements,
            prototype=alloy.prototype
            if isinstance(alloy.prototype, str)
            else HostSpec.of(alloy.prototype),
            anion=alloy.anion,
            lattice_constants={e: alloy.lattice_constant(e) for e in alloy.elements},
            vacuum=alloy.vacuum,
            c_over_a=float(alloy.vectors[2, 2]) if alloy.host.uniaxial else None,
            composition=dict(alloy.composition),
        )

    @property
    def any_composition(self) -> Self:
        """The same without its composition, on which labels do not depend."""
        return self.model_copy(update={"composition": {}})

    def to_alloy(self) -> Alloy:
        """Return the domain object."""
        host = self.prototype
        return Alloy(
            self.elements,
            host.to_prototype() if isinstance(host, HostSpec) else str(host),
            self.anion,
            dict(self.lattice_constants),
            self.vacuum,
            self.c_over_a,
            dict(self.composition),
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

    @property
    def is_end_point(self) -> bool:
        """Whether it is the primitive cell with one element."""
        return len(self.counts) == 1 and supercell_size(self.supercell) == 1

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
