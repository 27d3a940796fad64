"""GPAW, an open-source plane-wave PBE engine, resumable after every ionic step."""

from __future__ import annotations

import shlex
import shutil
import time
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ase import Atoms

from hea_flows.alloy.lattice import Ordering
from hea_flows.reference.base import ReferenceMaker
from hea_flows.reference.cost import LabelCost
from hea_flows.reference.document import Calculation, Outcome
from hea_flows.reference.gpaw.command import GPAWCrashError, GPAWRunError, one_line, run_command
from hea_flows.reference.gpaw.cost import gpaw_cost, has_setup
from hea_flows.reference.gpaw.settings import GPAWSettings, check_functional
from hea_flows.reference.gpaw.steps import Task, compute_frames, read_steps
from hea_flows.reference.options import Count, Positive
from hea_flows.runtime import OutOfTimeError
from hea_flows.schemas import AlloySpec
from hea_flows.settings import get_settings

#: Starts of `gpaw_command` that may end without a word for one structure.
MAX_CRASHES = 3
#: Seconds before another: what ended the command may be about to end this worker.
_PAUSE = 2.0


@dataclass
class GPAWMaker(ReferenceMaker):
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
    settings
        What makes labels comparable: `GPAWSettings`, or those of its fields that are no default.
    fmax
        Convergence of a relaxation (eV/Å).
    max_steps
        Largest number of moves; a label that needs more is kept as unconverged.
    """

    packages: ClassVar[tuple[str, ...]] = ("gpaw", "gpaw-data")

    name: str = "gpaw"
    calculation: Calculation = "relax"
    settings: GPAWSettings = field(default_factory=GPAWSettings)
    fmax: Positive = 0.02
    max_steps: Count = 40

    def __post_init__(self) -> None:
        """Take the mapping that a campaign file has."""
        if not isinstance(self.settings, GPAWSettings):
            self.settings = GPAWSettings(**self.settings)

    def rule(self) -> dict[str, Any]:
        """Return the settings, with the versions of GPAW and its setups."""
        return self.settings.rule()

    def check(self, alloy: AlloySpec) -> None:
        """Raise if GPAW or its setups are not installed, or have not the functional.

        Raises
        ------
        ModuleNotFoundError, ValueError
            As `GPAWSettings.rule` and `check_functional` do.
        """
        super().check(alloy)
        self.rule()
        check_functional(self.settings.xc)

    def missing(self, alloy: AlloySpec) -> list[str]:
        """Return the program of `gpaw_command`, or the setups, that are not there."""
        command = get_settings().gpaw_command
        lines = [no_program(command)] if command and not has_program(command) else []
        host = alloy.to_alloy()
        elements = [*host.elements, *([host.anion] if host.anion else [])]
        if without := [e for e in elements if not has_setup(e)]:
            lines.append(
                f"GPAW has no setup of {', '.join(without)}; pip install gpaw-data, or set "
                "GPAW_SETUP_PATH"
            )
        return lines

    def estimate(self, ordering: Ordering, *, symmetric: bool = True) -> LabelCost:
        """Return what a label costs on one core; see `gpaw_cost`."""
        moves = 0 if self.calculation == "static" else self.max_steps
        return gpaw_cost(ordering, self.settings, max_moves=moves, symmetric=symmetric)

    def compute(self, atoms: Atoms, ordering: Ordering) -> Outcome:
        """Label one structure, or go on with it."""
        task = Task(
            ordering=ordering,
            start=atoms,
            settings=self.settings,
            directory=self.scratch_folder(atoms, ordering),
            static=self.calculation == "static",
            fmax=self.fmax,
            max_steps=self.max_steps,
        )
        return label(task)


def label(task: Task) -> Outcome:
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
    mesh = task.settings.k_points(task.ordering)
    return Outcome(
        frames,
        converged,
        reason=reason,
        corrections=crashes,
        inputs={
            "k_points": mesh.points.tolist(),
            "folded": mesh.folds,
            "spin_polarised": task.settings.spin_polarised(task.ordering),
            "start_moments": task.settings.start_moments(task.ordering),
        },
        directory=task.directory,
    )


def _run(command: str, task: Task, crashes: list[str]) -> tuple[list[Atoms], bool]:
    """Run the command until it says how it ended, but not for ever; add its crashes to a list."""
    if not has_program(command):
        raise FileNotFoundError(no_program(command))
    while True:
        try:
            return run_command(command, task)
        except GPAWCrashError as error:
            if len(crashes) == MAX_CRASHES - 1:
                raise
            crashes.append(f"{one_line(error)}; restarted from the last step")
            time.sleep(_PAUSE)


def has_program(command: str) -> bool:
    """Return whether the program of a command line is on this machine."""
    return shutil.which(_program(command)) is not None


def no_program(command: str) -> str:
    """Return what to say of a command whose program is not there."""
    return f"gpaw_command is {command!r}, and there is no program {_program(command)!r}"


def _program(command: str) -> str:
    return next(iter(shlex.split(command)), "")
