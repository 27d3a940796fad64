"""Training runs killed by SIGKILL at random moments end with the weights of an uninterrupted run.

A real training process on frames of the shipped PBE labels, on the CPU in float64 with one thread.
The kills are drawn from a seed: most fall anywhere in the time the run takes, the others into the
writing of the state, half way through the file. Each run is started again until it ends; what is
compared is the sha256 of the file with the final weights, and the curve.

    python benchmarks/kill_training.py                     # MACE and CHGNet, five kills each
    python benchmarks/kill_training.py --families mace --kills 20 --seed 7
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from ase import Atoms

from hea_flows.alloy.thermodynamics import composition_matrix, fit_offsets
from hea_flows.potentials.base import family
from hea_flows.potentials.training.labels import with_energies
from hea_flows.reference import find_card, load_dataset
from hea_flows.schemas import ModelSpec, TrainingSettings

_PARENTS = {"mace": None, "chgnet": ModelSpec(family="chgnet", name="0.3.0", dtype="float64")}
_OPTIONS: dict[str, dict[str, Any]] = {"mace": {"dtype": "float64"}, "chgnet": {}}


@dataclass
class Kill:
    """One kill: after so many seconds, or, if `write` is set, within that write of the state."""

    seconds: float = 0.0
    write: int | None = None

    def __str__(self) -> str:
        """Say when."""
        return f"{self.seconds:.1f} s" if self.write is None else f"write {self.write}"


def main() -> None:
    """Kill, go on, compare."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--families", nargs="+", choices=_PARENTS, default=list(_PARENTS))
    arguments.add_argument("--kills", type=int, default=5)
    arguments.add_argument("--epochs", type=int, default=12)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--train", nargs=2, help=argparse.SUPPRESS)
    arguments.add_argument("--write", type=int, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.train:
        _train(given.train[0], Path(given.train[1]), given.epochs, given.write)
        return
    print(f"{'family':8s} {'killed after':34s} {'starts':>6s}  sha256 of the weights")
    ends = [_compare(name, given) for name in given.families]
    sys.exit(0 if all(ends) else "the weights differ")


def _compare(name: str, given: argparse.Namespace) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole"
        begun = time.monotonic()
        _start(name, whole, given.epochs).wait()
        seconds = time.monotonic() - begun
        expected = _end(whole)
        print(f"{name:8s} {'never':34s} {1:6d}  {expected[0]}", flush=True)
        killed = Path(folder) / "killed"
        kills = _drawn(given, seconds)
        met, starts = [], 0
        for kill in kills:
            starts += 1
            if not _killed(_start(name, killed, given.epochs, kill.write), kill):
                break
            met.append(str(kill))
        while not (killed / "end.json").exists():
            starts += 1
            if _start(name, killed, given.epochs).wait():
                sys.exit((killed / "log").read_text()[-2000:])
        found = _end(killed)
        print(f"{name:8s} {', '.join(met):34s} {starts:6d}  {found[0]}")
        same = found == expected
        print(f"{name:8s} {len(met)} kills: weights and curve {'equal' if same else 'DIFFER'}")
        return same


def _drawn(given: argparse.Namespace, seconds: float) -> list[Kill]:
    """Draw kills: two in five within a write, the rest at a time in which some epochs pass."""
    rng = np.random.default_rng(given.seed)
    return [
        Kill(write=int(rng.integers(1, 3)))
        if i % 5 in {1, 3}
        else Kill(seconds=float(rng.uniform(0.2, 0.6) * seconds))
        for i in range(given.kills)
    ]


def _killed(process: subprocess.Popen[bytes], kill: Kill) -> bool:
    """Wait until a process is killed, or has ended before that."""
    try:
        process.wait(timeout=None if kill.write is not None else kill.seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
    return process.returncode == -signal.SIGKILL


def _start(
    name: str, folder: Path, epochs: int, write: int | None = None
) -> subprocess.Popen[bytes]:
    folder.mkdir(exist_ok=True)
    command = [sys.executable, __file__, "--train", name, str(folder), "--epochs", str(epochs)]
    if write is not None:
        command += ["--write", str(write)]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603  this very file


def _end(folder: Path) -> tuple[str, Any]:
    end = json.loads((folder / "end.json").read_text())
    return end["sha256"], end["curve"]


def _train(name: str, folder: Path, epochs: int, write: int | None) -> None:
    """Train in this process, which kills itself in one of its writes of the state if told so."""
    settings = TrainingSettings(epochs=epochs, batch_size=4, seed=1, threads=1)
    train, validation = _frames()
    engine = family(name, **_OPTIONS[name])
    written, plain = [0], os.fsync

    def dying(handle: int) -> None:
        written[0] += 1
        if written[0] == write:
            os.ftruncate(handle, os.fstat(handle).st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        plain(handle)

    with patch.object(os, "fsync", dying):
        result = engine.train(_PARENTS[name], train, validation, [], settings, folder / "run")
    curve = [e.model_dump(exclude={"seconds"}) for e in result.curve]
    partial = folder / "end.partial"
    partial.write_text(json.dumps({"sha256": result.model.sha256, "curve": repr(curve)}))
    partial.replace(folder / "end.json")


def _frames() -> tuple[Sequence[Atoms], Sequence[Atoms]]:
    """Return frames of the small cells, offsets removed: training and validation."""
    _, trajectories = load_dataset(find_card("pbe-mo-ta-nb-w-v-s2"))
    known = [f for frames in trajectories.values() for f in frames if len(f) <= 6][::3]
    symbols = [f.get_chemical_symbols() for f in known]
    elements = sorted({s for names in symbols for s in names})
    counts = composition_matrix([{e: n.count(e) for e in elements} for n in symbols], elements)
    energies = np.array([f.calc.results["energy"] for f in known])
    offsets = fit_offsets(counts, energies, elements)
    energies -= counts @ np.array([offsets[e] for e in elements])
    ready = with_energies(known, energies.tolist())
    return ready[4:], ready[:4]


if __name__ == "__main__":
    main()
