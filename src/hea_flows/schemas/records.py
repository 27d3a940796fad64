"""The small records that documents and campaign files are made of."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from pydantic import Field, model_validator

from hea_flows.alloy.lattice import Alloy, Ordering
from hea_flows.runtime.atomic_files import atomic_write
from hea_flows.schemas.methods import AllWeights, Method, Offsets
from hea_flows.schemas.record import Record


class AlloySpec(Record):
    """An alloy as a campaign file gives it; see `hea_flows.alloy.lattice.prototypes.Alloy`."""

    elements: tuple[str, ...] = Field(description="Elements that share the alloyed sublattice.")
    prototype: str = Field("2H-MX2", description="Host; `hea-flows sets prototypes` lists them.")
    anion: str | None = Field("S", description="Element of the fixed sublattice, or null.")
    lattice_constants: dict[str, float] = Field(
        default_factory=dict, description="Lattice constant per element (Å) where not tabulated."
    )
    vacuum: float = Field(15.0, gt=0, description="Vacuum of a layer (Å).")

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


class StoredFile(Record):
    """A binary file kept in the `data` store, with its checksum."""

    name: str
    sha256: str
    content: str = Field(description="base64")

    @classmethod
    def from_bytes(cls, name: str, raw: bytes) -> StoredFile:
        """Keep a content under a name."""
        content = base64.b64encode(raw).decode()
        return cls(name=name, sha256=hashlib.sha256(raw).hexdigest(), content=content)

    def read(self) -> bytes:
        """Return the content, after checking its checksum.

        Raises
        ------
        ValueError
            If the content does not have the recorded checksum.
        """
        raw = base64.b64decode(self.content)
        found = hashlib.sha256(raw).hexdigest()
        if found != self.sha256:
            msg = f"{self.name}: sha256 is {found}, the document says {self.sha256}; not used"
            raise ValueError(msg)
        return raw

    def write_to(self, directory: Path) -> Path:
        """Write the file, checked as by `read`, as ``<sha256>-<name>`` and return its path."""
        raw = self.read()
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{self.sha256[:16]}-{self.name}"
        if not path.exists() or path.read_bytes() != raw:
            atomic_write(path, raw)
        return path


class Trajectory(Record):
    """Labelled frames of one structure, atoms in one order.

    Shapes for F frames of N atoms: cells (F, 3, 3), positions and forces (F, N, 3), stresses
    (F, 6), energies (F,). Units eV, Å; stress in eV/Å³ with ASE's sign.
    """

    symbols: list[str]
    pbc: tuple[bool, bool, bool]
    cells: list[list[list[float]]]
    positions: list[list[list[float]]]
    energies: list[float]
    free_energies: list[float]
    forces: list[list[list[float]]]
    stresses: list[list[float]]
    magmoms: list[list[float]] | None = None
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


class ModelSpec(Record):
    """Which potential: a foundation by name, or a file with its checksum."""

    family: str = Field(description="Row of the model registry, for example chgnet or mace.")
    name: str | None = Field(None, description="Foundation name, for example 0.3.0 or small.")
    path: str | None = Field(None, description="Local checkpoint.")
    sha256: str | None = Field(None, description="Checksum of the checkpoint, verified on load.")
    dtype: Literal["float32", "float64"] = "float32"
    architecture: dict[str, Any] = Field(
        default_factory=dict, description="Of a model from scratch: changes to the family's own."
    )

    @model_validator(mode="after")
    def _built_or_loaded(self) -> Self:
        if self.architecture and (self.name or self.path):
            msg = (
                f"{self.family}: a model that is loaded has its architecture; leave it out, or "
                "leave out name and path to train from scratch"
            )
            raise ValueError(msg)
        return self

    @property
    def pretrained(self) -> bool:
        """True for a trained model, named or in a file; False for a family to train afresh."""
        return bool(self.name or self.path)

    @property
    def title(self) -> str:
        """Short name for tables."""
        return f"{self.family}-{self.name or (self.sha256 or 'scratch')[:8]}"


class LossWeights(Record):
    """Weights of the squared errors in eV/atom, eV/Å and eV/Å³ (SCIENCE §4)."""

    energy: float = Field(100.0, ge=0)
    forces: float = Field(10.0, ge=0)
    stress: float = Field(1.0, ge=0)


class TrainingSettings(Record):
    """How a model is trained; the same for every family.

    What is None follows from the number of training frames, see `potentials.training.schedule`.
    """

    epochs: int | None = Field(None, ge=1, description="Default: about 4000 steps, 20 to 200.")
    batch_size: int | None = Field(
        None, ge=1, description="Frames per step; default √frames / 2 as a power of two, 2 to 32."
    )
    patience: int | None = Field(
        None,
        ge=0,
        description="Epochs without a better validation loss that end training; 0: none do. "
        "Default half of the epochs, at least 20.",
    )
    learning_rate: float = Field(1e-3, gt=0)
    final_learning_rate: float = Field(1e-5, ge=0, description="End of the cosine schedule.")
    weights: LossWeights = Field(default_factory=LossWeights)
    final_weights: LossWeights | None = Field(
        None,
        description="Weights that the loss moves to as the learning rate falls; default the same.",
    )
    amsgrad: bool = True
    max_gradient_norm: float | None = Field(10.0, gt=0)
    seed: int = 0
    threads: int | None = Field(None, ge=1, description="Torch threads; default the worker's.")
    method: Method = Field(
        default_factory=AllWeights, description="What is trained: all, frozen, lora or replay."
    )
    offsets: Offsets = Field("fit", description="Energies per element removed before training.")

    @model_validator(mode="after")
    def _weights_move(self) -> Self:
        if self.final_weights is not None and self.final_learning_rate >= self.learning_rate:
            msg = (
                "final_weights are reached as the learning rate falls; it stays at "
                f"{self.learning_rate:g} (final_learning_rate {self.final_learning_rate:g}): lower "
                "final_learning_rate, or leave out final_weights"
            )
            raise ValueError(msg)
        return self


class ErrorSummary(Record):
    """RMSE of one split: energy (meV/atom), forces (meV/Å), stress (eV/Å³)."""

    n_frames: int
    energy_mev: float
    forces_mev: float
    stress: float


class Epoch(Record):
    """Losses of one epoch, and RMSE per split as in `ErrorSummary`.

    Losses have the weights that training moves to, so that those of all epochs compare.

    Those of the training frames are met on the way, each before the step it leads to; the others
    are those of the epoch's end. Without frames they are NaN.
    """

    epoch: int
    learning_rate: float
    train_loss: float
    train_energy_mev: float
    train_forces_mev: float
    train_stress: float
    validation_loss: float
    validation_energy_mev: float
    validation_forces_mev: float
    validation_stress: float
    test_energy_mev: float
    test_forces_mev: float
    test_stress: float
    seconds: float
