"""What the rest of the package asks of a potential; importing it loads no torch."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from numpy.typing import NDArray

from hea_flows.plugins import FAMILIES
from hea_flows.schemas import Epoch, ErrorSummary, ModelSpec, TrainingSettings


@dataclass(frozen=True)
class Prediction:
    """What a model says of one structure: eV per cell, eV/Å, eV/Å³ (ASE sign).

    Parameters
    ----------
    energy
        eV per cell.
    forces
        eV/Å, shape (N, 3).
    stress
        eV/Å³, Voigt, shape (6,).
    """

    energy: float
    forces: NDArray[np.float64]
    stress: NDArray[np.float64]


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


class Family(ABC):
    """A family of interatomic potentials: everything the rest of the package asks of a model."""

    #: Row of the registry.
    name: str
    #: Packages whose versions a trained model's document names.
    packages: ClassVar[tuple[str, ...]] = ()
    #: Training methods that the family has; see `potentials.training.methods.check`.
    methods: ClassVar[frozenset[str]] = frozenset({"all"})

    @abstractmethod
    def resolve(self, spec: ModelSpec) -> ModelSpec:
        """Return `spec` with the checksum of the file that it means.

        Raises
        ------
        FileNotFoundError
            If there is no such file, and none can be downloaded.
        ValueError
            If the name is unknown, or the file is not the one that `spec` promises.
        """

    @abstractmethod
    def calculator(self, spec: ModelSpec, device: str = "cpu") -> Calculator:
        """Return an ASE calculator of energy (eV), forces (eV/Å) and stress (eV/Å³)."""

    @abstractmethod
    def evaluate(
        self,
        spec: ModelSpec,
        atoms_list: Sequence[Atoms],
        *,
        batch_size: int = 16,
        device: str = "cpu",
    ) -> list[Prediction]:
        """Predict many structures in batches; one prediction per structure, in their order."""

    @abstractmethod
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
        """Train on labelled frames; going on where an interrupted run in `directory` ended.

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
            Holds the state of the run and then ``model.pt``.
        on_epoch
            Called after every epoch, when its state is safe on disk.
        device
            Where the model runs.

        Raises
        ------
        OutOfTimeError
            If the batch job ends before another epoch would; `directory` holds what is needed to
            go on in the next one.
        """
        ...


def families() -> list[str]:
    """Return the names of all model families, installed or not."""
    return FAMILIES.names()


def family(name: str, **options: Any) -> Family:  # noqa: ANN401
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
