"""Any Maker of atomate2, or in its manner, labels: its document becomes a label."""

from __future__ import annotations

import gzip
import hashlib
import inspect
import json
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from os.path import expandvars
from typing import Any, ClassVar, Self, cast

import numpy as np
from ase import Atoms
from atomate2 import SETTINGS as ATOMATE2
from jobflow import Flow, Job, Maker, Response
from monty.json import MontyDecoder, MontyEncoder
from pymatgen.core import Structure

from hea_flows.alloy.lattice import Ordering
from hea_flows.inputs import load_named, promised_files
from hea_flows.reference.atomate2.documents import converged, frames_of, versions
from hea_flows.reference.atomate2.execution import run_flow
from hea_flows.reference.base import ReferenceMaker
from hea_flows.reference.document import Calculation, Outcome
from hea_flows.reference.scratch import locked
from hea_flows.schemas import AlloySpec, Document, LabelDoc, StoredFile, StructureEntry

#: Fields of Makers that do not change what is computed: names, what is stored, how a code is run.
_NOT_SCIENCE = re.compile(
    r"@version|name|tags|device|use_device|store_\w+|ionic_step_data|task_document_kwargs|"
    r"stop_children_kwargs|(run|copy)_\w+_kwargs"
)
#: A geometry that moved further than this (Å) was relaxed.
_MOVED = 1e-4


@dataclass
class Atomate2Maker(ReferenceMaker):
    """Label a structure with a Maker of another package: of a job, or of a flow.

    The Maker's jobs run within the job of the label, one after the other, in the structure's folder
    in the scratch folder of the machine's settings: a label stays one job, one document and one
    unit of retry, found again by its uuid, and a job that fails becomes the reason of its label
    instead of a branch that a campaign waits for. Jobs that are done are kept, so that a label goes
    on with the next one after a killed worker or a time limit. The document in which the Maker ends
    is stored with the label.

    Parameters
    ----------
    name
        Job name.
    calculation
        ``relax`` or ``static``: what the Maker does.
    maker
        The Maker. jobflow's `update_maker_kwargs` and atomate2's powerups change it.
    sha256
        Promised checksum of the files that the Maker is given; see
        `hea_flows.inputs.promised_files`.
    """

    packages: ClassVar[tuple[str, ...]] = ("atomate2", "emmet-core", "pymatgen-core")

    name: str = "atomate2"
    calculation: Calculation = "relax"
    maker: Maker = None  # type: ignore[assignment]  # `from_options` makes it
    sha256: str | None = None

    def __post_init__(self) -> None:
        """Take the Maker as workers have it: JSON knows no tuples."""
        self.maker = json.loads(json.dumps(self.maker, cls=MontyEncoder), cls=MontyDecoder)

    @classmethod
    def from_options(  # type: ignore[override]  # its own options
        cls,
        *,
        maker: str,
        kwargs: Mapping[str, Any] | None = None,
        calculation: Calculation = "relax",
        sha256: str | None = None,
    ) -> Self:
        """Return the engine that the options of a campaign file describe.

        Parameters
        ----------
        maker
            ``module:Class`` of a Maker whose ``make`` takes a structure.
        kwargs
            Its arguments. Objects among them are written as monty writes them, with ``@module``,
            ``@class`` and their own arguments.
        calculation, sha256
            Fields of the engine.

        Raises
        ------
        ValueError, ModuleNotFoundError
            If there is no such class, it is no Maker, or does not take the arguments.
        """
        target = load_named(maker, "maker")
        if not (inspect.isclass(target) and issubclass(target, Maker)):
            msg = f"maker {maker!r} is no Maker of jobflow, but {target!r}"
            raise ValueError(msg)
        made = _construct(target, kwargs or {})
        return cls(calculation=calculation, maker=cast("Maker", made), sha256=sha256)

    def rule(self) -> dict[str, Any]:
        """Return the Maker's fields but for those that do not change what is computed.

        Files stand there by their checksums.
        """
        plain = json.loads(json.dumps(self.maker, cls=MontyEncoder))
        files = promised_files(plain, self.sha256, type(self.maker).__name__, "the options")
        return {"code": "atomate2", "maker": _science(plain, files)}

    def identity(self) -> dict[str, Any]:
        """Return the rule and the calculation: the rest of the fields changes no label."""
        return {"rule": self.rule(), "calculation": self.calculation}

    def check(self, alloy: AlloySpec) -> None:
        """Raise `ValueError` if the Maker makes no jobs of a structure, or no relaxation."""
        super().check(alloy)
        self.rule()
        kind = type(self.maker).__name__
        if self.calculation == "relax" and "static" in kind.lower() and "relax" not in kind.lower():
            msg = f"{kind} relaxes nothing by its name; add calculation: static to the options"
            raise ValueError(msg)
        self._jobs(alloy.to_alloy().primitive())

    def missing(self, alloy: AlloySpec) -> list[str]:  # noqa: ARG002  the same for all
        """Return the programs and packages of force fields that are not on this machine."""
        return [*_missing_programs(self.maker), *_missing_force_fields(self.maker)]

    def label(
        self,
        structure: StructureEntry,
        alloy: AlloySpec,
        source: Document | None = None,
        start: Structure | None = None,
        **more: object,
    ) -> LabelDoc | Response[Any]:
        """Do the work of the job; see `make`.

        Raises
        ------
        FileNotFoundError
            If this machine lacks what the Maker needs: a fault of the machine, which fails the job
            (to be run again) rather than the label.
        """
        for line in self.missing(alloy):
            raise FileNotFoundError(line)
        return super().label(structure, alloy, source, start, **more)

    def compute(self, atoms: Atoms, ordering: Ordering) -> Outcome:
        """Label one structure, or go on with it."""
        folder = self.scratch_folder(atoms, ordering)
        with locked(folder):
            document = run_flow(folder, lambda: self._jobs(atoms))
        frames = frames_of(document, atoms)
        shift = frames[-1].get_scaled_positions(wrap=False) - atoms.get_scaled_positions(wrap=False)
        moved = np.abs((shift - np.rint(shift)) @ atoms.cell.array).max()
        strained = np.abs(frames[-1].cell.array - atoms.cell.array).max()
        if self.calculation == "static" and max(moved, strained) > _MOVED:
            msg = (
                f"calculation: static, but {type(self.maker).__name__} moved atoms by "
                f"{moved:.3f} Å and the cell by {strained:.3f} Å; write calculation: relax"
            )
            raise ValueError(msg)
        good = converged(document) or self.calculation == "static"
        content = gzip.compress(json.dumps(document).encode(), mtime=0)
        return Outcome(
            frames,
            converged=good,
            code_versions=versions(document),
            directory=folder,
            task=StoredFile.from_bytes("taskdoc.json.gz", content),
        )

    def _jobs(self, atoms: Atoms) -> Job | Flow:
        """Return what the Maker makes of a geometry.

        Raises
        ------
        ValueError
            If that is neither a job nor a flow, or the Maker fails.
        """
        positions = atoms.get_scaled_positions(wrap=False)
        structure = Structure(atoms.cell.array, atoms.get_chemical_symbols(), positions)
        maker: Any = self.maker
        kind = type(maker).__name__
        try:
            made = maker.make(structure)
        except Exception as error:  # whatever another package raises
            msg = f"{kind} makes no jobs of a structure: {_line(error)}"
            raise ValueError(msg) from error
        if not isinstance(made, Job | Flow):
            msg = f"{kind}.make gives a {type(made).__name__}, neither a job nor a flow"
            raise ValueError(msg)  # noqa: TRY004  a wrong Maker in a file
        return made


def _construct(target: Any, arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401  any class
    """Return an object of a class, made of arguments that may hold objects to be made.

    Raises
    ------
    ValueError
        If the class does not take them.
    """
    parameters = inspect.signature(target).parameters
    unknown = sorted(set(arguments) - set(parameters))
    if unknown and not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        msg = (
            f"{target.__name__} has no argument {', '.join(unknown)}; "
            f"accepted: {', '.join(parameters)}"
        )
        raise ValueError(msg)
    made = {name: _made(value) for name, value in arguments.items()}
    try:
        return target(**made)
    except Exception as error:  # noqa: BLE001  whatever another package raises
        msg = f"{target.__name__} does not take its arguments: {_line(error)}"
        raise ValueError(msg) from None


def _made(value: object) -> object:
    if isinstance(value, list):
        return [_made(v) for v in value]
    if not isinstance(value, dict):
        return value
    if "@class" in value:
        target = load_named(f"{value.get('@module')}:{value['@class']}", "class")
        return _construct(target, {k: v for k, v in value.items() if not str(k).startswith("@")})
    if "@callable" in value:  # atomate2's form of a calculator, which it calls itself
        load_named(f"{value.get('@module')}:{value['@callable']}", "callable")
    return {k: _made(v) for k, v in value.items()}


def _science(value: object, files: Mapping[str, str]) -> object:
    """Return what is science; of the tables of an input set, pages long, the checksum."""
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if not _NOT_SCIENCE.fullmatch(str(k))}
        if (table := kept.pop("config_dict", None)) is not None:
            text = json.dumps(table, sort_keys=True)
            kept["config_sha256"] = hashlib.sha256(text.encode()).hexdigest()
        return {k: _science(v, files) for k, v in kept.items()}
    if isinstance(value, list):
        return [_science(v, files) for v in value]
    return files.get(value, value) if isinstance(value, str) else value


def _missing_programs(maker: Maker) -> Iterator[str]:
    """Yield the codes of atomate2 in a Maker whose command is not found."""
    text = json.dumps(maker, cls=MontyEncoder)
    for code in sorted(set(re.findall(r'"atomate2\.(\w+)\.jobs\.', text))):
        name = f"{code.upper()}_CMD"
        given = re.search(rf'"{code}_cmd": "([^"]+)"', text)
        command = given.group(1) if given else getattr(ATOMATE2, name, None)
        program = next(iter(shlex.split(expandvars(command or ""))), "")
        if program and shutil.which(program) is None:
            yield (
                f"the command {command!r} of {code} is not found on this machine; set {name} in "
                f"~/.atomate2.yaml (or ATOMATE2_{name}), or give this worker other categories"
            )


def _missing_force_fields(maker: Maker) -> Iterator[str]:
    """Yield the packages of force fields in a Maker that are not installed."""
    from atomate2.forcefields.utils import _get_pkg_name, _get_pkg_version

    for part in _parts(maker):
        meta = getattr(part, "calculator_meta", None)
        if meta and (package := _get_pkg_name(meta)) and _get_pkg_version(meta) is None:
            yield f"{type(part).__name__} needs the package {package}; install it"


def _parts(maker: Maker) -> Iterator[Maker]:
    yield maker
    for value in vars(maker).values():
        if isinstance(value, Maker):
            yield from _parts(value)


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"
