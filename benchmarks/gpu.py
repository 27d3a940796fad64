"""One GPU against the CPU of the same machine: batched relaxation, training, sampling.

Each section is a program of its own, which is stopped if it takes too long, so that the others go
on if one fails; every line is printed as soon as it is known. The GPU is measured first, then the
CPU with all cores and with one. Where time is short the CPU gets fewer structures, moves, chains
and epochs: what is compared is the time per atom and move, per decoration, per epoch. Differences
are those from the GPU's numbers for the same structures. Without a GPU, all are the CPU's.

MACE has two sizes: `mace-small` is what is trained from scratch here, `mace-large` has the size of
MACE-MP-0 small. Both are trained for a few epochs beforehand; their energies mean nothing.

    python benchmarks/gpu.py
    python benchmarks/gpu.py --sections sampling --budget 120 --dtype float64
    python benchmarks/gpu.py --cells 4 --large-cells 1 --size 4 --frames 16 --budget 60   # a trial
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from hea_flows.alloy.lattice import Alloy, Ordering
from hea_flows.alloy.sampling import Canonical, Sampler, SamplingSettings
from hea_flows.alloy.sets import parse
from hea_flows.alloy.thermodynamics import composition_matrix, fit_offsets
from hea_flows.potentials import (
    Evaluate,
    Prediction,
    Relaxed,
    decoration_energies,
    evaluator,
    family,
    relax_many,
)
from hea_flows.potentials import model_files as models
from hea_flows.potentials.torch_family import TorchFamily
from hea_flows.potentials.training import with_energies
from hea_flows.runtime.extxyz import read_frames
from hea_flows.schemas import Epoch, ModelSpec, TrainingSettings

ALLOY = Alloy(("Mo", "Ta", "Nb", "W", "V"))
A = 3.241  # mean of the end points' lattice constants (Å)
DATASET = "pbe-mo-ta-nb-w-v-s2.extxyz.xz"
MACE: dict[str, dict[str, Any]] = {
    "small": {},
    "large": {"hidden_irreps": "128x0e", "max_ell": 3, "r_max": 6.0, "num_bessel": 10},
}
FOUNDATIONS = {"chgnet": "0.3.0", "sevennet": "7net-0"}
PACKAGES = {"chgnet": "chgnet", "mace-small": "mace", "mace-large": "mace", "sevennet": "sevenn"}


class TimeIsUpError(Exception):
    """What is measured took its share of the time."""


@dataclass(frozen=True)
class Column:
    """Where something is measured: a device, and how many threads the CPU has."""

    device: str
    threads: int

    def __str__(self) -> str:
        """Return a name for the table."""
        if self.device != "cpu":
            return "GPU"
        return f"CPU, {self.threads} thread{'s' if self.threads > 1 else ''}"

    @contextmanager
    def chosen(self) -> Iterator[None]:
        """Give torch and numpy their threads."""
        torch.set_num_threads(self.threads)
        with threadpool_limits(self.threads):
            yield


def columns(given: argparse.Namespace) -> list[Column]:
    """Return what this machine has, quickest first."""
    gpus = [Column("cuda", given.threads[0])] if torch.cuda.is_available() else []
    return [*gpus, *(Column("cpu", n) for n in dict.fromkeys(given.threads))]


def now() -> float:
    """Return the time (s) when all that the GPU was asked for is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


class Budget:
    """The time of a section (s), shared by what is still to be measured."""

    def __init__(self, seconds: float, parts: int) -> None:
        self.end, self.parts = time.perf_counter() + seconds, parts

    def share(self) -> float:
        """Return the seconds of the next part."""
        left = max(self.end - time.perf_counter(), 1.0)
        self.parts -= 1
        return left / (self.parts + 1)


@dataclass
class Section:
    """Prints the lines of one comparison; times are compared with the first column's."""

    unit: str
    first: float = float("nan")

    def line(self, column: Column, seconds: float, *remarks: str) -> None:
        """Print the time of a column (s) and what it is to the first one's."""
        text = f"  {column!s:15s} {1e3 * seconds:10.4g} ms {self.unit}"
        if np.isnan(self.first):
            self.first = seconds
        else:
            text += f", {seconds / self.first:.2f} times as long"
        print("; ".join([text, *(r for r in remarks if r)]), flush=True)


def each(
    title: str,
    unit: str,
    where: Sequence[Column],
    measure: Callable[[Column, Section], None],
) -> None:
    """Measure every column; one that fails prints its error, and the others go on."""
    print(f"{title}:", flush=True)
    section = Section(unit)
    for column in where:
        try:
            if column.device != "cpu":
                torch.cuda.reset_peak_memory_stats()
            with column.chosen():
                measure(column, section)
        except Exception as error:  # noqa: BLE001  # the other columns are still worth having
            last = traceback.extract_tb(error.__traceback__)[-1]
            print(f"  {column!s:15s} failed: {type(error).__name__}: {error}"[:600])
            print(f"    at {last.filename}:{last.lineno}", flush=True)


def memory(column: Column) -> str:
    """Return the most memory that tensors took on the GPU."""
    if column.device == "cpu":
        return ""
    return f"{torch.cuda.max_memory_allocated() / 2**20:.0f} MiB at most"


def frames_of_dataset(number: int, parent: ModelSpec | None) -> list[Atoms]:
    """Return shipped frames in a fixed random order, with energies on the parent's zero.

    Without a parent nothing is left of the energies per element.
    """
    shipped = read_frames(Path(str(files("hea_flows"))) / "data" / DATASET)
    frames = [shipped[i] for i in np.random.default_rng(0).permutation(len(shipped))[:number]]
    symbols = [f.get_chemical_symbols() for f in frames]
    elements = sorted({s for names in symbols for s in names})
    counts = composition_matrix([{e: n.count(e) for e in elements} for n in symbols], elements)
    for frame in frames:
        frame.pbc = True
    energies = np.array([f.calc.results["energy"] for f in frames])
    known = [] if parent is None else family(parent.family).evaluate(parent, frames)
    fitted = fit_offsets(counts, energies - ([p.energy for p in known] or 0.0), elements)
    return with_energies(frames, energies - counts @ [fitted[e] for e in elements])


def model(name: str, given: argparse.Namespace) -> ModelSpec:
    """Return a model; a MACE is trained when it is first asked for."""
    kind, _, size = name.partition("-")
    if kind in FOUNDATIONS:
        return ModelSpec(family=kind, name=FOUNDATIONS[kind], dtype=given.dtype)
    folder = given.folder / size
    path = folder / "model.pt"
    if not path.exists():
        frames, device = frames_of_dataset(80, None), columns(given)[0].device
        settings = TrainingSettings(epochs=given.epochs, batch_size=8, learning_rate=0.01)
        start = time.perf_counter()
        try:
            chosen = family("mace", architecture=MACE[size])
            chosen.train(None, frames[16:], frames[:16], [], settings, folder, device=device)
            print(f"the {name} was trained for {time.perf_counter() - start:.0f} s", flush=True)
        except Exception as error:  # noqa: BLE001  # an untrained one has the same speed
            print(f"the {name} is untrained: {type(error).__name__}: {error}"[:600], flush=True)
            fresh: Any = family("mace", architecture=MACE[size])
            models.save(path, fresh.fresh(frames, 0).checkpoint())
    return ModelSpec(
        family="mace", path=str(path), sha256=models.verify(path, None), dtype=given.dtype
    )


def random_codes(size: int, number: int) -> NDArray[np.int64]:
    """Return random decorations of a square cell, as near to equimolar as it can be."""
    rng = np.random.default_rng(0)
    codes = np.arange(size**2, dtype=np.int64) % len(ALLOY.elements)
    return np.array([rng.permutation(codes) for _ in range(number)])


# ---- relaxation


@dataclass
class Parts:
    """Wall times (s) of the parts of a relaxation."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def watch(self, kind: type[Any]) -> Iterator[None]:
        """Time what a class of potentials does; what one part calls is part of it."""

        def timed(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
            def run(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
                start = now()
                result = method(*args, **kwargs)
                self.seconds[name] = self.seconds.get(name, 0.0) + now() - start
                return result

            return run

        names = {"prepare": "graphs", "collate": "joining", "predict": "model"}
        patches = [patch.object(kind, m, timed(n, getattr(kind, m))) for m, n in names.items()]
        for p in patches:
            p.start()
        try:
            yield
        finally:
            for p in patches:
                p.stop()

    def text(self, seconds: float, number: int) -> str:
        """Return the times (ms) of all parts per atom and move."""
        parts = self.seconds | {"optimizer": seconds - sum(self.seconds.values())}
        return ", ".join(f"{name} {1e3 * s / number:.3g}" for name, s in parts.items())


def relaxation(given: argparse.Namespace) -> None:
    """Relax many small cells, and move the atoms of a few large ones a few times."""
    small = [o.to_atoms() for o in parse("model-4").build(ALLOY)]
    places = np.random.default_rng(0).permutation(len(small))[: given.cells]
    diagonal = np.diag([given.size, given.size, 1])
    large = [
        Ordering(ALLOY, diagonal, [ALLOY.elements[c] for c in row]).to_atoms(A)
        for row in random_codes(given.size, given.large_cells)
    ]
    cases = [(f"{len(places)} small cells", [small[i] for i in places], 100)]
    cases += [(f"{len(large)} cells of {given.size} × {given.size}", large, given.moves)]
    budget = Budget(given.budget, len(given.models) * len(cases) * len(columns(given)))
    for name in given.models:
        spec = model(name, given)
        for what, cells, moves in cases:
            atoms = sum(map(len, cells))
            title = (
                f"relaxation, {name}, {spec.dtype}, {what}, {atoms} atoms, {moves} moves at most"
            )
            compare_relaxations(title, spec, cells, moves, columns(given), budget)


def compare_relaxations(
    title: str,
    spec: ModelSpec,
    cells: Sequence[Atoms],
    moves: int,
    where: Sequence[Column],
    budget: Budget,
) -> None:
    """Relax the same cells in each column."""
    chosen: Any = family(spec.family)
    yardstick: list[Any] = []

    def measure(column: Column, section: Section) -> None:
        end = time.perf_counter() + budget.share()
        evaluate = evaluator(spec, device=column.device)
        together = max(128 // len(cells[0]), 1) if column.device == "cpu" else len(cells)
        # about as many as can be relaxed in time
        predictions = some(evaluate, cells, together, (end - time.perf_counter()) / 20)
        evaluations = atoms = 0

        def counted(moved: Sequence[Atoms]) -> list[Prediction]:
            nonlocal evaluations, atoms
            if evaluations and time.perf_counter() > end:
                raise TimeIsUpError
            evaluations, atoms = evaluations + len(moved), atoms + sum(map(len, moved))
            return evaluate(moved)

        done: list[Relaxed] = []
        parts = Parts()
        kind = type(chosen.predictor(spec, column.device))
        start = now()
        with parts.watch(kind):
            try:
                chosen_cells = cells[: len(predictions)]
                done = relax_many(counted, chosen_cells, max_steps=moves)
            except TimeIsUpError:
                pass
        seconds = now() - start
        section.line(
            column,
            seconds / atoms,
            parts.text(seconds, atoms),
            f"{len(predictions)} cells, {evaluations} evaluations in {seconds:.2f} s, "
            + (f"{sum(r.converged for r in done)} converged" if done else "cut short"),
            memory(column),
        )
        if not yardstick:
            yardstick.extend([predictions, done])
            return
        pairs = list(zip(predictions, yardstick[0], strict=False))
        energy = max(abs(a.energy - b.energy) / len(a.forces) for a, b in pairs)
        forces = max(abs(a.forces - b.forces).max() for a, b in pairs)
        stress = max(abs(a.stress - b.stress).max() for a, b in pairs)
        print(f"    at the start: largest difference {1e3 * energy:.1e} meV/atom, ", end="")
        print(f"{1e3 * forces:.1e} meV/Å, {1e3 * stress:.1e} meV/Å³", flush=True)
        if done and yardstick[1]:
            ends = list(zip(done, yardstick[1], strict=False))
            both = [(a.atoms, b.atoms) for a, b in ends if a.steps == b.steps]
            per_atom = [(a.calc.results, b.calc.results, len(a)) for a, b in both]
            energy = max((abs(a["energy"] - b["energy"]) / n for a, b, n in per_atom), default=0)
            moved = max((abs(a.positions - b.positions).max() for a, b in both), default=0)
            print(f"    at the end: as many moves in {len(both)} of {len(ends)}, ", end="")
            print(f"with differences of {1e3 * energy:.1e} meV/atom, {moved:.1e} Å", flush=True)

    each(title, "per atom and move", where, measure)


def some(
    evaluate: Evaluate, cells: Sequence[Atoms], together: int, seconds: float
) -> list[Prediction]:
    """Predict so many cells together until the time is up; the first passes are slower."""
    predictions: list[Prediction] = []
    start = time.perf_counter()
    while len(predictions) < len(cells):
        predictions += evaluate(cells[len(predictions) :][:together])
        if time.perf_counter() - start > seconds:
            break
    return predictions


# ---- training


def training(given: argparse.Namespace) -> None:
    """Fine-tune the foundations, and train MACE from scratch, on the shipped dataset."""
    validation = max(given.frames // 8, 1)
    cases = list(product(given.models, given.batch_sizes))
    budget = Budget(given.budget, len(cases) * len(columns(given)))
    for name, batch_size in cases:
        kind, _, size = name.partition("-")
        options = {"dtype": given.dtype} | ({"architecture": MACE[size]} if size else {})
        parent = None if size else model(name, given)
        chosen: Any = family(kind, **options)
        frames = frames_of_dataset(given.frames + validation, parent)
        parts = frames[validation:], frames[:validation]
        atoms = sum(map(len, parts[0]))
        title = f"training, {name}, {given.dtype}, {len(parts[0])} frames of {atoms} atoms, "
        title += f"{len(parts[1])} for validation, batches of {batch_size}"
        compare_training(
            title, chosen, parent, parts, batch_size, given.epochs, columns(given), budget
        )


def compare_training(
    title: str,
    chosen: TorchFamily[Any],
    parent: ModelSpec | None,
    parts: tuple[list[Atoms], list[Atoms]],
    batch_size: int,
    epochs: int,
    where: Sequence[Column],
    budget: Budget,
) -> None:
    """Train from the same weights, in the same order of frames, in each column."""
    yardstick: list[Epoch] = []

    def measure(column: Column, section: Section) -> None:
        end = time.perf_counter() + budget.share()
        curve: list[Epoch] = []

        def on_epoch(epoch: Epoch) -> None:
            curve.append(epoch)
            if time.perf_counter() > end:
                raise TimeIsUpError

        settings = TrainingSettings(
            epochs=epochs, patience=0, batch_size=batch_size, threads=column.threads
        )
        with tempfile.TemporaryDirectory() as name:
            start = now()
            try:
                folder = Path(name)
                chosen.train(parent, *parts, [], settings, folder, on_epoch, device=column.device)
            except TimeIsUpError:
                pass
            seconds = now() - start
        section.line(
            column,
            median(e.seconds for e in curve[1:] or curve),
            f"{len(curve)} epochs, the first {curve[0].seconds:.2f} s, the whole run {seconds:.2f}",
            memory(column),
        )
        if not yardstick:
            yardstick.extend(curve)
        for kind in ("train", "validation"):
            losses = [getattr(e, f"{kind}_loss") for e in curve]
            text = f"    {kind} loss {losses[0]:.5f} to {losses[-1]:.5f}"
            if curve[0] is not yardstick[0]:
                first = [getattr(e, f"{kind}_loss") for e in yardstick]
                both = zip(losses, first, strict=False)
                text += f"; largest relative difference {max(abs(a / b - 1) for a, b in both):.1e}"
            print(text, flush=True)

    each(title, "per epoch", where, measure)


# ---- sampling


def sampling(given: argparse.Namespace) -> None:
    """Compute energies of decorations, step chains, and swap sites of one decoration."""
    budget = Budget(given.budget, len(given.models) * len(columns(given)))
    for name in given.models:
        spec = model(name, given)
        title = f"sampling, {name}, {spec.dtype}, {given.size} × {given.size} on a fixed lattice, "
        title += f"{given.decorations} decorations at once"
        compare_sampling(title, spec, given, budget)


def compare_sampling(
    title: str, spec: ModelSpec, given: argparse.Namespace, budget: Budget
) -> None:
    """Evaluate the same decorations in each column; chains and swaps until the time is up."""
    cell = np.diag([given.size, given.size, 1])
    codes = random_codes(given.size, given.decorations)
    yardstick: list[NDArray[np.float64]] = []
    chains, swaps = Section("per step of a chain"), Section("per swap in one decoration")

    def measure(column: Column, section: Section) -> None:
        share = budget.share()
        model: Any = decoration_energies(
            spec, ALLOY, cell, A, mode="fixed lattice", device=column.device
        )
        together = len(codes) if column.device != "cpu" else 1
        model.energies(codes[:together])  # a first pass is slower
        found: list[NDArray[np.float64]] = []

        def some_energies() -> None:
            first = len(found) * together % len(codes)
            found.append(model.energies(codes[first : first + together]))

        seconds, passes = until(share / 4, some_energies)
        one = seconds / passes / together
        section.line(column, one, f"{1 / one:.0f} per second", memory(column))
        energies = np.concatenate(found)[: len(codes)]
        if not yardstick:
            yardstick.append(energies)
        else:
            units = given.size**2
            apart = 1e3 * abs(energies - yardstick[0][: len(energies)]).max() / units
            spread = 1e3 * yardstick[0].std() / units
            print(f"    {len(energies)} energies: largest difference {apart:.1e} meV/unit ", end="")
            print(f"(their standard deviation: {spread:.1e})", flush=True)
        runs = given.runs
        if column.device == "cpu":  # about thirty for the expansion, and a dozen steps
            runs = int(np.clip((share / 2 / one - 30) / 50, 1, runs))
        _step_chains(column, chains, model, given.size, runs, share / 2)
        if hasattr(model, "local"):
            _swap(column, swaps, model, codes[0], share / 4)

    each(title, "per decoration", columns(given), measure)


def until(seconds: float, action: Callable[[], object]) -> tuple[float, int]:
    """Repeat an action at least once; return the time (s) and how often it was done."""
    start, done = now(), 0
    while done == 0 or time.perf_counter() - start < seconds:
        action()
        done += 1
    return now() - start, done


def _step_chains(
    column: Column,
    section: Section,
    model: Any,  # noqa: ANN401
    size: int,
    runs: int,
    seconds: float,
) -> None:
    """Let nested Monte Carlo run, all chains together."""
    settings = SamplingSettings(
        temperatures=[400.0, 600.0, 800.0, 1000.0], runs=runs, burn_in=10**5, steps=8
    )
    counts = np.bincount(random_codes(size, 1)[0], minlength=len(ALLOY.elements)).tolist()
    filled = dict(zip(ALLOY.elements, counts, strict=True))
    cell = np.diag([size, size, 1])
    sampler = Sampler(model, ALLOY, cell, Canonical(ALLOY, filled), settings, seed=1, training=30)
    in_model, trials = 0.0, 0
    energies = model.energies

    def timed(codes: NDArray[np.int64]) -> NDArray[np.float64]:
        nonlocal in_model
        start = now()
        result: NDArray[np.float64] = energies(codes)
        in_model += now() - start
        return result

    def step() -> None:
        nonlocal trials
        trials += int(sampler.blocks.sum()) * runs
        sampler.advance()

    for _ in range(2):  # the start, with the fit of the expansion, and a first step
        step()
    trials = 0
    with patch.object(model, "energies", timed):
        spent, steps = until(seconds, step)
    moves = steps * sampler.decorations[..., 0].size
    section.line(
        column,
        spent / moves,
        f"{moves / spent:.0f} moves per second, each of {trials / moves:.0f} swap trials, "
        f"{moves // steps} chains; {100 * in_model / spent:.0f} % of the time in the model",
    )


def _swap(
    column: Column,
    section: Section,
    model: Any,  # noqa: ANN401
    codes: NDArray[np.int64],
    seconds: float,
) -> None:
    """Swap two sites of a held decoration, and compare the sum of changes with the energy."""
    held, codes, rng = model.local(), codes.copy(), np.random.default_rng(0)
    before, total = held.hold(codes), 0.0

    def swap() -> None:
        nonlocal total
        sites = rng.choice(len(codes), 2, replace=False)
        new = codes[sites[::-1]]
        total += held.change(sites, new)
        held.accept(sites, new)
        codes[sites] = new

    until(0.2, swap)
    spent, number = until(seconds, swap)
    apart = 1e3 * abs(model.energies(codes[None])[0] - before - total) / len(codes)
    section.line(
        column,
        spent / number,
        f"{number / spent:.0f} per second; after all of them "
        f"{apart:.1e} meV/unit from the energy computed anew",
    )


# ---- the whole


SECTIONS = {"relaxation": relaxation, "training": training, "sampling": sampling}


def main() -> None:
    """Run the sections."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    installed = [name for name, package in PACKAGES.items() if find_spec(package)]
    arguments.add_argument("--models", nargs="+", choices=PACKAGES, default=installed)
    arguments.add_argument("--budget", type=float, default=80.0, help="s for each section")
    cores = len(os.sched_getaffinity(0))
    arguments.add_argument("--threads", nargs="+", type=int, default=[cores, 1], help="of the CPU")
    arguments.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    arguments.add_argument("--cells", type=int, default=64, help="small ones, of Model 4")
    arguments.add_argument("--large-cells", type=int, default=4)
    arguments.add_argument("--size", type=int, default=10, help="units along a large cell's edge")
    arguments.add_argument("--moves", type=int, default=8, help="of a large cell's relaxation")
    arguments.add_argument("--frames", type=int, default=128, help="for training")
    arguments.add_argument("--epochs", type=int, default=5)
    arguments.add_argument("--batch-sizes", nargs="+", type=int, default=[8, 32])
    arguments.add_argument("--decorations", type=int, default=64, help="evaluated together")
    arguments.add_argument("--runs", type=int, default=8, help="chains at each of 4 temperatures")
    arguments.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.folder is not None:
        torch.set_num_threads(given.threads[0])
        for name in given.sections:
            SECTIONS[name](given)
        return
    _show_machine()
    with tempfile.TemporaryDirectory() as folder:
        for name in given.sections:
            _run(name, folder, given.budget)


def _show_machine() -> None:
    cores = len(os.sched_getaffinity(0))
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    cpu = next((x.split(": ", 1)[1] for x in lines if x.startswith("model name")), "CPU")
    print(f"Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}")
    print(f"{cpu}, {cores} cores; ", end="")
    print(torch.cuda.get_device_name() if torch.cuda.is_available() else "there is no GPU here")
    print(flush=True)


def _run(section: str, folder: str, budget: float) -> None:
    """Run a section in a process of its own, which is stopped if it hangs."""
    words = [sys.executable, __file__, *sys.argv[1:], "--sections", section, "--folder", folder]
    start = time.perf_counter()
    try:
        done = subprocess.run(words, timeout=budget + 30, check=False)  # noqa: S603  this very file
        end = f"failed, exit code {done.returncode}" if done.returncode else "done"
    except subprocess.TimeoutExpired:
        end = "stopped, it took too long"
    print(f"{section}: {end} after {time.perf_counter() - start:.0f} s\n", flush=True)


if __name__ == "__main__":
    main()
