"""Rows that name the model families and the reference engines; importing it loads none of them.

A row is ``"module:attribute"``. Another package adds one with an entry point of the group
``hea_flows.engines``, named ``model.<name>`` or ``reference.<name>``; a script with
`register_family` or `register_reference_engine`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from numpy.typing import NDArray

from hea_flows.schemas import Epoch, ErrorSummary, ModelSpec, TrainingSettings

#: Entry-point group that another package uses.
GROUP = "hea_flows.engines"

Kind = Literal["model", "reference"]
_WORDS: Mapping[Kind, str] = {"model": "model family", "reference": "reference engine"}


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


class Family(Protocol):
    """A family of interatomic potentials: everything the rest of the package asks of a model.

    Optional attributes: ``methods``, see `hea_flows.engines.methods.check`, and ``packages``, whose
    versions a trained model's document names.
    """

    name: str

    def resolve(self, spec: ModelSpec) -> ModelSpec:
        """Return `spec` with the checksum of the file that it means.

        Raises
        ------
        FileNotFoundError
            If there is no such file, and none can be downloaded.
        ValueError
            If the name is unknown, or the file is not the one that `spec` promises.
        """
        ...

    def calculator(self, spec: ModelSpec, device: str = "cpu") -> Calculator:
        """Return an ASE calculator of energy (eV), forces (eV/Å) and stress (eV/Å³)."""
        ...

    def evaluate(
        self,
        spec: ModelSpec,
        atoms_list: Sequence[Atoms],
        *,
        batch_size: int = 16,
        device: str = "cpu",
    ) -> list[Prediction]:
        """Predict many structures in batches; one prediction per structure, in their order."""
        ...

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
            learn: already without per-element offsets (`hea_flows.engines.targets.with_energies`
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


@dataclass(frozen=True)
class _Row:
    target: str | type
    extra: str | None = None
    install: str | None = None  # where one pip command does not do


_BUILT_IN: Mapping[Kind, Mapping[str, _Row]] = {
    "model": {
        "chgnet": _Row("hea_flows.engines.chgnet:CHGNetFamily", "chgnet"),
        "mace": _Row("hea_flows.engines.mace:MACEFamily", "mace"),
        "mattersim": _Row(
            "hea_flows.engines.mattersim:MatterSimFamily",
            install="see requirements/mattersim.txt (docs/models.md)",
        ),
        "nequip": _Row(
            "hea_flows.engines.nequip:NequIPFamily",
            install="in an environment without mace-torch (docs/models.md)",
        ),
        "nequix": _Row("hea_flows.engines.nequix:NequixFamily", "nequix"),
    },
    "reference": {
        "gpaw": _Row("hea_flows.engines.gpaw:GPAWMaker", "gpaw"),
        "archive": _Row("hea_flows.engines.archive:ArchiveMaker"),
        "teacher": _Row("hea_flows.engines.teacher:TeacherMaker"),
        "vasp": _Row("hea_flows.engines.vasp:VaspMaker"),
    },
}
_REGISTERED: dict[Kind, dict[str, _Row]] = {"model": {}, "reference": {}}


def families() -> list[str]:
    """Return the names of all model families, installed or not."""
    return sorted(_rows("model"))


def reference_engines() -> list[str]:
    """Return the names of all reference engines, installed or not."""
    return sorted(_rows("reference"))


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
    target: Any = _load("model", name)
    if not inspect.isclass(target):
        if options:
            msg = f"model family {name!r} takes no options, got {', '.join(options)}"
            raise ValueError(msg)
        return cast("Family", target)
    accepted = inspect.signature(target).parameters if options else ()
    unknown = [o for o in options if o not in accepted]
    if unknown:
        msg = f"model family {name!r} has no option {unknown[0]!r}; accepted: {', '.join(accepted)}"
        raise ValueError(msg)
    return cast("Family", target(**options))


def reference_engine(name: str) -> type[Any]:
    """Return the Maker class of a reference engine.

    Raises
    ------
    ValueError
        For an unknown name.
    ModuleNotFoundError
        If its package is not installed; the message names the extra.
    """
    maker: type[Any] = _load("reference", name)
    return maker


def register_family(name: str, target: str | type, *, replace: bool = False) -> None:
    """Add a model family in this process.

    Parameters
    ----------
    name
        What `ModelSpec.family` says.
    target
        ``"module:attribute"``, or the class itself.
    replace
        Whether a row of that name may be replaced.

    Raises
    ------
    ValueError
        If the name is taken and `replace` is not set.
    """
    _register("model", name, target, replace=replace)


def register_reference_engine(name: str, target: str | type, *, replace: bool = False) -> None:
    """Add a reference engine in this process; see `register_family`."""
    _register("reference", name, target, replace=replace)


def _register(kind: Kind, name: str, target: str | type, *, replace: bool) -> None:
    row = _Row(target)
    if isinstance(target, str) and target.count(":") != 1:
        msg = f"{_WORDS[kind]} {name!r}: the target is 'module:attribute', got {target!r}"
        raise ValueError(msg)
    if not replace and _rows(kind).get(name, row) != row:
        msg = f"{_WORDS[kind]} {name!r} exists already; pass replace=True to replace it"
        raise ValueError(msg)
    _REGISTERED[kind][name] = row


def _rows(kind: Kind) -> dict[str, _Row]:
    rows = dict(_BUILT_IN[kind])
    for point in entry_points(group=GROUP):
        point_kind, _, name = point.name.partition(".")
        if point_kind != kind or not name:
            continue
        if rows.setdefault(name, _Row(point.value)) != _Row(point.value):
            msg = f"{_WORDS[kind]} {name!r} is offered twice: {rows[name].target}, {point.value}"
            raise ValueError(msg)
    return rows | _REGISTERED[kind]


def _load(kind: Kind, name: str) -> Any:  # noqa: ANN401
    rows = _rows(kind)
    if name not in rows:
        msg = f"unknown {_WORDS[kind]} {name!r}; accepted: {', '.join(sorted(rows))}"
        raise ValueError(msg)
    row = rows[name]
    if not isinstance(row.target, str):
        return row.target
    module, _, attribute = row.target.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        missing = error.name or module
        if module == missing or module.startswith(f"{missing}."):
            msg = f"{_WORDS[kind]} {name!r}: there is no module {missing!r} ({row.target})"
        else:
            what = f"hea-flows[{row.extra}]" if row.extra else missing
            how = row.install or f"pip install '{what}'"
            msg = f"{_WORDS[kind]} {name!r} needs {missing}; install it: {how}"
        raise ModuleNotFoundError(msg, name=missing) from None
    except AttributeError:
        msg = f"{_WORDS[kind]} {name!r}: module {module!r} has no {attribute!r}"
        raise ValueError(msg) from None
