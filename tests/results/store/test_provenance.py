from __future__ import annotations

import pytest
from jobflow import JobStore
from rich.console import Console

from hea_flows.results.store import CampaignDocuments, Node, NotFoundError, render_tree, trace


def printed(node: Node) -> str:
    console = Console(width=200)
    with console.capture() as text:
        console.print(render_tree(node))
    return text.get()


def described(node: Node) -> dict[str, str]:
    assert node.document is not None
    return node.document.described()


def test_every_chain_leads_to_the_campaign_file(
    filled: JobStore, inputs: CampaignDocuments
) -> None:
    for uuid in ("7e44", "3c0", "be4c0001", "f17e", "da7a", "1abe0003", "5e75"):
        tree = trace(filled, uuid)
        [campaign] = tree.campaigns
        assert described(campaign)["file sha256"] == inputs.campaign.config_sha256
        assert tree.missing == []


def test_the_tree_of_thermodynamics_has_every_document_once(
    filled: JobStore, inputs: CampaignDocuments
) -> None:
    tree = trace(filled, inputs.thermodynamics[0].uuid)
    nodes = list(tree.all_nodes())
    # thermodynamics, fine-tuning, dataset, its 35 labels, structures, campaign
    assert len(nodes) == len({n.uuid for n in nodes}) == 40
    assert list(tree.sources) == ["training", "dataset"]
    assert tree.sources["training"][0].sources["dataset"][0] is tree.sources["dataset"][0]
    assert [n.kind for n in tree.sources["dataset"][0].sources["labels"]] == ["label"] * 35


def test_nodes_describe_what_a_result_depends_on(
    filled: JobStore, inputs: CampaignDocuments
) -> None:
    tree = trace(filled, "7e44")
    dataset = described(tree.sources["dataset"][0])
    assert dataset["split seed"] == "42"
    assert [dataset[k] for k in ("train", "test", "validation")] == ["84", "15", "6"]
    assert dataset["settings id"] == "0123456789ab"
    tuned = described(tree.sources["training"][0])
    assert tuned["model sha256"] == inputs.trainings[0].model.sha256
    assert tuned["parent"] == "chgnet-0.3.0"
    label = described(tree.sources["dataset"][0].sources["labels"][0])
    assert label["codes"] == "toy 1.2"
    assert described(tree)["versions"] == "python 3.11.0, hea-flows 0.1.0"


def test_missing_documents_are_reported(scratch: JobStore, inputs: CampaignDocuments) -> None:
    gone = inputs.labels[5].uuid
    scratch.remove_docs({"uuid": {"$in": [gone, inputs.campaign.uuid]}})
    tree = trace(scratch, "7e44")
    assert sorted(tree.missing) == sorted([gone, inputs.campaign.uuid])
    assert tree.campaigns == []
    text = printed(tree)
    assert f"missing {gone}" in text
    assert f"missing {inputs.campaign.uuid}" in text


def test_a_cycle_ends(scratch: JobStore, inputs: CampaignDocuments) -> None:
    looped = inputs.structures[0].model_copy(
        update={"sources": {"campaign": [inputs.campaign.uuid], "x": [inputs.datasets[0].uuid]}}
    )
    scratch.update({"uuid": looped.uuid, "index": 2, "output": looped})
    tree = trace(scratch, "da7a")
    assert any("not followed" in n.note for n in tree.all_nodes())
    assert "not followed" in printed(tree)


def test_an_unknown_document_is_an_error(filled: JobStore) -> None:
    with pytest.raises(NotFoundError, match="no document with uuid 'feed'"):
        trace(filled, "feed")


def test_the_printed_tree_is_short_and_complete(
    filled: JobStore, inputs: CampaignDocuments
) -> None:
    text = printed(trace(filled, "7e44"))
    assert "labels: 35 documents (35 converged), for example" in text
    assert len(text.splitlines()) < 80
    assert text.count(inputs.campaign.config_sha256) == 1
    assert "(above)" in text  # the dataset is used twice


def test_markup_in_names_is_shown_as_it_is(scratch: JobStore, inputs: CampaignDocuments) -> None:
    odd = inputs.campaign.model_copy(update={"name": "[red]x[/red] [/]"})
    scratch.update({"uuid": odd.uuid, "index": 2, "output": odd})
    assert "[red]x[/red] [/]" in printed(trace(scratch, "5e75"))
