"""The VASP stand-in behaves as VASP does, as far as our tests lean on it."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import mx2
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.io.vasp import Incar, Kpoints, Oszicar, Outcar, Poscar, Vasprun

deck, environment, kmesh, potcars, potential, program = (
    importlib.import_module(f"vasp_standin.{name}")
    for name in ("deck", "environment", "kmesh", "potcars", "potential", "program")
)

pytest.importorskip("chgnet")
pytestmark = pytest.mark.filterwarnings("ignore")  # pymatgen knows no synthetic POTCAR

INCAR = {
    "ALGO": "Fast", "EDIFF": 1e-5, "EDIFFG": -0.01, "ENCUT": 520, "IBRION": 2, "ISIF": 3,
    "ISMEAR": 0, "ISPIN": 2, "LASPH": True, "LATTICE_CONSTRAINTS": [True, True, False],
    "LORBIT": 11, "LREAL": "Auto", "LWAVE": False, "NELM": 100, "NSW": 99, "PREC": "Accurate",
    "SIGMA": 0.05,
}  # fmt: skip
POTENTIALS = {"Mo": "Mo_pv", "Nb": "Nb_pv", "W": "W_pv", "S": "S"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("standin")
    environment.prepare(folder)
    yield folder
    environment.stop_server(folder)


def layer(*metals: str, a: float = 3.22) -> Structure:
    """Return an n×1 layer, sorted by species as POSCAR wants it."""
    atoms = mx2(formula="MoS2", kind="2H", a=a, thickness=3.2, size=(len(metals), 1, 1), vacuum=8)
    atoms.pbc = True
    sites = [i for i, symbol in enumerate(atoms.symbols) if symbol == "Mo"]
    for site, metal in zip(sites, metals, strict=True):
        atoms[site].symbol = metal
    return AseAtomsAdaptor.get_structure(atoms).get_sorted_structure(
        key=lambda site: (site.specie.symbol == "S", site.specie.symbol)
    )


def write(folder: Path, structure: Structure, mesh: tuple[int, ...] = (4, 4, 1), **incar) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    Incar(INCAR | {"MAGMOM": [0.6] * len(structure)} | incar).write_file(folder / "INCAR")
    Kpoints.gamma_automatic(mesh).write_file(folder / "KPOINTS")
    poscar = Poscar(structure)
    poscar.write_file(folder / "POSCAR", significant_figures=16)
    names = [POTENTIALS[symbol] for symbol in poscar.site_symbols]
    (folder / "POTCAR").write_text("".join(potcars.potcar(name) for name in names))
    return folder


def run(home: Path, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(environment.EXECUTABLE)],
        cwd=folder,
        env=os.environ | environment.prepare(home) | env,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def custodian(home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Run VASP as atomate2 does; return the corrections."""
    from atomate2.vasp.run import run_vasp

    monkeypatch.chdir(folder)
    with environment.in_process(home, keep_server=True):
        run_vasp(custodian_kwargs={"polling_time_step": 0.1, "monitor_freq": 1})
    record = json.loads((folder / "custodian.json").read_text())
    return [correction for job in record for correction in job["corrections"]]


def energies_are_exact(vasprun: Vasprun) -> bool:
    return all(
        potential.evaluate(
            step["structure"].lattice.matrix,
            step["structure"].frac_coords,
            [site.specie.symbol for site in step["structure"]],
        )["energy"]
        == step["e_0_energy"]
        for step in vasprun.ionic_steps
    )


@pytest.fixture(scope="module", params=[("Mo",), ("Mo", "Nb")], ids=["unit cell", "2x1 alloy"])
def relaxed(
    request: pytest.FixtureRequest, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = write(tmp_path_factory.mktemp("relaxed"), layer(*request.param))
    done = run(home, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "reached required accuracy" in done.stdout
    return folder


def test_every_written_energy_is_the_potentials_energy_of_that_geometry(relaxed: Path) -> None:
    vasprun = Vasprun(relaxed / "vasprun.xml")
    assert len(vasprun.ionic_steps) > 3
    assert energies_are_exact(vasprun)
    last = vasprun.ionic_steps[-1]
    found = potential.evaluate(
        last["structure"].lattice.matrix,
        last["structure"].frac_coords,
        [site.specie.symbol for site in last["structure"]],
    )
    assert np.abs(found["forces"] - last["forces"]).max() < 1e-8
    assert np.abs(-1602.1766208 * found["stress"] - last["stress"]).max() < 1e-7


def test_the_files_agree_and_the_free_energy_is_another_one(relaxed: Path) -> None:
    vasprun, outcar = Vasprun(relaxed / "vasprun.xml"), Outcar(relaxed / "OUTCAR")
    oszicar, final = Oszicar(relaxed / "OSZICAR"), vasprun.ionic_steps[-1]
    n_atoms = len(vasprun.atomic_symbols)
    assert vasprun.converged
    assert vasprun.final_energy == outcar.final_energy == final["e_0_energy"]
    assert final["e_0_energy"] - final["e_fr_energy"] == pytest.approx(0.05 * n_atoms * 0.05**2)
    assert final["e_wo_entrp"] - final["e_fr_energy"] == pytest.approx(0.1 * n_atoms * 0.05**2)
    assert len(oszicar.ionic_steps) == len(vasprun.ionic_steps)
    assert oszicar.ionic_steps[-1]["E0"] == pytest.approx(final["e_0_energy"], rel=1e-7)
    assert len(outcar.magnetization) == n_atoms
    for step in vasprun.ionic_steps:
        free = [electronic["e_fr_energy"] for electronic in step["electronic_steps"]]
        assert free[-1] == step["e_fr_energy"]
        assert abs(free[-1] - free[-2]) < INCAR["EDIFF"]
    contcar = Poscar.from_file(relaxed / "CONTCAR").structure
    assert contcar.matches(final["structure"])
    assert np.abs(contcar.lattice.matrix - final["structure"].lattice.matrix).max() == 0
    lines = (relaxed / "XDATCAR").read_text().splitlines()
    assert sum(line.startswith("Direct") for line in lines) == len(vasprun.ionic_steps)


def test_only_metals_have_no_gap(relaxed: Path) -> None:
    vasprun = Vasprun(relaxed / "vasprun.xml")
    gap = vasprun.eigenvalue_band_properties[0]
    assert gap == (0.0 if "Nb" in vasprun.atomic_symbols else 1.5)


def test_cell_and_atoms_rest_and_c_did_not_move(relaxed: Path) -> None:
    vasprun = Vasprun(relaxed / "vasprun.xml")
    first, last = vasprun.ionic_steps[0], vasprun.ionic_steps[-1]
    assert np.linalg.norm(last["forces"], axis=1).max() < 0.01
    volume = last["structure"].volume / len(last["structure"])  # Å³ per atom
    stress = np.array(last["stress"]) / 1602.1766208
    assert np.linalg.norm(stress[:2, :2] * volume, axis=1).max() < 0.01
    assert np.array(first["stress"])[2, 2] != 0
    matrices = [step["structure"].lattice.matrix for step in (first, last)]
    assert (matrices[0][2] == matrices[1][2]).all()
    assert (matrices[1][:2, 2] == 0).all()
    assert abs(matrices[0][0, 0] - matrices[1][0, 0]) > 0.01


def test_same_minimum_as_ase_and_chgnet(relaxed: Path) -> None:
    from chgnet.model.dynamics import CHGNetCalculator

    atoms = AseAtomsAdaptor.get_atoms(Poscar.from_file(relaxed / "POSCAR").structure)
    atoms.calc = CHGNetCalculator(use_device="cpu")
    mask = [True, True, False, False, False, True]
    BFGS(FrechetCellFilter(atoms, mask=mask), logfile=None).run(fmax=0.003, steps=100)
    difference = atoms.get_potential_energy() - Vasprun(relaxed / "vasprun.xml").final_energy
    assert abs(difference) / (len(atoms) / 3) < 1e-4


def test_a_restart_from_contcar_reaches_the_same_energy(
    relaxed: Path, home: Path, tmp_path: Path
) -> None:
    folder = write(tmp_path, Poscar.from_file(relaxed / "POSCAR").structure, NSW=2)
    assert run(home, folder).returncode == 0
    stopped = Vasprun(folder / "vasprun.xml")
    assert not stopped.converged_ionic
    # After NSW steps CONTCAR holds the geometry of a step that was never evaluated, as VASP's.
    contcar = Poscar.from_file(folder / "CONTCAR").structure
    assert not np.allclose(
        contcar.lattice.matrix, stopped.ionic_steps[-1]["structure"].lattice.matrix
    )
    write(folder, contcar)
    assert run(home, folder).returncode == 0
    again, whole = Vasprun(folder / "vasprun.xml"), Vasprun(relaxed / "vasprun.xml")
    assert np.array_equal(
        again.ionic_steps[0]["structure"].lattice.matrix, np.round(contcar.lattice.matrix, 8)
    )
    assert abs(again.final_energy - whole.final_energy) / (len(contcar) / 3) < 1e-4


def test_atomate2_reads_the_folder(relaxed: Path) -> None:
    from custodian.vasp.validators import VaspFilesValidator, VasprunXMLValidator
    from emmet.core.tasks import TaskDoc

    assert not VasprunXMLValidator().check(str(relaxed))
    assert not VaspFilesValidator().check(str(relaxed))
    document = TaskDoc.from_directory(relaxed)
    vasprun = Vasprun(relaxed / "vasprun.xml")
    assert document.state == "successful"
    assert document.output.energy == vasprun.final_energy
    calculation = document.calcs_reversed[0]
    assert (calculation.run_type, calculation.task_type) == ("PBE", "Structure Optimization")
    assert [step.e_0_energy for step in calculation.output.ionic_steps] == [
        step["e_0_energy"] for step in vasprun.ionic_steps
    ]
    assert calculation.input.incar["LATTICE_CONSTRAINTS"] == [True, True, False]
    assert len(document.structure.site_properties["magmom"]) == len(document.structure)


def test_a_static_run_and_one_with_a_fixed_cell(home: Path, tmp_path: Path) -> None:
    static = write(tmp_path / "static", layer("Mo"), NSW=0, IBRION=-1)
    assert run(home, static).returncode == 0
    vasprun = Vasprun(static / "vasprun.xml")
    assert len(vasprun.ionic_steps) == 1
    assert vasprun.converged
    fixed = write(tmp_path / "fixed", layer("Mo"), ISIF=2, MAGMOM=[5, 0.6, 0.6])
    text = (fixed / "INCAR").read_text().replace("5 2*0.6", "1*5 2*0.6")
    (fixed / "INCAR").write_text(text)
    assert run(home, fixed).returncode == 0
    steps = Vasprun(fixed / "vasprun.xml").ionic_steps
    assert len({tuple(step["structure"].lattice.matrix.ravel()) for step in steps}) == 1
    assert np.linalg.norm(steps[-1]["forces"], axis=1).max() < 0.01


def test_tetrahedra_have_no_entropy(home: Path, tmp_path: Path) -> None:
    folder = write(tmp_path, layer("Mo"), NSW=0, IBRION=-1, ISMEAR=-5)
    assert run(home, folder).returncode == 0
    step = Vasprun(folder / "vasprun.xml").ionic_steps[0]
    assert step["e_fr_energy"] == step["e_wo_entrp"] == step["e_0_energy"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: (f / "POTCAR").unlink(), "could not open file POTCAR"),
        (lambda f: (f / "POTCAR").write_text(potcars.potcar("S")), "number of potentials"),
        (lambda f: write(f, layer("Mo"), MAGMOM=[1.0]), "Error reading item 'MAGMOM'"),
        (lambda f: write(f, layer("Mo"), (1, 1, 1), ISMEAR=-5), "number of k-points < 4"),
        (lambda f: (f / "INCAR").write_text("NSW = many\n"), "Error reading item 'NSW'"),
        (lambda f: write(f, layer("Mo"), IBRION=0), "IBRION = 0 is not imitated"),
    ],
)
def test_what_vasp_refuses_is_refused(home: Path, tmp_path: Path, change: Any, said: str) -> None:
    folder = write(tmp_path, layer("Mo"))
    change(folder)
    done = run(home, folder)
    assert done.returncode == 1
    assert said in done.stdout
    assert not (folder / "vasprun.xml").exists()


def test_without_its_folder_it_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(environment.EXECUTABLE)],
        cwd=tmp_path,
        env={k: v for k, v in os.environ.items() if k != "VASP_STANDIN_DIR"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "VASP_STANDIN_DIR" in done.stderr


def test_generating_vectors_give_the_folded_mesh_of_the_unit_cell() -> None:
    unit = np.array([[3.2, 0, 0], [-1.6, 3.2 * np.sqrt(0.75), 0], [0, 0, 20]])
    supercell = np.array([[2, 1, 0], [1, 2, 0], [0, 0, 1]])  # √3 × √3
    vectors = np.diag([1 / 12, 1 / 12, 1]) @ supercell.T
    rows = "\n".join(" ".join(f"{x:.10f}" for x in row) for row in vectors)
    mesh = kmesh.read(f"mesh\n0\nReciprocal\n{rows}\n0 0 0\n", supercell @ unit)
    every = [(i / 12, j / 12, 0.0) for i in range(12) for j in range(12)]
    folded = np.array(every) @ supercell.T
    keys = {tuple(np.rint(k * 12).astype(int) % 12) for k in folded}
    assert len(keys) == 48
    assert round(float((mesh.weights * 48).sum())) == 48
    found = {tuple(np.rint(s * k * 12).astype(int) % 12) for k in mesh.points for s in (1, -1)}
    assert found == keys
    line = kmesh.read("mesh\n0\nGamma\n12 12 1\n", unit)
    assert len(line.points) == 74  # 4 of the 144 are their own opposites


def test_stopcar_ends_the_run_after_the_step(home: Path, tmp_path: Path) -> None:
    folder = write(tmp_path, layer("Mo"))
    (folder / "STOPCAR").write_text("LSTOP = .TRUE.\n")
    assert run(home, folder).returncode == 0
    assert len(Vasprun(folder / "vasprun.xml").ionic_steps) == 1
    assert Outcar(folder / "OUTCAR").is_stopped
    assert not (folder / "STOPCAR").exists()


def test_the_server_may_die_at_any_time(home: Path, tmp_path: Path) -> None:
    folder = write(tmp_path, layer("Mo"))
    command = [sys.executable, str(environment.EXECUTABLE)]
    env = os.environ | environment.prepare(home) | {"VASP_STANDIN_STEP_SECONDS": "0.3"}
    with subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.DEVNULL) as process:
        _wait_for(lambda: "LOOP+" in _text(folder / "OUTCAR"))
        os.kill(int((home / "server.alive").read_text()), signal.SIGKILL)
        assert process.wait(60) == 0
    vasprun = Vasprun(folder / "vasprun.xml")
    assert vasprun.converged
    assert energies_are_exact(vasprun)


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# -- faults ------------------------------------------------------------------------------------


@pytest.fixture
def faulty(home: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Return a function that writes a run whose first launch has a fault."""
    key = f"structure-{request.node.name.replace('[', '-').rstrip(']')}"

    def make(kind: str, *metals: str, **fault: Any) -> Path:
        environment.write_faults(home, {f"{key}/relax": [{"kind": kind, **fault}, None]})
        return write(tmp_path / key / "relax" / "attempt-001", layer(*(metals or ("Mo",))))

    yield make
    environment.write_faults(home, {})


def test_a_killed_run_leaves_half_a_vasprun_and_the_next_geometry(home: Path, faulty: Any) -> None:
    folder = faulty("sigkill", step=3)
    assert run(home, folder).returncode == -signal.SIGKILL
    vasprun = Vasprun(folder / "vasprun.xml", exception_on_bad_xml=False)
    assert len(vasprun.ionic_steps) == 2
    assert energies_are_exact(vasprun)
    assert "<scstep>" in (folder / "vasprun.xml").read_text().rpartition("</calculation>")[2]
    contcar = Poscar.from_file(folder / "CONTCAR").structure
    assert not np.allclose(
        contcar.lattice.matrix, vasprun.ionic_steps[-1]["structure"].lattice.matrix, atol=1e-5
    )
    launch = environment.launches(home)[-1]
    assert launch["killed"]
    assert "end" not in launch
    assert launch["launch"] == 1
    assert run(home, folder).returncode == 0
    assert environment.launches(home)[-1]["launch"] == 2
    assert environment.launches(home)[-1]["seconds"] > 0


def test_a_run_killed_in_its_first_step_leaves_an_empty_contcar(home: Path, faulty: Any) -> None:
    folder = faulty("sigkill", step=1)
    assert run(home, folder).returncode == -signal.SIGKILL
    assert (folder / "CONTCAR").read_text() == ""


def test_the_walltime_ends_the_worker_too(home: Path, faulty: Any) -> None:
    folder = faulty("walltime", step=2)
    worker = "import subprocess, sys; subprocess.run(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", worker, sys.executable, str(environment.EXECUTABLE)],
        cwd=folder,
        env=os.environ | environment.prepare(home),
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signal.SIGTERM
    _wait_for(lambda: environment.launches(home)[-1]["killed"])


def test_a_crash_has_a_return_code_and_a_message(home: Path, faulty: Any) -> None:
    folder = faulty("crash", step=2)
    done = run(home, folder)
    assert done.returncode == 174
    assert "SIGSEGV" in done.stderr
    assert len(Vasprun(folder / "vasprun.xml", exception_on_bad_xml=False).ionic_steps) == 1


def test_a_truncated_vasprun_comes_with_a_good_exit(home: Path, faulty: Any) -> None:
    from custodian.vasp.validators import VasprunXMLValidator

    folder = faulty("truncated")
    done = run(home, folder)
    assert done.returncode == 0
    assert "reached required accuracy" in done.stdout
    assert VasprunXMLValidator().check(str(folder))


def test_forces_that_are_no_numbers_pass_for_converged(home: Path, faulty: Any) -> None:
    folder = faulty("nan_forces", step=2)
    assert run(home, folder).returncode == 0
    vasprun = Vasprun(folder / "vasprun.xml")
    assert vasprun.converged  # a comparison with NaN is false in Fortran too
    assert np.isnan(vasprun.ionic_steps[-1]["forces"]).all()
    assert not np.isnan(vasprun.ionic_steps[0]["forces"]).any()


def test_potcar_in_another_order_changes_the_elements(home: Path, faulty: Any) -> None:
    folder = faulty("potcar_order", "Mo", "Nb")
    done = run(home, folder)
    assert done.returncode == 0
    assert "type information on POSCAR and POTCAR are incompatible" in done.stdout
    # pymatgen too takes the elements of a POTCAR that lies beside a POSCAR.
    poscar = Poscar.from_file(folder / "POSCAR", check_for_potcar=False)
    written = [site.specie.symbol for site in poscar.structure]
    vasprun = Vasprun(folder / "vasprun.xml")
    swapped = {"Mo": "Nb", "Nb": "Mo", "S": "S"}
    assert vasprun.atomic_symbols == [swapped[symbol] for symbol in written]
    assert energies_are_exact(vasprun)


@pytest.mark.parametrize(
    ("kind", "error", "tag", "value"),
    [
        ("zbrent", "zbrent", "NELMIN", 8),
        ("electronic", "Unconverged", "ALGO", "Normal"),
        ("ionic", "Unconverged", "IBRION", 1),
    ],
)
def test_custodian_knows_the_fault_and_repairs_it(
    home: Path,
    faulty: Any,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    error: str,
    tag: str,
    value: Any,
) -> None:
    folder = faulty(kind, step=3)
    corrections = custodian(home, folder, monkeypatch)
    assert [correction["errors"] for correction in corrections] == [[error]]
    assert Incar.from_file(folder / "INCAR")[tag] == value
    vasprun = Vasprun(folder / "vasprun.xml")
    assert vasprun.converged
    assert energies_are_exact(vasprun)
    assert vasprun.final_energy == pytest.approx(-22.6829, abs=2e-4)
    assert [launch["launch"] for launch in environment.launches(home)[-2:]] == [1, 2]


def test_unconverged_electrons_give_a_wrong_energy(home: Path, faulty: Any) -> None:
    folder = faulty("electronic", step=2)
    assert run(home, folder).returncode == 0
    vasprun = Vasprun(folder / "vasprun.xml")
    assert not vasprun.converged_electronic
    assert [len(step["electronic_steps"]) == 100 for step in vasprun.ionic_steps[:3]] == [
        False,
        True,
        True,
    ]
    step = vasprun.ionic_steps[1]
    right = potential.evaluate(
        step["structure"].lattice.matrix, step["structure"].frac_coords, ["Mo", "S", "S"]
    )
    assert step["e_0_energy"] - right["energy"] == pytest.approx(3 * program.UNCONVERGED_ERROR)


def test_a_permanent_fault_stays(home: Path, tmp_path: Path) -> None:
    environment.write_faults(home, {"cursed": [None, {"kind": "crash", "always": True}]})
    folder = write(tmp_path / "cursed" / "relax", layer("Mo"))
    assert [run(home, folder).returncode for _ in range(4)] == [0, 174, 174, 174]
    environment.write_faults(home, {})


def test_an_unknown_fault_is_refused(home: Path) -> None:
    with pytest.raises(ValueError, match="accepted kinds: sigkill"):
        environment.write_faults(home, {"x": [{"kind": "meteor"}]})
    environment.write_faults(home, {})


def test_pymatgen_finds_the_synthetic_potcars(home: Path) -> None:
    from pymatgen.io.vasp import PotcarSingle

    with environment.in_process(home, keep_server=True):
        found = PotcarSingle.from_symbol_and_functional("W_pv", "PBE")
        assert (found.element, found.zval, found.functional) == ("W", 12, "PBE")
        assert PotcarSingle.from_symbol_and_functional("W_sv", "PBE_54").zval == 14
        with pytest.raises(FileNotFoundError):
            PotcarSingle.from_symbol_and_functional("W_pv", "PBE_54")
