"""GPAW for real, at settings that mean nothing and take seconds."""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from ase import Atoms

from hea_flows.alloy.lattice.ordering import Ordering
from hea_flows.alloy.lattice.prototypes import Alloy
from hea_flows.reference.gpaw import maker
from hea_flows.reference.gpaw.command import GPAWCrashError, _from_json, _to_json, run_command
from hea_flows.reference.gpaw.maker import label
from hea_flows.reference.gpaw.settings import GPAWSettings
from hea_flows.reference.gpaw.steps import Task, compute_frames, read_steps
from hea_flows.runtime.walltime import OutOfTimeError

pytest.importorskip("gpaw", reason="GPAW is not installed, see docs/maker.md")

ALLOY = Alloy(("Mo", "V"), vacuum=5.0)
UNIT = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
TOY = GPAWSettings(cutoff=200.0, mesh=(2, 2, 1), moments={"V": 2.0})
CHECKS = Path(__file__).parents[4] / "shared" / "data" / "gpaw_checks.json"
PYTHON = sys.executable
#: What a worker does, in a process that a test can kill.
WORKER = f"""
import sys
from pathlib import Path
from hea_flows.reference.gpaw.command import _from_json, run_command
from hea_flows.reference.gpaw.steps import compute_frames
task = _from_json(Path(sys.argv[1]).read_text())
compute_frames(task) if sys.argv[2] == "itself" else run_command({PYTHON!r}, task)
"""


def toy(folder: Path, element: str = "Mo", **options: Any) -> Task:
    ordering = Ordering(ALLOY, UNIT, (element,))
    atoms = ordering.to_atoms()
    atoms.positions[1, 2] += 0.05
    return Task(ordering, atoms, TOY, folder, **{"fmax": 0.05, "max_steps": 3} | options)


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Atoms]:
    """Four steps, not interrupted."""
    frames, converged = compute_frames(toy(tmp_path_factory.mktemp("whole")))
    assert (len(frames), converged) == (4, False)
    return frames


def start_worker(task: Task, how: str) -> subprocess.Popen[bytes]:
    file = task.directory.parent / "task.json"
    file.write_text(_to_json(task))
    return subprocess.Popen([PYTHON, "-c", WORKER, str(file), how])


def wait_for(n: int, folder: Path) -> None:
    end = time.monotonic() + 240
    while len(read_steps(folder)) < n:
        assert time.monotonic() < end, f"there are not {n} steps"
        time.sleep(0.02)


def assert_same(frames: list[Atoms], whole: list[Atoms]) -> None:
    assert len(frames) == len(whole)
    for one, other in zip(frames, whole, strict=True):
        np.testing.assert_allclose(one.positions, other.positions, atol=1e-3)
        assert one.get_potential_energy() == pytest.approx(other.get_potential_energy(), abs=1e-4)


def scf_runs(folder: Path) -> dict[int, int]:
    """Return how many SCF cycles converged in the calls that began after so many steps."""
    found = {}
    for path in folder.glob("gpaw-*.txt"):
        number = re.fullmatch(r"gpaw-(\d+)", path.stem)
        assert number is not None
        found[int(number[1])] = path.read_text().count("Converged in")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("how", ["itself", "a command"])
def test_killed_and_resumed(how: str, whole: list[Atoms], tmp_path: Path) -> None:
    task = toy(tmp_path / "steps")
    worker = start_worker(task, how)
    wait_for(2, task.directory)
    worker.send_signal(signal.SIGKILL)
    assert worker.wait() == -signal.SIGKILL
    # At once: what the worker may have left behind holds the folder's lock until it is gone.
    frames, converged = run_command(PYTHON, task)
    assert not converged
    assert_same(frames, whole)
    after = max(scf_runs(task.directory))
    assert 2 <= after < 4
    assert scf_runs(task.directory)[after] == 4 - after  # nothing is computed twice
    positions = {frame.positions.tobytes() for frame in frames}
    assert len(positions) == 4


@pytest.mark.slow
def test_a_command_finds_what_the_worker_finds(whole: list[Atoms], tmp_path: Path) -> None:
    frames, converged = run_command(f"env GPAW_DEBUG=0 {PYTHON}", toy(tmp_path))
    assert not converged
    assert_same(frames, whole)
    assert not list(tmp_path.glob("task-*"))
    # The second asks for less than what is there: nothing is computed.
    again, _ = run_command(PYTHON, toy(tmp_path, max_steps=2))
    assert len(again) == 4
    assert set(scf_runs(tmp_path)) == {0}


@pytest.mark.slow
def test_a_stopped_worker_ends_its_command(tmp_path: Path) -> None:
    task = toy(tmp_path / "steps")

    class StoppedError(BaseException):
        pass

    def stop(number: int, frame: object) -> None:
        raise StoppedError

    others = set(psutil.Process().children(recursive=True))  # servers of other tests
    before = signal.signal(signal.SIGALRM, stop)
    children: set[psutil.Process] = set()
    try:
        signal.setitimer(signal.ITIMER_REAL, 3.0)
        with pytest.raises(StoppedError):
            run_command(f"{PYTHON} -c 'import time; time.sleep(600)'", task)
    finally:
        signal.signal(signal.SIGALRM, before)
        children = set(psutil.Process().children(recursive=True)) - others
    assert [c for c in children if c.is_running() and c.status() != "zombie"] == []
    assert not list(task.directory.glob("task-*"))


@pytest.mark.slow
def test_the_command_ends_with_a_worker_that_is_killed(tmp_path: Path) -> None:
    task = toy(tmp_path / "steps", max_steps=100, fmax=1e-6)
    worker = start_worker(task, "a command")
    wait_for(1, task.directory)
    children = psutil.Process(worker.pid).children()
    assert len(children) == 1
    worker.kill()
    worker.wait()
    _, alive = psutil.wait_procs(children, timeout=60)
    assert alive == []
    with (task.directory / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.slow
def test_spin(tmp_path: Path) -> None:
    [frame], converged = compute_frames(toy(tmp_path, "V", static=True))
    assert converged
    results = frame.calc.results
    assert results["magmom"] == pytest.approx(results["magmoms"].sum(), abs=0.3)
    assert abs(results["magmom"]) > 0.1
    without = compute_frames(toy(tmp_path / "without", static=True))[0][0].calc.results
    assert "magmom" not in without
    again, _ = compute_frames(toy(tmp_path, "V", static=True))
    assert len(again) == 1
    assert list(scf_runs(tmp_path).values()) == [1]


@pytest.mark.slow
def test_reasons_are_one_line(
    tmp_path: Path, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = toy(tmp_path / "close", static=True)
    task.start.positions[2] = task.start.positions[1] + [0.0, 0.0, 0.1]
    itself = label(task)
    monkeypatch.setenv("HEA_FLOWS_GPAW_COMMAND", PYTHON)
    command = label(task)
    for found in (itself, command):
        assert (found.frames, found.converged) == ([], False)
        assert re.fullmatch(r"LinAlgError: The leading minor .{1,300}", found.reason or "")
    with pytest.raises(GPAWCrashError, match=r"ended with exit code 3; it said last: no licence "):
        run_command(f"{PYTHON} -c 'print(\"no licence\"); raise SystemExit(3)'", task)
    with pytest.raises(GPAWCrashError, match="was ended by signal 9; it said last: nothing "):
        run_command(f"{PYTHON} -c 'import os; os.kill(os.getpid(), 9)'", task)


@pytest.mark.slow
def test_a_crash_that_passes_and_one_that_stays(
    tmp_path: Path, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first start of the command is killed, the second is GPAW.
    script = tmp_path / "once.sh"
    script.write_text(
        f'#!/bin/sh\n[ -e {tmp_path}/seen ] && exec {PYTHON} "$@"\n'
        f"touch {tmp_path}/seen\necho of no use\nkill -9 $$\n"
    )
    script.chmod(0o755)
    monkeypatch.setattr(maker, "_PAUSE", 0.0)
    monkeypatch.setenv("HEA_FLOWS_GPAW_COMMAND", str(script))
    found = label(toy(tmp_path / "steps", static=True))
    assert (len(found.frames), found.converged, found.reason) == (1, True, None)
    said = f"'{script}' was ended by signal 9; it said last: of no use (all of it: run.log)"
    assert found.corrections == [f"{said}; restarted from the last step"]
    assert (tmp_path / "steps" / "run.log").read_text() == "of no use\n"

    script.write_text("#!/bin/sh\necho of no use\nkill -9 $$\n")
    found = label(toy(tmp_path / "others", static=True))
    assert (found.frames, found.converged, found.reason) == ([], False, said)
    assert len(found.corrections) == maker.MAX_CRASHES - 1


@pytest.mark.slow
def test_the_time_limit_reaches_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = toy(tmp_path)
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time())))
    with pytest.raises(OutOfTimeError, match=r"^-?\d+ s are left .* after step 1$"):
        run_command(PYTHON, task)
    assert len(read_steps(tmp_path)) == 1


@pytest.mark.slow
def test_mpi(whole: list[Atoms], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gpaw import cgpaw

    mpiexec, program = shutil.which("mpiexec"), Path(PYTHON).with_name("gpaw")
    if not cgpaw.have_mpi or mpiexec is None:
        pytest.skip("this GPAW is built without MPI, or there is no mpiexec")
    for variable in ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"):
        monkeypatch.setenv(variable, "1")
    frames, _ = run_command(f"{mpiexec} -n 2 {program} python", toy(tmp_path))
    assert len(frames) == len(whole)
    for one, other in zip(frames, whole, strict=True):
        assert one.get_potential_energy() == pytest.approx(other.get_potential_energy(), abs=1e-5)
    assert "cores:  2" in (tmp_path / "gpaw-0.txt").read_text()


@pytest.mark.slow
def test_real_energies_are_those_measured_before(tmp_path: Path) -> None:
    if not CHECKS.is_file():
        pytest.skip("no shared data beside the checkout")
    known = json.loads(CHECKS.read_text())["calculations"]["MoS2_relax_pw400"]
    atoms = Atoms(known["symbols"], known["positions"], cell=known["cell"], pbc=known["pbc"])
    task = Task(
        Ordering(Alloy(("Mo",)), UNIT, ("Mo",)), atoms, GPAWSettings(), tmp_path, static=True
    )
    [frame], _ = compute_frames(task)
    # The explicit k-points are the same 12×12×1 mesh.
    assert frame.calc.results["energy"] == pytest.approx(known["energy"], abs=1e-4)
    np.testing.assert_allclose(frame.calc.results["forces"], known["forces"], atol=2e-3)


def test_a_task_survives_its_file(tmp_path: Path) -> None:
    task = toy(tmp_path, "V", static=True)
    again = _from_json(_to_json(task))
    assert (again.ordering, again.settings, again.directory) == (task.ordering, TOY, tmp_path)
    assert (again.static, again.fmax, again.max_steps) == (True, 0.05, 3)
    assert again.start == task.start
    assert again.settings.rule() == TOY.rule()


def test_another_gpaw_than_promised_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = _to_json(toy(tmp_path))
    text = text.replace(f'"version": "{TOY.rule()["version"]}"', '"version": "25.1.0"')
    with pytest.raises(RuntimeError, match=r"the label's version is 25\.1\.0, that of the command"):
        _from_json(text)
