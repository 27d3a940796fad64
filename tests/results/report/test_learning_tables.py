from __future__ import annotations

import re
from dataclasses import replace
from math import nan, sqrt

import pytest
from rich.console import Console

from hea_flows.alloy.sampling import ExchangeLadder, PilotLadder, Separation
from hea_flows.results.figures import separation_words
from hea_flows.results.report.learning_tables import benchmark_table, summary_table
from hea_flows.results.report.montecarlo_tables import montecarlo_tables
from hea_flows.results.report.summary import headline_geometry, problems, summary
from hea_flows.results.report.table import Table, number, with_error
from hea_flows.results.report.thermodynamics_tables import thermodynamics_tables
from hea_flows.results.store import CampaignDocuments
from hea_flows.schemas import (
    Document,
    Vibrations,
)


def test_summary_holds_the_numbers_the_documents_were_made_with(inputs: CampaignDocuments) -> None:
    s = summary(inputs)
    assert s["mixing_geometry"] == "relaxed"
    assert (s["mixing_mae_before_mev"], s["mixing_mae_after_mev"]) == (20.0, 2.5)
    assert s["mixing_factor"] == 8.0
    assert s["mixing_interval_after_mev"] == (2.25, 2.75)
    assert (s["mixing_n_before"], s["mixing_n_after"]) == (14, 15)
    assert (s["labels"], s["frames"], s["not_converged"]) == (50, 150, 2)
    assert s["dataset_frames"] == 35 * 3
    assert (s["validation_energy_mev"], s["validation_forces_mev"]) == (0.75, 12.5)
    assert s["ground_state"] == "(Mo,W) + (Ta,Nb) + V"
    assert s["deed_per_atom"] == pytest.approx(3 * s["deed_per_unit"], rel=1e-14)
    # ΔH_hull of the toy: two pairs at −25/4 meV hold 4/5 of the sites, so 5 meV/unit
    assert s["deed_per_unit"] == pytest.approx(sqrt(1 / (0.0041 * (0.0292 + 0.005))), rel=1e-12)
    assert s["montecarlo_chains"] == 10


def test_summary_of_nothing_is_all_none_and_zero() -> None:
    s = summary(CampaignDocuments())
    assert {v for v in s.values() if v is not None} == {0}
    assert s["mixing_factor"] is None


def test_fixed_energies_lead_if_one_model_was_not_relaxed(inputs: CampaignDocuments) -> None:
    before, after = inputs.benchmarks
    tables = [t for t in before.tables if t.geometry == "fixed"]
    unrelaxed = before.model_copy(update={"tables": tables, "relaxed": []})
    mixed = replace(inputs, benchmarks=[unrelaxed, after])
    s = summary(mixed)
    assert headline_geometry(mixed) == "fixed"
    assert (s["mixing_mae_before_mev"], s["mixing_mae_after_mev"]) == (18.0, 2.0)


def test_a_nan_error_is_no_headline(inputs: CampaignDocuments) -> None:
    before, after = inputs.benchmarks
    tables = [t.model_copy(update={"mixing_mae_mev": nan}) for t in after.tables]
    broken = replace(inputs, benchmarks=[before, after.model_copy(update={"tables": tables})])
    assert summary(broken)["mixing_mae_after_mev"] is None
    assert summary(broken)["mixing_factor"] is None


def test_the_foundation_of_another_model_or_reference_is_not_compared(
    inputs: CampaignDocuments,
) -> None:
    before, after = inputs.benchmarks
    other = before.model_copy(update={"model": before.model.model_copy(update={"name": "0.2.0"})})
    foreign = before.model_copy(update={"settings_id": "ffffffffffff"})
    for stranger in (other, foreign):
        alone = replace(inputs, benchmarks=[stranger, after])
        assert alone.benchmark("foundation") is None
        assert summary(alone)["mixing_mae_before_mev"] is None
        both = replace(inputs, benchmarks=[before, stranger, after])
        assert both.benchmark("foundation") is before


def test_headlines_are_of_the_campaigns_own_model(inputs: CampaignDocuments) -> None:
    """Whichever of its models was finished last."""
    before, after = inputs.benchmarks
    assert inputs.campaign is not None
    own = after.model_copy(update={"name": inputs.campaign.name})
    other = after.model_copy(update={"name": "step 2"})
    for group in ([before, own, other], [before, other, own]):
        assert replace(inputs, benchmarks=group).benchmark("fine-tuned") is own
    assert replace(inputs, benchmarks=[before, other, after]).benchmark("fine-tuned") is after


def test_so_are_training_and_dataset_of_the_headline(inputs: CampaignDocuments) -> None:
    """Also where another model's were finished last."""
    [training], [dataset] = inputs.trainings, inputs.datasets
    foreign = training.model_copy(
        update={
            "name": "step 2",
            "model": training.model.model_copy(update={"sha256": "cd" * 32}),
            "dataset_checksum": "other",
            "errors": {},
        }
    )
    more = dataset.model_copy(update={"checksum": "other", "n_frames": {}})
    for trainings, datasets in (
        ([training, foreign], [dataset, more]),
        ([foreign, training], [more, dataset]),
    ):
        both = replace(inputs, trainings=trainings, datasets=datasets)
        assert both.headline_training is training
        assert both.headline_dataset is dataset
        assert summary(both) == summary(inputs)


def test_documents_are_sorted_by_kind_and_age(documents: list[Document]) -> None:
    shuffled = CampaignDocuments.from_documents(reversed(documents))
    assert [d.uuid for d in shuffled.all] == [d.uuid for d in documents]


def test_problems_name_the_structure_the_place_and_the_reason(inputs: CampaignDocuments) -> None:
    rows = problems(inputs)
    assert [where for *_, where, _ in rows] == [
        "label: failed",
        "label: missing",
        "not in the dataset",
        "not in the test set held-out",
        "relaxation with the foundation model CHGNet",
        "thermodynamics, relaxed",
    ]
    failed = inputs.labels[20].structure
    assert rows[0][:2] == (failed.structure_id, failed.formula)
    assert rows[1][3] == "no archived label"
    assert all(formula for _, formula, *_ in rows[:5])


def test_order_is_a_table_with_errors_from_hot_to_cold(inputs: CampaignDocuments) -> None:
    table, warren_cowley = montecarlo_tables(inputs.montecarlo)
    assert warren_cowley.folded
    assert warren_cowley.rows[-1] == ["V-V", *["0.000 ± 0.010"] * 5]
    assert "100 sites hold Mo 20, Ta 20, Nb 20, W 20, V 20" in table.caption
    assert table.columns == ["pair", "1000 K", "600 K", "400 K", "300 K", "200 K"]
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["V-V"] == [f"{24 / t:.3f} ± 0.003" for t in (1000, 600, 400, 300, 200)]
    assert rows["mixing energy (meV/unit)"][-1] == "17.00 ± 1.00"
    assert rows["free energy of mixing"][-1] == "−7.80 ± 0.30"
    assert rows["ideal mixing in this cell"][-1] == "−2.80"
    assert rows["ideal mixing, infinite alloy"][-1] == "−2.74"
    assert rows["heat capacity (k_B/unit)"][0] == "0.40 ± 0.05"
    assert rows["R-hat"] == ["1.02"] * 5
    assert rows["converged"] == ["yes"] * 4 + ["no"]
    assert rows["trials in all"] == ["10 000"] * 5
    assert "fixed lattice, chgnet-" in table.caption
    assert (
        "On cooling V-V is the first like pair whose CV passes 0.02, at 640 K (probability 100 %); "
        "it rises most steeply at 412 K (68 %: 390 to 431 K)." in table.caption
    )


def test_exchanges_are_a_row_where_they_were_tried(inputs: CampaignDocuments) -> None:
    [doc] = inputs.montecarlo
    name = "exchanged with the next higher (%)"
    assert name not in {row[0] for row in montecarlo_tables([doc])[0].rows}
    chains = [
        c.model_copy(update={"exchange_acceptance": share if c.temperature < 1000 else None})
        for c, share in zip(doc.chains, 5 * [0.25, 0.36], strict=True)
    ]
    table, _ = montecarlo_tables([doc.model_copy(update={"chains": chains})])
    [row] = [row for row in table.rows if row[0] == name]
    assert row[1:] == ["–"] + 4 * ["30.5"]


def test_a_ladder_that_was_chosen_is_described(inputs: CampaignDocuments) -> None:
    [doc] = inputs.montecarlo
    asked = ExchangeLadder(lowest=200, highest=1000, acceptance=0.3)
    rungs = [r.temperature for r in doc.averages]
    ladder = PilotLadder(temperatures=rungs, evaluations=188, spread_mev=1.1)
    settings = doc.settings.model_copy(update={"temperatures": asked})
    rows = doc.model_copy(update={"settings": settings, "ladder": ladder}).described()
    assert (rows["temperatures"], rows["exchanges asked for"]) == ("5", "0.3")
    assert rows["evaluations of the pilot"] == "188"
    assert "exchanges asked for" not in doc.described()


def test_an_error_that_is_not_known_stays_unknown() -> None:
    assert with_error(0.5, nan) == "0.50"


def test_no_temperature_of_separation_says_why(inputs: CampaignDocuments) -> None:
    [doc] = inputs.montecarlo
    none = Separation(reason="five temperatures are needed, there are 2")
    words = separation_words(doc.model_copy(update={"separation": none}))
    assert words == "No temperature of separation: five temperatures are needed, there are 2."


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (None, 2, "–"),
        (nan, 2, "–"),
        (float("inf"), 2, "–"),
        (-0.001, 2, "0.00"),
        (-1.5, 1, "−1.5"),
        (12345.6, 0, "12 346"),
    ],
)
def test_numbers_as_text(value: float | None, digits: int, text: str) -> None:
    assert number(value, digits) == text


def test_stable_phases_span_all_temperatures(inputs: CampaignDocuments) -> None:
    [doc] = inputs.thermodynamics
    stable, _, every, sqs = thermodynamics_tables(doc, "S₂")
    assert stable.rows[0][0] == "(Mo,W)S₂ + (Ta,Nb)S₂ + VS₂"
    assert stable.rows[0][1] == "0"
    assert stable.rows[0][3] == "−5.00"
    assert [stable.rows[0][5], stable.rows[-1][5]] == ["0.40 + 0.40 + 0.20", "1.00"]
    assert [r[1] for r in stable.rows[1:]] == [r[2] for r in stable.rows[:-1]]
    assert stable.rows[-1][2] == "no limit"
    assert len(every.rows) == 52
    assert len(sqs.rows) == 26
    assert sqs.rows[0][-1] == "Mo4 Ta4"


def test_interval_and_reference_are_told_beside_the_model(surer: CampaignDocuments) -> None:
    [doc] = surer.thermodynamics
    _, temperature, _, sqs = thermodynamics_tables(doc, "S₂")
    assert dict(temperature.rows) == {
        f"{doc.model.title}, relaxed": "594 K",
        "its 95 % interval": "480 to 730 K",
        "median": "600 K",
        "error of mixing energies": "2.50 meV/unit (RMSE of 15 held-out structures, relaxed)",
        "decomposes at no temperature": "0.0 % of draws",
        "first on cooling: (Mo,Ta,Nb,W)S₂ + VS₂": "75.0 % of draws",
        "first on cooling: (Mo,W)S₂ + (Ta,Nb)S₂ + VS₂": "25.0 % of draws",
        "toy (settings 0123456789ab), relaxed": "not known: no relaxed label of 1 of its phases",
    }
    assert sqs.columns[1:4] == [
        "mixing energy (meV/unit)",
        "toy (meV/unit)",
        "model minus it (meV/unit)",
    ]
    rows = {r[0]: r[1:4] for r in sqs.rows}
    assert rows["(Mo,W)S₂"] == ["−6.25", "−4.75", "−1.50"]
    assert rows["(Mo,V)S₂"][1:] == ["–", "–"]
    assert "Without: (Mo,V)S₂: its relaxation did not converge." in sqs.caption
    vibrations = Vibrations(
        temperatures=[0.0, 1500.0],
        mixing_mev={},
        imaginary={"V": 0.02},
        unusable={"V": "2.0 % of its modes are imaginary"},
        transitions=[],
        decomposition_temperature=None,
        displacement=0.01,
        min_length=12.0,
        mesh_length=80.0,
    )
    row = thermodynamics_tables(doc.model_copy(update={"vibrations": vibrations}), "S₂")[1].rows[-1]
    assert row[0].endswith("relaxed, with harmonic vibrations")
    assert row[1] == "not known: VS₂: 2.0 % of its modes are imaginary"
    whole = doc.reference.model_copy(update={"missing": {}, "decomposition_temperature": 612.0})
    table = thermodynamics_tables(doc.model_copy(update={"reference": whole}))[1]
    assert table.rows[-1][1] == "612 K"
    numbers = summary(surer)
    assert numbers["decomposition_interval_k"] == (480.0, 730.0)
    assert numbers["decomposition_sigma_mev"] == 2.5
    table = summary_table(numbers)
    assert "decomposition temperature, relaxed, 95 % interval 480 to 730" in table.columns[0]._cells


def test_terminal_table_shows_every_headline(inputs: CampaignDocuments) -> None:
    console = Console(width=140, record=True)
    console.print(summary_table(summary(inputs)))
    text = console.export_text()
    for expected in ("20.00", "2.50", "8.00", "594", "held-out labels, relaxed"):
        assert expected in text


def test_benchmark_table_in_a_terminal(inputs: CampaignDocuments) -> None:
    bench = inputs.benchmarks[1]
    tables = [t.model_copy(update={"reference": "[red]x[/] [/]"}) for t in bench.tables]
    odd = replace(inputs, benchmarks=[bench.model_copy(update={"tables": tables})])
    console = Console(width=180, record=True)
    console.print(benchmark_table(odd))
    text = console.export_text()
    assert "[red]x[/] [/]" in text
    [line] = [x for x in text.splitlines() if "relaxed   training" in x and "Model 4" in x]
    assert re.split(r"  +", line.strip())[:10] == [
        "Model 4, seed 9",
        "fine-tuned",
        "relaxed",
        "training",
        "30",
        "2.50",
        "2.25 to 2.75",
        "30",
        "–",
        "2.50",
    ]


def test_numbers_stay_whole_in_a_narrow_terminal() -> None:
    rows = [["one two", "−1.5", "1 ± 2"], ["three", "22.75", "11 ± 2"]]

    def seen(width: int) -> list[str]:
        console = Console(width=width, record=True)
        console.print(Table("What.", ["a model", "x", "not here"], rows))
        lines = [" ".join(line.split()) for line in console.export_text().splitlines()]
        return [line for line in lines if line.strip("─")]

    assert seen(24) == [
        "What.",
        "not",
        "a model x here",
        "one two −1.5 1 ± 2",
        "three 22.75 11 ± 2",
    ]
    assert " ".join(seen(21)) == (
        "What. No room here for: not here. a model x one two −1.5 three 22.75"
    )
    assert seen(14)[-3:] == ["one −1.5", "two", "three 22.75"]
    rows[0][0] = 30 * "a"
    assert seen(33)[-3:] == [f"{24 * 'a'} −1.5", "aaaaaa", "three 22.75"]
