"""Runs of other people: consecutive frames of one structure, and what their file says of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from ase import Atoms

from hea_flows.alloy.lattice import from_nearest
from hea_flows.reference import extra_frames, load_dataset, read_card
from hea_flows.runtime.dialects import DialectError, take_labels
from hea_flows.runtime.extxyz import read_frames

if TYPE_CHECKING:
    from hea_flows.reference.vasp import VaspInput

_COMPRESSED = (".gz", ".xz", ".bz2")
_FRAMES = (".extxyz", ".xyz")
#: No atom of a relaxation moves farther in one step (Å).
_FARTHEST_STEP = 1.0


@dataclass(frozen=True)
class Run:
    """Labelled frames of one structure in the order of their steps.

    Parameters
    ----------
    source
        Where they are from: the file, and which run in it.
    frames
        With energy and forces, and stress and moments where there are any.
    calculation
        None where the source does not say it.
    converged
        Whether it met its criterion; None where the source does not say it.
    rule
        What makes labels comparable; None where the source does not say it.
    vasp
        Input of a run of VASP, which its rule follows from.
    structure
        Whether it may be a label of a structure; else it only trains.
    remarks
        What is missing of it.
    versions
        Of the code.
    """

    source: str
    frames: list[Atoms]
    calculation: Literal["relax", "static"] | None = None
    converged: bool | None = None
    rule: dict[str, Any] | None = None
    vasp: VaspInput | None = None
    structure: bool = True
    remarks: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Refused:
    """What cannot be used at all, and why."""

    source: str
    reason: str


def read_sources(paths: Sequence[Path]) -> Iterator[Run | Refused]:
    """Read files, and every output of VASP below folders.

    Parameters
    ----------
    paths
        vasprun.xml or OUTCAR, plain or compressed; extended XYZ; ASE databases (.db); cards of
        datasets (.json); folders.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder, or a folder holds no output of VASP.
    ValueError
        For a file of another kind.
    """
    for path in paths:
        if path.is_dir():
            files = sorted(_outputs_below(path))
            if not files:
                msg = f"{path} holds no vasprun.xml and no OUTCAR"
                raise FileNotFoundError(msg)
            for file in files:
                yield from _read(file, str(file.relative_to(path.parent)))
        elif path.is_file():
            yield from _read(path, path.name)
        else:
            msg = f"no file or folder at {path}"
            raise FileNotFoundError(msg)


def _plain(name: str) -> str:
    """Return a file's name without the suffix of its compression."""
    return name.rpartition(".")[0] if name.endswith(_COMPRESSED) else name


def _is_vasp(path: Path) -> bool:
    name = _plain(path.name)
    return "OUTCAR" in name or ("vasprun" in name and ".xml" in name)


def _outputs_below(folder: Path) -> Iterator[Path]:
    """Yield outputs of VASP; an OUTCAR only where there is no vasprun.xml of the same run."""
    for path in folder.rglob("*"):
        if not (path.is_file() and _is_vasp(path)):
            continue
        twin = _plain(path.name).replace("OUTCAR", "vasprun.xml")
        if twin != _plain(path.name) and any(
            path.with_name(twin + suffix).is_file() for suffix in ("", *_COMPRESSED)
        ):
            continue
        yield path


def _read(path: Path, source: str) -> Iterator[Run | Refused]:
    plain = _plain(path.name)
    if _is_vasp(path):
        yield _read_vasp(path, source)
    elif plain.endswith(_FRAMES):
        yield from _split(read_frames(path, needs=("energy", "forces")), source)
    elif plain.endswith(".db"):
        yield from _read_database(path, source)
    elif plain.endswith(".json"):
        yield from _read_dataset(path, source)
    else:
        msg = (
            f"{path.name}: accepted are vasprun.xml, OUTCAR, .extxyz, .xyz, all these with .gz, "
            ".xz or .bz2, ASE's .db, a dataset's .json, and folders"
        )
        raise ValueError(msg)


def _read_vasp(path: Path, source: str) -> Run | Refused:
    from hea_flows.reference.vasp import read_output

    try:
        output = read_output(path)
    except (ValueError, OSError) as error:
        return Refused(source, " ".join(str(error).split()))
    return Run(
        source=source,
        frames=output.frames,
        calculation=output.calculation,
        converged=output.converged,
        vasp=output.input,
        structure=output.calculation is not None,
        remarks=output.remarks,
        versions={"vasp": output.version.split()[0]} if output.version else {},
    )


def _read_database(path: Path, source: str) -> Iterator[Run | Refused]:
    """Yield the runs of an ASE database, rows in the order of their ids."""
    from ase.db import connect

    frames: list[Atoms] = []
    with connect(path) as database:
        for row in database.select():
            atoms = row.toatoms()
            try:
                take_labels(atoms, ("energy", "forces"))
            except DialectError as error:
                yield Refused(f"{source}, row {row.id}", str(error))
                continue
            frames.append(atoms)
    yield from _split(frames, source)


def _read_dataset(path: Path, source: str) -> Iterator[Run]:
    """Yield the labels of a dataset, and its other frames."""
    card, trajectories = load_dataset(path)
    for (structure, calculation), frames in trajectories.items():
        yield Run(
            f"{source}, {structure}",
            frames,
            "relax" if calculation == "relax" else "static",
            converged=bool(frames[-1].info["converged"]),
            rule=card.settings,
        )
    if read_card(path).extra is not None:
        for number, frame in enumerate(extra_frames(path)[1], 1):
            yield Run(f"{source}, extra {number}", [frame], rule=card.settings, structure=False)


def _split(frames: Sequence[Atoms], source: str) -> Iterator[Run]:
    """Yield runs: consecutive frames in which the same atoms have moved by little."""
    runs: list[list[Atoms]] = []
    for frame in frames:
        if runs and _goes_on(runs[-1][-1], frame):
            runs[-1].append(frame)
        else:
            runs.append([frame])
    first = 1
    for run in runs:
        last = first + len(run) - 1
        where = f"frame {first}" if first == last else f"frames {first}-{last}"
        first = last + 1
        yield Run(f"{source}, {where}", run)


def _goes_on(before: Atoms, after: Atoms) -> bool:
    """Return whether a frame may be the next step of the run of another."""
    if before.get_chemical_symbols() != after.get_chemical_symbols():
        return False
    if not np.allclose(before.cell.array, after.cell.array, rtol=0.1, atol=0.1):
        return False
    change = from_nearest(
        after.get_scaled_positions(wrap=False) - before.get_scaled_positions(wrap=False)
    )
    moved = np.linalg.norm(change @ after.cell.array, axis=1)
    return bool(moved.max(initial=0.0) < _FARTHEST_STEP)
