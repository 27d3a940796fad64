"""VASP through atomate2 and custodian: Materials Project's settings, c fixed, resumable."""

from __future__ import annotations

import copy
import inspect
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os.path import expandvars
from pathlib import Path
from typing import Any, ClassVar, Self

from ase import Atoms
from atomate2 import SETTINGS as ATOMATE2
from atomate2.vasp.jobs.base import BaseVaspMaker
from atomate2.vasp.jobs.mp import MPGGARelaxMaker
from atomate2.vasp.run import run_vasp
from jobflow import CURRENT_JOB, Response
from pymatgen.core import Structure
from pymatgen.io.vasp.inputs import PotcarSingle
from pymatgen.io.vasp.sets import VaspInputSet

from hea_flows.alloy.lattice import Ordering
from hea_flows.reference.base import ReferenceMaker, label_job
from hea_flows.reference.document import Calculation, Outcome
from hea_flows.reference.options import Count
from hea_flows.reference.scratch import locked
from hea_flows.reference.vasp.potcars import judged_once
from hea_flows.reference.vasp.run import label
from hea_flows.reference.vasp.settings import as_rule, input_set, kpoints, potcar_symbols
from hea_flows.reference.vasp.task import Task
from hea_flows.schemas import AlloySpec, Document, LabelDoc, StructureEntry
from hea_flows.settings import get_settings

_STATIC = {"NSW": 0, "IBRION": -1}
_CELL_TAGS = {
    "LATTICE_CONSTRAINTS": [True, True, False],
    "IOPTCELL": "1 1 0 1 1 0 0 0 0",
}


def _relax_maker() -> BaseVaspMaker:
    return MPGGARelaxMaker(name="vasp", input_set_generator=input_set())  # type: ignore[arg-type]


@dataclass
class VaspMaker(ReferenceMaker):
    """Label a structure with VASP.

    It is composed of one of atomate2's Makers, so that atomate2's powerups
    (`update_user_incar_settings`, `update_custodian_handlers`, ...) work on it, on the jobs it
    makes and on whole flows. What they change in the physics makes another settings id.

    Attempts are kept in the scratch folder of the machine's settings, by settings id and structure:
    a job that was killed, or asked for again, goes on from the last whole ionic step.

    Parameters
    ----------
    name
        Job name.
    calculation
        ``relax`` (atoms and in-plane cell, every ionic step a frame) or ``static``.
    vasp
        atomate2's Maker; its input set holds everything but structure, k-points and what keeps c.
    mesh
        Γ-centred k-points of the primitive cell; supercells fold it. ``user_kpoints_settings`` of
        the input set win.
    passes
        Relaxations in a row. Each has a basis made for the cell that it starts from, so that the
        second removes the error of a basis that is fixed while the cell changes.
    """

    packages: ClassVar[tuple[str, ...]] = ("atomate2", "custodian", "pymatgen-core", "emmet-core")

    name: str = "vasp"
    calculation: Calculation = "relax"
    vasp: BaseVaspMaker = field(default_factory=_relax_maker)
    mesh: tuple[int, int, int] = (12, 12, 1)
    passes: int = 2

    def __post_init__(self) -> None:
        """Take the list that JSON and YAML make of a tuple."""
        self.mesh = (self.mesh[0], self.mesh[1], self.mesh[2])

    @classmethod
    def from_options(  # type: ignore[override]  # its own options
        cls,
        *,
        calculation: Calculation = "relax",
        incar: Mapping[str, Any] | None = None,
        mesh: tuple[Count, Count, Count] = (12, 12, 1),
        potcar_functional: str = "PBE",
        potcars: Mapping[str, str] | None = None,
        passes: Count = 2,
        run_vasp: Mapping[str, Any] | None = None,
    ) -> Self:
        """Return the Maker that the options of a campaign file describe.

        Parameters
        ----------
        calculation, mesh, passes
            Fields of the Maker.
        incar, potcar_functional, potcars
            See `hea_flows.reference.vasp.settings.input_set`.
        run_vasp
            Keyword arguments of `atomate2.vasp.run.run_vasp`, for example ``max_errors``.
        """
        generator: Any = input_set(
            incar=incar, potcar_functional=potcar_functional, potcars=potcars
        )
        vasp = MPGGARelaxMaker(
            name="vasp", input_set_generator=generator, run_vasp_kwargs=dict(run_vasp or {})
        )
        return cls(calculation=calculation, vasp=vasp, mesh=mesh, passes=passes)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Copy the Maker as every job does, but not the tables of its input set: none changes."""
        for name in ("config_dict", "_config_dict"):
            table = vars(self._inputs).get(name)
            memo[id(table)] = table
        new = object.__new__(type(self))
        memo[id(self)] = new
        vars(new).update(copy.deepcopy(vars(self), memo))
        return new

    def as_dict(self) -> dict[str, Any]:
        """Return the Maker as a job carries it.

        A table that the class of the input set gives to every instance is left out: it would be
        most of each job, and pymatgen does not read it back.
        """
        fields: dict[str, Any] = super().as_dict()
        if hasattr(self._inputs, "CONFIG"):
            fields["vasp"]["input_set_generator"].pop("config_dict", None)
        return fields

    @property
    def _inputs(self) -> VaspInputSet:
        inputs: VaspInputSet = self.vasp.input_set_generator
        return inputs

    def check(self, alloy: AlloySpec) -> None:
        """Raise `ValueError` for an element whose POTCAR is not settled, or an unknown argument."""
        super().check(alloy)
        accepted = list(inspect.signature(run_vasp).parameters)
        if unknown := sorted(set(self.vasp.run_vasp_kwargs) - set(accepted)):
            msg = f"run_vasp has no argument {', '.join(unknown)}; accepted: {', '.join(accepted)}"
            raise ValueError(msg)
        host = alloy.to_alloy()
        potcar_symbols(self._inputs, [*host.elements, *host.fixed_elements])

    def missing(self, alloy: AlloySpec) -> list[str]:
        """Return the program and the POTCARs, which need a licence, that are not there."""
        elements = [*alloy.elements, *alloy.to_alloy().fixed_elements]
        with judged_once():
            return list(_lacking(self.vasp, self._inputs, elements))

    def rule(self) -> dict[str, Any]:
        """Return what `settings.as_rule` makes of the input set and the mesh."""
        return as_rule(self._inputs, self.mesh)

    @label_job
    def make(
        self,
        structure: StructureEntry,
        alloy: AlloySpec,
        source: Document | None = None,
        start: Structure | None = None,
        prev_dir: str | Path | None = None,
    ) -> LabelDoc | Response[Any]:
        """Label one structure.

        Parameters
        ----------
        structure, alloy, source, start
            See `ReferenceMaker.make`.
        prev_dir
            Folder of an earlier calculation to start from, as atomate2 takes it.

        Raises
        ------
        FileNotFoundError
            If this machine has no VASP command or a POTCAR is missing: a fault of the machine,
            which fails the job (to be run again) rather than the label.
        """
        ordering = structure.to_ordering(alloy.to_alloy())
        elements = [*ordering.components, *ordering.alloy.fixed_elements]
        with judged_once():
            for line in _lacking(self.vasp, self._inputs, elements):
                raise FileNotFoundError(line)
        return self.label(structure, alloy, source, start, prev_dir=prev_dir)

    def compute(
        self, atoms: Atoms, ordering: Ordering, prev_dir: str | Path | None = None
    ) -> Outcome:
        """Label one structure, or go on with it."""
        task = Task(
            maker=self.maker_for(ordering),
            atoms=atoms,
            passes=self.passes if self.calculation == "relax" else 0,
            folder=self.scratch_folder(atoms, ordering),
            prev_dir=prev_dir,
            job=CURRENT_JOB.job.uuid if CURRENT_JOB.job else "",
        )
        with locked(task.folder), judged_once():
            return label(task)

    def maker_for(self, ordering: Ordering) -> BaseVaspMaker:
        """Return atomate2's Maker for one ordering: its mesh, and what keeps c or the atoms."""
        maker = copy.deepcopy(self.vasp)
        inputs: Any = maker.input_set_generator
        if not inputs.user_kpoints_settings:
            inputs.user_kpoints_settings = kpoints(ordering, self.mesh)
        own: dict[str, Any] = dict(_STATIC) if self.calculation == "static" else {}
        if ordering.alloy.host.layer:
            tag = get_settings().vasp_cell_tag
            own[tag] = _CELL_TAGS[tag]
        inputs.user_incar_settings = own | dict(inputs.user_incar_settings)
        return maker


def _lacking(maker: BaseVaspMaker, inputs: VaspInputSet, elements: Sequence[str]) -> Iterator[str]:
    """Yield what this machine lacks to run VASP: the program, POTCARs."""
    command = expandvars(maker.run_vasp_kwargs.get("vasp_cmd") or ATOMATE2.VASP_CMD)
    program = next(iter(shlex.split(command)), "")
    if shutil.which(program) is None:
        yield (
            f"VASP's command {command!r} is not found on this machine; set VASP_CMD in "
            "~/.atomate2.yaml (or ATOMATE2_VASP_CMD), or give this worker other categories"
        )
    functional = as_rule(inputs, (1, 1, 1))["potcar_functional"]
    for element, symbol in potcar_symbols(inputs, elements).items():
        try:
            PotcarSingle.from_symbol_and_functional(symbol, functional)
        except (OSError, ValueError) as error:
            problem = " ".join(str(error).split())
            yield (
                f"no POTCAR {symbol} ({functional}) for {element}: {problem} Set PMG_VASP_PSP_DIR "
                "in ~/.config/.pmgrc.yaml to the folder that `pmg config -p` made"
            )
