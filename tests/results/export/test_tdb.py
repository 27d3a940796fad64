"""Phase diagrams as a thermodynamic database."""

from __future__ import annotations

import pytest
from regular_solution import phase_diagram

from hea_flows.results.export import joined_solution, thermodynamic_database


def test_binaries_are_joined_and_told() -> None:
    docs = [phase_diagram(), phase_diagram(("V", "W"), omega=0.05)]
    solution = joined_solution(docs)
    assert solution.elements == ("Nb", "V", "W")
    for doc, x in zip(docs, ([0.4, 0.6, 0], [0, 0.6, 0.4]), strict=True):
        own = [v for v in x if v]
        assert solution.excess([x], 500.0) == pytest.approx(doc.solution.excess([own], 500.0))
    text = thermodynamic_database(docs)
    assert text.startswith("$ 2H-MX2, fixed lattice energies of chgnet-0.3.0, ")
    assert "PHASE PHASE_2H_MX2 % 2 1.0 2.0 !" in text
    assert "PARAMETER L(PHASE_2H_MX2,NB,V:S;0)" in text
    assert all(f"error of the fit {d.fit_rmse_mev:.2f} meV/unit" in text for d in docs)


def test_what_makes_no_database() -> None:
    docs = [phase_diagram(), phase_diagram(mode="relaxed")]
    with pytest.raises(ValueError, match="different models, modes or hosts make no database"):
        joined_solution(docs)
    with pytest.raises(ValueError, match="no phase diagrams"):
        joined_solution([])


def test_pycalphad_reads_it() -> None:
    calphad = pytest.importorskip("pycalphad")
    database = calphad.Database(thermodynamic_database([phase_diagram()]))
    assert set(database.phases) == {"PHASE_2H_MX2"}
    assert {"NB", "V", "S"} <= database.elements
