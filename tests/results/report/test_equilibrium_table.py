"""The phases in equilibrium by the binaries of a campaign."""

from __future__ import annotations

import pytest
from regular_solution import phase_diagram

from hea_flows.results.export import joined_solution
from hea_flows.results.report import equilibrium_table, parse_composition


def test_phases_share_what_there_is() -> None:
    docs = [phase_diagram(("Nb", "V")), phase_diagram(("V", "W")), phase_diagram(("Nb", "W"), 0.01)]
    shares = {"Nb": 0.3, "V": 0.4, "W": 0.3}
    table = equilibrium_table(docs, joined_solution(docs), shares, [450.0])
    rows = [[float(x) for x in row[1:]] for row in table.rows]
    assert len(rows) == 2  # V, and Nb with W
    assert sum(r[0] for r in rows) == pytest.approx(1, abs=2e-3)
    for k, share in enumerate(shares.values(), 1):
        assert sum(r[0] * r[k] for r in rows) == pytest.approx(share, abs=2e-3)
    assert sorted(r[2] for r in rows) == pytest.approx([0.1, 0.9], abs=0.1)
    assert ": one phase above" in table.caption or ": several phases" in table.caption
    assert "extrapolated from the binaries" in table.caption


def test_the_critical_temperature_of_a_binary_comes_back() -> None:
    doc = phase_diagram()
    table = equilibrium_table([doc], doc.solution, {"Nb": 0.5, "V": 0.5}, [])
    assert [r[0] for r in table.rows if r[0]] == [f"{p.temperature:.0f}" for p in doc.points]
    temperature = float(table.caption.split("above ")[1].split(" K")[0])
    assert temperature == pytest.approx(638, rel=0.03)


@pytest.mark.parametrize("text", ["", "Mo", "Mo=0.5", "Mo=x,W=1", "Mo=1.5,W=-0.5", "Mo=0.5,Mo=0.5"])
def test_what_is_no_composition(text: str) -> None:
    with pytest.raises(ValueError, match=r"a composition is like Mo=0\.4,W=0\.4,V=0\.2"):
        parse_composition(text)


def test_what_is_missing_is_told() -> None:
    doc = phase_diagram()
    with pytest.raises(ValueError, match="no phase diagram of Nb-W; the campaign has Nb-V"):
        equilibrium_table([doc], doc.solution, {"Nb": 0.5, "W": 0.5}, [])
    with pytest.raises(ValueError, match="one element is one phase"):
        equilibrium_table([doc], doc.solution, {"Nb": 1.0}, [])


@pytest.mark.parametrize("temperature", [0.0, -5.0, float("nan"), float("inf")])
def test_what_is_no_temperature(temperature: float) -> None:
    doc = phase_diagram()
    with pytest.raises(ValueError, match="temperatures are above 0 K and at most"):
        equilibrium_table([doc], doc.solution, {"Nb": 0.5, "V": 0.5}, [temperature])
