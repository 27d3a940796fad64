from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.calculators.lj import LennardJones
from jobflow import run_locally

from hea_flows.alloy.lattice.ordering import Ordering
from hea_flows.alloy.lattice.prototypes import Alloy
from hea_flows.provenance import settings_id
from hea_flows.reference.gpaw import maker, settings, steps
from hea_flows.reference.gpaw.maker import GPAWMaker, label
from hea_flows.reference.gpaw.settings import GPAWSettings
from hea_flows.reference.gpaw.steps import Task, compute_frames, read_steps
from hea_flows.runtime.walltime import OutOfTimeError
from hea_flows.schemas import AlloySpec, LabelDoc, StructureEntry
from hea_flows.testing import check_reference_engine

ALLOY = Alloy(("Mo", "V"))
MO = Ordering(ALLOY, ((1, 0, 0), (0, 1, 0), (0, 0, 1)), ("Mo",))
MO_V = Ordering(ALLOY, ((2, 0, 0), (0, 1, 0), (0, 0, 1)), ("Mo", "V"))


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "_version", {"gpaw": "26.7.0", "gpaw-data": "1.2.1"}.__getitem__)


@pytest.mark.usefixtures("versions")
def test_the_whole_rule_and_the_id_of_the_shipped_labels() -> None:
    rule = GPAWSettings().rule()
    assert rule == {
        "code": "gpaw",
        "version": "26.7.0",
        "setups": "gpaw-data 1.2.1",
        "mode": "pw",
        "energy": "extrapolated to zero smearing",
        "forces": "of the free energy",
        "k_points": "primitive mesh folded exactly, else as dense",
        "cutoff": 400.0,
        "xc": "PBE",
        "mesh": [12, 12, 1],
        "smearing": 0.05,
        "moments": {"V": 1.0},
        "energy_convergence": 1e-5,
        "density_convergence": 1e-5,
    }
    assert settings_id(rule) == "2a3295f156d1"
    assert GPAWSettings(cutoff=520).rule() != rule


def test_other_functionals() -> None:
    alloy = AlloySpec(elements=("Mo", "W"))
    text = (Path(__file__).parents[3] / "docs" / "gpaw.md").read_text()
    [block] = [b for b in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "xc:" in b]
    options = yaml.safe_load(block)["labels"]["options"]
    maker = GPAWMaker.with_options(options)
    maker.check(alloy)
    assert maker.rule()["xc"] == options["settings"]["xc"] != "PBE"
    ids = {settings_id(GPAWSettings(xc=xc).rule()) for xc in ("PBE", "PBEsol", maker.rule()["xc"])}
    assert len(ids) == 3
    for xc, message in {
        "R2SCAN": "GPAW has no functional 'R2SCAN'; accepted",
        "vdW-DF": "'vdW-DF' has no stress in GPAW",
        "PBE0": "'PBE0' has no stress in GPAW",
    }.items():
        with pytest.raises(ValueError, match=message):
            GPAWMaker(settings=GPAWSettings(xc=xc)).check(alloy)


class Spring(LennardJones):
    """Lennard-Jones in place of an SCF; counts evaluations, and can be killed or fail after some.

    The moments it finds are 0.5 μB; the start moments it was given are kept.
    """

    evaluations = 0
    last: int | None = None
    stop: BaseException = KeyboardInterrupt()
    started_from: list[float]

    implemented_properties = [*LennardJones.implemented_properties, "magmom", "magmoms"]  # noqa: RUF012

    def calculate(self, *args: Any, **kwargs: Any) -> None:
        if Spring.evaluations == Spring.last:
            raise Spring.stop
        Spring.evaluations += 1
        super().calculate(*args, **kwargs)
        Spring.started_from = self.atoms.get_initial_magnetic_moments().tolist()
        self.results["free_energy"] = self.results["energy"] - 0.1
        self.results["magmom"] = 0.5
        self.results["magmoms"] = np.full(len(self.atoms), 0.5)


@pytest.fixture
def spring(monkeypatch: pytest.MonkeyPatch) -> type[Spring]:
    def calculator(ordering: Ordering, rule: GPAWSettings, log: Path) -> Calculator:
        return Spring(sigma=2.2, epsilon=0.5, rc=7.0)

    monkeypatch.setattr(steps, "calculator", calculator)
    Spring.evaluations, Spring.last, Spring.stop = 0, None, KeyboardInterrupt()
    return Spring


def task(ordering: Ordering, folder: Path, **options: Any) -> Task:
    atoms = ordering.to_atoms()
    atoms.rattle(0.05, seed=2)
    return Task(ordering, atoms, GPAWSettings(), folder, **options)


def run(ordering: Ordering, folder: Path, **options: Any) -> tuple[list[Atoms], bool]:
    return compute_frames(task(ordering, folder, **options))


def test_every_ionic_step_is_a_frame(spring: type[Spring], tmp_path: Path) -> None:
    frames, converged = run(MO_V, tmp_path, fmax=0.02)
    assert converged
    assert len(frames) == spring.evaluations > 4
    np.testing.assert_array_equal(frames[0].positions, task(MO_V, tmp_path).start.positions)
    for frame in frames:
        again = frame.copy()
        again.calc = LennardJones(sigma=2.2, epsilon=0.5, rc=7.0)
        results = frame.calc.results
        assert results["energy"] == pytest.approx(again.get_potential_energy(), abs=1e-10)
        assert results["free_energy"] == pytest.approx(results["energy"] - 0.1)
        np.testing.assert_allclose(results["forces"], again.get_forces(), atol=1e-10)
        np.testing.assert_allclose(results["stress"], again.get_stress(), atol=1e-10)
        assert results["magmoms"].tolist() == [0.5] * 6  # V is present: spin-polarised
        assert frame.get_initial_magnetic_moments().tolist() == [0, 0, 0, 1, 0, 0]
        np.testing.assert_array_equal(frame.cell.array[2], frames[0].cell.array[2])
    assert "magmoms" not in run(MO, tmp_path / "mo", static=True)[0][0].calc.results


def test_a_killed_run_takes_the_path_of_an_uninterrupted_one(
    spring: type[Spring], tmp_path: Path
) -> None:
    whole, _ = run(MO_V, tmp_path / "whole", fmax=0.02)
    spring.evaluations = 0
    for last in (2, 5, None):
        spring.last = last
        try:
            frames, converged = run(MO_V, tmp_path / "parts", fmax=0.02)
        except KeyboardInterrupt:
            continue
        # As GPAW does after a move, a restart takes the moments that were found last.
        assert spring.started_from == [0.5] * 6
    assert converged
    assert spring.evaluations == len(frames) == len(whole)  # no step is computed twice
    for one, other in zip(frames, whole, strict=True):
        np.testing.assert_allclose(one.positions, other.positions, atol=1e-9)
        np.testing.assert_allclose(one.cell.array, other.cell.array, atol=1e-9)
    spring.evaluations = 0
    again, converged = run(MO_V, tmp_path / "parts", fmax=0.02)
    assert (len(again), converged, spring.evaluations) == (len(whole), True, 0)


def test_killed_after_the_last_step(spring: type[Spring], tmp_path: Path) -> None:
    whole, _ = run(MO, tmp_path, fmax=0.02)
    (tmp_path / "converged.json").unlink()
    spring.evaluations = 0
    again, converged = run(MO, tmp_path, fmax=0.02)
    assert (len(again), converged, spring.evaluations) == (len(whole), True, 0)


def test_files_cut_while_they_were_written(spring: type[Spring], tmp_path: Path) -> None:
    whole, _ = run(MO, tmp_path / "whole", fmax=0.02)
    folder = tmp_path / "cut"
    run(MO, folder, fmax=0.02, max_steps=1)
    two = (folder / "steps.traj").read_bytes()
    run(MO, folder, fmax=0.02, max_steps=2)
    three = (folder / "steps.traj").read_bytes()
    # A frame is appended first and counted in the head of the file last.
    for cut in range(len(two), len(three), 97):
        (folder / "steps.traj").write_bytes(two + three[len(two) : cut])
        assert len(read_steps(folder)) == 2
    frames, converged = run(MO, folder, fmax=0.02)
    assert (len(frames), converged) == (len(whole), True)
    assert frames[-1].get_potential_energy() == pytest.approx(whole[-1].get_potential_energy())
    # The head of the steps' own file.
    run(MO, tmp_path / "third", fmax=0.02, max_steps=1)
    (tmp_path / "third" / "steps.traj").write_bytes(two[:20])
    spring.evaluations = 0
    frames, converged = run(MO, tmp_path / "third", fmax=0.02)
    assert (len(frames), converged, spring.evaluations) == (len(whole), True, len(whole))


@pytest.mark.parametrize("known", [1, 2, 4])
def test_killed_while_the_hessian_was_written(
    spring: type[Spring], tmp_path: Path, known: int
) -> None:
    whole, _ = run(MO_V, tmp_path / "whole", fmax=0.02)
    spring.evaluations, spring.last = 0, known
    with pytest.raises(KeyboardInterrupt):  # in the evaluation after the Hessian was written
        run(MO_V, tmp_path / "cut", fmax=0.02)
    hessian = tmp_path / "cut" / "hessian.json"
    text = hessian.read_text()
    for cut in (0, 20, len(text) - 1):
        folder = tmp_path / str(cut)
        shutil.copytree(tmp_path / "cut", folder)
        (folder / "hessian.json").write_text(text[:cut])
        spring.last = None
        frames, converged = run(MO_V, folder, fmax=0.02)
        assert (len(frames), converged) == (len(whole), True)
        for one, other in zip(frames, whole, strict=True):
            np.testing.assert_allclose(one.positions, other.positions, atol=1e-9)


def test_three_frames_and_no_more(spring: type[Spring], tmp_path: Path) -> None:
    frames, converged = run(MO_V, tmp_path, fmax=1e-4, max_steps=2)
    assert (len(frames), converged) == (3, False)
    frames, converged = run(MO_V, tmp_path, fmax=1e-4, max_steps=2)
    assert (len(frames), converged, spring.evaluations) == (3, False, 3)
    frames, _ = run(MO_V, tmp_path, fmax=1e-4, max_steps=5)
    assert len(frames) == spring.evaluations == 6


def test_it_stops_before_the_time_limit(
    spring: type[Spring], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = iter([100.0, 0.0])
    monkeypatch.setattr(steps, "seconds_left", lambda: next(left))
    with pytest.raises(OutOfTimeError, match=r"^0 s are left .* goes on after step 2$"):
        run(MO, tmp_path)
    monkeypatch.setattr(steps, "seconds_left", lambda: None)
    frames, converged = run(MO, tmp_path)
    assert converged
    assert len(frames) == spring.evaluations > 2


@pytest.mark.usefixtures("versions", "machine")
def test_a_failure_keeps_the_frames_before_it(spring: type[Spring], tmp_path: Path) -> None:
    spring.last, spring.stop = 3, RuntimeError("the SCF did\n not converge")
    found = label(task(MO_V, tmp_path))
    assert (len(found.frames), found.converged) == (3, False)
    assert found.reason == "RuntimeError: the SCF did not converge"
    assert found.inputs["spin_polarised"]
    assert len(found.inputs["k_points"]) == 72
    assert found.inputs["folded"]
    assert found.inputs["start_moments"] == {"V": 1.0}
    assert found.directory == tmp_path


@pytest.mark.usefixtures("versions", "machine")
def test_what_every_engine_keeps(spring: type[Spring]) -> None:
    label = check_reference_engine(GPAWMaker(), MO_V)
    assert (label.state, label.n_frames) == ("converged", spring.evaluations)
    # Steps from another start geometry are not taken for those of the ideal one.
    again = check_reference_engine(GPAWMaker(), MO_V)
    assert (again.trajectory, spring.evaluations) == (label.trajectory, label.n_frames)
    ideal = GPAWMaker().compute(MO_V.to_atoms(), MO_V).frames
    np.testing.assert_array_equal(ideal[0].positions, MO_V.to_atoms().positions)
    assert label.magnetization == pytest.approx(3.0)
    assert GPAWMaker.with_options({"settings": {"mesh": [6, 6, 1]}}) == GPAWMaker(
        settings=GPAWSettings(mesh=(6, 6, 1))
    )


@pytest.mark.usefixtures("versions", "machine")
def test_a_job_near_the_time_limit_goes_on_after_its_last_step(
    spring: type[Spring], monkeypatch: pytest.MonkeyPatch
) -> None:
    left = iter([100.0, 0.0])
    monkeypatch.setattr(steps, "seconds_left", lambda: next(left, None))
    job = GPAWMaker().make(StructureEntry.from_ordering(MO), AlloySpec(elements=["Mo", "V"]))
    outputs = run_locally(job, ensure_success=True)[job.uuid]
    document = outputs[2].output
    assert isinstance(document, LabelDoc)
    assert document.state == "converged"
    assert document.n_frames == spring.evaluations > 2


@pytest.mark.usefixtures("versions")
def test_a_command_that_does_not_exist(
    tmp_path: Path, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEA_FLOWS_GPAW_COMMAND", "mpiexxec -n 4 gpaw python")
    assert maker.get_settings().gpaw_command == "mpiexxec -n 4 gpaw python"
    found = label(task(MO, tmp_path))
    assert (found.frames, found.converged) == ([], False)
    assert found.reason == (
        "FileNotFoundError: gpaw_command is 'mpiexxec -n 4 gpaw python', and there is no program "
        "'mpiexxec'"
    )
    assert json.dumps(found.inputs)
