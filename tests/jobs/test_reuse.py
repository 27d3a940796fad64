"""What a result depends on, and that nothing that is in the store is computed again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import counting
import numpy as np
import pytest
from counting import CALLS, FAIL, CountingFamily, CountingMaker, calls
from jobflow import JobStore, run_locally
from maggma.stores import MemoryStore

from hea_flows import CampaignMaker, plugins
from hea_flows.alloy.sets.named import parse
from hea_flows.alloy.thermodynamics.mixing import mixing_energies
from hea_flows.config import Campaign, LabelSpec
from hea_flows.jobs import report
from hea_flows.jobs.labelling.labels import LabelsMaker
from hea_flows.jobs.reuse import identity, uuid_of
from hea_flows.potentials.chgnet.family import CHGNetFamily
from hea_flows.reference.archive import ArchiveMaker
from hea_flows.reference.synthetic import SyntheticMaker
from hea_flows.results.store import documents
from hea_flows.schemas import AlloySpec, ModelSpec, StructureEntry, StructuresDoc

ALLOY = AlloySpec(elements=("Mo", "Ta", "Nb"))
STUDY: dict[str, Any] = {
    "name": "first",
    "alloy": {"elements": ["Mo", "Ta", "Nb"]},
    "labels": {"engine": "counting"},
    "model": {"family": "counted", "name": "two"},
    "benchmark": {"relaxed": False},
    "models": [
        {"name": "as it is"},
        {"name": "m", "set": "1(1)+2(2)", "seeds": [1, 2]},
    ],
    "test_sets": {"B": "2(2)+3(3)", "C": "3(3)+2(3)"},
}


@pytest.fixture(autouse=True)
def _counted(monkeypatch: pytest.MonkeyPatch, machine: Path) -> Iterator[None]:
    reference = {"counting": plugins.Row(CountingMaker)}
    models = {"counted": plugins.Row(CountingFamily)}
    monkeypatch.setattr(plugins.FAMILIES, "registered", models)
    monkeypatch.setattr(plugins.ENGINES, "registered", reference)
    monkeypatch.setattr(report, "build_page", lambda inputs: "")  # most of the time of a campaign
    CALLS.clear()
    FAIL.clear()
    yield
    FAIL.clear()


@pytest.fixture
def store() -> JobStore:
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    store.connect()
    return store


def campaign(store: JobStore, *, reuse: bool = True, **changes: Any) -> None:
    """Run a campaign; what earlier ones left is in the store."""
    made = Campaign.model_validate(STUDY | changes)
    flow = CampaignMaker.from_campaign(made, reuse=reuse).make(made, str(changes))
    run_locally(flow, store=store, ensure_success=True, log=False)


def ids(expression: str, seed: int = 0) -> set[str]:
    return {o.id for o in parse(expression).build(ALLOY.to_alloy(), seed)}


def keys(maker: LabelsMaker, expression: str = "1(1)+2(2)") -> dict[str, str]:
    entries = [StructureEntry.from_ordering(o) for o in parse(expression).build(ALLOY.to_alloy())]
    made = StructuresDoc(
        alloy=ALLOY, expression=expression, seed=0, n_structures=len(entries), structures=entries
    )
    return maker._identities(made)


def test_names_of_makers_do_not_count_all_else_does() -> None:
    plain = identity(engine=CountingMaker(), structure="s")
    assert plain == identity(structure="s", engine=CountingMaker(name="other"))
    assert plain != identity(engine=CountingMaker(scale=1.5), structure="s")
    assert plain != identity(engine=CountingMaker(), structure="t")
    # The name of a model inside an engine is no Maker's name.
    models = [SyntheticMaker(model=ModelSpec(family="chgnet", name=n)) for n in ("0.2.0", "0.3.0")]
    assert len({identity(engine=m) for m in models}) == 2
    assert len(uuid_of(plain)) == 36
    assert uuid_of(plain) == uuid_of(plain) != uuid_of(identity(x=1))


def test_labels_go_by_structure_engine_start_and_host() -> None:
    spec = LabelSpec(engine="counting")
    plain = keys(LabelsMaker(labels=spec))
    assert set(plain) == ids("1(1)+2(2)")
    assert len(set(plain.values())) == 6
    assert plain == keys(LabelsMaker(labels=spec, seed=9))
    assert keys(LabelsMaker(labels=spec), "2(2)").items() <= plain.items()
    assert keys(LabelsMaker(labels=spec, reuse=False)) == {}
    other = keys(LabelsMaker(labels=LabelSpec(engine="counting", options={"scale": 3})))
    assert not set(other.values()) & set(plain.values())
    assert keys(LabelsMaker(labels=LabelSpec(engine="archive"))) == {}
    assert ArchiveMaker().identity() is None


def test_rattled_starts_depend_on_the_seed_others_do_not() -> None:
    def started(seed: int, **start: Any) -> dict[str, str]:
        start = {"model": "chgnet:0.3.0"} | start
        spec = LabelSpec.model_validate({"engine": "counting", "start": start})
        return keys(LabelsMaker(labels=spec, seed=seed))

    assert started(1) == started(2)
    assert started(1, rattle=0.02) == started(1, rattle=0.02)
    different = [
        *(started(0), started(1, rattle=0.02), started(2, rattle=0.02)),
        *(started(1, rattle=0.03), started(0, model="chgnet:0.2.0")),
    ]
    assert len({uuid for found in different for uuid in found.values()}) == 6 * 5


def test_models_in_files_go_by_their_content(tmp_path: Path) -> None:
    pytest.importorskip("chgnet")
    resolved = CHGNetFamily().resolve(ModelSpec(family="chgnet", name="0.3.0"))
    source = CHGNetFamily().locate(ModelSpec(family="chgnet", name="0.3.0")).path
    copies = [tmp_path / name for name in ("a.pt", "b.pt")]
    for copy in copies:
        shutil.copy(source, copy)
    models = [ModelSpec(family="chgnet", path=str(p), sha256=resolved.sha256) for p in copies]
    found = {identity(**SyntheticMaker(model=m).identity()) for m in models}
    named = SyntheticMaker(model=ModelSpec(family="chgnet", name="0.3.0"))
    assert found == {identity(**named.identity())}
    other = SyntheticMaker(model=ModelSpec(family="chgnet", name="0.2.0"))
    assert found != {identity(**other.identity())}

    starts = [
        LabelSpec.model_validate({"engine": "counting", "start": {"model": m.model_dump()}})
        for m in models
    ]
    first, second = (keys(LabelsMaker(labels=s)) for s in starts)
    assert first == second


def test_nothing_of_a_second_campaign_is_computed_again(store: JobStore) -> None:
    campaign(store)
    labels = calls("label")
    assert set(labels) == ids("1(1)+2(2)+3(3)+2(3)")
    assert set(labels.values()) == {1}
    assert calls("train") == {"1": 1, "2": 1}
    first = {d.seed: d for d in documents(store, "benchmark") if d.role == "fine-tuned"}
    tuned = {d.settings.seed: d for d in documents(store, "training", load=True)}

    CALLS.clear()
    campaign(store, name="second")
    assert CALLS == []
    again = [d for d in documents(store, "benchmark", "second") if d.role == "fine-tuned"]
    assert [d.seed for d in again] == [1, 2]
    for d in again:
        assert d.sources["reused"] == [first[d.seed].uuid]
        assert (d.tables, d.fixed, d.model) == (
            first[d.seed].tables,
            first[d.seed].fixed,
            first[d.seed].model,
        )
    for d in documents(store, "training", "second", load=True):
        assert d.sources["reused"] == [tuned[d.settings.seed].uuid]
        assert d.model_file.read() == tuned[d.settings.seed].model_file.read()
    # Labels of the first campaign are told to be the second's, for it uses them.
    assert {d.campaign for d in documents(store, "label", "second")} == {"first"}
    assert len(documents(store, "label", "second")) == len(labels)

    CALLS.clear()
    campaign(store, name="third", reuse=False)
    assert calls("label") == labels
    assert calls("train") == {"1": 1, "2": 1}


def test_only_what_is_new_is_computed(store: JobStore) -> None:
    campaign(store)
    CALLS.clear()
    # One seed more, the same model under another name, one test set more.
    models = [{"name": "called so", "set": "1(1)+2(2)", "seeds": [2, 5]}]
    test_sets = STUDY["test_sets"] | {"D": "2(4)"}
    campaign(store, name="second", models=models, test_sets=test_sets)
    assert calls("train") == {"5": 1}
    assert set(calls("label")) == ids("2(4)")
    found = {d.settings.seed: d for d in documents(store, "training", "second", load=True)}
    assert {d.name for d in found.values()} == {"called so"}
    assert "reused" in found[2].sources
    assert "reused" not in found[5].sources
    assert found[2].model.sha256 != found[5].model.sha256
    # Other settings, splits or data: another model.
    for change in (
        {"models": [models[0] | {"training": {"epochs": 7}}]},
        {"models": models, "dataset": {"fractions": [0.5, 0.25, 0.25]}},
        {"models": [models[0] | {"set": "1(1)+2(2)+3(3)"}]},
    ):
        CALLS.clear()
        campaign(store, name="third", **change)
        assert calls("train") == {"2": 1, "5": 1}
        assert calls("label") == {}


def test_a_label_that_failed_is_tried_again_and_then_found(store: JobStore) -> None:
    FAIL.add("Mo1Ta1S4")
    campaign(store)
    [failed] = documents(store, "label", state="failed")
    assert failed.reason == "ArithmeticError: it was asked to fail"
    FAIL.clear()
    for expected in ({failed.structure.structure_id: 1}, {}):
        CALLS.clear()
        campaign(store, name="second")
        assert calls("label") == expected
    assert documents(store, "label", state="failed") == []
    [told] = [d for d in documents(store, "label") if d.uuid == failed.uuid]
    assert told.energy == pytest.approx(0.005 - 40)


def test_errors_are_those_of_the_closed_form_and_shared_structures_count_once(
    store: JobStore,
) -> None:
    campaign(store)
    bench = {(d.name, d.seed): d for d in documents(store, "benchmark")}
    scales = {("as it is", None): 2.0}
    scales |= {("m", s): 1 + np.random.default_rng(s).random() for s in (1, 2)}
    assert bench.keys() == scales.keys()
    host = ALLOY.to_alloy()
    trained = ids("1(1)+2(2)")
    for key, scale in scales.items():
        for table in bench[key].tables:
            members = parse(STUDY["test_sets"][table.test_set]).build(host)
            energies = [counting.energy(o.to_atoms()) for o in members]
            pure = dict.fromkeys(ALLOY.elements, -20.0)
            mixing = 1e3 * mixing_energies(energies, [o.counts for o in members], pure)
            known = np.array([o.id in trained for o in members]) & (scale != 2.0)
            assert (table.n, table.n_trained) == (len(members), known.sum())
            wrong = (scale - 1) * np.abs(mixing)
            assert table.mixing_mae_mev == pytest.approx(wrong.mean())
            assert table.new_mixing_mae_mev == pytest.approx(wrong[~known].mean())
            if scale == 2.0:  # offsets between end points are zero here
                assert table.total_mae_mev == pytest.approx(wrong.mean())
    # B and C share 3(3); end points are in neither: one evaluation of 3 + 3 + 3 + 12 structures.
    assert calls("evaluate")["21"] == 3
