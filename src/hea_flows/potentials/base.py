"""Families of potentials as the rest of the package sees them; importing this loads no torch."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, PropertyNotImplementedError
from numpy.typing import ArrayLike, NDArray

from hea_flows.alloy.lattice import Alloy
from hea_flows.alloy.sampling import AseEnergies, DecorationEnergies
from hea_flows.plugins import FAMILIES
from hea_flows.schemas import Epoch, ErrorSummary, ModelSpec, Promised, TrainingSettings


@dataclass(frozen=True)
class Prediction:
    """What a model predicts for one structure; the stress has ASE's sign.

    Parameters
    ----------
    energy
        eV per cell.
    forces
        eV/Å, shape (N, 3); NaN from a model that has none.
    stress
        eV/Å³, Voigt, shape (6,); NaN from a model that has none.
    """

    energy: float
    forces: NDArray[np.float64]
    stress: NDArray[np.float64]


#: Predicts structures, in their order.
Evaluate = Callable[[Sequence[Atoms]], list[Prediction]]
#: Energies of decorations of a host, its supercell, shape (3, 3), and a lattice constant (Å).
LatticeEnergies = Callable[[Alloy, ArrayLike, float], DecorationEnergies]


@dataclass(frozen=True)
class TrainingResult:
    """A trained model, the epoch that it comes from, and the errors of that epoch per split.

    `settings` are those that were given, with numbers for what the size of the set decides.
    """

    model: ModelSpec
    settings: TrainingSettings
    best_epoch: int
    curve: list[Epoch]
    errors: dict[str, ErrorSummary]
    seconds: float


@dataclass(frozen=True)
class NativeFile:
    """A model as its family's own program reads it.

    Parameters
    ----------
    content
        What the file holds.
    opening
        Lines of Python that open it, an ASE calculator as ``calc``; ``{path}`` is its path, quoted.
    suffix
        How the file's name must end.
    """

    content: bytes
    opening: str
    suffix: str = ""


class Family(ABC):
    """A family of interatomic potentials.

    `resolve` and `calculator` are enough to evaluate models; `train` trains them. The rest has a
    general way here, which a family replaces where it has a quicker one. A family of torch
    potentials derives from `hea_flows.potentials.torch_family.TorchFamily` instead.
    """

    #: Row of the registry.
    name: ClassVar[str]
    #: Packages whose versions a trained model's document names.
    packages: ClassVar[tuple[str, ...]] = ()
    #: Training methods that the family has, by the `label` of `hea_flows.schemas.Method`; empty if
    #: a method means nothing to it.
    methods: ClassVar[frozenset[str]] = frozenset({"all"})
    #: Whether structures can be relaxed. If not, energies depend on the decoration alone: that of a
    #: relaxed structure is that of its start, and forces and stress are NaN.
    relaxes: ClassVar[bool] = True
    #: Why `train` refuses, of a family that does not replace it.
    no_training: ClassVar[str] = "its models can be evaluated, not trained"

    @abstractmethod
    def resolve(self, spec: ModelSpec) -> ModelSpec:
        """Return `spec` with the checksum of its file: promised, or else measured.

        Raises
        ------
        FileNotFoundError
            If there is no such file, and none can be downloaded.
        ValueError
            If the name is unknown, the file is not the one that `spec` promises, or it may run
            code and nobody promises it.
        """

    def promised(self, spec: ModelSpec) -> Promised | None:
        """Return the checksum given with a model, or published for its name; no file is read."""
        return spec.sha256

    def licence(self, spec: ModelSpec) -> str | None:
        """Return the licence given with a model, or known for its name."""
        return spec.licence

    def check(self, spec: ModelSpec) -> None:  # noqa: B027  a family need not know anything
        """Raise `ValueError` for a name or an architecture that the family does not have.

        Nothing is downloaded.
        """

    def missing(self, spec: ModelSpec) -> str | None:
        """Return what has to be downloaded before a model can be used; None if nothing."""
        return None

    @abstractmethod
    def calculator(self, spec: ModelSpec, device: str = "cpu") -> Calculator:
        """Return an ASE calculator of energy (eV), forces (eV/Å) and stress (eV/Å³)."""

    def evaluate(
        self,
        spec: ModelSpec,
        atoms_list: Sequence[Atoms],
        *,
        batch_size: int = 16,
        device: str = "cpu",
    ) -> list[Prediction]:
        """Predict structures in their order; here one after the other, in no batches."""
        calculator = self.calculator(spec, device)
        return [_predict(atoms, calculator) for atoms in atoms_list]

    def evaluator(
        self, spec: ModelSpec, *, device: str = "cpu", max_atoms: int | None = None
    ) -> Evaluate:
        """Return a function that predicts structures, for many calls.

        Parameters
        ----------
        spec
            The model.
        device
            Where it runs.
        max_atoms
            Most atoms in a batch of several structures; it bounds the memory.
        """
        self.resolve(spec)  # a model that is refused is no failure of every structure
        return lambda atoms_list: self.evaluate(spec, atoms_list, device=device)

    def untrained(
        self,
        spec: ModelSpec,
        frames: Sequence[Atoms],
        path: Path,
    ) -> ModelSpec | None:
        """Write a model as training from scratch begins with it; None if there is none.

        Parameters
        ----------
        spec
            The family, its architecture and precision.
        frames
            Frames with results, which the model is scaled to.
        path
            File to write.
        """
        return None

    def native(self, spec: ModelSpec, offsets: Mapping[str, float]) -> NativeFile:
        """Return a model as the family's own program reads it.

        Parameters
        ----------
        spec
            The model.
        offsets
            Energies per element (eV/atom) that its energies gain; elements that are not among them
            gain nothing.

        Raises
        ------
        ValueError
            Here always: a family whose program reads a file that can be written replaces this.
        """
        del spec, offsets
        msg = f"model family {self.name!r} writes no native files; accepted format: checkpoint"
        raise ValueError(msg)

    def lattice_energies(self, spec: ModelSpec, *, device: str = "cpu") -> LatticeEnergies:
        """Return what gives energies of decorations of ideal lattices, in the quickest way.

        Parameters
        ----------
        spec
            The model, which is loaded once.
        device
            Where it runs.
        """
        calculator = self.calculator(spec, device)
        return lambda alloy, supercell, a: AseEnergies(
            alloy, supercell, a, calculator, mode="fixed lattice"
        )

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
        """Train on labelled frames; an interrupted run in `directory` is resumed.

        Parameters
        ----------
        parent
            Model to fine-tune; None trains from scratch.
        train, validation, test
            Frames whose `calc.results` hold energy, forces and stress. The energy is the one to
            learn: already without per-element offsets (`potentials.training.labels.with_energies`
            replaces it), extrapolated to zero smearing. From scratch, offsets are all of the
            per-element energy, so that what is left is small.
        settings
            Loss weights, epochs, seed.
        directory
            Holds the training state and then the model file, ``model.pt``.
        on_epoch
            Called after every epoch, when its state is safe on disk.
        device
            Where the model runs.

        Raises
        ------
        ValueError
            Here always: a family that trains replaces this.
        OutOfTimeError
            If the batch job ends before another epoch would; `directory` holds what is needed to
            resume in the next one.
        """
        msg = f"model family {self.name!r}: {self.no_training}"
        raise ValueError(msg)


def _predict(atoms: Atoms, calculator: Calculator) -> Prediction:
    copy = atoms.copy()
    copy.calc = calculator
    forces = copy.get_forces()
    try:
        stress = copy.get_stress()
    except PropertyNotImplementedError:
        stress = np.full(6, np.nan)
    return Prediction(
        float(copy.get_potential_energy()),
        np.asarray(forces, dtype=np.float64),
        np.asarray(stress, dtype=np.float64),
    )


def families() -> list[str]:
    """Return the names of all model families, installed or not."""
    return FAMILIES.names()


def family(name: str, **options: object) -> Family:
    """Return a model family.

    Parameters
    ----------
    name
        A row, for example ``chgnet``.
    options
        Fields of that family, for example ``architecture`` for training from scratch.

    Raises
    ------
    ValueError
        For an unknown name or option.
    ModuleNotFoundError
        If the family's package is not installed; the message names the extra.
    """
    target = FAMILIES.load(name)
    if not inspect.isclass(target):
        if options:
            msg = f"model family {name!r} takes no options, got {', '.join(options)}"
            raise ValueError(msg)
        return cast("Family", target)
    accepted = inspect.signature(target).parameters if options else ()
    if unknown := [o for o in options if o not in accepted]:
        msg = f"model family {name!r} has no option {unknown[0]!r}; accepted: {', '.join(accepted)}"
        raise ValueError(msg)
    return cast("Family", target(**options))


def evaluator(spec: ModelSpec, *, device: str = "cpu", max_atoms: int | None = None) -> Evaluate:
    """Return a function that predicts structures with a model; see `Family.evaluator`."""
    return family(spec.family).evaluator(spec, device=device, max_atoms=max_atoms)
