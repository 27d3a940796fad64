"""Tables and section of binary phase diagrams."""

from __future__ import annotations

import pytest
from ase.units import kB
from regular_solution import free_energy, phase_diagram

from hea_flows.alloy.phases import CompositionFreeEnergy, binder_cumulant, zero_crossing
from hea_flows.alloy.phases.section import CRITICAL_CUMULANT
from hea_flows.results.report import build_page
from hea_flows.results.report.phase_tables import phase_tables
from hea_flows.results.store import CampaignDocuments


def test_critical_temperatures_and_gaps() -> None:
    doc = phase_diagram()
    table, gaps = phase_tables([doc])
    [row] = table.rows
    assert doc.critical is not None
    temperatures = [p.temperature for p in doc.points]
    exact = [
        binder_cumulant(CompositionFreeEnergy(1 / (kB * t), free_energy(36, 0.11, t)))
        for t in temperatures
    ]
    off = [c - CRITICAL_CUMULANT for c in exact]
    expected, _ = zero_crossing(temperatures, off, [0, 0, 0]) or (0, 0)
    assert doc.critical.temperature == pytest.approx(expected, abs=4 * doc.critical.error)
    assert row[0] == "Nb-V"
    assert row[1].startswith(f"{doc.critical.temperature:.0f} ± ")
    assert row[3] == "one phase"
    assert [r[0] for r in gaps.rows] == [f"{p.temperature:.0f}" for p in doc.points if doc.gaps(p)]
    assert gaps.folded
    cold = doc.model_copy(update={"critical": None})
    cold.cells[0].points[:] = cold.points[:1]
    assert phase_tables([cold])[0].rows[0][1] == f"above {cold.points[0].temperature:.0f}"


def test_the_page_has_a_section() -> None:
    html = build_page(CampaignDocuments(phase_diagrams=[phase_diagram()]))
    assert 'id="phases"' in html
    assert "Nb-V: one phase above" in html


def test_a_temperature_that_is_left_out_is_told() -> None:
    doc = phase_diagram()
    doc.cells[0].failed["300 K"] = "chains share no composition"
    left_out = phase_tables([doc])[1]
    assert left_out.rows == [["Nb-V", "36 sites, 300 K", "chains share no composition"]]
