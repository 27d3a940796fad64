"""GPAW, an open-source plane-wave PBE engine, resumable after every ionic step."""

from __future__ import annotations

import shlex
import shutil
import socket
import time
from dataclasses import dataclass, field, replace
from typing import Any

from ase import Atoms
from jobflow import Maker, Response, job
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from hea_flows.alloy.lattice import Ordering
from hea_flows.reference.base import LABEL_DATA, Calculation, Labelled, label_document
from hea_flows.reference.cost import LabelCost
from hea_flows.reference.gpaw.command import GPAWCrashError, GPAWRunError, one_line, run_command
from hea_flows.reference.gpaw.cost import gpaw_cost
from hea_flows.reference.gpaw.settings import GPAWRule
from hea_flows.reference.gpaw.steps import Task, compute_frames, read_steps
from hea_flows.runtime.walltime import OutOfTimeError
from hea_flows.schemas import AlloySpec, Document, LabelDoc, StructureEntry
from hea_flows.settings import get_settings

#: Starts of `gpaw_command` that may end without a word for one structure.
MAX_CRASHES = 3
#: Seconds before another: what ended the command may be about to end this worker.
_PAUSE = 2.0


@dataclass
class GPAWMaker(Maker):
    """Label a structure with GPAW.

    Steps are kept in the scratch folder of the machine's settings, by settings id and structure:
    a job that was killed, or asked for again, goes on from the last saved step. GPAW runs in the
    worker's process, or by the command that the machine's settings name (`gpaw_command`).

    Parameters
    ----------
    name
        Job name.
    calculation
        ``relax`` (atoms and in-plane cell, every ionic step a frame) or ``static``.
    rule
        Settings; their hash is the settings id of the label.
    fmax
        Convergence of a relaxation (eV/Å).
    max_steps
        Largest number of moves; a label that needs more is kept as unconverged.
    """

    name: str = "gpaw"
    calculation: Calculation = "relax"
    rule: GPAWRule = field(default_factory=GPAWRule)
    fmax: float = 0.02
    max_steps: int = 40

    def check(self, alloy: AlloySpec) -> None:  # noqa: ARG002  the same for every alloy
        """Raise `ModuleNotFoundError` if GPAW or its setups are not installed."""
        self.rule.as_rule()

    def estimate(self, ordering: Ordering, *, symmetric: bool = True) -> LabelCost:
        """Return what a label of a structure costs on one core.

        Parameters
        ----------
        ordering
            The structure.
        symmetric
            Whether it starts from its ideal geometry; another one has lost its symmetry.
        """
        moves = 0 if self.calculation == "static" else self.max_steps
        return gpaw_cost(ordering, self.rule, max_moves=moves, symmetric=symmetric)

    @job(data=LABEL_DATA, output_schema=LabelDoc)
    def make(
        self,
        structure: StructureEntry,
        alloy: AlloySpec,
        source: Document | None = None,
        start: Structure | None = None,
    ) -> LabelDoc | Response[Any]:
        """Label one structure; see `hea_flows.reference.base.ReferenceEngine`.

        Where the time limit of a batch job is near, the job is replaced by one that goes on.
        """
        ordering = structure.to_ordering(alloy.to_alloy())
        folder = get_settings().scratch_dir / self.rule.id / structure.structure_id
        task = Task(
            ordering=ordering,
            start=ordering.to_atoms() if start is None else _layer(start, ordering),
            rule=self.rule,
            directory=folder / self.calculation,
            static=self.calculation == "static",
            fmax=self.fmax,
            max_steps=self.max_steps,
        )
        try:
            return label_document(
                lambda: label(task),
                structure=structure,
                alloy=alloy,
                engine="gpaw",
                rule=self.rule.as_rule(),
                calculation=self.calculation,
                source=source,
                packages=("gpaw", "gpaw-data"),
            )
        except OutOfTimeError:
            # jobflow adds to the name what it added to this job's, and its place in the queue.
            bare = replace(self, name=type(self).name)
            return Response(replace=bare.make(structure, alloy, source, start))


def label(task: Task) -> Labelled:
    """Label a structure; frames that came before a failure are kept.

    Raises
    ------
    OutOfTimeError
        If the time limit of the batch job is too near for another step.
    """
    command = get_settings().gpaw_command
    reason = None
    crashes: list[str] = []
    try:
        if command is None:
            frames, converged = compute_frames(task)
        else:
            frames, converged = _run(command, task, crashes)
    except OutOfTimeError:
        raise
    except Exception as error:  # noqa: BLE001  whatever GPAW raises is the reason of this label
        kind = "" if isinstance(error, GPAWRunError) else f"{type(error).__name__}: "
        reason = kind + one_line(error)
        frames, converged = read_steps(task.directory), False
    mesh = task.rule.k_points(task.ordering)
    return Labelled(
        frames,
        converged,
        reason=reason,
        corrections=crashes,
        inputs={
            "k_points": mesh.points.tolist(),
            "folded": mesh.folds,
            "spin_polarised": task.rule.spin_polarised(task.ordering),
            "start_moments": task.rule.start_moments(task.ordering),
        },
        directory=f"{socket.gethostname()}:{task.directory}",
    )


def _run(command: str, task: Task, crashes: list[str]) -> tuple[list[Atoms], bool]:
    """Run the command until it says how it ended, but not for ever; add its crashes to a list."""
    program = next(iter(shlex.split(command)), "")
    if shutil.which(program) is None:
        msg = f"gpaw_command is {command!r}, and there is no program {program!r}"
        raise FileNotFoundError(msg)
    while True:
        try:
            return run_command(command, task)
        except GPAWCrashError as error:
            if len(crashes) == MAX_CRASHES - 1:
                raise
            crashes.append(f"{one_line(error)}; restarted from the last step")
            time.sleep(_PAUSE)


def _layer(structure: Structure, ordering: Ordering) -> Atoms:
    atoms = AseAtomsAdaptor.get_atoms(structure, msonable=False)
    atoms.pbc = ordering.alloy.pbc
    return Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
