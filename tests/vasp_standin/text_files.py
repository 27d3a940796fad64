"""Write OUTCAR, OSZICAR, XDATCAR, CONTCAR and standard output as the run goes on."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vasp_standin import results
from vasp_standin.deck import Deck
from vasp_standin.results import IonicStep
from vasp_standin.vasprun_file import VERSION

_RULE = "-" * 104
_OSZICAR_HEAD = (
    "       N       E                     dE             d eps       ncg     rms          rms(c)"
)
REACHED = " reached required accuracy - stopping structural energy minimisation"


class TextFiles:
    """The text files of a run, flushed after every block."""

    def __init__(self, folder: Path, deck: Deck) -> None:
        self.folder, self.deck = folder, deck
        self.began = time.time()
        self.outcar = (folder / "OUTCAR").open("w")
        self.oszicar = (folder / "OSZICAR").open("w")
        self.xdatcar = (folder / "XDATCAR").open("w")
        (folder / "CONTCAR").write_text("")  # VASP opens it here and fills it after the first move
        self._outcar(*_outcar_head(deck))
        say(
            " POSCAR found type information on POSCAR: " + " ".join(deck.names),
            f" POSCAR found : {len(deck.counts):2d} types and {deck.n_atoms:7d} ions",
        )
        for number, poscar, potcar in deck.mismatches:
            say(
                " WARNING: type information on POSCAR and POTCAR are incompatible",
                " POTCAR overwrites the type information in POSCAR",
                f" type {number:4d} POSCAR={poscar:>4}   POTCAR={potcar:>4}",
            )
        if max(np.linalg.norm(deck.cell, axis=1)) > 50 and deck.incar.get("AMIN", 0.1) > 0.01:
            say(*box("One of the lattice vectors is very long (>50 A), but AMIN is rather large."))
        say(" POSCAR, INCAR and KPOINTS ok, starting setup", " entering main loop", _OSZICAR_HEAD)

    def _outcar(self, *lines: str) -> None:
        self.outcar.write("".join(f"{line}\n" for line in lines))
        self.outcar.flush()

    def begin_step(self) -> None:
        """Write OSZICAR's head of an ionic step."""
        self.oszicar.write(f"{_OSZICAR_HEAD}\n")
        self.oszicar.flush()

    def electronic_step(self, step: IonicStep, index: int) -> None:
        """Write one electronic step."""
        free = step.electronic[index]
        change = free - step.electronic[index - 1] if index else free
        line = f"DAV: {index + 1:3d}    {_fortran(free)}   {change:12.5E}  {change:12.5E}"
        line += f"{1392:6d}   {abs(change) ** 0.5:.3E}"
        self.oszicar.write(f"{line}\n")
        self.oszicar.flush()
        say(line)
        moment = float(np.sum(step.moments)) if self.deck.spins == 2 else 0.0
        head = f"Iteration {step.number:6d}({index + 1:4d})"
        shift = free - step.energies.free
        self._outcar(
            f"{'-' * 41} {head}  {'-' * 39}",
            "",
            "    POTLOK:  cpu time      0.0010: real time      0.0010",
            "     EDDAV:  cpu time      0.0010: real time      0.0010",
            "      LOOP:  cpu time      0.0020: real time      0.0020",
            "",
            " eigenvalue-minimisations  :  1392",
            f" total energy-change (2. order) :{change:15.7E}  ({change:15.7E})",
            f" number of electron  {self.deck.n_electrons:15.7f} magnetization {moment:15.7f}",
            f" augmentation part   {self.deck.n_electrons:15.7f} magnetization {moment:15.7f}",
            "",
            " Free energy of the ion-electron system (eV)",
            "  ---------------------------------------------------",
            f"  entropy T*S    EENTRO = {step.energies.entropy:18.8f}",
            f"  eigenvalues    EBANDS = {free - step.energies.entropy:18.8f}",
            "  ---------------------------------------------------",
            f"  free energy    TOTEN  = {free:18.8f} eV",
            "",
            f"  energy without entropy ={step.energies.without_entropy + shift:18.8f}"
            f"  energy(sigma->0) ={step.energies.zero + shift:18.8f}",
            "",
            "",
            _RULE,
            "",
            "",
        )

    def ionic_step(self, step: IonicStep, previous: float | None, seconds: float) -> None:
        """Write forces, stress and energies of an ionic step."""
        energies, moment = step.energies, float(np.sum(step.moments))
        change = energies.zero - (previous if previous is not None else 0.0)
        tail = f"  mag= {moment:10.4f}" if self.deck.spins == 2 else ""
        line = f"{step.number:4d} F= {_short(energies.free)} E0= {_short(energies.zero)}"
        line += f"  d E ={_short(change, 6)}{tail}"
        self.oszicar.write(f"{line}\n")
        self.oszicar.flush()
        say(line)
        end = "EDIFF is reached" if step.scf_converged else "EDIFF was not reached (unconverged)"
        self._outcar(
            "",
            f"{'-' * 24} aborting loop because {end} {'-' * 40}",
            "",
            f" E-fermi : {results.bands(self.deck).fermi:8.4f}     XC(G=0):  -9.4111     "
            "alpha+bet :-11.9788",
            "",
            *_per_ion("total charge", np.full(self.deck.n_atoms, 5.0)),
            *(_per_ion("magnetization (x)", step.moments) if self.deck.spins == 2 else []),
            *self._stress(step),
            *_forces(step),
            "",
            "  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)",
            "  ---------------------------------------------------",
            f"  free  energy   TOTEN  = {energies.free:18.8f} eV",
            "",
            f"  energy  without entropy={energies.without_entropy:18.8f}"
            f"  energy(sigma->0) ={energies.zero:18.8f}",
            "",
            f"     LOOP+:  cpu time {seconds:11.4f}: real time {seconds:11.4f}",
            "",
        )
        self._xdatcar(step)

    def _stress(self, step: IonicStep) -> list[str]:
        if self.deck.get("ISIF") < 2:
            return []
        order = ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (2, 0))
        kilobar = np.array([step.pressure[i, j] for i, j in order])
        total = kilobar * step.volume / results.KILOBAR
        return [
            "  FORCE on cell =-STRESS in cart. coord.  units (eV):",
            "  Direction    XX          YY          ZZ          XY          YZ          ZX",
            f"  {'-' * 86}",
            "  Total  " + _numbers(total, "12.5f"),
            "  in kB  " + _numbers(kilobar, "12.5f"),
            f"  external pressure = {kilobar[:3].mean():11.2f} kB  Pullay stress =        0.00 kB",
            "",
            "",
            " VOLUME and BASIS-vectors are now :",
            f" {'-' * 77}",
            f"  energy-cutoff  : {self.deck.get('ENCUT'):11.2f}",
            f"  volume of cell : {step.volume:11.2f}",
            *_lattice(step.cell),
            "",
        ]

    def _xdatcar(self, step: IonicStep) -> None:
        if step.number == 1 or self.deck.get("ISIF") == 3:
            counts = "".join(f"{n:6d}" for n in self.deck.counts)
            lines = [f"{self.deck.incar.get('SYSTEM', 'unknown system'):<40}", "           1"]
            lines += ["".join(f"{x:13.6f}" for x in row) for row in step.cell]
            lines += ["   " + "  ".join(s.element for s in self.deck.species), counts]
            self.xdatcar.write("".join(f"{line}\n" for line in lines))
        self.xdatcar.write(f"Direct configuration={step.number:6d}\n")
        for row in step.frac:
            self.xdatcar.write("".join(f"{x:13.8f}" for x in row) + "\n")
        self.xdatcar.flush()

    def contcar(self, cell: NDArray[np.float64], frac: NDArray[np.float64]) -> None:
        """Write the geometry of the next ionic step, or the last one if no move follows."""
        deck = self.deck
        lines = [f"{deck.comment:<40}", "   1.00000000000000     "]
        lines += ["  " + "".join(f"{x:22.16f}" for x in row) for row in cell]
        lines.append("   " + "".join(f"{s.element:<5}" for s in deck.species))
        lines.append("".join(f"{n:6d}" for n in deck.counts))
        lines += ["Selective dynamics"] if deck.selective else []
        lines.append("Direct")
        for row, free in zip(frac, deck.free, strict=True):
            flags = "".join(f"   {'T' if f else 'F'}" for f in free) if deck.selective else ""
            lines.append("".join(f"{x:20.16f}" for x in row) + flags)
        lines += ["", *["  0.00000000E+00  0.00000000E+00  0.00000000E+00"] * deck.n_atoms]
        (self.folder / "CONTCAR").write_text("\n".join(lines) + "\n")

    def note(self, line: str) -> None:
        """Write a line to OUTCAR and standard output."""
        self._outcar("", line)
        say(line)

    def end(self) -> None:
        """Write the accounting that closes OUTCAR."""
        seconds, user = time.time() - self.began, os.times()
        self._outcar(
            "",
            " General timing and accounting informations for this job:",
            " ========================================================",
            "",
            f"                  Total CPU time used (sec): {user.user + user.system:12.3f}",
            f"                            User time (sec): {user.user:12.3f}",
            f"                          System time (sec): {user.system:12.3f}",
            f"                         Elapsed time (sec): {seconds:12.3f}",
            "",
            "                   Maximum memory used (kb):       60000.",
            "                   Average memory used (kb):          N/A",
            "",
        )
        for stream in (self.outcar, self.oszicar, self.xdatcar):
            stream.close()


def say(*lines: str) -> None:
    """Write to standard output, at once."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def banner() -> list[str]:
    """Return the first lines of standard output."""
    return [
        " running    1 mpi-ranks, on    1 nodes",
        " distrk:  each k-point on    1 cores,    1 groups",
        " distr:  one band on    1 cores,    1 groups",
        f" vasp.{VERSION} stand-in (energies: CHGNet 0.3.0) complex",
    ]


def box(message: str) -> list[str]:
    """Return VASP's frame around an error."""
    rule = " " + "-" * 77 + " "
    lines = [f"|     {line:<72}|" for line in message.splitlines()]
    sick = "I REFUSE TO CONTINUE WITH THIS SICK JOB ... BYE!!!"
    return [rule, "|" + " " * 77 + "|", *lines, "|" + " " * 77 + "|", f"|{sick:^77}|", rule]


def _fortran(value: float) -> str:
    """Return Fortran's E20.12: the mantissa below one."""
    mantissa, exponent = f"{value:.11E}".split("E")
    digits = mantissa.replace(".", "").lstrip("-")
    sign = "-" if value < 0 else " "
    return f"{sign}0.{digits}E{int(exponent) + 1:+03d}"


def _short(value: float, digits: int = 8) -> str:
    """Return VASP's short energies: `-.22679477E+02`."""
    mantissa, exponent = f"{value:.{digits - 1}E}".split("E")
    sign = "-" if value < 0 else "0"
    figures = mantissa.replace(".", "").lstrip("-")
    power = int(exponent) + 1 if value else 0
    return f"{sign}.{figures}E{power:+03d}"


def _lattice(cell: NDArray[np.float64]) -> list[str]:
    reciprocal = np.linalg.inv(cell).T
    rows = zip(cell, reciprocal, strict=True)
    return [
        "      direct lattice vectors                 reciprocal lattice vectors",
        *("  " + "".join(f"{x:14.9f}" for x in (*a, *b)) for a, b in rows),
        "",
        "  length of vectors",
        "  "
        + "".join(
            f"{x:14.9f}"
            for x in (*np.linalg.norm(cell, axis=1), *np.linalg.norm(reciprocal, axis=1))
        ),
        "",
    ]


def _numbers(values: Iterable[float], form: str) -> str:
    """Format numbers as Fortran does, NaN included."""
    return "".join(f"{x:{form}}" for x in values).replace("nan", "NaN")


def _per_ion(title: str, values: NDArray[np.float64]) -> list[str]:
    rows = [f"{i:3d}        0.000   0.000{v:8.3f}{v:8.3f} " for i, v in enumerate(values, 1)]
    total = float(np.sum(values))
    return [
        "",
        f" {title}",
        " ",
        "# of ion       s       p       d       tot",
        "-" * 42,
        *rows,
        "-" * 42,
        f"tot          0.000   0.000{total:8.3f}{total:8.3f}",
        " ",
    ]


def _forces(step: IonicStep) -> list[str]:
    rows = zip(step.frac @ step.cell, step.forces, strict=True)
    rule = f" {'-' * 83}"
    drift = step.forces.sum(axis=0)
    return [
        " POSITION                                       TOTAL-FORCE (eV/Angst)",
        rule,
        *(
            "".join(f"{x:13.5f}" for x in r) + "   " + "".join(f"{x:14.6f}" for x in f)
            for r, f in rows
        ),
        rule,
        "    total drift:                          " + _numbers(drift, "14.6f"),
        "",
        _RULE,
        "",
    ]


def _outcar_head(deck: Deck) -> list[str]:
    lines = [
        f" vasp.{VERSION} stand-in (energies: CHGNet 0.3.0) complex",
        "",
        f" executed on             Linux date {time.strftime('%Y.%m.%d  %H:%M:%S')}",
        " running    1 mpi-ranks, on    1 nodes",
        "",
        _RULE,
        "",
        " INCAR:",
    ]
    lines += [f" POTCAR:    {s.titel}" for s in deck.species]
    for s in deck.species:
        lines += [
            f" POTCAR:    {s.titel}",  # a second time, as VASP does
            f"   VRHFIN ={s.element}:",
            f"   LEXCH  = {s.lexch}",
            f"   TITEL  = {s.titel}",
            f"   POMASS = {s.mass:8.3f}; ZVAL   = {s.valence:8.3f}    mass and valenz",
            f"   ENMAX  = {s.enmax:8.3f}; ENMIN  = {0.75 * s.enmax:8.3f} eV",
        ]
    spins, cut, points = deck.spins, deck.get("ENCUT"), len(deck.mesh.points)
    dimensions = (
        f"   k-points           NKPTS = {points:6d}   k-points in BZ     NKDIM = {points:6d}   "
        f"number of bands    NBANDS= {results.n_bands(deck):6d}"
    )
    lines += [
        "",
        f" POSCAR: {deck.comment}",
        "  positions in direct lattice",
        "",
        " Dimension of arrays:",
        dimensions,
        f"   number of dos      NEDOS =    301   number of ions     NIONS = {deck.n_atoms:6d}",
        "   total plane-waves  NPLWV =  32768",
        "   dimension x,y,z NGX =    32 NGY =   32 NGZ =   32",
        "   ions per type =            " + "".join(f"{n:4d}" for n in deck.counts),
        "",
        f" SYSTEM =  {deck.incar.get('SYSTEM', 'unknown system')}",
        f"   ISPIN  = {spins:6d}    spin polarized calculation?",
        "   LNONCOLLINEAR =      F non collinear calculations",
        "   LSORBIT =      F    spin-orbit coupling",
        f"   ENCUT  = {cut:6.1f} eV",
        f"   NELM   = {deck.get('NELM'):6d};   NELMIN=  2; NELMDL= -5     # of ELM steps ",
        f"   EDIFF  = {deck.get('EDIFF'):8.1E}   stopping-criterion for ELM",
        f"   EDIFFG = {deck.get('EDIFFG'):8.1E}   stopping-criterion for IOM",
        f"   NSW    = {deck.get('NSW'):6d}    number of steps for IOM",
        f"   IBRION = {deck.get('IBRION'):6d}    ionic relax: 0-MD 1-quasi-New 2-CG",
        f"   ISIF   = {deck.get('ISIF'):6d}    stress and relaxation",
        f"   NELECT = {deck.n_electrons:13.4f}    total number of electrons",
        f"   ISMEAR = {deck.get('ISMEAR'):6d};   SIGMA  = {deck.get('SIGMA'):6.2f}  broadening",
        "   LEPSILON=      F    determine dielectric tensor",
        "   LCHIMAG =      F    perturbation theory with respect to B field",
        "",
        *_lattice(deck.cell),
        " k-points in reciprocal lattice and weights: " + deck.mesh.comment,
    ]
    weighted = zip(deck.mesh.points, deck.mesh.weights, strict=True)
    lines += ["".join(f"{x:12.8f}" for x in k) + f"{w:12.3f}" for k, w in weighted]
    lines += ["", "", "", _RULE, "", ""]
    for number, k in enumerate(deck.mesh.points, 1):
        shown = "".join(f"{x:7.4f}" for x in k)
        lines.append(f" k-point {number:3d} :  {shown}  plane waves:    1067")
    return [
        *lines,
        "",
        " maximum and minimum number of plane-waves per node :      1067     1067",
        "",
        " maximum number of plane-waves:      1067",
        "",
        "",
        _RULE,
        "",
        "",
    ]
