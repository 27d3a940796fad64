"""Runs of VASP that other people made, from vasprun.xml, OUTCAR or an atomate2 document."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from monty.io import zopen
from numpy.typing import NDArray
from pymatgen.io.vasp.inputs import Incar, Kpoints

from hea_flows.reference.vasp.files import Folder, WholePart, read_text
from hea_flows.reference.vasp.parse import (
    RELAXED,
    IonicStep,
    Vasprun,
    moments_of,
    voigt_stress,
    zero_energy,
)

_POINTS = re.compile(r"k-points in reciprocal lattice and weights:.*\n((?:[ ]*-?\d\S*.*\n)+)")
_TITLE = re.compile(r"TITEL\s*=\s*(\S.*?)\s*\n")
_ITERATION = re.compile(r"Iteration\s+(\d+)\(\s*(\d+)\)")


@dataclass(frozen=True)
class VaspInput:
    """What a run was asked for, as far as it makes labels comparable.

    Parameters
    ----------
    incar
        Tags that were given.
    titles
        Element to the title of its POTCAR, for example ``PAW_PBE Mo_pv 08Apr2002``.
    k_points
        Fractional coordinates and weight of each irreducible one, shape (n, 4).
    """

    incar: Mapping[str, Any]
    titles: Mapping[str, str]
    k_points: NDArray[np.float64]


@dataclass(frozen=True)
class VaspOutput:
    """The labelled steps of a run.

    Parameters
    ----------
    frames
        With their results, periodic in all directions, atoms in POSCAR's order.
    input
        None if the files do not say it.
    calculation
        None for molecular dynamics, displacements and the like.
    converged
        Whether the run met its criterion.
    remarks
        What is missing of it.
    version
        Of VASP.
    """

    frames: list[Atoms]
    input: VaspInput | None
    calculation: Literal["relax", "static"] | None
    converged: bool
    remarks: list[str] = field(default_factory=list)
    version: str = ""


def read_output(path: Path) -> VaspOutput:
    """Read a vasprun.xml or an OUTCAR, plain or compressed, as far as it is whole.

    OUTCAR, INCAR and the like count if they lie beside it under their own names.

    Raises
    ------
    ValueError
        If no ionic step of it is whole.
    OSError
        If it cannot be read.
    """
    try:
        return _of_outcar(path) if "OUTCAR" in path.name else _of_vasprun(path)
    except (UnicodeError, EOFError, LookupError, ArithmeticError) as error:
        msg = f"not readable: {' '.join(str(error).split()) or type(error).__name__}"
        raise ValueError(msg) from None


def _of_vasprun(path: Path) -> VaspOutput:
    with cast("Any", zopen(path, "rb")) as stream:
        run = Vasprun.read(WholePart(stream))
    if not run.steps:
        what = "without an ionic step" if run.whole else "cut before the first ionic step was whole"
        raise ValueError(what if run.version else "no output of VASP")
    outcar = ""
    if path.name.startswith("vasprun.xml"):
        outcar = read_text(Folder(path.parent), path.name.replace("vasprun.xml", "OUTCAR"))
    cutoff = {} if run.cutoff is None else {"ENCUT": run.cutoff}
    given = VaspInput(cutoff | run.incar, run.titles, run.k_points) if run.incar else None
    moments = moments_of(outcar, run.incar, len(run.symbols), len(run.steps))
    # Without an OUTCAR: VASP stops before NSW steps if a relaxation meets its criterion.
    relaxed = RELAXED in outcar if outcar else len(run.steps) < int(run.incar.get("NSW", 0))
    return _output(
        run.symbols, run.steps, moments, run.nelm, given, run.incar, relaxed, run.whole, run.version
    )


def _output(
    symbols: Sequence[str],
    steps: Sequence[IonicStep],
    moments: Sequence[NDArray[np.float64]] | None,
    nelm: int,
    given: VaspInput | None,
    incar: Mapping[str, Any],
    relaxed: bool,  # noqa: FBT001
    whole: bool,  # noqa: FBT001
    version: str,
) -> VaspOutput:
    frames, remarks = [], [] if whole else [f"cut after step {len(steps)}"]
    unsound = 0
    for number, step in enumerate(steps):
        results: dict[str, Any] = {"energy": step.energy, "free_energy": step.free_energy}
        results["forces"] = step.forces
        if np.isfinite(step.stress).all():
            results["stress"] = step.stress
        if moments is not None:
            results["magmoms"] = moments[number]
        numbers = (*results.values(), step.positions, step.cell)
        if step.electronic_steps >= nelm or not all(np.isfinite(x).all() for x in numbers):
            unsound += 1
            continue
        frame = Atoms(symbols, scaled_positions=step.positions, cell=step.cell, pbc=True)
        frame.calc = SinglePointCalculator(frame, **results)
        frames.append(frame)
    if unsound:
        remarks.append(f"{unsound} of {len(steps)} steps left out: not converged electronically")
    if not frames:
        raise ValueError(remarks[-1])
    calculation = _calculation(incar)
    last = not unsound or steps[-1].free_energy == frames[-1].calc.results["free_energy"]
    converged = whole and last and (calculation == "static" or relaxed)
    return VaspOutput(frames, given, calculation, converged, remarks, version)


def _calculation(incar: Mapping[str, Any]) -> Literal["relax", "static"] | None:
    steps = int(incar.get("NSW", 0))
    motion = int(incar.get("IBRION", -1 if steps <= 1 else 0))
    if steps <= 0 or motion == -1:
        return "static"
    return "relax" if motion in (1, 2, 3) else None


def _of_outcar(path: Path) -> VaspOutput:
    """Read an OUTCAR with ASE; INCAR and POTCAR's titles as far as they are there."""
    from ase.io import iread

    with cast("Any", zopen(path, "rb")) as stream:
        part = WholePart(stream)
        text = b"".join(iter(lambda: part.read(1 << 20), b"")).decode(errors="replace")
    frames: list[Atoms] = []
    reason = ""
    try:
        for atoms in iread(path, format="vasp-out"):
            frames.append(atoms)  # noqa: PERF402  those before an error count
    except Exception as error:  # noqa: BLE001  ASE raises of many kinds for what is cut
        reason = f": {' '.join(str(error).split()):.100}"
    if not frames:
        msg = f"no whole ionic step{reason}" if "vasp." in text[:2000] else "no output of VASP"
        raise ValueError(msg)
    beside = ""
    if path.name.startswith("OUTCAR"):
        beside = read_text(Folder(path.parent), path.name.replace("OUTCAR", "INCAR"))
    incar = dict(Incar.from_str(beside)) if beside else {}
    titles = {_element(title): title for title in _TITLE.findall(text)}
    match = _POINTS.search(text)
    rows = [row.split() for row in match[1].splitlines()] if match else []
    points = np.array([[float(x) for x in row[:4]] for row in rows if len(row) >= 4])
    if len(points):
        points[:, 3] /= points[:, 3].sum()
    given = VaspInput(incar, titles, points) if incar else None
    found = {name: _integer(text, name) for name in ("NSW", "IBRION", "NELM")}
    limit = found.pop("NELM") or 60
    electronic = {int(step): int(n) for step, n in _ITERATION.findall(text)}
    steps = [
        IonicStep(
            cell=a.cell.array,
            positions=a.get_scaled_positions(wrap=False),
            energy=float(a.calc.results["energy"]),
            free_energy=float(a.calc.results.get("free_energy", a.calc.results["energy"])),
            forces=np.asarray(a.calc.results["forces"]),
            stress=np.asarray(a.calc.results.get("stress", np.full(6, np.nan))),
            electronic_steps=electronic.get(number, 1),
        )
        for number, a in enumerate(frames, 1)
    ]
    moments = [a.calc.results.get("magmoms") for a in frames]
    return _output(
        frames[0].get_chemical_symbols(),
        steps,
        None if any(m is None for m in moments) else cast("Any", moments),
        limit,
        given,
        {k: v for k, v in found.items() if v is not None},
        RELAXED in text,
        "General timing and accounting" in text,
        (re.search(r"vasp\.(\S+)", text) or ["", ""])[1],
    )


def _element(title: str) -> str:
    words = title.split()
    return re.split(r"[_.]", words[1] if len(words) > 1 else words[0])[0]


def _integer(text: str, name: str) -> int | None:
    match = re.search(rf"\b{name}\s*=\s*(-?\d+)", text)
    return int(match[1]) if match else None


def is_vasp_task(document: Mapping[str, Any]) -> bool:
    """Return whether an output of a job is atomate2's document of VASP runs."""
    return isinstance(document.get("calcs_reversed"), list)


def read_task(document: Mapping[str, Any]) -> Iterator[VaspOutput]:
    """Yield the runs of an atomate2 task document of VASP, the first one first.

    Raises
    ------
    ValueError
        If one holds no ionic steps, for example because they were stored elsewhere.
    """
    for calculation in reversed(document["calcs_reversed"] or []):
        yield _of_calculation(calculation)


def _of_calculation(calculation: Mapping[str, Any]) -> VaspOutput:
    output, asked = calculation.get("output") or {}, calculation.get("input") or {}
    raw = output.get("ionic_steps")
    if not raw:
        msg = "holds no ionic steps; store them (TaskDoc keeps them unless a trajectory is stored)"
        raise ValueError(msg)
    incar = dict(Incar(asked.get("incar") or {}))
    spec = asked.get("potcar_spec") or []
    titles = {_element(e["titel"]): e["titel"] for e in spec if e.get("titel")}
    given = VaspInput(incar, titles, _points_of(asked.get("kpoints"))) if incar else None
    steps, moments = [], []
    symbols: list[str] = []
    for one in raw:
        if not one.get("structure") or one.get("forces") is None:
            continue
        structure = one["structure"]
        sites = (
            structure["sites"] if isinstance(structure, Mapping) else structure.as_dict()["sites"]
        )
        lattice = (
            structure["lattice"] if isinstance(structure, Mapping) else structure.lattice.as_dict()
        )
        symbols = [site["species"][0]["element"] for site in sites]
        electronic = one.get("electronic_steps") or []
        free = float(one["e_fr_energy"])
        last = electronic[-1] if electronic else {}
        if last.get("e_0_energy") is not None and last.get("e_fr_energy") is not None:
            energy = zero_energy(free, last["e_0_energy"], last["e_fr_energy"])
        else:
            energy = float(one["e_0_energy"])
        stress = one.get("stress")
        steps.append(
            IonicStep(
                cell=np.array(lattice["matrix"], dtype=float),
                positions=np.array([site["abc"] for site in sites], dtype=float),
                energy=energy,
                free_energy=free,
                forces=np.array(one["forces"], dtype=float),
                stress=np.full(6, np.nan) if stress is None else voigt_stress(np.array(stress)),
                electronic_steps=len(electronic),
            )
        )
        moments.append([(site.get("properties") or {}).get("magmom") for site in sites])
    known = all(m is not None for row in moments for m in row)
    whole = str(calculation.get("has_vasp_completed", "successful")).lower() in {
        "successful",
        "true",
        "taskstate.success",
    }
    nelm = int((asked.get("parameters") or {}).get("NELM") or incar.get("NELM", 60))
    if not steps:
        msg = "its ionic steps hold no structures and forces"
        raise ValueError(msg)
    return _output(
        symbols,
        steps,
        [np.array(m, dtype=float) for m in moments] if known else None,
        nelm,
        given,
        incar,
        len(raw) < int(incar.get("NSW", 0)),
        whole,
        str(calculation.get("vasp_version") or ""),
    )


def _points_of(given: object) -> NDArray[np.float64]:
    """Return the points and weights of a KPOINTS file, a Γ-centred mesh or a list; else none."""
    if given is None:
        return np.zeros((0, 4))
    kpoints = given if isinstance(given, Kpoints) else Kpoints.from_dict(dict(cast("Any", given)))
    if kpoints.style == Kpoints.supported_modes.Gamma:
        mesh = [int(x) for x in kpoints.kpts[0]]
        grid = np.array(list(np.ndindex(*mesh)), dtype=float) / mesh
        return np.hstack([grid, np.full((len(grid), 1), 1 / len(grid))])
    if kpoints.kpts_weights and len(kpoints.kpts_weights) == len(kpoints.kpts):
        weights = np.array(kpoints.kpts_weights, dtype=float)
        return np.column_stack([np.array(kpoints.kpts, dtype=float), weights / weights.sum()])
    return np.zeros((0, 4))
