"""Label a set with the stand-in for VASP while everything goes wrong, and count what came of it.

A real mongod, real worker processes, custodian; every fault that the stand-in knows in a share of
the structures, and one worker killed per interval. The same set is labelled without faults first.

    python benchmarks/faults.py                 # the 126 structures of Model 4
    python benchmarks/faults.py --set '2(2)' --kill-every 15
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from hea_flows.services.progress import Progress

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

#: Faults that pass: the structure has to end labelled.
PASSING = ("sigkill", "walltime", "crash", "truncated", "zbrent")
#: Faults that come with every launch: the structure has to end explained.
LASTING = ("electronic", "ionic", "nan_forces", "potcar_order")


def main() -> None:
    """Print the figures; exit with 1 if one is not as it should be."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--set", default="model-4", help="structures (default: model-4)")
    parser.add_argument("--share", type=float, default=0.1, help="share of them with a fault")
    parser.add_argument("--kill-every", type=float, default=60.0, help="seconds between SIGKILLs")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()

    from vasp_standin import environment

    folder = Path(tempfile.mkdtemp(prefix="hea-flows-faults-"))
    os.environ.update(environment.prepare(folder / "vasp"))
    os.environ.update(HEA_FLOWS_DATA_DIR=str(folder / "data"), HEA_FLOWS_LOCAL="1")
    try:
        wrong = compare(arguments, folder)
    finally:
        from hea_flows.services import mongod

        mongod.stop(folder / "data")
        environment.stop_server(folder / "vasp")
    if wrong:
        print(f"kept: {folder}")
        sys.exit(1)
    shutil.rmtree(folder)


def compare(arguments: argparse.Namespace, folder: Path) -> int:
    """Run both campaigns; return how many figures are wrong."""
    from vasp_standin import environment

    from hea_flows.alloy.lattice import Alloy
    from hea_flows.alloy.sets import parse

    orderings = parse(arguments.set).build(Alloy(("Mo", "Ta", "Nb", "W", "V")), arguments.seed)
    ids = [o.id for o in orderings]
    rng = np.random.default_rng(arguments.seed)
    mixed = [o.id for o in orderings if len(o.components) > 1]
    n_faults = min(max(round(arguments.share * len(ids)), len(PASSING + LASTING)), len(mixed))
    chosen = rng.choice(mixed, n_faults, replace=False)
    kinds = {str(i): (PASSING + LASTING)[n % 9] for n, i in enumerate(chosen)}

    clean, seconds = campaign(arguments, folder, "faultless", kill_every=None)
    n_launches = len(environment.launches(folder / "vasp"))
    print(f"faultless: {seconds:.0f} s, {n_launches} starts of VASP")

    # Nothing is found again: the second campaign takes no stored label, and no step of the first
    # one's, whose scratch folder is moved away.
    shutil.move(folder / "data" / "scratch", folder / "scratch-faultless")
    plan = {
        f"{i}/relax": [{"kind": kind, "step": 2, "always": kind in LASTING}]
        for i, kind in kinds.items()
    }
    environment.write_faults(folder / "vasp", plan)
    shutil.rmtree(folder / "vasp" / "launches", ignore_errors=True)
    faulty, seconds = campaign(arguments, folder, "faulty", kill_every=arguments.kill_every)
    starts = environment.launches(folder / "vasp")[n_launches:]
    print(f"with faults: {seconds:.0f} s, {len(starts)} starts of VASP")
    return figures(ids, kinds, clean, faulty, starts)


def campaign(
    arguments: argparse.Namespace, folder: Path, name: str, kill_every: float | None
) -> tuple[list[Any], float]:
    """Run one campaign to its end; return its label documents and how long it took."""
    from hea_flows.config import load_campaign
    from hea_flows.flows.launch import run_workers, submit
    from hea_flows.results.store import documents
    from hea_flows.services.connection import find_connection

    path = folder / f"{name}.yaml"
    sets = [{"set": "1(1)"}, {"set": arguments.set}]
    alloy = {"elements": ["Mo", "Ta", "Nb", "W", "V"], "prototype": "2H-MX2", "anion": "S"}
    path.write_text(
        yaml.safe_dump(
            {
                "name": name,
                "seed": arguments.seed,
                "alloy": alloy,
                "structures": sets,
                "labels": {"engine": "vasp"},
            }
        )
    )
    loaded, text = load_campaign(path)
    connection = find_connection(start_local=True)
    submission = submit(loaded, text, connection, again=kill_every is not None)
    began = last = shown = time.monotonic()
    picker = random.Random(arguments.seed)  # noqa: S311  which worker dies
    killed = 0

    def watch(progress: Progress) -> None:
        nonlocal last, shown, killed
        now = time.monotonic()
        if now - shown > 30:
            shown = now
            print(f"  {name}: {progress.completed} of {progress.total} jobs", flush=True)
        if kill_every is None or now - last < kill_every or not progress.running:
            return
        last = now
        victims = [job.worker.rpartition(":")[2] for job in progress.running if job.worker]
        if victims:
            try:
                os.kill(int(picker.choice(victims)), signal.SIGKILL)
                killed += 1
            except ProcessLookupError:
                pass

    run_workers(submission, connection, workers=arguments.workers, on_progress=watch)
    seconds = time.monotonic() - began
    if kill_every is not None:
        print(f"workers killed: {killed}")
    store = connection.job_store()
    store.connect()
    return documents(store, "label", name, load=True), seconds


def figures(
    ids: list[str], kinds: dict[str, str], clean: list[Any], faulty: list[Any], starts: list[Any]
) -> int:
    """Print what came of every structure; return how many figures are wrong."""
    from vasp_standin.potential import evaluate

    reference = {d.structure.structure_id: d for d in clean}
    found = Counter(d.structure.structure_id for d in faulty)
    labels = {d.structure.structure_id: d for d in faulty}
    duplicates = sum(n - 1 for n in found.values())
    missing = [i for i in ids if i not in labels]
    wrong = duplicates + len(missing)
    print(f"structures {len(ids)}, label documents {len(faulty)}, duplicates {duplicates}")
    print(f"without a document: {len(missing)}")
    by_kind: dict[str, list[Any]] = {}
    for i in ids:
        if i in labels:
            by_kind.setdefault(kinds.get(i, "none"), []).append(labels[i])
    for kind in ("none", *PASSING, *LASTING):
        group = by_kind.get(kind, [])
        states = dict(Counter(d.state for d in group))
        ok = (kind in LASTING) != all(d.state == "converged" for d in group)
        wrong += 0 if ok or not group else 1
        print(f"fault {kind:12s} {len(group):3d} structures: {states}")
        for d in group if kind in LASTING else [d for d in group if d.state != "converged"]:
            print(f"    {d.structure.formula}: {d.reason}")
            wrong += 0 if d.reason else 1
    worst = max(
        abs(d.energy - reference[i].energy) / len(d.structure.species) * 1000
        for i, d in labels.items()
        if d.state == "converged"
    )
    wrong += worst > 0.1
    print(f"largest difference from the faultless run: {worst:.4f} meV/unit (goal: 0.1)")
    frames = differing = 0
    for d in faulty:
        for atoms in d.trajectory.to_frames() if d.trajectory else []:
            order = sorted(range(len(atoms)), key=lambda k: _electronegativity(atoms.symbols[k]))
            positions = atoms.get_scaled_positions(wrap=False)[order]
            symbols = [atoms.symbols[k] for k in order]
            energy = evaluate(atoms.cell.array, positions, symbols)["energy"]
            frames += 1
            differing += energy != atoms.calc.results["energy"]
    wrong += differing
    print(f"frames {frames}, of which {differing} differ from the stand-in's energy of them")
    restarts = sum(bool(d.corrections) for d in faulty)
    killed = sum(s["killed"] for s in starts)
    print(f"labels with corrections: {restarts}; starts of VASP that killed themselves: {killed}")
    print("every figure as it should be" if not wrong else f"{wrong} figures are wrong")
    return wrong


def _electronegativity(symbol: str) -> float:
    from pymatgen.core import Element

    return float(Element(symbol).X)


if __name__ == "__main__":
    main()
