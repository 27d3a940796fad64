"""The hull of labels whose mixing energies are known, and what may not share one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from stored_campaign import memory_store

from hea_flows.alloy.lattice.ordering import Ordering
from hea_flows.cli import main, results
from hea_flows.results.report import LabelledHull, binary_hulls, hull_table, labelled_hull
from hea_flows.schemas import AlloySpec, LabelDoc, StructureEntry, StructuresDoc

ALLOY = AlloySpec(elements=("Mo", "V", "W"))
PURE = {"Mo": -21.5, "V": -19.9, "W": -23.6}
#: Cells and their mixing energies (meV/unit).
CELLS = {
    ("Mo",): 0.0,
    ("V",): 0.0,
    ("W",): 0.0,
    ("Mo", "V"): 30.0,
    ("Mo", "W"): -20.0,
    ("Mo", "W", "W"): -8.0,
    ("Mo", "V", "W"): 12.0,
}


def entry(cell: tuple[str, ...], alloy: AlloySpec = ALLOY) -> StructureEntry:
    shape = ((len(cell), 0, 0), (0, 1, 0), (0, 0, 1))
    return StructureEntry.from_ordering(Ordering(alloy.to_alloy(), shape, cell))


def label(cell: tuple[str, ...], mixing_mev: float, **changes: object) -> LabelDoc:
    energy = sum(PURE[e] for e in cell) + 1e-3 * mixing_mev * len(cell)
    fields = {
        "uuid": "-".join(cell),
        "structure": entry(cell),
        "engine": "toy",
        "settings": {},
        "settings_id": "abc",
        "calculation": "relax",
        "state": "converged",
        "energy": energy,
    }
    return LabelDoc.model_validate(fields | changes)


LABELS = [label(cell, e) for cell, e in CELLS.items()]


def sets(alloy: AlloySpec = ALLOY) -> StructuresDoc:
    entries = [entry(cell, alloy) for cell in CELLS]
    return StructuresDoc(
        alloy=alloy, expression="x", seed=0, n_structures=len(entries), structures=entries
    )


@pytest.fixture
def found() -> LabelledHull:
    return labelled_hull(LABELS, [sets()])


def test_mixing_energies_and_distances_by_hand(found: LabelledHull) -> None:
    np.testing.assert_allclose(1e3 * found.hull.energies, list(CELLS.values()), atol=1e-10)
    # MoW₂ lies above the line MoW–W, at 2/3 · −20; MoVW above ⅔ MoW + ⅓ V, the same energy.
    np.testing.assert_allclose(
        1e3 * found.hull.above, [0, 0, 0, 30, 0, 16 / 3, 12 + 40 / 3], atol=1e-10
    )
    rows = {r[0]: r for r in hull_table(found, all_entries=True).rows}
    assert list(hull_table(found).rows) == [rows[k] for k in ("Mo₁S₂", "V₁S₂", "W₁S₂", "Mo₁W₁S₄")]
    assert rows["Mo₁V₁W₁S₆"][2:] == ["12.00", "25.33", "0.667 Mo₁W₁S₄ + 0.333 V₁S₂"]
    assert "4 of 7 labelled structures" in hull_table(found).caption
    assert "toy, settings abc; relaxed, end members too" in hull_table(found).caption


def test_every_pair_has_a_panel_with_its_own_hull(found: LabelledHull) -> None:
    mo_v, mo_w = binary_hulls(found).axes[:2]
    lines = [axes.get_lines()[-1] for axes in (mo_v, mo_w)]
    np.testing.assert_allclose(lines[0].get_xydata(), [[0, 0], [1, 0]], atol=1e-12)
    np.testing.assert_allclose(lines[1].get_xydata(), [[0, 0], [0.5, -20], [1, 0]], atol=1e-10)
    assert len(mo_w.get_lines()[1].get_xdata()) == 4
    alone = labelled_hull(LABELS[:3], [sets()])
    [axes] = binary_hulls(alone).axes
    assert axes.texts[0].get_text() == "no binary structures"


def test_what_is_not_usable_is_left_out(found: LabelledHull) -> None:
    odd = [
        label(("Mo", "V"), -90, state="unconverged", reason="100 steps"),
        label(("Mo", "W", "W"), -90, flags=["turned 1T"]),
        label(("Mo", "W"), -90, calculation="static"),
        label(("Mo", "V", "V"), -90, state="failed", energy=None),
    ]
    again = labelled_hull([*LABELS, *odd], [sets()])
    assert sorted(again.left_out.values()) == ["100 steps", "it left its phase: turned 1T"]
    assert len(again.labels) == 5
    np.testing.assert_allclose(again.hull.energies.min(), -0.020, atol=1e-12)
    # A newer label of the same structure counts.
    newer = labelled_hull([*LABELS, label(("Mo", "W"), -25)], [sets()])
    np.testing.assert_allclose(newer.hull.energies.min(), -0.025, atol=1e-12)


def test_settings_calculations_and_hosts_never_mix() -> None:
    other = [label(c, e, settings_id="xyz", engine="vasp") for c, e in CELLS.items()]
    with pytest.raises(ValueError, match=r"never share a hull; found abc \(toy\), xyz \(vasp\)"):
        labelled_hull([*LABELS, *other], [sets()])
    assert labelled_hull([*LABELS, *other], [sets()], settings_id="xyz").labels == other
    with pytest.raises(ValueError, match="no relax label of settings nope with an energy; sett"):
        labelled_hull(LABELS, [sets()], settings_id="nope")
    with pytest.raises(ValueError, match="no static label with an energy; settings there are: no"):
        labelled_hull(LABELS, [sets()], calculation="static")
    with pytest.raises(ValueError, match="end member of V; mixing energies need all"):
        labelled_hull([d for d in LABELS if d.structure.species != ("V",)], [sets()])
    turned = AlloySpec(elements=ALLOY.elements, prototype="1T-MX2")
    more = [
        d.model_copy(update={"structure": entry(c, turned)})
        for d, c in zip(LABELS, CELLS, strict=True)
    ]
    with pytest.raises(ValueError, match=r"different hosts .* 1T-MX2 with S, 2H-MX2 with S"):
        labelled_hull([*LABELS, *more], [sets(), sets(turned)])


def test_the_command_prints_the_table_and_draws(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = memory_store(
        d.model_copy(update={"campaign": "c", "uuid": d.uuid or "sets"}) for d in (*LABELS, sets())
    )
    monkeypatch.setattr(results, "open_store", lambda: store)
    monkeypatch.setattr(store, "close", lambda: None)
    figure = tmp_path / "hull.svg"
    assert main(["hull", "--campaign", "c", "--all", "-o", str(figure)]) == 0
    printed = capsys.readouterr().out
    assert "0.667 Mo₁W₁S₄ + 0.333 V₁S₂" in printed
    assert figure.read_text().rstrip().endswith("</svg>")
    assert main(["hull", "--settings", "nope"]) == 1
    assert capsys.readouterr().err == (
        "error: no relax label of settings nope with an energy; settings there are: abc (toy)\n"
    )
    assert main(["hull", "-o", "hull.gif"]) == 1
    assert "accepted: svg, pdf, png" in capsys.readouterr().err
