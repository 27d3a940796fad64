"""Runs on the host lattice: which structure each one is of, its atoms in the order of the sites."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import chemical_symbols
from ase.stress import full_3x3_to_voigt_6_stress, voigt_6_to_full_3x3_stress
from numpy.typing import NDArray
from pymatgen.core import Element

from hea_flows.alloy.clusters import decoration_of, site_order
from hea_flows.alloy.lattice import PROTOTYPES, Alloy, Ordering, max_force
from hea_flows.inputs import shown
from hea_flows.reference import Calculation
from hea_flows.results.importing.runs import Run

#: A cell whose stress (eV/Å³) in the periodic directions is smaller is relaxed: 5 kbar.
RELAXED_STRESS = 0.003


@dataclass(frozen=True)
class Placed:
    """A run as the label of a structure.

    Parameters
    ----------
    ordering
        The structure.
    frames
        Atoms in the order of `Ordering.to_atoms`, with the host's periodicity and orientation.
    calculation, converged, reason
        What the run is, whether it ended as asked for, and why it did not.
    """

    ordering: Ordering
    frames: list[Atoms]
    calculation: Calculation
    converged: bool
    reason: str | None = None


def alloy_elements(runs: Iterable[Run], prototype: str, anion: str | None) -> tuple[list[str], str]:
    """Return the elements that share the alloyed sites in the data, and the anion ('' for none).

    Parameters
    ----------
    runs
        The data.
    prototype
        The host.
    anion
        '' for none; None takes, where the host has one, the element of the most structures, of
        several the most electronegative.

    Raises
    ------
    ValueError
        If there is no such host, or no structure has the host's composition.
    """
    if prototype not in PROTOTYPES:
        msg = f"unknown prototype {shown(prototype)}; accepted: {', '.join(PROTOTYPES)}"
        raise ValueError(msg)
    per = PROTOTYPES[prototype].atoms_per_unit
    counts = [Counter(run.frames[0].get_chemical_symbols()) for run in runs]
    if anion is None:
        seen = Counter(symbol for one in counts for symbol in one)
        anion = max(seen, key=lambda s: (seen[s], _electronegativity(s))) if per > 1 else ""
    kept = [one for one in counts if one.total() == per * (one.total() - one[anion])]
    elements = {symbol for one in kept for symbol in one} - {anion}
    if not elements:
        tail = f"{anion}{f'{per - 1:g}' if per > 2 else ''}" if anion else ""
        msg = (
            f"no structure among {len(counts)} has the composition of {prototype} "
            f"(M{tail}); give --prototype and --anion"
        )
        raise ValueError(msg)
    return sorted(elements), anion


def _electronegativity(symbol: str) -> float:
    value = Element(symbol).X if symbol in chemical_symbols else 0.0
    return 0.0 if np.isnan(value) else float(value)


def place(
    alloy: Alloy, run: Run, *, fmax: float, calculation: Calculation | None = None
) -> Placed | str:
    """Return a run as a label of a structure, or why it is none.

    Parameters
    ----------
    alloy
        The host.
    run
        The run.
    fmax
        Largest force (eV/Å) of a relaxation that ended, where the source does not say it.
    calculation
        What runs are whose source does not say it; None: judged by their frames.
    """
    if not run.structure:
        return "neither a relaxation nor a single point"
    first = run.frames[0]
    try:
        ordering = decoration_of(alloy, first)
        order = site_order(ordering, first)
    except ValueError as error:
        return str(error)
    if any("stress" not in frame.calc.results for frame in run.frames):
        return "without stress, which labels of structures have"
    turn = _turn(ordering, first)
    frames = [_as_placed(frame, order, turn, alloy) for frame in run.frames]
    ended = run.converged
    if ended is None:
        ended = max_force(frames[-1]) <= fmax
    kind = run.calculation or calculation or _judged(frames, ended=ended)
    if kind is None:
        return "several frames that are no relaxation: the last is not the lowest, or has forces"
    if kind == "static":
        frames, ended = frames[-1:], run.converged is not False
    reason = None
    if kind == "relax" and ended and not _cell_relaxed(frames):
        ended, reason = (
            False,
            f"cell not relaxed: stress {_stress(frames[-1]):.4f} eV/Å³ at its end",
        )
    return Placed(ordering, frames, kind, ended, reason)


def _judged(frames: Sequence[Atoms], *, ended: bool) -> Calculation | None:
    """Return what frames are whose source does not say it."""
    energies = [frame.calc.results["energy"] for frame in frames]
    if (
        ended
        and energies[-1] <= min(energies) + 1e-9
        and (len(frames) > 1 or _cell_relaxed(frames))
    ):
        return "relax"
    return "static" if len(frames) == 1 else None


def _cell_relaxed(frames: Sequence[Atoms]) -> bool:
    """Return whether the cell was relaxed too: it changed on the way, or has no stress."""
    first, last = frames[0].cell.array, frames[-1].cell.array
    return not np.allclose(first, last, atol=1e-6) or _stress(frames[-1]) < RELAXED_STRESS


def _stress(frame: Atoms) -> float:
    """Return the largest component of the stress (eV/Å³) in the periodic directions."""
    k = int(np.sum(frame.pbc))
    full = voigt_6_to_full_3x3_stress(frame.calc.results["stress"])
    return float(np.abs(full[:k, :k]).max())


def _turn(ordering: Ordering, atoms: Atoms) -> NDArray[np.float64] | None:
    """Return the rotation (applied from the right) into the host's orientation; None: it has it.

    A cell whose vectors are those of the supercell up to a strain has it.
    """
    k = 2 if ordering.alloy.host.layer else 3
    ideal, own = ordering.to_atoms().cell.array, atoms.cell.array
    if k == 2:
        ideal, own = _with_normal(ideal), _with_normal(own)
    change = np.linalg.inv(own) @ ideal
    u, _, vt = np.linalg.svd(change)
    rotation: NDArray[np.float64] = u @ vt
    angle = np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1)))
    flat = k == 3 or np.abs(own[:2, 2]).max() < 1e-8
    return None if angle < 5.0 and flat else rotation


def _with_normal(cell: NDArray[np.float64]) -> NDArray[np.float64]:
    normal = np.cross(cell[0], cell[1])
    return np.vstack([cell[:2], normal / np.linalg.norm(normal)])


def _as_placed(
    frame: Atoms, order: NDArray[np.int64], turn: NDArray[np.float64] | None, alloy: Alloy
) -> Atoms:
    """Return a frame in order and orientation, a layer in one piece."""
    cell, positions = frame.cell.array, frame.positions[order]
    results: dict[str, Any] = dict(frame.calc.results)
    forces, stress = results["forces"][order], np.asarray(results["stress"])
    if turn is not None:
        cell, positions, forces = cell @ turn, positions @ turn, forces @ turn
        full = voigt_6_to_full_3x3_stress(stress)
        stress = full_3x3_to_voigt_6_stress(turn.T @ full @ turn)
    if alloy.host.layer:
        height = positions @ np.linalg.inv(cell)[:, 2]
        away = np.rint(height - height[0])  # the first atom is in the plane of the layer
        positions = positions - away[:, None] * cell[2] if away.any() else positions
    placed = Atoms(frame.symbols[order], positions, cell=cell, pbc=alloy.pbc)
    kept: dict[str, Any] = {k: results[k] for k in ("energy", "free_energy") if k in results}
    if "magmoms" in results:
        moments = np.asarray(results["magmoms"])[order]
        kept["magmoms"] = moments @ turn if turn is not None and moments.ndim == 2 else moments
    placed.calc = SinglePointCalculator(placed, **kept, forces=forces, stress=stress)
    return placed
