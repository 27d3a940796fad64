"""Relaxations of the 126 small cells of Model 4: batched, against ASE one by one, in one run.

One core, the same model, start geometries and thresholds for both. Times are CPU times, since
other programs may share the machine; the wall times stand beside them. The MACE is trained here
for a few epochs on CHGNet's answers, so that its relaxations behave; its energies mean nothing.

    python benchmarks/batched_relaxation.py --n 20         # two minutes
    python benchmarks/batched_relaxation.py
    python benchmarks/batched_relaxation.py --families chgnet --dtype float64
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from threadpoolctl import threadpool_limits

from hea_flows.alloy.mixing import count_matrix, fit_offsets
from hea_flows.alloy.prototypes import Alloy
from hea_flows.alloy.relaxation import relax
from hea_flows.alloy.sets import parse
from hea_flows.engines import potential as potentials
from hea_flows.engines.batched_relaxation import evaluator, relax_many
from hea_flows.engines.registry import family
from hea_flows.schemas import ModelSpec, TrainingSettings

_FMAX, _MAX_STEPS = 0.02, 100


@dataclass
class Clock:
    """CPU and wall time of a part, in s, and how often it ran."""

    cpu: float = 0.0
    wall: float = 0.0
    calls: int = 0

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with its time taken."""

        def run(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            cpu, wall = time.process_time(), time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.cpu += time.process_time() - cpu
                self.wall += time.perf_counter() - wall
                self.calls += 1

        return run


@dataclass
class Parts:
    """Times of the parts of a run."""

    whole: Clock = field(default_factory=Clock)
    graphs: Clock = field(default_factory=Clock)
    joining: Clock = field(default_factory=Clock)
    model: Clock = field(default_factory=Clock)

    @contextmanager
    def watch(self, kind: type) -> Iterator[None]:
        """Time the graphs of a class of potentials, and the passes of its model."""
        with (
            patch.object(kind, "prepare", self.graphs.timed(kind.prepare)),
            patch.object(kind, "collate", self.joining.timed(kind.collate)),
            patch.object(potentials, "predict", self.model.timed(potentials.predict)),
        ):
            yield

    def show(self, name: str, evaluations: int) -> None:
        """Print where the time went."""
        known = [("graphs", self.graphs), ("joining", self.joining), ("model", self.model)]
        rest = self.whole.cpu - sum(clock.cpu for _, clock in known)
        print(f"  {name}: {self.whole.cpu:.2f} s CPU ({self.whole.wall:.2f} s wall)")
        for part, cpu in [*((p, c.cpu) for p, c in known), ("optimizer and ASE", rest)]:
            each = 1e3 * cpu / evaluations
            print(f"    {part:18s} {cpu:8.2f} s  {each:6.2f} ms per structure and step")
        print(f"    passes of the model: {self.model.calls}, of structures: {evaluations}")


def main() -> None:
    """Relax with every family, both ways."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--n", type=int, default=126, help="structures of Model 4")
    arguments.add_argument("--families", nargs="+", default=["mace", "chgnet"])
    arguments.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    arguments.add_argument("--epochs", type=int, default=15, help="of the MACE's training")
    arguments.add_argument("--max-atoms", type=int, help="in a batch")
    given = arguments.parse_args()
    torch.set_num_threads(1)
    threadpool_limits(1)
    alloy = Alloy(("Mo", "Ta", "Nb", "W", "V"))
    cells = [o.to_atoms() for o in parse("model-4").build(alloy)]
    chosen = [cells[i] for i in np.linspace(0, len(cells) - 1, given.n).round().astype(int)]
    with tempfile.TemporaryDirectory() as folder:
        for name in given.families:
            spec = ModelSpec(family="chgnet", name="0.3.0", dtype=given.dtype)
            if name == "mace":
                spec = small_mace(cells, given.epochs, Path(folder))
                spec = spec.model_copy(update={"dtype": given.dtype})
            compare(spec, chosen, given.max_atoms)


def compare(spec: ModelSpec, cells: Sequence[Atoms], max_atoms: int | None) -> None:
    """Relax cells both ways; print times, the profile and how far the ends are apart."""
    calculator: Any = family(spec.family).calculator(spec)
    evaluate = evaluator(spec, max_atoms=max_atoms)
    evaluate(cells[:2])  # a first pass is slower
    calculator.get_potential_energy(cells[0].copy())
    ones, manys = Parts(), Parts()
    kind = type(calculator.potential)
    with ones.watch(kind):
        alone = ones.whole.timed(one_by_one)(cells, calculator)
    with manys.watch(kind):
        together = manys.whole.timed(relax_many)(evaluate, cells, fmax=_FMAX, max_steps=_MAX_STEPS)
    print(f"{spec.family} {spec.dtype}: {len(cells)} cells, {sum(map(len, cells))} atoms")
    ones.show("ASE one by one", sum(steps + 1 for _, steps, _ in alone))
    manys.show("batched", sum(r.steps + 1 for r in together))
    print(f"  ratio: {ones.whole.cpu / manys.whole.cpu:.2f} (CPU), ", end="")
    print(f"{ones.whole.wall / manys.whole.wall:.2f} (wall)")
    both = [
        (a, r.atoms)
        for (a, _, converged), r in zip(alone, together, strict=True)
        if converged and r.converged
    ]
    energy = max(abs(a.get_potential_energy() - b.get_potential_energy()) / len(a) for a, b in both)
    moved = max(abs(a.positions - b.positions).max() for a, b in both)
    same = sum(steps == r.steps for (_, steps, _), r in zip(alone, together, strict=True))
    print(
        f"  converged: {sum(x[2] for x in alone)} and {sum(r.converged for r in together)}; ",
        end="",
    )
    print(f"the same number of moves: {same} of {len(cells)}")
    print(f"  largest difference: {1e3 * energy:.1e} meV/atom, {moved:.1e} Å", flush=True)


def one_by_one(
    cells: Sequence[Atoms],
    calculator: Any,  # noqa: ANN401
) -> list[tuple[Atoms, int, bool]]:
    """Relax with ASE's filter and optimizer; return geometries, moves and convergence."""
    done = []
    for cell in cells:
        atoms, steps = cell.copy(), []
        atoms.calc = calculator
        converged = relax(atoms, fmax=_FMAX, max_steps=_MAX_STEPS, on_step=steps.append)
        energy = atoms.get_potential_energy()
        atoms.calc = SinglePointCalculator(atoms, energy=energy)
        done.append((atoms, len(steps) - 1, converged))
    return done


def small_mace(cells: Sequence[Atoms], epochs: int, folder: Path) -> ModelSpec:
    """Train the small MACE of `engines.mace_models` for a few epochs on CHGNet's answers."""
    rng = np.random.default_rng(0)
    frames = []
    for cell in (*cells[:40], *cells[40::5]):
        frame = cell.copy()
        strain = np.diag([*rng.uniform(0.98, 1.04, 2), 1.0])
        frame.set_cell(frame.cell.array @ strain, scale_atoms=True)
        frame.rattle(0.06, seed=len(frames))
        frames.append(frame)
    labels = family("chgnet").evaluate(ModelSpec(family="chgnet", name="0.3.0"), frames)
    symbols = [f.get_chemical_symbols() for f in frames]
    elements = sorted({s for names in symbols for s in names})
    counts = count_matrix([{e: n.count(e) for e in elements} for n in symbols], elements)
    offsets = fit_offsets(counts, [x.energy for x in labels], elements)
    for frame, label, n in zip(frames, labels, counts, strict=True):
        energy = label.energy - float(n @ [offsets[e] for e in elements])
        frame.calc = SinglePointCalculator(
            frame, energy=energy, forces=label.forces, stress=label.stress
        )
    settings = TrainingSettings(epochs=epochs, batch_size=4, learning_rate=0.01, seed=0, threads=1)
    start = time.perf_counter()
    parts = frames[6:], frames[:3], frames[3:6]
    result = family("mace").train(None, *parts, settings, folder / "mace")
    print(f"the MACE was trained for {time.perf_counter() - start:.0f} s; its errors: ", end="")
    print(result.errors)
    return result.model


if __name__ == "__main__":
    main()
