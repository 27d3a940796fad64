"""Labelled frames from what VASP wrote, also from a run that was killed half-way."""

from __future__ import annotations

import re
import tarfile
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from ase.units import GPa
from numpy.typing import NDArray
from pymatgen.io.vasp.inputs import Incar

from hea_flows.reference.vasp.files import Archive, Files, Folder, WholePart, read_text

#: What OUTCAR says when the ionic relaxation met EDIFFG.
RELAXED = "reached required accuracy - stopping structural energy minimisation"
#: A table of moments in OUTCAR along one axis: its heading, and as many rows as are whole.
_TABLE = (
    r"magnetization \({}\)\s*\n# of ion.*\n-+[ ]*\n"
    r"((?:[ ]*\d+(?:[ ]+-?\d+\.\d+)+[ ]*\n)*)"
)


@dataclass(frozen=True)
class IonicStep:
    """One ionic step: Å, eV, eV/Å, eV/Å³ (ASE's sign and order); atoms in POSCAR's order.

    Parameters
    ----------
    cell, positions
        Vectors as rows, shape (3, 3); fractional, shape (N, 3).
    energy, free_energy
        Extrapolated to zero smearing; the one that the forces belong to.
    forces, stress
        Shapes (N, 3) and (6,).
    electronic_steps
        How many the SCF took.
    """

    cell: NDArray[np.float64]
    positions: NDArray[np.float64]
    energy: float
    free_energy: float
    forces: NDArray[np.float64]
    stress: NDArray[np.float64]
    electronic_steps: int

    @property
    def finite(self) -> bool:
        """Whether every number is one."""
        numbers = (self.energy, self.free_energy, self.forces, self.stress, self.positions)
        return all(bool(np.isfinite(x).all()) for x in numbers)


@dataclass(frozen=True)
class VaspRun:
    """What one start of VASP left behind.

    Parameters
    ----------
    incar, kpoints
        As VASP read them; empty where they are not whole.
    version
        Of VASP, empty if it did not get that far.
    symbols
        Element of each atom, by the POTCAR.
    steps
        Complete ionic steps.
    moments
        Magnetic moments of the atoms in each step (μB), (N,), or (N, 3) with spin-orbit coupling;
        None where they were not written.
    relaxed
        Whether the relaxation met its criterion.
    """

    incar: dict[str, Any]
    kpoints: str
    version: str = ""
    symbols: tuple[str, ...] = ()
    steps: tuple[IonicStep, ...] = ()
    moments: tuple[NDArray[np.float64], ...] | None = None
    relaxed: bool = False
    nelm: int = 60

    def sound(self, step: IonicStep) -> bool:
        """Whether a step is a label: finite numbers of a converged SCF."""
        return step.finite and step.electronic_steps < self.nelm


def read_runs(folder: Path) -> list[VaspRun]:
    """Return the runs of a folder in the order in which custodian started them.

    Custodian keeps the files of a run that it corrected in ``error.N.tar.gz``. What was read last
    is remembered as long as no file of it changes: a label asks for each run two or three times.
    """
    names = ("INCAR*", "KPOINTS*", "OUTCAR*", "vasprun.xml*", "error.*.tar.gz")
    paths = sorted(path for name in names for path in folder.glob(name))
    stats = [(path, path.stat()) for path in paths]
    return list(_runs(folder, tuple((p, s.st_ino, s.st_size, s.st_mtime_ns) for p, s in stats)))


@lru_cache(maxsize=4)
def _runs(folder: Path, files: tuple[Any, ...]) -> tuple[VaspRun, ...]:  # noqa: ARG001  the key
    archives = sorted(folder.glob("error.*.tar.gz"), key=lambda p: int(p.name.split(".")[1]))
    runs = []
    for path in archives:
        # An archive that custodian was killed in is cut; its files are still in the folder.
        with suppress(tarfile.TarError, EOFError, zlib.error):
            runs.append(_read(Archive.read(path)))
    return (*runs, _read(Folder(folder)))


def read_input(folder: Path) -> VaspRun | None:
    """Return the input that custodian was given, None if it is not there or not whole."""
    incar, kpoints = _input(Folder(folder), ".orig")
    return VaspRun(incar=incar, kpoints=kpoints) if incar else None


def _input(files: Files, suffix: str = "") -> tuple[dict[str, Any], str]:
    """Return the tags of INCAR and the text of KPOINTS; both empty if one is cut."""
    try:
        texts = [read_text(files, name + suffix, whole=True) for name in ("INCAR", "KPOINTS")]
    except EOFError:
        return {}, ""
    return dict(Incar.from_str(texts[0])), texts[1]


def _read(files: Files) -> VaspRun:
    incar, kpoints = _input(files)
    with files.open("vasprun.xml") as stream:
        vasprun = Vasprun.read(WholePart(stream))
    outcar = read_text(files, "OUTCAR")
    return VaspRun(
        incar=incar,
        kpoints=kpoints,
        version=vasprun.version,
        symbols=tuple(vasprun.symbols),
        steps=tuple(vasprun.steps),
        moments=moments_of(outcar, incar, len(vasprun.symbols), len(vasprun.steps)),
        relaxed=RELAXED in outcar,
        nelm=int(incar.get("NELM", 60)),
    )


@dataclass
class Vasprun:
    """A vasprun.xml as far as it is whole.

    Parameters
    ----------
    version, symbols, steps
        As in `VaspRun`.
    incar
        Tags that were given, by name.
    cutoff
        Of the plane waves (eV), also where it is that of the POTCARs; None if it is not there.
    nelm
        Most electronic steps of an ionic one.
    titles
        Element to the title of its POTCAR.
    k_points
        Fractional coordinates and weight of each irreducible one, shape (n, 4).
    whole
        Whether the file ends where VASP ends it.
    """

    version: str = ""
    symbols: list[str] = field(default_factory=list)
    steps: list[IonicStep] = field(default_factory=list)
    incar: dict[str, Any] = field(default_factory=dict)
    cutoff: float | None = None
    nelm: int = 60
    titles: dict[str, str] = field(default_factory=dict)
    k_points: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 4)))
    whole: bool = False

    @classmethod
    def read(cls, stream: WholePart) -> Vasprun:
        """Read a file up to where it is cut."""
        run = cls()
        with suppress(ET.ParseError):  # what follows was never written
            for _, element in ET.iterparse(stream, events=("end",)):  # noqa: S314  VASP's own file
                run._take(element)
        return run

    def _take(self, element: ET.Element) -> None:
        tag = element.tag
        if tag == "calculation":
            if (step := _step(element)) is not None:
                self.steps.append(step)
            element.clear()
        elif tag == "atominfo":
            rows = element.findall("array[@name='atoms']/set/rc")
            self.symbols = [(row[0].text or "").strip() for row in rows]
            types = element.findall("array[@name='atomtypes']/set/rc")
            texts = [[(c.text or "").strip() for c in row] for row in types]
            self.titles = {t[1]: " ".join(t[4].split()) for t in texts if len(t) > 4}
        elif tag == "incar":
            self.incar = {str(e.get("name")).strip(): _tag_value(e) for e in element}
        elif tag == "kpoints":
            lists = [_matrix(element, f"varray[@name='{x}']") for x in ("kpointlist", "weights")]
            if lists[0] is not None and lists[1] is not None:
                self.k_points = np.hstack([lists[0], lists[1]])
        elif tag == "i":
            self._take_value(element.get("name"), element.text or "")
        elif tag == "modeling":
            self.whole = True

    def _take_value(self, name: str | None, text: str) -> None:
        if name == "version":
            self.version = text.strip()
        elif name == "NELM":
            self.nelm = int(text)
        elif name == "ENMAX":
            self.cutoff = _number(text)


def _tag_value(element: ET.Element) -> Any:  # noqa: ANN401  tags are of any type
    """Return the value of a tag of INCAR, by the type that VASP says it has."""
    text, kind = (element.text or "").strip(), element.get("type", "float")
    if kind == "string":
        return text
    readers: Mapping[str, Callable[[str], Any]] = {"logical": _true, "int": int}
    read = readers.get(kind, _number)
    values = [read(word) for word in text.split()]
    return values if element.tag == "v" else (values[0] if values else "")


def _true(word: str) -> bool:
    return word.upper().startswith("T")


def _step(element: ET.Element) -> IonicStep | None:
    cell = _matrix(element, "structure/crystal/varray[@name='basis']")
    positions = _matrix(element, "structure/varray[@name='positions']")
    forces = _matrix(element, "varray[@name='forces']")
    stress = _matrix(element, "varray[@name='stress']")
    energies = element.find("energy")
    scf = element.findall("scstep")
    if cell is None or positions is None or forces is None or energies is None or not scf:
        return None
    free = _energy(energies, "e_fr_energy")
    last = scf[-1].find("energy")
    if last is not None and last.find("i[@name='e_0_energy']") is not None:
        energy = zero_energy(free, _energy(last, "e_0_energy"), _energy(last, "e_fr_energy"))
    else:
        energy = _energy(energies, "e_0_energy")
    voigt = np.full(6, np.nan) if stress is None else voigt_stress(stress)
    return IonicStep(cell, positions, energy, free, forces, voigt, len(scf))


def zero_energy(free: float, last_zero: float, last_free: float) -> float:
    """Return the energy of an ionic step, extrapolated to zero smearing (eV).

    The step's own e_0_energy is wrong in several versions of VASP (their forum's topic 16942;
    pymatgen's Vasprun.final_energy): the last SCF step's distance from the free energy is right.
    """
    return round(free + last_zero - last_free, 8)


def voigt_stress(stress: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a stress of VASP's (kB, its sign, shape (3, 3)) as ASE has it (eV/Å³, shape (6,))."""
    sigma = -0.1 * GPa * (stress + stress.T) / 2
    return np.array([sigma[i] for i in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))])


def _energy(element: ET.Element, name: str) -> float:
    return _number(element.findtext(f"i[@name='{name}']", "nan"))


def _matrix(element: ET.Element, path: str) -> NDArray[np.float64] | None:
    table = element.find(path)
    if table is None:
        return None
    return np.array([[_number(x) for x in (v.text or "").split()] for v in table.findall("v")])


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")  # VASP writes asterisks where a number does not fit


def moments_of(
    outcar: str, incar: Mapping[str, Any], atoms: int, steps: int
) -> tuple[NDArray[np.float64], ...] | None:
    """Return the moments of every ionic step: numbers (N,), or vectors (N, 3) if noncollinear.

    None if one step's table ``magnetization (x)``, or (y) or (z), is missing or not whole.
    """
    if not (steps and atoms):
        return None
    vectors = incar.get("LSORBIT") or incar.get("LNONCOLLINEAR") or "magnetization (y)" in outcar
    columns = []
    for axis in "xyz" if vectors else "x":
        tables = [_column(rows) for rows in re.findall(_TABLE.format(axis), outcar)[:steps]]
        if len(tables) < steps or any(len(table) != atoms for table in tables):
            return None
        columns.append(np.array(tables))
    return tuple(np.stack(columns, axis=2)) if vectors else tuple(columns[0])


def _column(rows: str) -> list[float]:
    """Return the last column, ``tot``, of the rows of a table."""
    return [float(row.split()[-1]) for row in rows.splitlines()]
