"""A campaign of all kinds of jobs, disturbed in every way a machine knows, ends with equal numbers.

It runs twice, each time with its own server and folders: once in peace, once while processes are
killed and stopped, the disk fills up and the clock jumps. Moments and victims are drawn from a
seed; workers are hit inside jobs, none of which is lost more often than a job may be. What is
permitted only to root (a small disk) or needs libfaketime (a clock that jumps) is skipped with a
line otherwise. Afterwards every number of every document must be that of the undisturbed run, and
nothing may be left behind: processes, locks, launches, blobs, two documents of one kind and key.

    python benchmarks/chaos.py                                 # all of it
    python benchmarks/chaos.py --workers-killed 4 --servers-killed 1 --runs-killed 1 --stop 10
"""

from __future__ import annotations

import argparse
import difflib
import errno
import fcntl
import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hea_flows.services import Connection

CAMPAIGN = """\
name: chaos
seed: 3
alloy: {{elements: [Mo, W], prototype: 2H-MX2, anion: S}}
labels:
  engine: synthetic
  options: {{model: "chgnet:0.3.0", fmax: 0.3, max_steps: 5, pairs: {{Mo-W: 0.02}}}}
structures:
  - set: 1(1)+2(2)
  - {{set: 2(3), use: held-out}}
test_sets: {{Other: "2(4)"}}
model: chgnet:0.3.0
training: {{epochs: {epochs}, batch_size: 2, seed: 1}}
models:
  - {{name: pair, set: 1(1)+2(2), seeds: [1, 2]}}
benchmark: {{relaxed: false}}
grow: {{sets: [1(1)+2(2), 2(3)], test_set: Other, seeds: [0, 1]}}
monte_carlo:
  {{model: chaos, supercell: 4x2, temperatures: [300, 900], runs: 1, steps: 40, burn_in: 4,
   random: 4}}
thermodynamics:
  {{model: chaos, sqs: {{2: 2x1}}, sqs_steps: 50, random_supercell: 4x2, n_random: 2,
   mode: fixed lattice, sqs_labels: reference}}
"""
#: What tells of when, where and by whom a document was written, and not what it says.
PASSING = {
    *("uuid", "created_at", "completed_at", "seconds", "training_seconds", "sources", "path"),
    *("html", "hours"),
}
#: A job may be hit this often; it is given up after five losses.
MOST_HITS = 3
#: Seconds that anything may take which ought to happen soon.
SOON = 120.0


@dataclass
class Figures:
    """What is counted, and how many of the figures are wrong."""

    wrong: int = 0

    def check(self, text: str, number: object, expected: object) -> None:
        """Print a figure."""
        self.wrong += number != expected
        print(f"{text}: {number}" + ("" if number == expected else f"  WRONG, expected {expected}"))


@dataclass
class Site:
    """A campaign with its own server and folders.

    Parameters
    ----------
    folder
        Its data folder.
    file
        The campaign file.
    workers
        Worker processes of a run.
    more
        More environment variables of its processes.
    """

    folder: Path
    file: Path
    workers: int
    more: dict[str, str] = field(default_factory=dict)
    running: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Environment of its processes; each has one thread, so that sums have one order."""
        own = {"HEA_FLOWS_DATA_DIR": str(self.folder), "HEA_FLOWS_LOCAL": "1"}
        return {**os.environ, "OMP_NUM_THREADS": "1", **own, **self.more}

    def start(self) -> None:
        """Start `hea-flows run`."""
        command = [sys.executable, "-m", "hea_flows", "run", str(self.file)]
        command += ["--workers", str(self.workers), "--report", f"{self.file}.html"]
        with self.file.with_suffix(".log").open("ab") as log:
            self.running = subprocess.Popen(  # noqa: S603
                command, env=self.environment, stdout=log, stderr=log
            )

    def connection(self) -> Connection:
        """Connect to its server."""
        from hea_flows.services import find_connection, mongod

        os.environ.update({"HEA_FLOWS_DATA_DIR": str(self.folder), "HEA_FLOWS_LOCAL": "1"})
        mongod.start(self.folder)
        return find_connection()

    def processes(self) -> dict[int, str]:
        """Return its processes that are alive, by id: their commands."""
        mark = f"HEA_FLOWS_DATA_DIR={self.folder}".encode()
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            with suppress(OSError):
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    found[int(entry.name)] = command
        return {pid: command for pid, command in found.items() if command}

    def of(self, word: str) -> list[int]:
        """Return the ids of its processes whose command has a word."""
        return [pid for pid, command in self.processes().items() if f" {word} " in f" {command} "]

    def server(self) -> int:
        """Return the id of its server."""
        from hea_flows.services import mongod

        pid = mongod.status(self.folder).pid
        return 0 if pid is None else pid


def main() -> None:
    """Run both campaigns and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers-killed", type=int, default=30)
    parser.add_argument("--servers-killed", type=int, default=3)
    parser.add_argument("--runs-killed", type=int, default=3)
    parser.add_argument("--all-killed", type=int, default=1)
    parser.add_argument("--stop", type=float, default=90.0, help="seconds; 0: nobody is stopped")
    parser.add_argument("--disk", type=float, default=20.0, help="seconds it is full; 0: never")
    parser.add_argument("--disk-size", default="1500m", help="of the small disk")
    parser.add_argument("--clock", type=float, default=7200.0, help="seconds it jumps; 0: never")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--pace", type=float, default=6.0, help="most seconds between two blows")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what it started ends with it
    folder = Path(tempfile.mkdtemp(prefix="hea-flows-chaos-"))
    file = folder / "chaos.yaml"
    file.write_text(CAMPAIGN.format(epochs=given.epochs))
    figures = Figures()
    calm = Site(folder / "calm", file, given.workers)
    began = time.monotonic()
    calm.start()
    assert calm.running is not None
    if calm.running.wait():
        sys.exit(f"the undisturbed run failed: {file.with_suffix('.log')}")
    print(f"undisturbed: {time.monotonic() - began:.0f} s", flush=True)
    expected = _numbers(calm)
    _stop_server(calm)
    with _small_disk(folder / "wild", given) as disk:
        wild = Site(folder / "wild", file, given.workers, _fake_clock(folder, given))
        began = time.monotonic()
        try:
            _disturb(wild, given, figures, disk=disk)
            print(f"disturbed: {time.monotonic() - began:.0f} s", flush=True)
            _compare(expected, _numbers(wild), figures)
            _check_nothing_is_left(wild, figures)
            _stop_server(wild)
            figures.check("processes left", len(wild.processes()), 0)
        finally:
            for pid in wild.processes():
                os.kill(pid, signal.SIGKILL)
            shutil.copytree(wild.folder / "logs", folder / "logs", dirs_exist_ok=True)
    if figures.wrong:
        sys.exit(f"{figures.wrong} figures are wrong; kept: {folder}")
    print("every figure as it should be")
    shutil.rmtree(folder)


def _disturb(site: Site, given: argparse.Namespace, figures: Figures, *, disk: bool) -> None:
    """Run a campaign to its end while all blows fall in an order drawn from the seed."""
    draw = random.Random(given.seed)  # noqa: S311  moments and victims
    blows: list[Callable[[Site, argparse.Namespace, int], None]] = [
        *[_kill_worker] * given.workers_killed,
        *[_kill_server] * given.servers_killed,
        *[_kill_run] * given.runs_killed,
        *[_kill_all] * given.all_killed,
        *[_stop_worker] * bool(given.stop),
        *[_fill_disk] * disk,
        *[_move_clock] * ("FAKETIME_TIMESTAMP_FILE" in site.more),
    ]
    draw.shuffle(blows)
    hits: Counter[int] = Counter()
    began, restarts = time.monotonic(), 0
    struck: Counter[str] = Counter()
    site.start()
    while site.running is not None:
        code = site.running.poll()
        if code == 0:
            break
        if code is not None:
            restarts += 1
            if restarts > 2 * (len(blows) + 5):
                sys.exit(f"it does not end: {site.file.with_suffix('.log')}")
            site.start()
        if not blows:
            time.sleep(0.5)
            continue
        victim = _inside(site, hits)
        if victim is None:
            time.sleep(0.1)
            continue
        time.sleep(draw.uniform(0, given.pace))
        still = _inside(site, hits)
        if still != victim:  # it ended meanwhile: another moment
            continue
        fw_id, pid = victim
        blow = blows.pop()
        hits[fw_id] += 1
        seconds = time.monotonic() - began
        print(f"{seconds:6.0f} s: {blow.__name__.strip('_')}, {len(blows)} to come", flush=True)
        struck[blow.__name__.strip("_")] += 1
        blow(site, given, pid)
    print(", ".join(f"{name} {number}" for name, number in sorted(struck.items())))
    print(f"times that run was started again: {restarts}")
    figures.check("blows that found no campaign any more (more --epochs)", len(blows), 0)


def _inside(site: Site, hits: Counter[int]) -> tuple[int, int] | None:
    """Return a Firework that a worker is inside of, and the worker's process id."""
    from hea_flows.services import campaign_progress, find_connection, is_outage

    os.environ.update({"HEA_FLOWS_DATA_DIR": str(site.folder), "HEA_FLOWS_LOCAL": "1"})
    try:
        connection = find_connection()
        connection.ping()
        running = campaign_progress(connection.launchpad()).running
    except Exception as error:
        if not is_outage(error):
            raise
        return None
    alive = set(site.of("worker"))
    inside = [(job.fw_id, int(job.worker.rpartition(":")[2])) for job in running if job.worker]
    inside = [(fw, pid) for fw, pid in inside if pid in alive and hits[fw] < MOST_HITS]
    return min(inside, key=lambda one: (hits[one[0]], one[0]), default=None)


def _kill_worker(_: Site, __: argparse.Namespace, pid: int) -> None:
    _kill(pid)


def _kill_server(site: Site, _: argparse.Namespace, __: int) -> None:
    _kill(site.server())


def _kill_run(site: Site, _: argparse.Namespace, __: int) -> None:
    """Kill `run`; its workers have to leave by themselves."""
    assert site.running is not None
    site.running.kill()
    site.running.wait()
    end = time.monotonic() + SOON
    while left := site.of("worker"):
        if time.monotonic() > end:
            sys.exit(f"{len(left)} workers stay {SOON:.0f} s after their run was killed")
        time.sleep(0.1)


def _kill_all(site: Site, _: argparse.Namespace, __: int) -> None:
    for pid in [*site.processes(), site.server()]:
        _kill(pid)


def _stop_worker(_: Site, given: argparse.Namespace, pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        time.sleep(given.stop)
        os.kill(pid, signal.SIGCONT)


def _fill_disk(site: Site, given: argparse.Namespace, _: int) -> None:
    ballast = site.folder / "ballast"
    try:
        with ballast.open("wb") as file:
            while True:
                file.write(b"\0" * 2**20)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
    time.sleep(given.disk)
    ballast.unlink()


def _move_clock(site: Site, given: argparse.Namespace, _: int) -> None:
    clock = Path(site.more["FAKETIME_TIMESTAMP_FILE"])
    for seconds in (given.clock, -given.clock, 0.0):
        clock.write_text(f"{seconds:+.0f}")
        time.sleep(10.0)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        if pid:
            os.kill(pid, signal.SIGKILL)


@contextmanager
def _small_disk(folder: Path, given: argparse.Namespace) -> Iterator[bool]:
    """Make a folder a disk of its own; say whether it is one."""
    folder.mkdir()
    if not given.disk:
        yield False
        return
    command = ["mount", "-t", "tmpfs", "-o", f"size={given.disk_size}", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        print(f"skipped, a full disk: {done.stderr.strip()}")
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)  # noqa: S603, S607


def _fake_clock(folder: Path, given: argparse.Namespace) -> dict[str, str]:
    """Return the variables of a clock that can be moved, none where there is no libfaketime."""
    from hea_flows.services.mongod_program import find_mongod

    if not given.clock:
        return {}
    places = list(Path("/usr/lib").glob("**/libfaketime.so.1"))
    spec = importlib.util.find_spec("libfaketime")
    for place in spec.submodule_search_locations or () if spec is not None else ():
        places += Path(place).glob("**/libfaketime.so.1")
    if not places:
        print("skipped, a clock that jumps: no libfaketime (apt install libfaketime)")
        return {}
    clock = folder / "clock"
    clock.write_text("+0")
    server = folder / "mongod"  # which does not start under libfaketime
    server.write_text(f'#!/bin/sh\nunset LD_PRELOAD\nexec {find_mongod()} "$@"\n')
    server.chmod(0o755)
    fake = {
        "LD_PRELOAD": str(places[0]),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "HEA_FLOWS_MONGOD": str(server),
    }
    sleep = [sys.executable, "-c", "import time; time.sleep(0.01)"]
    tried = subprocess.run(sleep, env=os.environ | fake, capture_output=True, check=False)  # noqa: S603
    if tried.returncode:
        print("skipped, a clock that jumps: under this libfaketime Python cannot sleep")
        return {}
    return fake


def _stop_server(site: Site) -> None:
    from hea_flows.services import mongod

    mongod.stop(site.folder)


def _numbers(site: Site) -> dict[str, Counter[str]]:
    """Return what all documents say, by kind, and how often each is there."""
    from hea_flows.results.store import documents
    from hea_flows.schemas import kinds

    found: dict[str, Counter[str]] = {}
    with site.connection().job_store() as store:
        for kind in kinds():
            for document in documents(store, kind, "chaos", load=True):
                said = _lasting(document.model_dump(mode="json"))
                text = json.dumps(said, sort_keys=True, indent=1)
                found.setdefault(kind, Counter())[text] += 1
    return found


def _lasting(value: object) -> object:
    if isinstance(value, dict):
        if value.get("role") in PASSING:  # the checksum of such a field
            return {}
        return {k: _lasting(v) for k, v in value.items() if k not in PASSING}
    return [_lasting(v) for v in value] if isinstance(value, list) else value


def _compare(
    expected: dict[str, Counter[str]], found: dict[str, Counter[str]], figures: Figures
) -> None:
    figures.check("kinds of documents", len(found), len(expected))
    for kind, documents in expected.items():
        other = found.get(kind, Counter())
        number = documents.total()
        figures.check(f"{kind}: documents", other.total(), number)
        figures.check(
            f"{kind}: equal to the undisturbed run's", (documents & other).total(), number
        )
        for one, two in zip(sorted(documents - other), sorted(other - documents), strict=False):
            changed = difflib.unified_diff(one.splitlines(), two.splitlines(), n=0)
            print("\n".join(list(changed)[:20]))


def _check_nothing_is_left(site: Site, figures: Figures) -> None:
    """Look for what blows may leave behind."""
    connection = site.connection()
    database, launchpad = connection.database(), connection.launchpad()
    figures.check("workers and runs left", len([*site.of("worker"), *site.of("run")]), 0)
    states = Counter(f["state"] for f in launchpad.fireworks.find({}, {"state": 1}))
    figures.check("Fireworks that are not completed", states.total() - states["COMPLETED"], 0)
    nodes = [node for w in launchpad.workflows.find({}, {"nodes": 1}) for node in w["nodes"]]
    ids = [f["fw_id"] for f in launchpad.fireworks.find({}, {"fw_id": 1})]
    figures.check("workflows", launchpad.workflows.count_documents({}), 1)
    figures.check("Fireworks without a workflow", len(set(ids) - set(nodes)), 0)
    locked = launchpad.workflows.count_documents({"locked": {"$exists": True}})
    figures.check("workflows locked", locked, 0)
    taken = {"state": {"$in": ["RUNNING", "RESERVED"]}}
    figures.check("launches not over", launchpad.launches.count_documents(taken), 0)
    finished = Counter(
        launch["fw_id"] for launch in launchpad.launches.find({"state": "COMPLETED"}, {"fw_id": 1})
    )
    figures.check("Fireworks with a completed launch", len(finished), len(ids))
    locks = [p for p in site.folder.rglob("*.lock") if p.name != "mongod.lock"]
    figures.check("files locked", sum(map(_locked, locks)), 0)
    keys = Counter(
        (d["uuid"], d["index"]) for d in database.outputs.find({}, {"uuid": 1, "index": 1})
    )
    figures.check("outputs stored twice", keys.total() - len(keys), 0)
    used = {blob for d in database.outputs.find() for blob in _blobs(d)}
    blobs = database["outputs_blobs.files"].distinct("metadata.blob_uuid")
    figures.check("blobs that are missing", len(used - set(blobs)), 0)
    figures.check("blobs that no document holds", len(set(blobs) - used), 0)


def _blobs(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(blob := value.get("blob_uuid"), str):
            yield blob
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _blobs(one)


def _locked(path: Path) -> bool:
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


if __name__ == "__main__":
    main()
