from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.calculators.lj import LennardJones

from hea_flows.alloy.frames import settings_id
from hea_flows.alloy.ordering import Ordering
from hea_flows.alloy.prototypes import Alloy
from hea_flows.engines import gpaw as engine
from hea_flows.engines.gpaw import GPAWRule, compute_frames

ALLOY = Alloy(("Mo", "V"))
MO = Ordering(ALLOY, ((1, 0, 0), (0, 1, 0), (0, 0, 1)), ("Mo",))
MO_V = Ordering(ALLOY, ((2, 0, 0), (0, 1, 0), (0, 0, 1)), ("Mo", "V"))
CHECKS = Path(__file__).parents[3] / "shared" / "data" / "gpaw_checks.json"


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_version", {"gpaw": "26.7.0", "gpaw-data": "1.2.1"}.__getitem__)


@pytest.mark.usefixtures("versions")
def test_the_whole_rule_and_the_id_of_the_shipped_labels() -> None:
    rule = GPAWRule().as_rule()
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
    assert GPAWRule().id == settings_id(rule) == "2a3295f156d1"
    assert GPAWRule(cutoff=520).id != GPAWRule().id


class Spring(LennardJones):
    """Lennard-Jones in place of an SCF; counts evaluations, and can be killed after some."""

    evaluations = 0
    last: int | None = None

    def calculate(self, *args: Any, **kwargs: Any) -> None:
        if Spring.evaluations == Spring.last:
            raise KeyboardInterrupt
        Spring.evaluations += 1
        super().calculate(*args, **kwargs)
        self.results["free_energy"] = self.results["energy"] - 0.1
        self.results["magmom"] = 0.5
        self.results["magmoms"] = np.full(len(self.atoms), 0.5)

    implemented_properties = [*LennardJones.implemented_properties, "magmom", "magmoms"]  # noqa: RUF012


@pytest.fixture
def spring(monkeypatch: pytest.MonkeyPatch) -> type[Spring]:
    def calculator(ordering: Ordering, rule: GPAWRule, log: Path) -> Calculator:
        return Spring(sigma=2.2, epsilon=0.5, rc=7.0)

    monkeypatch.setattr(engine, "calculator", calculator)
    Spring.evaluations, Spring.last = 0, None
    return Spring


def start(ordering: Ordering) -> Atoms:
    atoms = ordering.to_atoms()
    atoms.rattle(0.05, seed=2)
    return atoms


def run(ordering: Ordering, folder: Path, **options: Any) -> tuple[list[Atoms], bool]:
    return compute_frames(ordering, start(ordering), GPAWRule(), folder, **options)


def test_every_ionic_step_is_a_frame(spring: type[Spring], tmp_path: Path) -> None:
    frames, converged = run(MO_V, tmp_path, fmax=0.02)
    assert converged
    assert len(frames) == spring.evaluations > 4
    np.testing.assert_array_equal(frames[0].positions, start(MO_V).positions)
    for frame in frames:
        again = frame.copy()
        again.calc = LennardJones(sigma=2.2, epsilon=0.5, rc=7.0)
        results = frame.calc.results
        assert results["energy"] == pytest.approx(again.get_potential_energy(), abs=1e-10)
        assert results["free_energy"] == pytest.approx(results["energy"] - 0.1)
        np.testing.assert_allclose(results["forces"], again.get_forces(), atol=1e-10)
        np.testing.assert_allclose(results["stress"], again.get_stress(), atol=1e-10)
        assert results["magmoms"].tolist() == [0.5] * 6  # V is present: spin-polarised
        np.testing.assert_array_equal(frame.cell.array[2], frames[0].cell.array[2])
    assert "magmoms" not in run(MO, tmp_path / "mo", static=True)[0][0].calc.results


def test_a_killed_run_takes_the_path_of_an_uninterrupted_one(
    spring: type[Spring], tmp_path: Path
) -> None:
    whole, _ = run(MO_V, tmp_path / "whole", fmax=0.02)
    total = spring.evaluations
    spring.evaluations = 0
    for last in (2, 5, None):
        spring.last = last
        try:
            frames, converged = run(MO_V, tmp_path / "parts", fmax=0.02)
        except KeyboardInterrupt:
            continue
    assert converged
    # A restart evaluates the last geometry once more.
    assert total <= spring.evaluations <= total + 2
    assert len(frames) == len(whole)
    for one, other in zip(frames, whole, strict=True):
        np.testing.assert_allclose(one.positions, other.positions, atol=1e-9)
        np.testing.assert_allclose(one.cell.array, other.cell.array, atol=1e-9)
    spring.evaluations = 0
    again, converged = run(MO_V, tmp_path / "parts", fmax=0.02)
    assert (len(again), converged, spring.evaluations) == (len(whole), True, 0)


def test_three_frames_and_no_more(spring: type[Spring], tmp_path: Path) -> None:
    frames, converged = run(MO_V, tmp_path, fmax=1e-4, max_steps=2)
    assert (len(frames), converged) == (3, False)
    frames, converged = run(MO_V, tmp_path, fmax=1e-4, max_steps=2)
    assert (len(frames), converged, spring.evaluations) == (3, False, 3)
    frames, _ = run(MO_V, tmp_path, fmax=1e-4, max_steps=5)
    assert len(frames) == 6


@pytest.mark.slow
def test_real_energies_are_those_measured_before(tmp_path: Path) -> None:
    pytest.importorskip("gpaw", reason="GPAW is not installed, see docs/gpaw.md")
    if not CHECKS.is_file():
        pytest.skip("no shared data beside the checkout")
    known = json.loads(CHECKS.read_text())["calculations"]["MoS2_relax_pw400"]
    atoms = Atoms(known["symbols"], known["positions"], cell=known["cell"], pbc=known["pbc"])
    [frame], _ = compute_frames(MO, atoms, GPAWRule(), tmp_path, static=True)
    # The explicit k-points are the same 12×12×1 mesh.
    assert frame.calc.results["energy"] == pytest.approx(known["energy"], abs=1e-4)
    np.testing.assert_allclose(frame.calc.results["forces"], known["forces"], atol=2e-3)
