"""Monte Carlo killed by SIGKILL at random moments ends with the same data containers as unkilled.

A real process samples the equimolar quinary with a potential, all temperatures and runs together.
Kills are drawn from a seed: two in five fall into the writing of the state, half way through the
file, the others anywhere within some seconds after the first new state. The run is started again
until it ends. What is compared is every mchammer DataContainer: records, decorations, parameters.

    python benchmarks/kill_sampling.py                        # CHGNet 0.3.0, ten kills
    python benchmarks/kill_sampling.py --model mace:small --method swaps --kills 20 --seed 7
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from mchammer import DataContainer

from hea_flows.config import MonteCarloSpec, model_from_text
from hea_flows.jobs.sampling import run as sampling_run
from hea_flows.jobs.sampling import run_chains
from hea_flows.potentials.lattice_energies import decoration_energies
from hea_flows.results.export import export_chains
from hea_flows.schemas import AlloySpec, ModelSpec, MonteCarloDoc

_ALLOY = AlloySpec(elements=("Mo", "Ta", "Nb", "W", "V"))
_LATTICE_CONSTANT = 3.24
#: Seconds between two writes of the state; a campaign writes every thirty.
_EVERY = 0.3


def main() -> None:
    """Kill, go on, compare."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--model", default="chgnet:0.3.0", help="family:foundation")
    arguments.add_argument("--method", choices=("nested", "swaps"), default="nested")
    arguments.add_argument("--steps", type=int, default=80)
    arguments.add_argument("--kills", type=int, default=10)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--sample", type=Path, help=argparse.SUPPRESS)
    arguments.add_argument("--write", type=int, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.sample:
        _sample(given)
        return
    with tempfile.TemporaryDirectory() as folder:
        same = _compare(given, Path(folder))
    sys.exit(0 if same else "the data containers differ")


def _compare(given: argparse.Namespace, folder: Path) -> bool:
    whole, killed = folder / "whole", folder / "killed"
    if _start(given, whole).wait():
        sys.exit((whole / "log").read_text()[-2000:])
    end = json.loads((whole / "end.json").read_text())
    expected = _containers(whole)
    print(f"{given.model}, {given.method}: {len(expected)} chains, {end['seconds']:.0f} s of steps")
    print(f"never killed: {_digest(expected)}", flush=True)
    # Kills at a time and in a write alternate so that all of them fall into the run.
    rng, span = np.random.default_rng(given.seed), 1.5 * end["seconds"] / max(given.kills, 1)
    kills, starts = 0, 0
    while not (killed / "end.json").exists():
        starts += 1
        write = None
        if kills < given.kills and kills % 5 in {1, 3}:
            write = int(rng.integers(1, 6))
        process = _start(given, killed, write)
        when = f"within write {write}" if write else ""
        if kills < given.kills and write is None:
            when = _kill(process, killed, float(rng.uniform(0, span)))
        if process.wait() == -signal.SIGKILL:
            kills += 1
            print(f"kill {kills}: {when}, after {_step(killed)}", flush=True)
        elif process.returncode:
            sys.exit((killed / "log").read_text()[-2000:])
    found = _containers(killed)
    same = found == expected
    print(f"killed {kills} times, started {starts} times: {_digest(found)}")
    print(f"{len(found)} data containers: {'equal' if same else 'DIFFERENT'}")
    return same


def _kill(process: subprocess.Popen[bytes], folder: Path, seconds: float) -> str:
    """Kill a process some seconds after it wrote its first state; say when."""
    state, before = folder / "run" / sampling_run.STATE_FILE, _written(folder)
    while _written(folder) == before and process.poll() is None:
        time.sleep(0.005)
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    return f"{seconds:.2f} s after a new {state.name}"


def _written(folder: Path) -> int:
    try:
        return (folder / "run" / sampling_run.STATE_FILE).stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _step(folder: Path) -> str:
    path = folder / "run" / sampling_run.STATE_FILE
    if not path.exists():
        return "no state"
    return f"step {sampling_run.read_state(path)['numbers'][0]} on disk"


def _start(
    given: argparse.Namespace, folder: Path, write: int | None = None
) -> subprocess.Popen[bytes]:
    folder.mkdir(exist_ok=True)
    command = [sys.executable, __file__, "--sample", str(folder)]
    for name in ("model", "method", "steps"):
        command += [f"--{name}", str(getattr(given, name))]
    if write is not None:
        command += ["--write", str(write)]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603  this very file


def _sample(given: argparse.Namespace) -> None:
    """Sample in this process, which kills itself in one of its writes of the state if told so."""
    spec = MonteCarloSpec(
        supercell="5x5",
        temperatures=[300, 500, 800, 1300],
        runs=2,
        method=given.method,
        steps=given.steps,
        burn_in=given.steps // 2,
        random=10,
    )
    model = ModelSpec.model_validate(model_from_text(given.model))
    host = _ALLOY.to_alloy()
    cell, _ = spec.cell(host)
    energies = decoration_energies(model, host, cell, _LATTICE_CONSTANT, mode=spec.mode)
    written, plain = [0], os.fsync

    def dying(handle: int) -> None:
        written[0] += 1
        if written[0] == given.write:
            os.ftruncate(handle, os.fstat(handle).st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        plain(handle)

    with (
        patch.object(os, "fsync", dying),
        patch.object(sampling_run, "EVERY", _EVERY),
        patch.object(sampling_run, "RATIO", 0.0),
    ):
        found = run_chains(energies, _ALLOY, spec, 1, given.sample / "run", "benchmark")
    assert found is not None  # no limit of hours
    doc = MonteCarloDoc(
        **found, identity="benchmark", model=model, lattice_constant=_LATTICE_CONSTANT
    )
    export_chains(doc, given.sample / "chains")
    partial = given.sample / "end.partial"
    partial.write_text(json.dumps({"seconds": doc.seconds}))
    partial.replace(given.sample / "end.json")


def _containers(folder: Path) -> dict[str, Any]:
    """Return what mchammer reads from every file, the dates of writing left out."""
    found = {}
    for path in sorted((folder / "chains").iterdir()):
        container = DataContainer.read(str(path))
        dated = ("date_created", "date_last_backup")
        found[path.name] = {
            "parameters": container.ensemble_parameters,
            "metadata": {k: v for k, v in container.metadata.items() if k not in dated},
            "records": container.data.to_dict(),
            "decorations": [a.get_chemical_symbols() for a in container.get("trajectory")],
        }
    return found


def _digest(containers: dict[str, Any]) -> str:
    return f"sha256 {hashlib.sha256(repr(containers).encode()).hexdigest()}"


if __name__ == "__main__":
    main()
