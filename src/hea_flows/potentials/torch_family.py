"""The base of all families of torch potentials: evaluation, training, model files by name."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

from ase import Atoms
from ase.calculators.calculator import Calculator

from hea_flows.alloy import seed_of
from hea_flows.potentials import foundations, model_files
from hea_flows.potentials.base import (
    Evaluate,
    Family,
    LatticeEnergies,
    Prediction,
    TrainingResult,
)
from hea_flows.potentials.foundations import Foundation
from hea_flows.potentials.model_files import ModelFile
from hea_flows.potentials.potential import Potential, PotentialCalculator
from hea_flows.potentials.training import methods, trainer
from hea_flows.schemas import Epoch, ModelSpec, Promised, TrainingSettings

P = TypeVar("P", bound=Potential)


@dataclass(frozen=True)
class TorchFamily(Family, Generic[P]):
    """A family that gives `load` and `fresh`; its potentials give energies, the rest is here.

    Parameters
    ----------
    architecture
        Changes to `ARCHITECTURE` for training from scratch.
    dtype
        Precision of a model that is trained from scratch.
    """

    architecture: Mapping[str, Any] = field(default_factory=dict)
    dtype: Literal["float32", "float64"] = "float32"
    packages: ClassVar[tuple[str, ...]] = ("torch",)
    #: What a model from scratch is made of.
    ARCHITECTURE: ClassVar[Mapping[str, Any]] = {}
    #: Models that a name stands for.
    FOUNDATIONS: ClassVar[Mapping[str, Foundation]] = {}

    @abstractmethod
    def load(self, spec: ModelSpec, device: str = "cpu") -> P:
        """Load a model; see `Family.resolve` for errors."""

    @abstractmethod
    def fresh(
        self, frames: Sequence[Atoms], seed: int, device: str = "cpu", elements: Sequence[int] = ()
    ) -> P:
        """Return an untrained model.

        Energies of elements are zero, since offsets are the caller's.

        Parameters
        ----------
        frames
            Training frames with results, which the model is scaled to.
        seed
            The same seed gives the same weights.
        device
            Where it runs.
        elements
            Atomic numbers that the model knows; those of `frames` if not given.
        """

    def prepare_training(self, start: P, settings: TrainingSettings) -> Sequence[Atoms]:
        """Set a loaded model up for the training method; return the frames of a replay."""
        del start, settings
        return ()

    def quickest(self, potential: P) -> Potential:
        """Return the same model, weights shared, in its quickest form."""
        return potential

    def promised(self, spec: ModelSpec) -> Promised | None:
        """Return the checksum given with a model, or published for its name; no file is read."""
        foundation = self.FOUNDATIONS.get(spec.name or "")
        return spec.sha256 or (foundation.sha256 if foundation else None)

    def licence(self, spec: ModelSpec) -> str | None:
        """Return the licence given with a model, or known for its name."""
        foundation = self.FOUNDATIONS.get(spec.name or "")
        return spec.licence or (foundation.licence if foundation else None)

    def locate(self, spec: ModelSpec) -> ModelFile:
        """Return the file that a spec means, with what is promised; a name may download it."""
        return foundations.locate(spec, self.name, self.FOUNDATIONS)

    def read(self, file: ModelFile) -> model_files.Content:
        """Return what a model file holds; here plain data, so no code is run.

        A family whose files may run code replaces this by `model_files.load_plain_or_pickle`.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ModelFileError
            If it has another checksum, or holds what cannot be loaded.
        """
        return model_files.load_plain(file.path, file.expected)

    def full_architecture(self) -> dict[str, Any]:
        """Return `ARCHITECTURE` with the changes of `architecture`.

        Raises
        ------
        ValueError
            For an unknown entry.
        """
        if unknown := [key for key in self.architecture if key not in self.ARCHITECTURE]:
            accepted = ", ".join(self.ARCHITECTURE)
            msg = f"unknown {self.name} architecture entry {unknown[0]!r}; accepted: {accepted}"
            raise ValueError(msg)
        return dict(self.ARCHITECTURE) | dict(self.architecture)

    def check(self, spec: ModelSpec) -> None:
        """Raise `ValueError` for a name or an architecture that the family does not have.

        A foundation's file, if it is in the cache, is compared with its checksum.
        """
        if spec.name is not None and spec.path is None:
            if spec.name not in self.names():
                raise foundations.unknown(self.name, spec.name, self.names())
            if self.missing(spec) is None:
                self.resolve(spec)
        if spec.architecture and self.ARCHITECTURE:
            replace(self, architecture=spec.architecture).full_architecture()

    def names(self) -> Collection[str]:
        """Return the names of the family's foundations."""
        return self.FOUNDATIONS

    def missing(self, spec: ModelSpec) -> str | None:
        """Return the address of a foundation's file that is not in the cache; None if it is."""
        if spec.path is not None or spec.name is None:
            return None
        foundation = self.FOUNDATIONS[spec.name]
        return None if foundation.path.is_file() else foundation.url

    def resolve(self, spec: ModelSpec) -> ModelSpec:
        """Return `spec` with the checksum of its file, after comparing it; may download it.

        A file that nobody promises is read, so that what may run code is refused here.
        """
        file = self.locate(spec)
        if file.promised is None:
            self.read(file)
        return file.resolved().model_copy(update={"licence": self.licence(spec)})

    def predictor(self, spec: ModelSpec, device: str = "cpu") -> Potential:
        """Return the model of a spec in its quickest form, its weights fixed."""
        potential = self.quickest(self.load(spec, device))
        potential.freeze()
        return potential

    def calculator(self, spec: ModelSpec, device: str = "cpu") -> Calculator:
        """Return an ASE calculator of energy (eV), forces (eV/Å) and stress (eV/Å³)."""
        return PotentialCalculator(self.predictor(spec, device))

    def evaluate(
        self,
        spec: ModelSpec,
        atoms_list: Sequence[Atoms],
        *,
        batch_size: int = 16,
        device: str = "cpu",
    ) -> list[Prediction]:
        """Predict many structures in batches; one prediction per structure, in their order."""
        return self.predictor(spec, device).evaluate(atoms_list, batch_size)

    def evaluator(
        self, spec: ModelSpec, *, device: str = "cpu", max_atoms: int | None = None
    ) -> Evaluate:
        """Load the model once; see `Family.evaluator`.

        `max_atoms` is 128 by default on a CPU, where larger batches leave its caches and are
        slower, and 2048 elsewhere.
        """
        potential = self.predictor(spec, device)
        limit = max_atoms or (128 if device == "cpu" else 2048)

        def evaluate(atoms_list: Sequence[Atoms]) -> list[Prediction]:
            parts = split_by_atoms(atoms_list, limit)
            return [p for part in parts for p in potential.evaluate(part, len(part))]

        return evaluate

    def untrained(self, spec: ModelSpec, frames: Sequence[Atoms], path: Path) -> ModelSpec:
        """Write a model as training from scratch begins with it; see `Family.untrained`."""
        fresh = replace(self, architecture=spec.architecture, dtype=spec.dtype).fresh(frames, 0)
        sha256 = model_files.save(path, fresh.checkpoint())
        return ModelSpec(family=self.name, path=str(path), sha256=sha256, dtype=spec.dtype)

    def lattice_energies(self, spec: ModelSpec, *, device: str = "cpu") -> LatticeEnergies:
        """Return what gives energies of decorations of ideal lattices; see `Family`."""
        return self.predictor(spec, device).lattice_energies

    def train(
        self,
        parent: ModelSpec | None,
        train: Sequence[Atoms],
        validation: Sequence[Atoms],
        test: Sequence[Atoms],
        settings: TrainingSettings,
        directory: Path,
        on_epoch: Callable[[Epoch], None] | None = None,
        *,
        device: str = "cpu",
    ) -> TrainingResult:
        """Fine-tune `parent`, or train from scratch; see `Family.train`."""
        methods.check(self, parent, settings)
        settings = methods.resolve(settings)
        if parent is None:
            elements = sorted({int(z) for f in (*train, *validation, *test) for z in f.numbers})
            seed = seed_of(settings.seed, "weights")
            start = self.fresh(train, seed, device, elements=elements)
        else:
            start, parent = self.load(parent, device), self.resolve(parent)
        replay = self.prepare_training(start, settings)
        return trainer.train(
            self.quickest(start),
            train,
            validation,
            test,
            settings,
            directory,
            parent=parent,
            on_epoch=on_epoch,
            replay=replay,
        )


def split_by_atoms(atoms_list: Sequence[Atoms], max_atoms: int) -> Iterator[list[Atoms]]:
    """Yield runs of structures of at most so many atoms together, or of one structure."""
    part: list[Atoms] = []
    for atoms in atoms_list:
        if part and sum(map(len, part)) + len(atoms) > max_atoms:
            yield part
            part = []
        part.append(atoms)
    if part:
        yield part
