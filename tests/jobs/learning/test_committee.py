"""A committee of benchmarks whose spread and error are made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from hea_flows.jobs.learning.committee import CommitteeMaker
from hea_flows.results.report import committee_table
from hea_flows.results.report.study import calibration, is_study
from hea_flows.results.store import CampaignDocuments, committee_on, group_seeds
from hea_flows.schemas import BenchmarkDoc, CommitteeDoc, ModelSpec, ParityPoint

#: Errors (meV/unit) of three members on four structures; the last structure failed for two.
ERRORS = np.array([[1.0, 2.0, 9.0, 1.0], [3.0, 2.5, 3.0, np.nan], [2.0, -1.5, 12.0, np.nan]])


def benchmark(seed: int, errors: np.ndarray, **changes: object) -> BenchmarkDoc:
    points = [
        ParityPoint(
            structure_id=f"s{i}",
            formula="Mo1W1S4",
            n_components=2,
            test_set="db",
            trained=False,
            reference_energy=0.0,
            model_energy=0.0,
            reference_mixing_mev=10.0 * i,
            model_mixing_mev=10.0 * i + error,
        )
        for i, error in enumerate(errors)
        if np.isfinite(error)
    ]
    fields = {
        "uuid": f"benchmark-{seed}",
        "name": "Model 4",
        "identity": str(seed),
        "model": ModelSpec(family="toy", sha256=f"{seed:064d}"),
        "role": "fine-tuned",
        "seed": seed,
        "engine": "toy",
        "settings_id": "toy",
        "offsets": {},
        "offsets_from": "training frames",
        "test_sets": {"db": "x"},
        "tables": [],
        "fixed": points,
        "relaxed": [],
        "failed": {},
    }
    return BenchmarkDoc(**fields | changes)


def judged(benchmarks: list[BenchmarkDoc], **fields: float) -> CommitteeDoc:
    maker = CommitteeMaker(**fields)
    document: CommitteeDoc = type(maker).make.original(maker, benchmarks)
    return document


def test_numbers_of_a_committee() -> None:
    benchmarks = [benchmark(i, errors) for i, errors in enumerate(ERRORS)]
    document = judged(benchmarks, alarm_mev=5.0)
    assert (document.seeds, document.sources["benchmarks"]) == (
        [0, 1, 2],
        ["benchmark-0", "benchmark-1", "benchmark-2"],
    )
    [table] = document.tables
    assert (table.n, table.n_dropped) == (3, 1)
    # Means of the errors: 2, 1 and 8; variances: 1, 4.75 and 21.
    assert table.mixing_mae_mev == pytest.approx(11 / 3)
    assert table.spread_mev == pytest.approx(np.sqrt((1 + 4.75 + 21) / 3))
    # Ranks of the spread 1, 2, 3 against those of the error 2, 1, 3.
    assert table.spearman == pytest.approx(0.5)
    # The widest spread is that of the only error above the threshold.
    assert table.alarm_auc == 1
    assert judged(benchmarks, alarm_mev=9.0).tables[0].alarm_auc is None


def test_members_that_agree_have_no_calibration() -> None:
    document = judged([benchmark(i, ERRORS[0]) for i in range(2)])
    [table] = document.tables
    assert (table.spread_mev, table.scale, table.spearman) == (0, None, None)
    alike = judged([benchmark(0, np.zeros(4)), benchmark(1, np.full(4, 2.0))])
    assert (alike.tables[0].spearman, alike.tables[0].spread_mev) == (None, pytest.approx(2**0.5))
    assert "–" in committee_table(CampaignDocuments(committees=[document])).rows[0]


def test_what_is_no_committee() -> None:
    one = benchmark(0, ERRORS[0])
    with pytest.raises(ValueError, match="benchmarks of two models at least, got 1"):
        judged([one])
    with pytest.raises(ValueError, match="Model 4 were compared with different test sets"):
        judged([one, benchmark(1, ERRORS[1], test_sets={"db": "y"})])
    assert committee_on([one, benchmark(1, ERRORS[1])], "db", "relaxed") is None
    assert group_seeds([one, one, benchmark(0, ERRORS[0], name="other")]) == {}


def test_a_report_shows_committees_as_a_study() -> None:
    benchmarks = [benchmark(i, errors) for i, errors in enumerate(ERRORS)]
    assert not is_study(CampaignDocuments(benchmarks=benchmarks[:1]))
    inputs = CampaignDocuments(benchmarks=benchmarks)
    assert is_study(inputs)
    left, _ = calibration(inputs).axes
    shown = {tuple(np.round(xy, 6)) for line in left.lines for xy in line.get_xydata()}
    assert (1.0, 2.0) in shown
    assert (round(float(np.sqrt(21)), 6), 8.0) in shown
    with pytest.raises(ValueError, match="no model trained with several seeds"):
        calibration(CampaignDocuments(benchmarks=benchmarks[:1]))
