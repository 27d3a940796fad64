"""Relaxations of the 126 small cells of Model 4: batched, against ASE one by one, in one run.

One by one with the calculator of the model's own package, and with ours. One core, the same model,
start geometries and thresholds for all. Times are CPU times, since other programs may share the
machine; the wall times stand beside them. The MACE is trained here for a few epochs on CHGNet's
answers, so that its relaxations behave; its energies mean nothing. What was seen is in
docs/models.md.

    python benchmarks/batched_relaxation.py --n 20         # two minutes
    python benchmarks/batched_relaxation.py
    python benchmarks/batched_relaxation.py --families chgnet --dtype float64
    python benchmarks/batched_relaxation.py --families chgnet --profile
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
from sampling_speed import plain_calculator
from threadpoolctl import threadpool_limits

from hea_flows.alloy.lattice import Alloy, relax
from hea_flows.alloy.sets import parse
from hea_flows.alloy.thermodynamics import composition_matrix, fit_offsets
from hea_flows.potentials import evaluator, family, relax_many
from hea_flows.potentials.potential import Potential
from hea_flows.potentials.torch_family import split_by_atoms
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
    forward: Clock = field(default_factory=Clock)

    @contextmanager
    def watch(self, kind: type[Potential]) -> Iterator[None]:
        """Time the graphs of a class of potentials, and the passes of its model."""
        with (
            patch.object(kind, "prepare", self.graphs.timed(kind.prepare)),
            patch.object(kind, "collate", self.joining.timed(kind.collate)),
            patch.object(kind, "predict", self.model.timed(kind.predict)),
            patch.object(kind, "energies", self.forward.timed(kind.energies)),
        ):
            yield

    def show(self, name: str, evaluations: int) -> None:
        """Print where the time went."""
        known = [
            ("graphs", self.graphs.cpu),
            ("joining", self.joining.cpu),
            ("model: energies", self.forward.cpu),
            ("model: the rest", self.model.cpu - self.forward.cpu),
        ]
        rest = self.whole.cpu - sum(cpu for _, cpu in known)
        print(f"  {name}: {self.whole.cpu:.2f} s CPU ({self.whole.wall:.2f} s wall)")
        for part, cpu in [*known, ("optimizer and ASE", rest)]:
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
    arguments.add_argument(
        "--profile", action="store_true", help="the floor of the model alone, and its operations"
    )
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
            compare(spec, chosen, given.max_atoms, profile=given.profile)


def compare(
    spec: ModelSpec, cells: Sequence[Atoms], max_atoms: int | None, *, profile: bool
) -> None:
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
    own = Clock()
    own.timed(one_by_one)(cells, plain_calculator(spec))
    print(f"{spec.family} {spec.dtype}: {len(cells)} cells, {sum(map(len, cells))} atoms")
    print(f"  ASE one by one, {spec.family}'s own calculator: {own.cpu:.2f} s CPU, ", end="")
    print(f"{own.cpu / manys.whole.cpu:.2f} times batched")
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
    if profile:
        seen: list[Atoms] = []
        steps = {"fmax": _FMAX, "max_steps": _MAX_STEPS}
        relax_many(evaluate, cells, on_step=lambda _, atoms: seen.append(atoms.copy()), **steps)
        best = floor(calculator.potential, seen, ones.whole.cpu, manys.model.cpu)
        operations(calculator.potential, next(split_by_atoms(seen, best)))


def floor(
    potential: Potential,
    seen: Sequence[Atoms],
    one_by_one: float,
    within: float,
) -> int:
    """Time the model alone on every geometry of the relaxations; return the best batch's atoms.

    Graphs and batches are made beforehand. What is printed last is the ratio that relaxations of
    these geometries would have if nothing but the model took time; `within` is what it took in the
    relaxations (s), which is less where the machine was less loaded then.
    """
    graphs = dict(zip(map(id, seen), potential.prepare(seen), strict=True))
    print(f"  the model alone on the {len(seen)} geometries, everything else made beforehand:")
    found = {}
    for limit in (1, 32, 64, 128, 256, 512, 1024):
        batches = [
            potential.collate([graphs[id(a)] for a in p]) for p in split_by_atoms(seen, limit)
        ]
        for _ in range(2):  # the better one: others may share the machine
            start = time.process_time()
            for batch in batches:
                potential.predict(batch)
            cpu = time.process_time() - start
            found[limit] = min(cpu, found.get(limit, cpu))
        name = "one structure" if limit == 1 else f"{limit:4d} atoms at most"
        each = 1e3 * found[limit] / len(seen)
        print(f"    {name:18s} {found[limit]:8.2f} s  {each:6.2f} ms per structure and step")
    best = min(found, key=lambda limit: found[limit])
    least = min(found[best], within)
    print(f"  floor: {least:.2f} s, or {one_by_one / least:.2f} times ASE one by one")
    return best


def operations(potential: Potential, part: Sequence[Atoms]) -> None:
    """Print which operations of torch take the time of a pass over one batch."""
    batch = potential.collate(potential.prepare(part))
    potential.predict(batch)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        for _ in range(5):
            potential.predict(batch)
    events = sorted(profiler.key_averages(), key=lambda e: -e.self_cpu_time_total)
    whole = sum(e.self_cpu_time_total for e in events)
    print(f"  operations of a pass over {len(part)} structures, {sum(map(len, part))} atoms:")
    for event in events[:10]:
        share = 100 * event.self_cpu_time_total / whole
        print(f"    {event.key:38s} {share:5.1f} %  {event.count // 5:4d} calls")


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
    counts = composition_matrix([{e: n.count(e) for e in elements} for n in symbols], elements)
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
