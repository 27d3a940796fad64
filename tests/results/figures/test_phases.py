"""The figure of binary phase diagrams."""

from __future__ import annotations

import numpy as np
import pytest
from regular_solution import phase_diagram

from hea_flows.results.figures import phase_diagrams


def test_a_panel_of_every_binary_with_its_gap_and_its_critical_temperature() -> None:
    """Of the regular solution, the cell has two phases above the temperature that is drawn."""
    doc, mixed = phase_diagram(), phase_diagram(("Mo", "W"), omega=0.02)
    mixed = mixed.model_copy(update={"critical": None})
    mixed.cells[0].points[:] = mixed.points[-1:]
    figure = phase_diagrams([doc, mixed])
    first, second, *_ = figure.axes
    assert first.get_title(loc="left") == "Nb₁₋ₓVₓS₂"
    low, high = (line.lines[0].get_data() for line in first.containers)
    ends = [(g.low, g.high) for p in doc.points for g in doc.gaps(p)]
    assert pytest.approx(np.array(ends)) == np.array([low[0], high[0]]).T
    assert list(low[1]) == [p.temperature for p in doc.points if doc.gaps(p)]
    assert doc.critical is not None
    texts = [t.get_text() for t in first.texts]
    assert texts == [f"{doc.critical.temperature:.0f} ± {1.96 * doc.critical.error:.0f} K"]
    assert [t.get_text() for t in second.texts] == ["one phase"]
    assert "2H-MX2 only; no others" in figure.get_supxlabel().replace("\n", " ")
    assert phase_diagrams([]).axes[0].texts[0].get_text() == "no phase diagrams"
