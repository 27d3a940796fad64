"""A study of which some models fail: the others are compared, the report names those missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from counting import CALLS, CountingFamily, CountingMaker, energy
from jobflow import JobStore, run_locally
from maggma.stores import MemoryStore

from hea_flows import plugins
from hea_flows.alloy import sets
from hea_flows.cli import campaign as cli_campaign
from hea_flows.cli import workers as cli_workers
from hea_flows.config import load_campaign
from hea_flows.flows import launch
from hea_flows.flows.campaign import CampaignMaker
from hea_flows.results.store import documents
from hea_flows.schemas import ModelSpec, ReportDoc
from hea_flows.services.connection import Connection
from hea_flows.services.progress import campaign_progress
from hea_flows.services.workers import worker_loop

#: Training seeds, and names of foundations, that fail.
BROKEN: set[Any] = set()
STUDY = """\
name: broken
alloy: {elements: [Mo, Ta, Nb]}
labels: {engine: counting}
model: {family: fragile, name: two}
benchmark: {relaxed: false}
models:
  - {name: three, set: 1(1)+2(2), seeds: [1, 2, 3]}
  - {name: pair, set: 1(1)+2(2), seeds: [4, 5]}
  - {name: as it is}
  - {name: nowhere, model: {family: fragile, name: absent}}
test_sets: {B: 2(2)+3(3)}
monte_carlo: {supercell: 3x1, temperatures: [300, 600], runs: 1, steps: 8, burn_in: 2, random: 4}
"""
SEED_1 = "ArithmeticError: the loss became nan with seed 1"
ABSENT = "ConnectionError: absent cannot be downloaded"


class _Known(Calculator):
    implemented_properties = ["energy"]  # noqa: RUF012

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def calculate(
        self, atoms: Atoms, properties: Any = ("energy",), system_changes: Any = all_changes
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        self.results["energy"] = energy(atoms, self.scale)


class FragileFamily(CountingFamily):
    """Fails where `BROKEN` says so."""

    name = "fragile"

    def resolve(self, spec: ModelSpec) -> ModelSpec:
        if spec.name in BROKEN:
            msg = f"{spec.name} cannot be downloaded"
            raise ConnectionError(msg)
        return super().resolve(spec)

    def train(self, parent: Any, *frames: Any, **rest: Any) -> Any:
        settings = frames[3]
        if settings.seed in BROKEN:
            msg = f"the loss became nan with seed {settings.seed}"
            raise ArithmeticError(msg)
        return super().train(parent, *frames, **rest)

    def calculator(self, spec: ModelSpec, device: str = "cpu") -> Calculator:
        if spec.path is None:
            self.resolve(spec)
        CALLS.append(("calculator", device))
        return _Known(float(Path(str(spec.path)).read_text()))


@pytest.fixture(autouse=True)
def _families(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins.FAMILIES, "registered", {"fragile": plugins.Row(FragileFamily)})
    monkeypatch.setattr(plugins.ENGINES, "registered", {"counting": plugins.Row(CountingMaker)})
    monkeypatch.setattr("hea_flows.results.report.page.data_uri", lambda figure: "data:,")
    CALLS.clear()
    BROKEN.clear()


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "broken.yaml"
    path.write_text(STUDY)
    return path


def report_of(store: JobStore) -> ReportDoc:
    [report] = documents(store, "report", "broken", load=True)
    assert isinstance(report, ReportDoc)
    return report


def seeds(store: JobStore, kind: str) -> list[tuple[str, int | None]]:
    return sorted((d.name, d.seed) for d in documents(store, kind, "broken"))  # type: ignore[attr-defined]


@pytest.mark.slow
def test_models_that_fail_stop_no_other(
    connection: Connection, study: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Through real FireWorks: what is left is compared; a second run makes up for the rest."""

    def work(n: int, connection: Connection, **_: Any) -> list[Any]:
        assert n == 1
        worker_loop(connection, poll=0.05)
        return []

    def run() -> None:
        page = study.with_suffix(".html")
        cli_campaign.run(study, workers=1, again=False, report=page)

    monkeypatch.setattr(launch, "start_workers", work)
    connection.activate()
    BROKEN.update([1, 5, "absent"])
    with pytest.raises(launch.CampaignFailedError) as error:
        run()
    assert str(error.value).startswith("4 jobs failed, first ")
    said = capsys.readouterr().out
    assert f"failed, and left out: fine-tune three: {SEED_1}" in said
    assert "report:" in said

    # Everything is over; the report was the last to start.
    launchpad = connection.launchpad()
    fireworks = {f["name"]: f for f in launchpad.fireworks.find({}, {"name": 1, "state": 1})}
    assert {f["state"] for f in fireworks.values()} == {"COMPLETED", "FIZZLED"}
    starts = {
        x["fw_id"]: x["time_start"]
        for x in launchpad.launches.find({}, {"fw_id": 1, "time_start": 1})
    }
    last = max(starts, key=lambda key: starts[key])
    report_job = launchpad.fireworks.find_one({"fw_id": last})
    assert report_job["name"] == "report"
    assert report_job["spec"]["_fizzled_parents"] == []  # each would be as large as its job

    # Each failure once, and what it kept from running.
    failed = campaign_progress(launchpad).failed
    own = sorted((j.name, j.error) for j in failed if not j.skipped)
    assert own == [
        ("benchmark nowhere", ABSENT),
        (
            "committee pair",
            "ValueError: a committee needs the benchmarks of two models at least, got 1",
        ),
        ("fine-tune pair", "ArithmeticError: the loss became nan with seed 5"),
        ("fine-tune three", SEED_1),
    ]
    kept = sorted((j.name, j.error) for j in failed if j.skipped)
    because = "not run, because it failed: fine-tune"
    assert kept == [
        ("benchmark pair", f"{because} pair"),
        ("benchmark three", f"{because} three"),
        ("monte carlo", f"{because} three"),
    ]
    cli_workers.status()
    shown = capsys.readouterr().out
    assert "7 FIZZLED" in shown
    assert f"fine-tune three: failed in {failed[0].folder.rpartition('/')[0]}" in shown
    assert f"monte carlo: {because} three" in shown
    assert ("calculator", "cpu") not in CALLS

    with connection.job_store() as store:
        report = report_of(store)
        assert report.missing == {
            "three, seed 1": SEED_1,
            "pair, seed 5": "ArithmeticError: the loss became nan with seed 5",
            "nowhere": ABSENT,
            "committee pair": own[1][1],
        }
        left = [("as it is", None), ("pair", 4), ("three", 2), ("three", 3)]
        assert seeds(store, "benchmark") == left
        assert set(report.sources["benchmarks"]) == {
            d.uuid for d in documents(store, "benchmark", "broken")
        }
        [committee] = documents(store, "committee", "broken")
        assert (committee.name, committee.seeds) == ("three", [2, 3])
        assert report.sources["committees"] == [committee.uuid]
        assert "montecarlo" not in report.sources
        page = report.html.read().decode()
        assert f'no result of three, seed 1</td><td class="wide">{SEED_1}</td>' in page
        assert "Without a result: nowhere; three, seed 1; pair, seed 5; committee pair." in page

    # The network is back and the loss finite: only what was missing is done, and the report again.
    BROKEN.clear()
    done = {f["fw_id"] for f in launchpad.fireworks.find({"state": "COMPLETED"}, {"fw_id": 1})}
    again = {"report", "committee three"}
    count = {fw: launchpad.launches.count_documents({"fw_id": fw}) for fw in done}
    run()
    assert "4 failed jobs are tried again" in capsys.readouterr().out
    assert set(launchpad.fireworks.distinct("state")) == {"COMPLETED"}
    for one in launchpad.fireworks.find({"fw_id": {"$in": list(done)}}, {"fw_id": 1, "name": 1}):
        launches = launchpad.launches.count_documents({"fw_id": one["fw_id"]})
        assert launches == count[one["fw_id"]] + (one["name"] in again), one["name"]
    with connection.job_store() as store:
        report = report_of(store)
        assert report.missing == {}
        assert seeds(store, "benchmark") == sorted(
            [*left, ("nowhere", None), ("pair", 5), ("three", 1)], key=str
        )
        assert len(report.sources["benchmarks"]) == 7
        found = documents(store, "committee", "broken")
        assert sorted((c.name, c.seeds) for c in found) == [("pair", [4, 5]), ("three", [1, 2, 3])]
        assert len(report.sources["montecarlo"]) == 1
        assert "no result of" not in report.html.read().decode()


@pytest.fixture
def store() -> JobStore:
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    store.connect()
    return store


def run_here(study: Path, store: JobStore, *, ensure_success: bool = False) -> None:
    """Run a study in this process."""
    campaign, text = load_campaign(study)
    flow = CampaignMaker.from_campaign(campaign).make(campaign, text)
    run_locally(flow, store=store, log=False, root_dir=study.parent, ensure_success=ensure_success)


@pytest.mark.usefixtures("machine")
def test_without_fireworks_the_report_tells_what_failed_and_why(
    study: Path, store: JobStore
) -> None:
    """Jobflow itself runs what does not need a failed job, and ends with an error if asked to."""
    BROKEN.update([1, "absent"])
    with pytest.raises(RuntimeError, match="did not finish running successfully"):
        run_here(study, store, ensure_success=True)
    assert report_of(store).missing == {"three, seed 1": SEED_1, "nowhere": ABSENT}
    assert SEED_1 in report_of(store).html.read().decode()
    assert len(seeds(store, "benchmark")) == 5
    assert ("calculator", "cpu") not in CALLS
    BROKEN.clear()
    run_here(study, store, ensure_success=True)
    reports = documents(store, "report", "broken", load=True)
    assert [report.missing == {} for report in reports] == [False, True]  # type: ignore[attr-defined]


@pytest.mark.usefixtures("machine")
def test_without_fireworks_what_a_missing_dataset_keeps_from_running_is_told(
    study: Path, store: JobStore
) -> None:
    study.write_text(STUDY.replace("- {name: pair, set: 1(1)+2(2)", "- {name: pair, set: 2(2)"))
    run_here(study, store)
    missing = report_of(store).missing
    assert missing.pop("dataset").startswith("ValueError: no label of the end point of Mo, Ta, Nb")
    not_run = "not run, because a job that it needs failed"
    assert missing == {
        "pair, seed 4": not_run,
        "pair, seed 5": not_run,
        "committee pair": "ValueError: a committee needs the benchmarks of two models at least, "
        "got 0",
    }


@pytest.mark.slow
def test_a_dataset_that_cannot_be_made_stops_its_model_only(
    connection: Connection, study: Path
) -> None:
    """One model's set has no end points."""
    text = STUDY.replace("- {name: pair, set: 1(1)+2(2)", "- {name: pair, set: 2(2)")
    study.write_text(text.replace("{name: nowhere, ", "{name: other, "))
    launch.submit(*load_campaign(study), connection)
    worker_loop(connection, poll=0.05)
    failed = {j.name: j for j in campaign_progress(connection.launchpad()).failed}
    reason = failed["dataset"].error
    assert reason.startswith("ValueError: no label of the end point of Mo, Ta, Nb")
    assert failed["fine-tune pair"].error == "not run, because it failed: dataset"
    with connection.job_store() as store:
        report = report_of(store)
        assert report.missing == {
            "pair, seed 4": "not run, because it failed: dataset",
            "pair, seed 5": "not run, because it failed: dataset",
            "committee pair": failed["committee pair"].error,
            "dataset": reason,
        }
        assert len(seeds(store, "benchmark")) == 5


@pytest.mark.slow
def test_labels_whose_start_geometry_fails_do_not_wait(connection: Connection, study: Path) -> None:
    """The test set of such labels has end points only; models and the report are made."""
    BROKEN.add("absent")
    text = STUDY.replace("- {name: nowhere, model: {family: fragile, name: absent}}", "")
    start = "{engine: counting, start: {model: {family: fragile, name: absent}}}"
    study.write_text(
        text.replace("{B: 2(2)+3(3)}", "{B: 2(2), C: {set: 3(3), labels: " + start + "}}")
    )
    launch.submit(*load_campaign(study), connection)
    worker_loop(connection, poll=0.05)
    progress = campaign_progress(connection.launchpad())
    assert set(progress.counts) == {"COMPLETED", "FIZZLED"}
    starts = [j for j in progress.failed if j.name.startswith("start geometry")]
    labels = [j for j in progress.failed if j.skipped]
    assert [j.error for j in starts] == [ABSENT] * 3
    assert {j.error for j in labels} == {f"not run, because it failed: {starts[0].name}"}
    assert (len(labels), progress.missed, len(progress.failed)) == (3, (), 6)
    with connection.job_store() as store:
        assert len(report_of(store).missing) == 0
        found = {d.name: d for d in documents(store, "test_set", "broken")}  # type: ignore[attr-defined]
        assert len(found["C"].excluded) == 3
        assert all("its job failed" in why for why in found["C"].excluded.values())


@pytest.mark.slow
def test_a_set_that_cannot_be_built_stops_what_needs_it_only(
    connection: Connection, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model is trained on a set whose structures fail while the campaign runs."""

    def parse(expression: str) -> Any:
        if expression == "3(3)":
            msg = "no such cells today"
            raise ValueError(msg)
        return sets.parse(expression)

    monkeypatch.setattr("hea_flows.jobs.labelling.structures.parse", parse)
    text = STUDY.replace("- {name: pair, set: 1(1)+2(2)", "- {name: pair, set: 3(3)")
    text = text.replace("- {name: nowhere, model: {family: fragile, name: absent}}", "")
    study.write_text(text.replace("{B: 2(2)+3(3)}", "{B: 2(2)}"))
    launch.submit(*load_campaign(study), connection)
    worker_loop(connection, poll=0.05)
    progress = campaign_progress(connection.launchpad())
    assert set(progress.counts) == {"COMPLETED", "FIZZLED"}
    failed = {j.name: j.error for j in progress.failed}
    assert failed["structures 3(3)"] == "ValueError: no such cells today"
    assert failed["labels 3(3)"] == "not run, because it failed: structures 3(3)"
    assert "a whole set is missing" in failed["dataset"]
    assert failed["fine-tune pair"] == "not run, because it failed: dataset"
    with connection.job_store() as store:
        missing = report_of(store).missing
        assert {"pair, seed 4", "pair, seed 5", "dataset"} < set(missing)
        assert len(seeds(store, "benchmark")) == 4
