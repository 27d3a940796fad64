"""Error and cost of relaxed energies of random decorations, against a tight relaxation with BFGS.

    python benchmarks/relaxed_energies.py
    python benchmarks/relaxed_energies.py --model chgnet model.pt SHA256 --size 10

Each relaxation begins at the ideal lattice. The response of the host is used to several aimed
errors, BFGS to several largest forces; errors are root mean squares, per cell.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray
from own_machine import load, print_table

from hea_flows.alloy.lattice import Alloy
from hea_flows.potentials import Prediction, RelaxedDecorations, evaluator, relax_many
from hea_flows.schemas import ModelSpec

ALLOY = Alloy(("Mo", "Ta", "Nb", "W", "V"))
A = 3.241
ERRORS, FORCES = (0.02, 0.005, 0.001), (0.05, 0.02, 0.01)
#: Largest force of the tight relaxation (eV/Å).
TIGHT = 0.003

Floats = NDArray[np.float64]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", nargs=3, metavar=("FAMILY", "PATH", "SHA256"))
    parser.add_argument("--size", type=int, default=5)
    parser.add_argument("--decorations", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(1)
    spec = ModelSpec(family="chgnet", name="0.3.0")
    if given.model:
        spec = ModelSpec(**dict(zip(("family", "path", "sha256"), given.model, strict=True)))
    plain, counted = evaluator(spec), [0]

    def evaluate(structures: Sequence[Atoms]) -> list[Prediction]:
        counted[0] += len(structures)
        return plain(structures)

    rng, n = np.random.default_rng(given.seed), given.size**2
    codes = np.array([rng.permutation(np.arange(n) % 5) for _ in range(given.decorations)])
    cell = np.diag([given.size, given.size, 1])
    decorations = RelaxedDecorations(evaluate, ALLOY, cell, A, error=1e-3, max_steps=50)
    rows = []

    def measured(name: str, energies: Callable[[], Floats]) -> Floats:
        counted[0], clock = 0, time.process_time()
        found = energies()
        spent = (time.process_time() - clock) / len(codes)
        rows.append((name, counted[0] / len(codes), spent, found))
        return found

    clock = time.process_time()
    starts = decorations.starts(codes)
    decorations.energies(codes[:1])
    print(f"{spec.title}, {given.size} × {given.size}, {given.decorations} random decorations")
    print(f"response of the host: {time.process_time() - clock:.0f} s of one core; {load()}")
    for error in ERRORS:
        decorations.error = error
        measured(f"response, {1e3 * error:g} meV", lambda: decorations.energies(codes))
    for fmax in FORCES:
        measured(f"BFGS, {fmax:g} eV/Å", lambda fmax=fmax: _bfgs(evaluate, starts, fmax))
    tight = measured(f"BFGS, {TIGHT:g} eV/Å", lambda: _bfgs(evaluate, starts, TIGHT))
    ideal = np.array([p.energy for p in plain(starts)])
    print(f"a relaxation gains {1e3 * np.mean(ideal - tight) / n:.1f} meV/unit in the mean")
    table = [
        (name, f"{count:.1f}", f"{seconds:.2f}", f"{1e3 * np.sqrt(np.mean((e - tight) ** 2)):.2f}")
        for name, count, seconds, e in rows
    ]
    print_table(("method", "evaluations", "CPU s", "error (meV per cell)"), table)


def _bfgs(
    evaluate: Callable[[Sequence[Atoms]], list[Prediction]], starts: Sequence[Atoms], fmax: float
) -> Floats:
    ends = relax_many(evaluate, starts, fmax=fmax, max_steps=1000)
    return np.array([end.atoms.get_potential_energy() if end.converged else np.nan for end in ends])


if __name__ == "__main__":
    main()
