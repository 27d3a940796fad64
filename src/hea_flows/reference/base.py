"""The base class of reference engines: Makers whose job labels one structure."""

from __future__ import annotations

import hashlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from ase import Atoms
from jobflow import Job, Maker, Response, job
from numpy.typing import NDArray
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from hea_flows.alloy.lattice import Alloy, Ordering
from hea_flows.plugins import ENGINES
from hea_flows.provenance import settings_id
from hea_flows.reference.cost import LabelCost
from hea_flows.reference.document import Calculation, Outcome, label_document
from hea_flows.reference.options import checked_options
from hea_flows.runtime import OutOfTimeError
from hea_flows.runtime.continuation import continue_later
from hea_flows.schemas import AlloySpec, Document, LabelDoc, ModelSpec, StructureEntry
from hea_flows.settings import get_settings


def label_job(make: Callable[..., LabelDoc | Response[Any]]) -> Callable[..., Job]:
    """Decorate the ``make`` of a reference engine that takes more arguments than the base's."""
    decorated: Callable[..., Job] = job(make, data=LabelDoc.in_store(), output_schema=LabelDoc)
    return decorated


@dataclass
class ReferenceMaker(Maker, ABC):
    """Label a structure: an engine says `rule` and `compute`, the base does the rest.

    That is the start geometry with the host's periodicity, checks of the frames, a document of the
    outcome or of the failure, and the job that goes on after the time limit of a batch job. The
    fields are the engine's options in a campaign file. Another package adds an engine through the
    entry-point group ``hea_flows.engines``.

    Parameters
    ----------
    name
        Job name; its default is also the name of the engine in documents.
    calculation
        ``relax`` (atoms and the periodic directions of the cell, every step a frame) or ``static``.
    """

    #: Packages whose versions a label names.
    packages: ClassVar[tuple[str, ...]] = ()
    #: Accepted values of `calculation`.
    calculations: ClassVar[tuple[str, ...]] = ("relax", "static")

    name: str = "reference"
    calculation: Calculation = "relax"

    @abstractmethod
    def rule(self) -> dict[str, Any]:
        """Return all that makes two labels comparable, as plain values; nothing of one structure.

        Functional, cutoff, density of k-points. Its hash is the settings id, and labels of
        different settings ids never mix. What it raises fails the job, not the label.
        """

    @abstractmethod
    def compute(self, atoms: Atoms, ordering: Ordering) -> Outcome:
        """Label one structure.

        Parameters
        ----------
        atoms
            Start geometry with the host's periodicity, atoms in the order of `Ordering.to_atoms`.
            It may be changed.
        ordering
            The decoration, and its host.

        Raises
        ------
        OutOfTimeError
            If the batch job ends too soon; another job goes on.
        MissingLabelError
            If the engine reads labels and has none. Any other error is the reason of a failed
            label.
        """

    @classmethod
    def from_options(cls, **options: Any) -> Self:  # noqa: ANN401  options of any engine
        """Return the Maker that the options of a campaign file describe; by default its fields.

        A class may take other options: keyword-only parameters of its own ``from_options``.
        """
        return cls(**options)

    @classmethod
    def with_options(cls, options: Mapping[str, object]) -> Self:
        """Return the Maker of `from_options`, after a look at the names and types of the options.

        Raises
        ------
        ValueError
            For an option that the engine does not have, or a value that is not of its type.
        """
        parameters = inspect.signature(cls.from_options).parameters.values()
        kw_only = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
        accepted = kw_only or [f.name for f in fields(cls) if f.init and f.name != "name"]
        if unknown := sorted(set(options) - set(accepted)):
            msg = (
                f"engine {cls.name!r} has no option {', '.join(unknown)}; "
                f"accepted: {', '.join(accepted)}"
            )
            raise ValueError(msg)
        own = cls.from_options if accepted is kw_only else cls
        # `check` says which calculations there are.
        typed = {key: value for key, value in options.items() if key != "calculation"}
        try:
            return cls.from_options(**{**options, **checked_options(cls.name, own, typed)})
        except (TypeError, AttributeError, LookupError, ArithmeticError) as error:
            msg = f"engine {cls.name!r} cannot take these options ({error})"
            raise ValueError(msg) from None

    @property
    def engine(self) -> str:
        """Name of the engine in documents."""
        return type(self).name

    @property
    def category(self) -> str:
        """FireWorks category: workers of this one take the jobs."""
        return type(self).name

    def check(self, alloy: AlloySpec) -> None:  # noqa: ARG002  for subclasses
        """Raise, in one line, what can be known before any structure of an alloy is labelled.

        Raises
        ------
        ValueError
            For a `calculation` that the engine does not have.
        """
        if self.calculation not in self.calculations:
            accepted = ", ".join(self.calculations)
            msg = f"{type(self).name}: calculation {self.calculation!r}; accepted: {accepted}"
            raise ValueError(msg)

    def identity(self) -> dict[str, Any] | None:
        """Return what the labels depend on, beside structure and start; None: never reuse them.

        By default all fields; the name does not count.
        """
        return {"fields": self}

    def estimate(self, ordering: Ordering, *, symmetric: bool = True) -> LabelCost | None:  # noqa: ARG002  for subclasses
        """Return what a label of a structure costs on one core; None if that is not known.

        Parameters
        ----------
        ordering
            The structure.
        symmetric
            Whether it starts from its ideal geometry; another one has lost its symmetry.
        """
        return None

    def end_point_cells(self, alloy: Alloy) -> dict[str, NDArray[np.float64]]:  # noqa: ARG002
        """Return the relaxed cells (Å) of end points that are known before anything is labelled."""
        return {}

    def missing(self, alloy: AlloySpec) -> list[str]:  # noqa: ARG002  for subclasses
        """Return what this machine lacks to label structures of an alloy, and what to do about it.

        A program, a licensed file, pseudopotentials: what another machine may have. Each is one
        line; nothing is computed or downloaded.
        """
        return []

    @property
    def potential(self) -> ModelSpec | None:
        """The potential that labels; None if none does."""
        return None

    def unlabelled(self, orderings: Sequence[Ordering]) -> list[Ordering]:  # noqa: ARG002  for subclasses
        """Return the structures of which it is known that there will be no label."""
        return []

    def frames(self, ordering: Ordering) -> int | None:
        """Return how many frames the label of a structure will have; None if that is not known."""
        if self.calculation == "static":
            return 1
        cost = self.estimate(ordering)
        return None if cost is None else cost.steps

    @label_job
    def make(
        self,
        structure: StructureEntry,
        alloy: AlloySpec,
        source: Document | None = None,
        start: Structure | None = None,
    ) -> LabelDoc | Response[Any]:
        """Label one structure.

        Where the time limit of a batch job is near, the job is replaced by one that goes on.

        Parameters
        ----------
        structure, alloy
            The ordering and its host.
        source
            The structures document it comes from, or a reference to it; kept as provenance.
        start
            Start geometry; default the ideal structure at Vegard's lattice constant.
        """
        return self.label(structure, alloy, source, start)

    def label(
        self,
        structure: StructureEntry,
        alloy: AlloySpec,
        source: Document | None = None,
        start: Structure | None = None,
        **more: object,
    ) -> LabelDoc | Response[Any]:
        """Do the work of the job; see `make`."""
        ordering = structure.to_ordering(alloy.to_alloy())
        try:
            return label_document(
                lambda: self.compute(start_atoms(ordering, start), ordering, **more),
                structure=structure,
                alloy=alloy,
                engine=self.engine,
                rule=self.rule(),
                calculation="static" if self.calculation == "static" else "relax",
                source=source,
                packages=self.packages,
            )
        except OutOfTimeError:
            return continue_later(self, structure, alloy, source, start, **more)

    def scratch_folder(self, atoms: Atoms, ordering: Ordering) -> Path:
        """Return the folder on this machine in which a calculation goes on after it was stopped.

        It goes by settings id, structure and calculation, and by a start geometry that is not the
        ideal one.
        """
        name, ideal = str(self.calculation), ordering.to_atoms()
        start = atoms.cell.array.tobytes() + atoms.positions.tobytes()
        if start != ideal.cell.array.tobytes() + ideal.positions.tobytes():
            name = f"{name}-{hashlib.sha256(start).hexdigest()[:8]}"
        return get_settings().scratch_dir / settings_id(self.rule()) / ordering.id / name


def start_atoms(ordering: Ordering, start: Structure | None = None) -> Atoms:
    """Return a start geometry with the host's periodicity, which pymatgen does not keep.

    Raises
    ------
    ValueError
        If its atoms are not those of the ordering, in the same order.
    """
    ideal = ordering.to_atoms()
    if start is None:
        return ideal
    atoms = AseAtomsAdaptor.get_atoms(start, msonable=False)
    if atoms.get_chemical_symbols() != ideal.get_chemical_symbols():
        msg = f"the start geometry has not the atoms of {ordering.formula}, or in another order"
        raise ValueError(msg)
    return Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=ideal.pbc)


def reference_engines() -> list[str]:
    """Return the names of all reference engines, installed or not."""
    return ENGINES.names()


def reference_engine(name: str) -> type[ReferenceMaker]:
    """Return the Maker class of a reference engine.

    Raises
    ------
    ValueError
        For an unknown name.
    ModuleNotFoundError
        If its package is not installed; the message names the extra.
    """
    maker: type[ReferenceMaker] = ENGINES.load(name)
    return maker
