"""What the report says of a training set that grew."""

from __future__ import annotations

import pytest

from hea_flows.results.report.growth import growth_curve, growth_table, growth_verdict
from hea_flows.results.report.page import sections
from hea_flows.results.store import CampaignDocuments
from hea_flows.schemas import GrowthDoc, GrowthSources, GrowthStep, NextPoint

SOURCES = GrowthSources(structures="s", labels="l", dataset="d", trainings=["f"], benchmarks=["b"])
#: Error, its interval, change, its interval, p, whether better; of three steps.
ERRORS = [
    (12.0, (10.0, 14.0), None, None, None, False),
    (4.0, (3.0, 5.0), -8.0, (-10.0, -6.0), 0.0002, True),
    (3.9, (3.1, 5.2), -0.1, (-1.0, 0.9), 0.8, False),
]


@pytest.fixture
def document() -> GrowthDoc:
    names = ["1(1)+2(2)", "3(3)", "4(4)"]
    steps = [
        GrowthStep(
            expression=name,
            sources=SOURCES,
            n_new=n_new,
            n_structures=n_all,
            n_frames=10 * n_all,
            n_compared=80,
            n_failed=2 * i,
            mae_mev=error[0],
            mae_interval_mev=error[1],
            mae_by_seed_mev=[error[0] - 0.5, error[0] + 0.5],
            change_mev=error[2],
            change_interval_mev=error[3],
            p_value=error[4],
            improved=error[5],
            label_hours=None if i else 1.5,
            n_timed=0 if i else 15,
        )
        for i, (name, n_new, n_all, error) in enumerate(
            zip(names, (15, 30, 50), (15, 45, 95), ERRORS, strict=True)
        )
    ]
    return GrowthDoc(
        uuid="g",
        name="Database 2",
        geometry="relaxed",
        seeds=[0, 1],
        tolerance_mev=0.0,
        steps=steps,
        stopped_because="no improvement beyond its error",
        recommended=1,
        next_point=NextPoint(
            expression="5(5)",
            n_structures=36,
            hours=12.5,
            hours_interval=(10.0, 15.5),
            basis="measured: 95 labels of 3 to 12 atoms",
        ),
        bootstrap_seed=7,
    )


def test_the_table_tells_each_step(document: GrowthDoc) -> None:
    table = growth_table(document)
    assert table.rows[0] == [
        *("1: 1(1)+2(2)", "15", "15", "150", "80", "12.00", "10.00 to 14.00"),
        *("–", "–", "–", "–", "1.50", "15 of 15"),
    ]
    assert table.rows[1] == [
        *("2: + 3(3)", "30", "45", "450", "80 (2 failed)", "4.00", "3.00 to 5.00"),
        *("−8.00", "−10.00 to −6.00", "0.0002", "yes", "–", "0 of 30"),
    ]
    assert table.rows[2][10] == "no"
    assert {len(row) for row in table.rows} == {len(table.columns)}
    assert "on Database 2, relaxed (meV/unit)" in table.caption


def test_the_verdict_is_told_in_words(document: GrowthDoc) -> None:
    assert growth_verdict(document) == (
        "Stopped after 3 steps: no improvement beyond its error. Recommended is step 2 (+ 3(3)), "
        "4.00 meV/unit (3.00 to 5.00) with 45 structures. The next set, 5(5), has 36 more "
        "structures, whose labels would take 12.50 hours (10.00 to 15.50); measured: 95 labels of "
        "3 to 12 atoms."
    )
    unknown = NextPoint(expression="5(5)", n_structures=36, hours=None, basis="no label was timed")
    assert growth_verdict(document.model_copy(update={"next_point": unknown})).endswith(
        "has 36 more structures; what their labels cost is not known: no label was timed."
    )
    going = document.model_copy(update={"next_point": None, "stopped_because": None})
    assert growth_verdict(going).startswith("Still growing after 3 steps.")
    assert growth_verdict(going).endswith("No set is left to be tried.")


def test_the_figure_shows_errors_intervals_and_the_recommended_step(document: GrowthDoc) -> None:
    figure = growth_curve(document)
    [axes] = figure.axes
    [bars] = axes.containers
    line, caps, [sticks] = bars
    assert line.get_xydata().tolist() == [[15, 12.0], [45, 4.0], [95, 3.9]]
    spans = [segment[:, 1].tolist() for segment in sticks.get_segments()]
    assert spans == [pytest.approx(list(e[1])) for e in ERRORS]
    assert len(caps) == 2
    [ring] = [x for x in axes.lines if x.get_label() == "recommended"]
    assert ring.get_xydata().tolist() == [[45, 4.0]]
    pairs = [list(x.get_ydata()) for x in axes.lines if x.get_marker() == "_"]
    assert [y for y in pairs if len(y) == 2] == [[11.5, 12.5], [3.5, 4.5], [3.4, 4.4]]
    assert "Stopped: no improvement beyond its error" in figure.get_supxlabel().replace("\n", " ")


def test_the_page_has_a_section_of_it(document: GrowthDoc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hea_flows.results.report.page.data_uri", lambda figure: "data:,")
    inputs = CampaignDocuments.from_documents([document])
    assert inputs.growth == inputs.all == [document]
    [section] = [s for s in sections(inputs) if s.id == "growth"]
    assert section.text == growth_verdict(document)
    assert section.tables == [growth_table(document)]
