"""How long a model takes on this machine, measured in a second or two."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from threadpoolctl import threadpool_limits

from hea_flows.alloy.lattice import Alloy, Ordering
from hea_flows.alloy.sets import supercell_matrix
from hea_flows.potentials.base import family
from hea_flows.potentials.lattice_energies import decoration_energies
from hea_flows.schemas import ModelSpec

#: Cells that are evaluated together, about as large as those of most sets, and how many.
_SMALL, _CELLS = {True: "2x2", False: "2x2x1"}, 10
#: Cell whose decorations are evaluated on the ideal lattice, and how many.
_LARGE, _DECORATIONS = {True: "6x6", False: "3x3x3"}, 4
#: The quicker of so many repetitions counts: the first one is slower.
_REPEATS = 3


@dataclass(frozen=True)
class Timing:
    """Times of a model for one atom on this machine (s): of a core on a CPU, else of the device.

    Parameters
    ----------
    evaluation
        Energy, forces and stress, as of relaxations and comparisons.
    lattice
        Energy on the ideal lattice, as of Monte Carlo.
    """

    evaluation: float
    lattice: float


def measure(spec: ModelSpec, alloy: Alloy, *, device: str = "cpu") -> Timing | None:
    """Return the times of a model, as it is or untrained; None if the family has no untrained one.

    Parameters
    ----------
    spec
        The model, its file on this machine; or a family to train from scratch.
    alloy
        The host.
    device
        Where the model runs.
    """
    large = _cell(alloy, _LARGE)
    cells = [_cell(alloy, _SMALL, first).to_atoms() for first in range(_CELLS)]
    with tempfile.TemporaryDirectory() as folder:
        model: ModelSpec | None = spec
        if not spec.pretrained:
            model = family(spec.family).untrained(
                spec, [_labelled(cell) for cell in cells], Path(folder) / "model.pt"
            )
        if model is None:
            return None
        evaluate = family(model.family).evaluator(model, device=device)
        # The time of a core does not depend on what else the machine does; threads that wait for
        # each other would count as work.
        clock = time.process_time if device == "cpu" else time.perf_counter
        with threadpool_limits(1):
            evaluation = _seconds(lambda: evaluate(cells), clock) / sum(map(len, cells))
            energies = decoration_energies(
                model,
                alloy,
                large.supercell,
                large.lattice_constant(),
                mode="fixed lattice",
                device=device,
            )
            codes = np.tile([alloy.elements.index(s) for s in large.species], (_DECORATIONS, 1))
            total = _seconds(lambda: energies.energies(codes), clock)
        lattice = total / (_DECORATIONS * large.n_atoms)
    return Timing(evaluation, lattice)


def _cell(alloy: Alloy, sizes: dict[bool, str], first: int = 0) -> Ordering:
    """Return a cell that holds the elements in turn, beginning with one of them."""
    matrix = supercell_matrix(alloy, sizes[alloy.host.layer])
    sites = range(alloy.n_sites(matrix))
    species = tuple(alloy.elements[(first + k) % len(alloy.elements)] for k in sites)
    return Ordering(alloy, matrix, species)


def _labelled(atoms: Atoms) -> Atoms:
    """Return a frame with results of nothing, which an untrained model can be scaled to."""
    results = {"energy": 0.0, "forces": np.zeros((len(atoms), 3)), "stress": np.zeros(6)}
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def _seconds(work: Callable[[], object], clock: Callable[[], float]) -> float:
    times = []
    for _ in range(_REPEATS):
        begun = clock()
        work()
        times.append(clock() - begun)
    return min(times)
