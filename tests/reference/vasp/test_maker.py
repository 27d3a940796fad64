"""The engine with the stand-in for VASP: custodian, atomate2 and the executable run for real."""

from __future__ import annotations

import copy
import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from custodian.custodian import ErrorHandler
from custodian.vasp.handlers import IncorrectSmearingHandler
from custodian.vasp.interpreter import VaspModder
from jobflow import JobStore
from maggma.stores import MemoryStore
from pymatgen.core import Element, Structure
from pymatgen.io.vasp import Incar
from vasp_standin import potential

from hea_flows.alloy.lattice.ordering import Ordering
from hea_flows.alloy.lattice.prototypes import Alloy
from hea_flows.provenance import settings_id
from hea_flows.reference.vasp.maker import VaspMaker
from hea_flows.reference.vasp.parse import VaspRun, read_runs
from hea_flows.reference.vasp.validation import output_objections
from hea_flows.runtime.walltime import OutOfTimeError
from hea_flows.schemas import AlloySpec, LabelDoc, StructureEntry
from hea_flows.testing import check_reference_engine

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore:.*is an unconverged VASP run"),
]
METALS = ("Mo", "Ta", "Nb", "W", "V")
ALLOY = Alloy(METALS)
MO = Ordering(ALLOY, ((1, 0, 0), (0, 1, 0), (0, 0, 1)), ("Mo",))
#: POSCAR's order is Mo, W, S: the way there is not the way back.
W_MO = Ordering(ALLOY, ((2, 0, 0), (0, 1, 0), (0, 0, 1)), ("W", "Mo"))
ENOUGH = 1e-4  # eV per formula unit
DEFAULT_ID = "e7043c3a14c1"


def poscar_order(symbols: list[str]) -> list[int]:
    return sorted(range(len(symbols)), key=lambda i: Element(symbols[i]).X)


def evaluated(frame: Atoms) -> dict[str, Any]:
    """Return the potential's results of a frame, atoms in the frame's order."""
    order = poscar_order(frame.get_chemical_symbols())
    fractional = frame.get_scaled_positions(wrap=False)[order]
    found = potential.evaluate(frame.cell.array, fractional, [frame.symbols[i] for i in order])
    for key in ("forces", "magmoms"):
        back = np.empty_like(found[key])
        back[order] = found[key]
        found[key] = back
    return found


def frames(label: LabelDoc) -> list[Atoms]:
    assert label.trajectory is not None
    return label.trajectory.to_frames()


def are_exact(label: LabelDoc, *, moments: bool = True) -> bool:
    """Whether every label is the potential's of that geometry, and no geometry comes twice."""
    found = frames(label)
    keys = {f.cell.array.tobytes() + f.positions.tobytes() for f in found}
    for frame in found:
        right, results = evaluated(frame), frame.calc.results
        stress = right["stress"][[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        assert results["energy"] == right["energy"]
        np.testing.assert_allclose(results["forces"], right["forces"], atol=1.1e-8)
        np.testing.assert_allclose(results["stress"], stress, atol=1e-10)
        assert ("magmoms" in results) == moments
        if moments:
            np.testing.assert_allclose(results["magmoms"], right["magmoms"], atol=6e-4)
        # What the stand-in's smearing of 0.05 eV takes from an atom
        zero = 0.05 * len(frame) * 0.05**2
        assert results["free_energy"] == pytest.approx(right["energy"] - zero, abs=1e-7)
    return len(keys) == len(found) == label.n_frames


def attempts(label: LabelDoc) -> list[Path]:
    assert label.directory is not None
    host, _, path = label.directory.partition(":")
    assert host == socket.gethostname()
    return sorted(Path(path).parent.glob("attempt-*"))


def runs(label: LabelDoc) -> list[VaspRun]:
    return [run for attempt in attempts(label) for run in read_runs(attempt)]


class _Potential(Calculator):
    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012

    def calculate(
        self, atoms: Any = None, properties: Any = None, changes: Any = all_changes
    ) -> None:
        super().calculate(atoms, properties, changes)
        found = evaluated(self.atoms)
        stress = found["stress"][[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        self.results = {"energy": found["energy"], "forces": found["forces"], "stress": stress}


def minimum(of: Ordering) -> float:
    """Return the energy (eV) at which ASE's optimiser ends, c fixed."""
    atoms = of.to_atoms()
    atoms.pbc = True
    atoms.calc = _Potential()
    mask = [True, True, False, False, False, True]
    BFGS(FrechetCellFilter(atoms, mask=mask), logfile=None).run(fmax=0.003, steps=60)
    return float(atoms.get_potential_energy())


@pytest.fixture(scope="module")
def minima() -> Callable[[Ordering], float]:
    known: dict[str, float] = {}

    def of(ordering: Ordering) -> float:
        if ordering.id not in known:
            known[ordering.id] = minimum(ordering)
        return known[ordering.id]

    return of


# -- without faults --------------------------------------------------------------------------------


@pytest.mark.parametrize("ordering", [MO, W_MO], ids=["unit cell", "2x1"])
def test_a_relaxation(ordering: Ordering, standin: Any, minima: Any) -> None:
    label = standin.label(ordering)
    assert (label.state, label.reason, label.corrections) == ("converged", None, [])
    assert (label.engine, label.calculation, label.settings_id) == ("vasp", "relax", DEFAULT_ID)
    assert label.code_versions == {"vasp": "6.5.0"}
    assert {"hea-flows", "atomate2", "custodian", "emmet-core"} <= label.versions.keys()
    found = frames(label)
    assert len(found) > 3
    assert are_exact(label)
    ideal = ordering.to_atoms()
    for frame in found:
        assert frame.get_chemical_symbols() == ideal.get_chemical_symbols()
        assert frame.pbc.tolist() == [True, True, False]
        np.testing.assert_array_equal(frame.cell.array[2], found[0].cell.array[2])
        np.testing.assert_array_equal(frame.cell.array[:2, 2], [0, 0])
    shift = found[0].get_scaled_positions() - ideal.get_scaled_positions()
    np.testing.assert_allclose(shift - np.rint(shift), 0, atol=1e-7)
    assert abs(found[-1].cell.lengths()[0] - found[0].cell.lengths()[0]) > 0.001
    assert label.energy == found[-1].calc.results["energy"]
    assert abs(label.energy - minima(ordering)) / ordering.n_sites < ENOUGH
    assert label.max_force is not None
    assert label.max_force < 0.01
    assert label.magnetization == pytest.approx(sum(found[-1].calc.results["magmoms"]))
    assert label.flags == []
    # Two passes; the second starts from the first's last geometry, with a basis made for it.
    assert [launch["status"] for launch in standin.launches()] == [0, 0]
    first, second = runs(label)
    np.testing.assert_array_equal(first.steps[-1].cell, second.steps[0].cell)
    assert len(first.steps) + len(second.steps) == len(found) + 1


def test_what_a_label_tells_of_its_calculation(standin: Any) -> None:
    label = standin.label(W_MO, standin.maker(calculation="static"))
    assert (label.state, label.n_frames, label.calculation) == ("converged", 1, "static")
    assert label.settings_id == DEFAULT_ID
    assert are_exact(label)
    [launch] = standin.launches()
    folder = Path(launch["directory"])
    assert folder.parts[-4:] == (DEFAULT_ID, W_MO.id, "static", "attempt-000")
    assert attempts(label) == [folder]
    maker = VaspMaker(calculation="static").maker_for(W_MO)
    atoms = W_MO.to_atoms()
    structure = Structure(atoms.cell.array, atoms.symbols, atoms.get_scaled_positions())
    inputs = maker.input_set_generator.get_input_set(structure, potcar_spec=True)
    assert label.inputs["INCAR"] == dict(inputs["INCAR"])
    assert label.inputs["KPOINTS"] == str(inputs["KPOINTS"])
    titles = [f"PAW_PBE {symbol} 01Jan2000" for symbol in ("Mo_pv", "W_pv", "S")]
    assert label.inputs["POTCAR"] == titles
    assert label.task is not None
    document = json.loads(gzip.decompress(label.task.read()))
    assert document["state"] == "successful"
    assert document["output"]["energy"] == label.energy
    assert document["formula_pretty"] == "MoWS4"
    assert output_objections(folder, check_potcar=False) == []


def test_what_every_engine_keeps(standin: Any) -> None:
    label = check_reference_engine(standin.maker(calculation="static"), W_MO)
    assert are_exact(label)
    assert len(standin.launches()) == 1


def test_generating_vectors_reach_the_label(standin: Any) -> None:
    cell = ((2, 1, 0), (1, 2, 0), (0, 0, 1))
    label = standin.label(
        Ordering(ALLOY, cell, ("W", "V", "Mo")), standin.maker(calculation="static")
    )
    assert label.state == "converged"
    assert label.inputs["KPOINTS"].splitlines()[2] == "Reciprocal"
    assert are_exact(label)


def test_asked_again_nothing_is_computed(standin: Any) -> None:
    first = standin.label(MO, standin.maker(passes=1))
    again = standin.label(MO, standin.maker(passes=1, incar={"NCORE": 4}))
    assert len(standin.launches()) == 1
    assert again.trajectory_sha256 == first.trajectory_sha256
    assert again.uuid != first.uuid
    # One more pass goes on from there; other physics starts afresh.
    assert standin.label(MO, standin.maker(passes=2)).state == "converged"
    assert len(standin.launches()) == 2
    other = standin.label(MO, standin.maker(passes=1, incar={"ENCUT": 600}))
    assert len(standin.launches()) == 3
    assert other.settings_id != first.settings_id


def test_the_dotfile_of_atomate2_does_not_edit_the_incar(
    standin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import atomate2

    monkeypatch.setattr(atomate2.SETTINGS, "VASP_INCAR_UPDATES", {"ENCUT": 300, "NPAR": 7})
    label = standin.label(MO, standin.maker(calculation="static"))
    assert label.inputs["INCAR"]["ENCUT"] == 520
    assert "NPAR" not in label.inputs["INCAR"]


def test_an_earlier_calculation_is_taken_from_its_folder(standin: Any) -> None:
    before = standin.label(MO, standin.maker(calculation="static"))
    (attempts(before)[0] / "WAVECAR").write_text("waves")
    maker = standin.maker(passes=1)
    maker.vasp.copy_vasp_kwargs = {"additional_vasp_files": ["WAVECAR"]}
    label = standin.label(MO, maker, prev_dir=str(attempts(before)[0]))
    assert label.state == "converged"
    assert (attempts(label)[0] / "WAVECAR.gz").exists()
    assert label.inputs["INCAR"] == {**before.inputs["INCAR"], "NSW": 99, "IBRION": 2, "ISIF": 3}
    assert are_exact(label)


def test_frames_of_the_earlier_calculation_are_not_taken_for_ours(standin: Any) -> None:
    before = standin.label(MO, standin.maker(calculation="static", incar={"ENCUT": 400}))
    maker = standin.maker(passes=1, run_vasp={"vasp_cmd": "/bin/false"})
    label = standin.label(MO, maker, prev_dir=str(attempts(before)[0]))
    assert (label.state, label.n_frames) == ("failed", 0)


# -- faults that pass ------------------------------------------------------------------------------

SEGFAULT = ": forrtl: severe (174): SIGSEGV, segmentation fault occurred"
AGAIN = "; restarted from the last geometry"
ENDED = f"attempt 0: VASP ended without complete output{AGAIN}"
CRASHED = f"attempt 0: VASP ended without complete output{SEGFAULT}{AGAIN}"


@pytest.mark.parametrize(
    ("kind", "step", "corrections"),
    [
        ("sigkill", 1, [ENDED]),
        ("sigkill", 3, [ENDED]),
        ("crash", 2, [CRASHED]),
        ("truncated", 1, [ENDED]),
        (
            "zbrent",
            2,
            ["attempt 0: zbrent: CONTCAR file copy POSCAR; INCAR EDIFF = 1e-07; INCAR NELMIN = 8"],
        ),
        ("electronic", 3, ["attempt 0: Unconverged: INCAR ALGO = Normal"]),
        ("ionic", 3, ["attempt 0: Unconverged: INCAR IBRION = 1; CONTCAR file copy POSCAR"]),
    ],
)
def test_a_fault_that_passes_ends_in_the_same_label(
    kind: str, step: int, corrections: list[str], standin: Any, minima: Any
) -> None:
    standin.faults({"kind": kind, "step": step}, None)
    label = standin.label(MO, standin.maker(passes=1))
    assert (label.state, label.reason, label.corrections) == ("converged", None, corrections)
    assert len(standin.launches()) == 2
    assert are_exact(label)
    assert abs(label.energy - minima(MO)) < ENOUGH
    # What was computed before the fault is kept.
    first, second = runs(label)
    whole = [s for s in first.steps if first.sound(s)]
    known = {f.cell.array.tobytes() for f in frames(label)}
    assert {s.cell.tobytes() for s in (*whole, *second.steps)} == known
    assert len(whole) >= {"sigkill": step - 1, "crash": step - 1}.get(kind, 1)


def test_frames_keep_their_order_across_a_kill(standin: Any, minima: Any) -> None:
    standin.faults({"kind": "sigkill", "step": 3}, None)
    label = standin.label(W_MO)
    assert (label.state, len(standin.launches())) == ("converged", 3)
    assert are_exact(label)
    assert abs(label.energy - minima(W_MO)) / 2 < ENOUGH
    first = runs(label)[0]
    assert [f.calc.results["energy"] for f in frames(label)[:2]] == [s.energy for s in first.steps]


@pytest.mark.parametrize("names", ["[Ov]*.gz", "*.gz"], ids=["outputs", "inputs too"])
def test_compressed_files_that_were_cut_are_gone_on_from(
    names: str, standin: Any, minima: Any
) -> None:
    """As after a crash of the machine, which leaves part of a file that was just compressed."""
    maker = standin.maker(passes=1)
    first = standin.label(MO, maker)
    [attempt] = attempts(first)
    (attempt / "outcome.json").unlink()
    for path in attempt.glob(names):
        content = path.read_bytes()
        path.write_bytes(content[: len(content) * 3 // 4])
    before = runs(first)[0].steps
    assert 0 < len(before) < (first.n_frames or 0)
    label = standin.label(MO, maker)
    assert (label.state, label.reason) == ("converged", None)
    assert label.corrections == ["attempt 0: interrupted; restarted from the last geometry"]
    cells = {f.cell.array.tobytes() for f in frames(label)}
    if names == "*.gz":  # no labels: nothing says whole by which settings
        before = before[-1:]  # where the next attempt started
    assert {s.cell.tobytes() for s in before} <= cells
    assert are_exact(label, moments=names == "*.gz")  # OUTCAR was cut before some steps' moments
    assert abs(label.energy - minima(MO)) < ENOUGH


# -- faults that stay ------------------------------------------------------------------------------

SCF = (
    "the SCF did not converge in 100 steps; custodian gave up after 2 corrections, last of "
    "Unconverged: INCAR ALGO = All, INCAR ISEARCH = 1"
)
IONS = (
    "the relaxation did not converge: largest force 0.000 eV/Å after 30 ionic steps; custodian "
    "gave up after 2 corrections, last of Unconverged: INCAR IBRION = 1; CONTCAR file copy POSCAR"
)


@pytest.mark.parametrize(
    ("kind", "state", "reason", "n_launches"),
    [
        ("sigkill", "unconverged", "VASP ended without complete output", 3),
        ("crash", "unconverged", f"VASP ended without complete output{SEGFAULT}", 3),
        ("nan_forces", "unconverged", "VASP wrote energies or forces that are no numbers", 1),
        ("electronic", "unconverged", SCF, 2),
        ("ionic", "unconverged", IONS, 2),
        (
            "potcar_order",
            "failed",
            "the POTCAR holds W, Mo, S, the POSCAR Mo, W, S: other elements were computed",
            1,
        ),
    ],
)
def test_a_fault_that_stays_is_explained(
    kind: str, state: str, reason: str, n_launches: int, standin: Any
) -> None:
    standin.faults({"kind": kind, "step": 2, "always": True})
    maker = standin.maker(passes=1, incar={"NSW": 30}, run_vasp={"max_errors": 2})
    label = standin.label(W_MO if kind == "potcar_order" else MO, maker)
    assert (label.state, label.reason) == (state, reason)
    assert "\n" not in label.reason
    assert "<" not in label.reason
    assert len(standin.launches()) == n_launches
    if state == "failed":
        assert (label.n_frames, label.trajectory, label.energy) == (0, None, None)
    else:  # what is sound is kept
        assert are_exact(label)


def test_a_failed_structure_is_tried_again_by_the_next_job(standin: Any) -> None:
    standin.faults(*[{"kind": "crash"}] * 3, None)
    maker = standin.maker(passes=1)
    failed = standin.label(MO, maker)
    assert (failed.state, failed.n_frames) == ("failed", 0)
    said = [CRASHED.replace("attempt 0", f"attempt {n}") for n in range(3)]
    assert failed.corrections == [*said[:2], said[2].removesuffix(AGAIN)]
    again = standin.label(MO, maker)
    assert (again.state, len(standin.launches())) == ("converged", 4)
    assert are_exact(again)


# -- custodian and the settings --------------------------------------------------------------------


class Coarser(ErrorHandler):
    """Changes the mesh."""

    def check(self, directory: str = "./") -> bool:
        return "12 12 1" in Path(directory, "KPOINTS").read_text()

    def correct(self, directory: str = "./") -> dict[str, Any]:
        mesh = {"kpoints": [[6, 6, 1]]}
        actions = [{"dict": "KPOINTS", "action": {"_set": mesh}}]
        VaspModder(directory=directory).apply_actions(actions)
        return {"errors": ["coarse"], "actions": actions}


def test_frames_after_a_change_of_the_mesh_are_no_labels(standin: Any) -> None:
    maker = standin.maker(passes=1, run_vasp={"handlers": [Coarser()]})
    label = standin.label(MO, maker)
    assert label.state == "failed"
    assert label.reason == (
        "custodian left the campaign's settings: KPOINTS from [['0'], ['Gamma'], "
        "['12', '12', '1']] to [['0'], ['Gamma'], ['6', '6', '1']]"
    )
    [run] = runs(label)  # this handler keeps no files of what it repairs
    assert len(run.steps) > 3
    assert label.n_frames == 0


def test_frames_after_a_change_of_the_smearing_are_no_labels(standin: Any) -> None:
    """custodian's own handler widens the smearing of metals that ran with tetrahedra."""
    niobium = Ordering(ALLOY, MO.supercell, ("Nb",))
    maker = standin.maker(
        passes=1, incar={"ISMEAR": -5}, run_vasp={"handlers": [IncorrectSmearingHandler()]}
    )
    label = standin.label(niobium, maker)
    assert label.state == "unconverged"
    assert label.reason == (
        "custodian left the campaign's settings: ISMEAR from -5 to 2, SIGMA from 0.05 to 0.2"
    )
    assert label.n_frames == len(runs(label)[0].steps)


def test_an_attempt_that_was_killed_before_its_input_was_written(standin: Any) -> None:
    folder = standin.work / "data" / "scratch" / DEFAULT_ID / MO.id / "relax" / "attempt-000"
    folder.mkdir(parents=True)
    label = standin.label(MO, standin.maker(passes=1))
    assert (label.state, label.reason) == ("converged", None)
    assert label.corrections == ["attempt 0: interrupted; restarted from the last geometry"]
    assert label.inputs["INCAR"]["ENCUT"] == 520


# -- machines --------------------------------------------------------------------------------------


def test_a_machine_without_vasp_fails_the_job_and_not_the_label(standin: Any) -> None:
    maker = standin.maker(run_vasp={"vasp_cmd": "mpirun-of-nowhere -n 4 vasp_std"})
    with pytest.raises(FileNotFoundError) as told:
        standin.label(MO, maker)
    assert str(told.value) == (
        "VASP's command 'mpirun-of-nowhere -n 4 vasp_std' is not found on this machine; set "
        "VASP_CMD in ~/.atomate2.yaml (or ATOMATE2_VASP_CMD), or give this worker other categories"
    )
    assert standin.launches() == []


def test_a_machine_without_a_potcar_fails_the_job_and_not_the_label(standin: Any) -> None:
    with pytest.raises(FileNotFoundError, match=r"^no POTCAR Mo_sv \(PBE\) for Mo: .*pmgrc"):
        standin.label(MO, standin.maker(potcars={"Mo": "Mo_sv"}))
    assert standin.launches() == []


def test_tungsten_is_asked_for_in_the_job_too(standin: Any) -> None:
    with pytest.raises(ValueError, match="PBE_54 have no W_pv"):
        standin.label(W_MO, standin.maker(potcar_functional="PBE_54"))
    chosen = {"potcar_functional": "PBE_54", "potcars": {"W": "W_sv"}, "calculation": "static"}
    label = standin.label(W_MO, standin.maker(**chosen))
    assert label.state == "converged"
    assert [title.split()[1] for title in label.inputs["POTCAR"]] == ["Mo_pv", "W_sv", "S"]
    assert label.settings["potcars"] == {"W": "W_sv"}


# -- time limits and kills -------------------------------------------------------------------------


def test_before_the_time_limit_the_job_hands_over_to_itself(
    standin: Any, monkeypatch: pytest.MonkeyPatch, minima: Any
) -> None:
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    store.connect()
    maker = standin.maker(passes=1)
    job = maker.make(StructureEntry.from_ordering(MO), AlloySpec(elements=METALS))
    job.append_name(" MoS2")
    job.config.manager_config = {"_category": "vasp", "_priority": 3}
    job.update_metadata({"campaign": "x"})
    monkeypatch.setattr(OutOfTimeError, "happened", False)
    monkeypatch.setenv("VASP_STANDIN_STEP_SECONDS", "0.4")
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) + 301))  # custodian keeps 300 s
    replaced = copy.deepcopy(job).run(store).replace
    [again] = replaced.jobs
    assert (again.uuid, again.index, again.name) == (job.uuid, 2, "vasp MoS2")
    assert again.config.manager_config == {"_category": "vasp", "_priority": 3}
    assert again.metadata == {"campaign": "x"}
    assert OutOfTimeError.happened  # the worker leaves
    [launch] = standin.launches()
    assert launch["reason"] == "soft stop"
    assert launch["status"] == 0
    monkeypatch.delenv("VASP_STANDIN_STEP_SECONDS")
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) + 3600))
    label = again.run(store).output
    assert (label.state, label.reason) == ("converged", None)
    assert are_exact(label)
    assert abs(label.energy - minima(MO)) < ENOUGH
    first, second = runs(label)
    assert len(first.steps) + len(second.steps) == label.n_frames
    assert len(standin.launches()) == 2
    assert label.corrections == [
        "attempt 0: stopped before the time limit; restarted from the last geometry"
    ]


WORKER = """\
import sys
from pathlib import Path
from jobflow import run_locally
from monty.json import MontyDecoder
job = MontyDecoder().decode(Path(sys.argv[1]).read_text())
run_locally(job, create_folders=False)
"""


@pytest.fixture
def worker(standin: Any) -> Iterator[Any]:
    """Return a function that runs a job in a process of its own."""
    started: list[subprocess.Popen[bytes]] = []

    def start(job: Any, **environment: str) -> subprocess.Popen[bytes]:
        from monty.json import MontyEncoder

        file = standin.work / "job.json"
        file.write_text(json.dumps(job, cls=MontyEncoder))
        process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(file)],
            env=os.environ | standin.variables | environment,
            cwd=standin.work,
            stdout=subprocess.DEVNULL,
            stderr=(standin.work / "worker.log").open("wb"),
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_killed_worker_is_followed_by_one_that_goes_on(
    standin: Any, worker: Any, minima: Any
) -> None:
    maker = standin.maker(passes=1)
    job = maker.make(StructureEntry.from_ordering(MO), AlloySpec(elements=METALS))
    process = worker(job, VASP_STANDIN_STEP_SECONDS="1")
    folder = standin.work / "data" / "scratch" / DEFAULT_ID / MO.id / "relax" / "attempt-000"
    end = time.monotonic() + 100
    outcar = folder / "OUTCAR"
    while not outcar.exists() or "LOOP+" not in outcar.read_text():
        assert process.poll() is None, (standin.work / "worker.log").read_text()[-2000:]
        assert time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    [launch] = standin.launches()
    orphan = psutil.Process(launch["pid"])
    assert orphan.is_running()  # VASP outlives its worker
    label = standin.label(MO, maker)
    assert not orphan.is_running()
    assert label.state == "converged"
    assert label.corrections == ["attempt 0: interrupted; restarted from the last geometry"]
    assert are_exact(label)
    assert abs(label.energy - minima(MO)) < ENOUGH
    first, second = runs(label)
    assert len(first.steps) >= 1
    steps = [step.cell.tobytes() for step in (*first.steps, *second.steps)]
    assert len(set(steps)) == len(steps) == label.n_frames
    assert [("end" in launch) for launch in standin.launches()] == [False, True]


def test_the_input_is_written_as_the_rule_says(standin: Any) -> None:
    label = standin.label(MO, standin.maker(calculation="static", incar={"SIGMA": 0.1}))
    [folder] = attempts(label)
    incar = Incar.from_file(folder / "INCAR.gz")
    assert (incar["SIGMA"], incar["ISMEAR"], incar["EDIFF"]) == (0.1, 0, 1e-6)
    maker = VaspMaker.from_options(incar={"SIGMA": 0.1})
    assert label.settings_id == settings_id(maker.rule()) != DEFAULT_ID
