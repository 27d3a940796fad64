"""A training set that grows, with errors that say where it must stop."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jobflow import JobStore, run_locally
from maggma.stores import MemoryStore

from hea_flows import plugins
from hea_flows.alloy.sets.named import parse
from hea_flows.config import load_campaign
from hea_flows.flows import launch
from hea_flows.flows.campaign import CampaignMaker
from hea_flows.jobs.labelling.estimate import estimate
from hea_flows.results.store import documents, find_leftovers, remove_leftovers
from hea_flows.schemas import AlloySpec, GrowthDoc, LabelDoc, ReportDoc, kinds
from hea_flows.services.connection import Connection
from hea_flows.services.workers import worker_loop

ALLOY = AlloySpec(elements=("Mo", "W", "Nb")).to_alloy()
#: Errors of 10, 2 and 2 meV/unit of seed 0, 1.1 times as large of seed 1.
FOUR = '["1(1)+2(2)", "3(3)", "2(3)", "3(4)"]'


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "importable"))
    monkeypatch.setattr(plugins.FAMILIES, "registered", {})
    monkeypatch.setattr(plugins.ENGINES, "registered", {})
    plugins.register_reference_engine("known", "growth_engine:KnownMaker")
    plugins.register_family("known", "growth_engine:KnownFamily")
    # Figures are drawn but not rendered, which takes most of the time.
    monkeypatch.setattr("hea_flows.results.report.page.data_uri", lambda figure: "data:,")


def campaign(
    folder: Path,
    sets: str = FOUR,
    test_set: str = "2(3)+2(4)",
    more: str = ", seeds: [0, 1]",
    **options: Any,
) -> Path:
    path = folder / "grow.yaml"
    path.write_text(
        "name: growing\n"
        "seed: 3\n"
        "alloy: {elements: [Mo, W, Nb]}\n"
        f"labels: {{engine: known, options: {options}}}\n"
        f'test_sets: {{"Database": "{test_set}"}}\n'
        "model: known\n"
        "benchmark: {relaxed: false}\n"
        "dataset: {split_by: structure}\n"
        f"grow: {{sets: {sets}, test_set: Database{more}}}\n"
    )
    return path


def ids(expression: str) -> set[str]:
    return {o.id for o in parse(expression).build(ALLOY, 3)}


def run(path: Path) -> JobStore:
    """Run a campaign in this process."""
    text = load_campaign(path)
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    flow: Any = CampaignMaker.from_campaign(text[0]).make(*text)
    folder = path.parent / "run"
    run_locally(flow, store=store, log=False, ensure_success=True, root_dir=folder)
    return store


def grown(store: JobStore) -> GrowthDoc:
    [document] = documents(store, "growth", "growing", load=True)
    assert isinstance(document, GrowthDoc)
    return document


def check_four(store: JobStore) -> GrowthDoc:
    """Check what a growth over the four sets must leave in a store."""
    document = grown(store)
    one, two, three = document.steps
    assert document.stopped_because == "no improvement beyond its error"
    assert document.recommended == 1
    assert [s.expression for s in document.steps] == ["1(1)+2(2)", "3(3)", "2(3)"]
    assert [s.n_new for s in document.steps] == [6, 3, 12]
    assert [s.n_structures for s in document.steps] == [6, 9, 21]
    assert [s.n_frames for s in document.steps] == [12, 18, 42]
    # The last step was trained on the third of the test set that is 2(3).
    assert [s.n_compared for s in document.steps] == [36, 36, 24]
    assert [s.mae_mev for s in document.steps] == pytest.approx([10.5, 2.1, 2.1])
    assert one.mae_by_seed_mev == pytest.approx([10, 11])
    assert one.mae_interval_mev == pytest.approx((10, 11))
    assert one.change_mev is None
    assert two.change_mev == pytest.approx(-8.4)
    # Seeds are drawn with their errors of 2, 2.2 and 10, 11, not the structures.
    assert two.change_interval_mev == pytest.approx((2 - 11, 2.2 - 10))
    assert two.improved
    assert two.p_value == pytest.approx(1 / 4001)
    assert three.change_mev == pytest.approx(0, abs=1e-9)
    assert three.change_interval_mev == pytest.approx((-0.2, 0.2))
    assert not three.improved
    assert three.p_value > 0.5
    # 10 n² seconds for n atoms, of which 3 in the cell of one metal.
    assert one.label_hours == pytest.approx((3 * 90 + 3 * 360) / 3600)
    assert two.label_hours == pytest.approx(3 * 810 / 3600)
    # The third set is in the test set, labelled with it and not again.
    assert three.label_hours == pytest.approx(12 * 810 / 3600)
    assert [s.n_timed for s in document.steps] == [6, 3, 12]
    point = document.next_point
    assert point is not None
    assert point.expression == "3(4)"
    assert point.n_structures == len(ids("3(4)"))
    assert point.hours == pytest.approx(point.n_structures * 1440 / 3600)
    assert point.hours_interval == pytest.approx((point.hours, point.hours))
    assert point.basis == "measured: 45 labels of 3 to 12 atoms, time ∝ atoms^2.00"

    labels = documents(store, "label", "growing")
    once = Counter(x.structure.structure_id for x in labels if isinstance(x, LabelDoc))
    assert once == Counter(ids("1(1)+2(2)+3(3)+2(3)+2(4)"))  # none twice, none of the fourth set
    assert not ids("3(4)") & once.keys()
    assert not list(store.query({"name": {"$regex": "3\\(4\\)"}}))
    assert {x.campaign for x in labels} == {"growing"}
    models = documents(store, "training", "growing")
    assert sorted(m.name for m in models) == sorted(
        2 * ["step 1: 1(1)+2(2)", "step 2: + 3(3)", "step 3: + 2(3)"]
    )
    assert {m.uuid for m in models} == {u for s in document.steps for u in s.sources.trainings}

    [report] = documents(store, "report", "growing", load=True)
    assert isinstance(report, ReportDoc)
    page = report.html.read().decode()
    assert "Stopped after 3 steps: no improvement beyond its error" in page
    assert f"whose labels would take {point.hours:.2f} hours" in page
    assert report.summary["labels"] == 45
    assert len(report.sources["benchmarks"]) == 6
    assert report.sources["growth"] == [document.uuid]
    return document


@pytest.mark.usefixtures("machine")
def test_it_stops_where_the_error_does_and_labels_no_further_set(tmp_path: Path) -> None:
    store = run(campaign(tmp_path))
    document = check_four(store)
    # The decision is one job, run three times: its document told how far it had come.
    rows = list(store.query({"uuid": document.uuid}, sort={"index": 1}))
    assert [row["index"] for row in rows] == [1, 2, 3]
    assert [len(row["output"]["steps"]) for row in rows] == [1, 2, 3]
    assert [row["output"]["stopped_because"] for row in rows[:2]] == [None, None]
    assert [row["output"]["next_point"]["expression"] for row in rows] == ["3(3)", "2(3)", "3(4)"]
    # At first no label of 9 atoms was timed but those of the test set.
    assert rows[0]["output"]["next_point"]["hours"] == pytest.approx(3 * 810 / 3600)


@pytest.mark.usefixtures("machine")
def test_it_ends_with_its_sets(tmp_path: Path) -> None:
    document = grown(run(campaign(tmp_path, '["1(1)+2(2)", "3(3)"]', "2(3)[Mo,W]", timed=False)))
    assert document.stopped_because == "sets exhausted"
    assert (document.recommended, document.next_point) == (1, None)
    assert [s.label_hours for s in document.steps] == [None, None]
    assert document.seeds == [0, 1]


@pytest.mark.usefixtures("machine")
def test_a_tolerance_stops_earlier_and_no_hours_are_made_up(tmp_path: Path) -> None:
    more = ", tolerance: 13, seeds: [5]"
    document = grown(run(campaign(tmp_path, FOUR, "2(4)[Mo,W]", more, timed=False)))
    assert document.stopped_because == "no improvement beyond its error"
    assert [s.mae_mev for s in document.steps] == pytest.approx([15, 3])
    assert document.steps[1].change_mev == pytest.approx(-12)
    assert not document.steps[1].improved
    assert document.recommended == 0
    point = document.next_point
    assert point is not None
    assert (point.expression, point.n_structures, point.hours) == ("2(3)", 12, None)
    assert point.basis == "known offers no estimate; no label tells its time"


def test_a_campaign_that_cannot_grow_is_told_so(tmp_path: Path) -> None:
    def said(*arguments: str, replace: tuple[str, str] = ("", "")) -> str:
        path = campaign(tmp_path, *arguments)
        path.write_text(path.read_text().replace(*replace))
        with pytest.raises(ValueError) as error:
            CampaignMaker.from_campaign(load_campaign(path)[0])
        return str(error.value)

    assert "grow needs two sets or more to compare, got ['1(1)']" in said('["1(1)"]')
    assert "grow needs two sets or more to compare, got []" in said("[]")
    assert "grow: the first set, 2(2), has no end points" in said('["2(2)", "1(1)+3(3)"]')
    assert "grow: 2(2) adds no structure to the sets before it" in said('["1(1)+2(2)", "2(2)"]')
    assert "grow: every structure of 'Database' is in the training sets" in said(FOUR, "2(2)+3(3)")
    assert "grow needs seeds, every one once, got [1, 1]" in said(FOUR, "2(4)", ", seeds: [1, 1]")
    no_model = said(replace=("model: known\n", ""))
    assert "grow needs a model to train, for example model: chgnet:0.3.0" in no_model
    other = said(replace=("test_set: Database", "test_set: Other"))
    assert "grow: no test set 'Other'; this campaign's test sets: Database" in other
    relaxed = said(FOUR, "2(4)", ", geometry: relaxed")
    assert "grow: models do not relax 'Database'; write geometry: fixed" in relaxed
    assert "position" in said('["1(1)+2(2)", "3(3"]')


@pytest.mark.usefixtures("machine")
def test_an_estimate_names_the_sets_that_may_come(tmp_path: Path) -> None:
    found = estimate(load_campaign(campaign(tmp_path))[0])
    assert [(e.expression, e.use, len(e.atoms)) for e in found] == [
        ("1(1)+2(2)", "grow, step 1", 6),
        ("2(3)+2(4)", "Database", 36),
        ("3(3)", "grow, step 2", 3),
        ("2(3)", "grow, step 3", 0),
        ("3(4)", "grow, step 4", len(ids("3(4)"))),
    ]


@pytest.mark.slow
def test_workers_grow_a_training_set(connection: Connection, tmp_path: Path) -> None:
    text = load_campaign(campaign(tmp_path))
    launch.submit(*text, connection)
    worker_loop(connection, poll=0.1)
    database = connection.database()
    assert set(database.fireworks.distinct("state")) == {"COMPLETED"}
    with connection.job_store() as store:
        document = check_four(store)
    specs = list(database.fireworks.find({}, {"name": 1, "spec": 1}))
    assert {s["spec"]["campaign"] for s in specs} == {"growing"}
    categories: dict[str, set[str]] = {}
    for s in specs:
        categories.setdefault(s["name"].split(" ")[0], set()).add(s["spec"]["_category"])
    own = {"known": "known", "fine-tune": "known", "benchmark": "known"}
    for name, found in categories.items():
        assert found == {own.get(name, "cpu")}
    # Submitted again, it is there; after a new start it takes labels and models from the store.
    assert launch.submit(*text, connection).existing
    assert document.campaign == "growing"


@pytest.mark.slow
@pytest.mark.parametrize(("job", "again"), [("growth step 1", False), ("labels 3(3)", True)])
def test_a_rerun_replaces_the_documents_of_the_first_run(
    connection: Connection, tmp_path: Path, job: str, again: bool
) -> None:
    """FireWorks reruns what followed, and beside it what the rerun job adds anew."""
    launch.submit(*load_campaign(campaign(tmp_path)), connection, again=again)
    worker_loop(connection, poll=0.1)
    database, launchpad = connection.database(), connection.launchpad()

    def counts() -> dict[str, int]:
        with connection.job_store() as store:
            return {kind: len(documents(store, kind)) for kind in kinds()}

    first, n = counts(), database.fireworks.count_documents({})
    assert first["label"] == len(ids("1(1)+2(2)") | ids("3(3)") | ids("2(3)") | ids("2(4)"))
    launchpad.rerun_fw(database.fireworks.find_one({"name": job})["fw_id"])
    worker_loop(connection, poll=0.1)
    assert set(database.fireworks.distinct("state")) == {"COMPLETED"}
    assert database.fireworks.count_documents({}) > n + 5
    assert counts() == first
    with connection.job_store() as store:
        check_four(store)
        blobs = store.additional_stores["data"]
        blobs._files_collection.update_many(
            {}, {"$set": {"uploadDate": datetime(2026, 1, 1, tzinfo=UTC)}}
        )
        found = find_leftovers(store)
        assert found.kinds == {"growth": 2}
        assert len(found.blobs) > 5
        used = blobs.count() - len(found.blobs)
        remove_leftovers(store, found)
        assert blobs.count() == used
        assert not find_leftovers(store)
        check_four(store)
        for kind in kinds():
            documents(store, kind, load=True)
    assert counts() == first


@pytest.mark.slow
def test_a_training_that_fails_ends_the_growth_but_not_the_report(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second step's; a second run goes on from there and ends as if it had not failed."""
    from growth_engine import KnownFamily

    train = KnownFamily.train

    def broken(self: Any, parent: Any, *frames: Any, **rest: Any) -> Any:
        if frames[3].seed == 1 and max(len(set(metals(f))) for f in frames[0]) == 3:
            msg = "no space left"
            raise MemoryError(msg)
        return train(self, parent, *frames, **rest)

    def metals(atoms: Any) -> list[str]:
        return [s for s in atoms.get_chemical_symbols() if s != "S"]

    monkeypatch.setattr(KnownFamily, "train", broken)
    text = load_campaign(campaign(tmp_path))
    launch.submit(*text, connection)
    worker_loop(connection, poll=0.1)
    fireworks = connection.database().fireworks
    assert set(fireworks.distinct("state")) == {"COMPLETED", "FIZZLED"}
    with connection.job_store() as store:
        assert [s.expression for s in grown(store).steps] == ["1(1)+2(2)"]
        [report] = documents(store, "report", "growing", load=True)
    assert isinstance(report, ReportDoc)
    assert report.missing == {
        "fine-tune step 2: + 3(3)": "MemoryError: no space left",
        "growth step 2": "ValueError: growth, step 2: no result of the model of seed 1, whose job "
        "failed; run again to go on",
    }
    assert "Still growing after 1 step" in report.html.read().decode()
    assert len(report.sources["benchmarks"]) == 2

    monkeypatch.setattr(KnownFamily, "train", train)
    assert len(launch.submit(*text, connection).rerun) == 2
    worker_loop(connection, poll=0.1)
    assert set(fireworks.distinct("state")) == {"COMPLETED"}
    with connection.job_store() as store:
        check_four(store)
