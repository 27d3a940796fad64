"""A run of the stand-in, from the input to the last line of OUTCAR."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from vasp_standin import deck as decks
from vasp_standin import faults, results
from vasp_standin.client import Potential, PotentialError
from vasp_standin.deck import DeckError
from vasp_standin.potential import rounded
from vasp_standin.relaxation import Relaxation
from vasp_standin.results import IonicStep
from vasp_standin.text_files import REACHED, TextFiles, banner, box, say
from vasp_standin.vasprun_file import VasprunFile

_ZBRENT = (
    "ZBRENT: fatal error in bracketing\n"
    "please rerun with smaller EDIFF, or copy CONTCAR\n"
    "to POSCAR and continue"
)
_SEGFAULT = """\
forrtl: severe (174): SIGSEGV, segmentation fault occurred
Image              PC                Routine            Line        Source
vasp_std           000000000115D2B3  Unknown               Unknown  Unknown
"""
_ERROR, _SEGFAULT_CODE = 1, 174
#: An unconverged step is off by this, eV per atom, so that a label made of it shows.
UNCONVERGED_ERROR = 0.02


def main() -> int:
    """Run in the current folder; return the exit status."""
    began = faults.process_start()
    name = os.environ.get("VASP_STANDIN_DIR")
    if not name or not Path(name).is_dir():
        sys.stderr.write(
            f"VASP stand-in: VASP_STANDIN_DIR={name!r} is no folder; set it to the one that "
            "vasp_standin.environment.prepare() made\n"
        )
        return 2
    home, directory = Path(name), Path.cwd()
    plan = faults.read_plan(home)
    key = faults.match(plan, directory)
    launch = faults.count_launch(home, key) if key is not None else None
    fault = faults.chosen(plan[key], launch) if key is not None and launch else None
    entry = {"key": key, "directory": str(directory), "launch": launch, "fault": fault}
    faults.log(home, event="start", start=began, **entry)
    status, reason = Run(home, directory, fault or {}).run()
    now = time.time()
    faults.log(
        home, event="end", start=began, end=now, seconds=now - began, status=status,
        reason=reason, **entry,
    )  # fmt: skip
    return status


class Run:
    """One launch: its files, its potential and the fault that waits for it."""

    def __init__(self, home: Path, directory: Path, fault: dict[str, Any]) -> None:
        self.home, self.directory = home, directory
        self.kind = fault.get("kind")
        self.fault_step = int(fault.get("step", 1))
        self.once = bool(fault.get("once"))
        self.pause = float(os.environ.get("VASP_STANDIN_STEP_SECONDS", "0"))

    def run(self) -> tuple[int, str]:
        """Return the exit status and why the run ended."""
        say(*banner())
        if self.kind == "potcar_order":
            _swap_potcar(self.directory / "POTCAR")
        try:
            self.deck = decks.read(self.directory)
            self.text = TextFiles(self.directory, self.deck)
            self.xml = VasprunFile(self.directory, self.deck)
            self.potential = Potential(self.home)
            reason = self._relax()
        except DeckError as error:
            say(*box(str(error)))
            return _ERROR, "input"
        except PotentialError as error:
            say(*box(f"LAPACK: Routine ZPOTRF failed!\n(stand-in: {error})"))
            return _ERROR, "potential"
        except _StopError as stop:
            return stop.status, stop.reason
        if self.kind == "truncated":
            _cut(self.directory / "vasprun.xml")
        return 0, reason

    def _relax(self) -> str:
        deck, relaxation = self.deck, Relaxation(self.deck)
        longest = max(1, deck.get("NSW")) if deck.get("IBRION") > 0 else 1
        history: list[IonicStep] = []
        for number in range(1, longest + 1):
            before = history[-1].energies.zero if history else None
            began = time.time()
            step = self._evaluate(relaxation, number, history)
            change = None if before is None else step.energies.zero - before
            done = self._is_done(relaxation, step, change) and longest > 1
            stop = _stopcar(self.directory)
            last = done or bool(stop) or number == longest
            due = number == self.fault_step or (last and number < self.fault_step)
            if self.kind == "nan_forces" and due:
                nan = {"forces": step.forces * np.nan, "stress": step.stress * np.nan}
                step, done, last = replace(step, **nan), longest > 1, True
            shown = self._with_error(step, due=due or number > self.fault_step)
            self._write(shown, began, before, due=due)
            history.append(step)
            moved = not done and longest > 1
            if moved:
                self._move(relaxation, step, history)
            if self.kind == "zbrent" and due:
                self.text.contcar(*_geometry(relaxation))
                say(*box(_ZBRENT))
                raise _StopError(_ERROR, "zbrent")
            final = _geometry(relaxation) if moved else (step.cell, step.frac)
            self.text.contcar(*final)
            if last:
                self.xml.band_structure()
            self.xml.end_step()
            if last:
                break
        if done:
            self.text.note(REACHED)
        elif stop:
            self.text.note(f" {stop} stop encountered!  aborting job ...")
        self.text.end()
        self.xml.end(*final)
        return "converged" if done else f"{stop} stop" if stop else "NSW" if longest > 1 else "end"

    def _evaluate(self, relaxation: Relaxation, number: int, history: list[IonicStep]) -> IonicStep:
        """Evaluate the geometry as it will be written."""
        if self.kind == "ionic" and len(history) >= 4:  # to and fro: costs nothing
            known = history[-2]
            steps = results.electronic_steps(self.deck, known.energies.free, number, converged=True)
            return replace(known, number=number, electronic=steps)
        cell, frac = _geometry(relaxation)
        found = self.potential.evaluate(cell, frac, self.deck.symbols)
        energies = results.energies(self.deck, found["energy"])
        steps = results.electronic_steps(self.deck, energies.free, number, converged=True)
        return IonicStep(
            number, cell, frac, energies, found["forces"], found["stress"], found["magmoms"],
            steps, len(steps) < self.deck.get("NELM"),
        )  # fmt: skip

    def _is_done(self, relaxation: Relaxation, step: IonicStep, change: float | None) -> bool:
        if self.kind == "ionic":
            return False
        return relaxation.converged(step.forces, step.stress, change)

    def _move(self, relaxation: Relaxation, step: IonicStep, history: list[IonicStep]) -> None:
        if self.kind == "ionic" and len(history) >= 4:
            relaxation.override = (history[-2].cell, history[-2].frac)
        else:
            relaxation.move(step.forces, step.stress)

    def _with_error(self, step: IonicStep, *, due: bool) -> IonicStep:
        """Return an unconverged electronic step as it is written."""
        if self.kind != "electronic" or not due or (self.once and step.number > self.fault_step):
            return step
        zero = round(step.energies.zero + UNCONVERGED_ERROR * self.deck.n_atoms, 8)
        energies = results.energies(self.deck, zero)
        steps = results.electronic_steps(self.deck, energies.free, step.number, converged=False)
        return replace(step, energies=energies, electronic=steps, scf_converged=False)

    def _write(self, step: IonicStep, began: float, before: float | None, *, due: bool) -> None:
        self.xml.begin_step()
        self.text.begin_step()
        count = len(step.electronic)
        for index in range(count):
            if due and index == count // 2:
                self._strike()
            if self.pause:
                time.sleep(self.pause / count)
            self.text.electronic_step(step, index)
            self.xml.electronic_step(step, index, full=index in {0, count - 1})
        self.xml.ionic_step(step)
        self.text.ionic_step(step, before, time.time() - began)

    def _strike(self) -> None:
        """End here, in the middle of an ionic step, if that is the fault."""
        if self.kind == "sigkill":
            self._die()
        if self.kind == "walltime":
            if os.getppid() > 1:
                os.kill(os.getppid(), signal.SIGTERM)
            self._die()
        if self.kind == "crash":
            sys.stderr.write(_SEGFAULT)
            sys.stderr.flush()
            raise _StopError(_SEGFAULT_CODE, "crash")

    def _die(self) -> NoReturn:
        faults.log(self.home, event="killed", directory=str(self.directory), fault=self.kind)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


class _StopError(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


def _geometry(relaxation: Relaxation) -> tuple[Any, Any]:
    """Return cell and wrapped fractional coordinates to the digits that are written."""
    if relaxation.override is not None:
        return relaxation.override
    frac = rounded(relaxation.frac % 1.0)
    return rounded(relaxation.cell), np.where(frac >= 1.0, 0.0, frac)


def _stopcar(directory: Path) -> str:
    """Return `soft` or `hard` if STOPCAR asks for a stop; delete it unless it is read-only."""
    path = directory / "STOPCAR"
    if not path.exists():
        return ""
    text = path.read_text().upper().replace(" ", "")
    found = [(text.find(tag), kind) for tag, kind in (("LSTOP=", "soft"), ("LABORT=", "hard"))]
    for at, kind in found:
        if at >= 0 and text[at:].partition("=")[2].lstrip(".").startswith("T"):
            if path.stat().st_mode & 0o200:
                path.unlink()
            return kind
    return ""


def _swap_potcar(path: Path) -> None:
    """Exchange the first two pseudopotentials of POTCAR."""
    end = "End of Dataset\n"
    blocks = [block + end for block in path.read_text().split(end) if block.strip()]
    blocks[:2] = blocks[1::-1]
    path.write_text("".join(blocks))


def _cut(path: Path) -> None:
    os.truncate(path, int(path.stat().st_size * 0.6))
