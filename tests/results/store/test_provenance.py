from __future__ import annotations

import pytest
from jobflow import JobStore
from maggma.stores import MemoryStore
from rich.console import Console

from hea_flows.results.report.inputs import ReportInputs
from hea_flows.results.store.provenance import Node, render_tree, walk
from hea_flows.results.store.query import NotFoundError
from hea_flows.schemas import Document


@pytest.fixture
def filled(documents: list[Document]) -> JobStore:
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    store.connect()
    rows = [{"uuid": d.uuid, "index": 1, "output": d} for d in documents]
    store.update(rows, save={"data": ["trajectory", "trajectories", "model_file"]})
    return store


def printed(node: Node) -> str:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(render_tree(node))
    return console.export_text()


def test_every_chain_leads_to_the_campaign_file(filled: JobStore, inputs: ReportInputs) -> None:
    for uuid in ("7e44", "3c0", "be4c0001", "f17e", "da7a", "1abe0003", "5e75"):
        tree = walk(filled, uuid)
        [campaign] = tree.campaigns
        assert campaign.facts["file sha256"] == inputs.campaign.config_sha256
        assert tree.missing == []


def test_the_tree_of_thermodynamics_has_every_document_once(
    filled: JobStore, inputs: ReportInputs
) -> None:
    tree = walk(filled, inputs.thermodynamics[0].uuid)
    nodes = list(tree.all_nodes())
    # thermodynamics, fine-tuning, dataset, its 35 labels, structures, campaign
    assert len(nodes) == len({n.uuid for n in nodes}) == 40
    assert list(tree.sources) == ["training", "dataset"]
    assert tree.sources["training"][0].sources["dataset"][0] is tree.sources["dataset"][0]
    assert [n.kind for n in tree.sources["dataset"][0].sources["labels"]] == ["label"] * 35


def test_facts_hold_what_a_result_depends_on(filled: JobStore, inputs: ReportInputs) -> None:
    tree = walk(filled, "7e44")
    dataset = tree.sources["dataset"][0].facts
    assert dataset["split seed"] == "42"
    assert [dataset[k] for k in ("train", "test", "validation")] == ["84", "15", "6"]
    assert dataset["settings id"] == "0123456789ab"
    tuned = tree.sources["training"][0].facts
    assert tuned["model sha256"] == inputs.trainings[0].model.sha256
    assert tuned["parent"] == "chgnet-0.3.0"
    label = tree.sources["dataset"][0].sources["labels"][0].facts
    assert label["codes"] == "toy 1.2"
    assert tree.facts["versions"] == "python 3.11.0, hea-flows 0.1.0"


def test_missing_documents_are_reported(filled: JobStore, inputs: ReportInputs) -> None:
    gone = inputs.labels[5].uuid
    filled.remove_docs({"uuid": {"$in": [gone, inputs.campaign.uuid]}})
    tree = walk(filled, "7e44")
    assert sorted(tree.missing) == sorted([gone, inputs.campaign.uuid])
    assert tree.campaigns == []
    text = printed(tree)
    assert f"missing {gone}" in text
    assert f"missing {inputs.campaign.uuid}" in text


def test_a_cycle_ends(filled: JobStore, inputs: ReportInputs) -> None:
    looped = inputs.structures[0].model_copy(
        update={"sources": {"campaign": [inputs.campaign.uuid], "x": [inputs.datasets[0].uuid]}}
    )
    filled.update({"uuid": looped.uuid, "index": 2, "output": looped})
    tree = walk(filled, "da7a")
    assert any("not followed" in n.note for n in tree.all_nodes())
    assert "not followed" in printed(tree)


def test_an_unknown_document_is_an_error(filled: JobStore) -> None:
    with pytest.raises(NotFoundError, match="no document with uuid 'feed'"):
        walk(filled, "feed")


def test_the_printed_tree_is_short_and_complete(filled: JobStore, inputs: ReportInputs) -> None:
    text = printed(walk(filled, "7e44"))
    assert "labels: 35 documents (35 converged), for example" in text
    assert len(text.splitlines()) < 80
    assert text.count(inputs.campaign.config_sha256) == 1
    assert "(above)" in text  # the dataset is used twice, told once


def test_markup_in_names_is_shown_as_it_is(filled: JobStore, inputs: ReportInputs) -> None:
    odd = inputs.campaign.model_copy(update={"name": "[red]x[/red] [/]"})
    filled.update({"uuid": odd.uuid, "index": 2, "output": odd})
    assert "[red]x[/red] [/]" in printed(walk(filled, "5e75"))
