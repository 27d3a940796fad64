"""The phase diagram of a binary as a job: the Ising model through the whole path."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from triangular_ising import ALLOY, CRITICAL, LINEAR, Ising, magnetization

from hea_flows.alloy.phases import critical_point, section_point
from hea_flows.alloy.sampling import Canonical, Sampler, SamplingSettings
from hea_flows.config import PhaseDiagramSpec
from hea_flows.jobs.phases import fitted, sample_cell
from hea_flows.jobs.sampling import SamplingRun
from hea_flows.schemas import PhaseCell


def spec(size: int, shares: list[float], **changes: object) -> PhaseDiagramSpec:
    given = {"supercells": f"{size}x{size}", "mode": "fixed lattice", "burn_in": 40}
    return PhaseDiagramSpec(temperatures=[s * CRITICAL for s in shares], **(given | changes))


def sample(spec: PhaseDiagramSpec, folder: Path, seed: int = 1) -> PhaseCell | None:
    [supercell] = spec.cells(ALLOY)
    size = int(spec.supercells[0].split("x")[0])
    done = sample_cell(Ising(size, size), ALLOY, supercell, spec, seed, folder, "key")
    return done and done[0]


@pytest.mark.slow
@pytest.mark.physics
def test_the_ising_model_has_its_binodal_and_its_critical_temperature(tmp_path: Path) -> None:
    """Δμ of mixing energies is that of the pure ends, zero: the linear term is in them."""
    cell = sample(spec(8, [0.7, 0.8, 0.95, 1.05], steps=120), tmp_path)
    assert cell is not None
    for point in cell.points[:2]:
        [gap] = point.gaps
        exact = (1 - magnetization(point.temperature)) / 2
        assert gap.low == pytest.approx(exact, abs=0.01)
        assert gap.high == pytest.approx(1 - exact, abs=0.01)
        assert abs(gap.potential) < 0.01 * LINEAR
    found = critical_point([cell.points], layer=True)
    assert found is not None
    assert found.temperature == pytest.approx(CRITICAL, rel=0.02)
    solution, rmse = fitted(ALLOY, cell)
    assert rmse < 0.003
    middle = float(solution.excess([[0.5, 0.5]], cell.points[-1].temperature)[0])
    assert middle == pytest.approx(1e-3 * cell.points[-1].excess_mev[32], abs=3 * rmse)


def test_an_interrupted_cell_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    short = spec(4, [0.8, 1.1], steps=16, burn_in=8)
    whole = sample(short, tmp_path / "whole")
    assert whole is not None
    stopped = short.model_copy(update={"max_hours": 1e-9})
    steps = 0
    while (cell := sample(stopped, tmp_path / "stopped")) is None:
        steps += 1
    assert steps > 20
    assert cell.model_dump_json() == whole.model_dump_json()
    assert whole.dilute_mev == pytest.approx([144.0, 144.0])
    json.loads(whole.model_dump_json().replace("NaN", "null"))
    assert (
        PhaseCell.model_validate_json(whole.model_dump_json()) == whole
        or np.isnan(whole.points[0].excess_error_mev).any()
    )


def test_ends_that_do_not_relax_are_told(tmp_path: Path) -> None:
    class Broken(Ising):
        def energies(self, codes: np.ndarray) -> np.ndarray:
            return np.full(len(codes), np.inf)

    chosen = spec(4, [1.0])
    [supercell] = chosen.cells(ALLOY)
    with pytest.raises(ArithmeticError, match="the ends of Nb-V did not relax; raise max_steps"):
        sample_cell(Broken(4, 4), ALLOY, supercell, chosen, 1, tmp_path, "key")


def test_a_temperature_without_overlap_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def picky(temperature: float, *given: object) -> object:
        if temperature < CRITICAL:
            msg = "chains share no composition"
            raise ValueError(msg)
        return section_point(temperature, *given)

    monkeypatch.setattr("hea_flows.jobs.phases.maker.section_point", picky)
    cell = sample(spec(4, [0.8, 1.1], steps=16, burn_in=8), tmp_path)
    assert cell is not None
    assert [p.temperature for p in cell.points] == [1.1 * CRITICAL]
    assert list(cell.failed.values()) == ["chains share no composition"]
    with pytest.raises(ValueError, match="chains share no composition"):
        sample(spec(4, [0.8], steps=16, burn_in=8), tmp_path / "none")


def test_audits_are_the_same_after_interruptions(tmp_path: Path) -> None:
    """Of other decorations each, at given steps, and part of the state."""

    def audited(folder: Path, hours: float | None) -> SamplingRun:
        settings = SamplingSettings(temperatures=[400.0, 600.0], runs=2, steps=60, burn_in=20)
        ensemble = Canonical(ALLOY, {"Nb": 8, "V": 8})
        sampler = Sampler(Ising(4, 4), ALLOY, np.diag([4, 4, 1]), ensemble, settings, 1)
        weights = np.arange(16.0)
        run = SamplingRun(
            sampler, folder, "key", lambda: np.zeros(1), audit=lambda codes: codes * weights
        )
        run.resume()
        run.advance(hours)
        return run

    whole = audited(tmp_path / "whole", None)
    assert len(whole.audits) == 20
    parts = audited(tmp_path / "parts", 1e-9)
    while not parts.sampler.finished:
        parts = audited(tmp_path / "parts", 1e-9)
    assert np.array_equal(parts.audits, whole.audits)
