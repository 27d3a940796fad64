"""`hea-flows query`, on a store in memory."""

from __future__ import annotations

import json
import math

import pytest
from jobflow import JobStore
from stored_campaign import campaign_documents, memory_store, put

from hea_flows.cli import main, results
from hea_flows.schemas import Document, LabelDoc, TrainingDoc


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> JobStore:
    store = memory_store(campaign_documents())
    monkeypatch.setattr(results, "open_store", lambda: store)
    return store


@pytest.fixture
def training(store: JobStore) -> TrainingDoc:
    """Return a training whose last epoch has no number, once more in the store."""
    [document] = [d for d in campaign_documents() if isinstance(d, TrainingDoc)]
    broken = document.curve[-1].model_copy(update={"train_loss": math.nan})
    document = document.model_copy(update={"curve": [*document.curve[:-1], broken]})
    put(store, document, index=2)
    return document


def _json(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, object]]:
    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} left as JSON")

    assert main(["query", *arguments, "--full"]) == 0
    content: list[dict[str, object]] = json.loads(capsys.readouterr().out, parse_constant=refuse)
    return content


@pytest.mark.usefixtures("training")
def test_no_nan_leaves_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    [shown] = _json(capsys, "--kind", "training")
    assert isinstance(shown["curve"], list)
    assert shown["curve"][-1]["train_loss"] is None


def test_no_nan_in_a_preview(store: JobStore, capsys: pytest.CaptureFixture[str]) -> None:
    label = next(d for d in campaign_documents() if isinstance(d, LabelDoc))
    put(store, label.model_copy(update={"energy": math.nan}), index=2)
    for arguments in (["query", "--kind", "label", "--newest", "999"], ["show", label.uuid]):
        assert main(arguments) == 0
        printed = capsys.readouterr().out
        assert "NaN" not in printed
        assert '"energy": null' in printed


@pytest.mark.usefixtures("training")
def test_superseded_documents_are_marked_and_shown_only_if_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    [counts] = _json(capsys, "--kind", "training")
    assert "superseded" not in counts
    [old] = _json(capsys, "--kind", "training", "--superseded")
    assert old["superseded"] is True
    assert old["curve"] != counts["curve"]
    assert main(["query", "--kind", "training", "--superseded"]) == 0
    assert '"superseded": true' in capsys.readouterr().out
    assert main(["query", "--kind", "dataset", "--superseded", "--campaign", "toy"]) == 1
    assert "no superseded dataset document of campaign 'toy'" in capsys.readouterr().err


def test_the_newest_are_shown_and_that_there_are_more_is_told(
    store: JobStore, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    labels: list[Document] = [d for d in campaign_documents() if d.kind == "label"]
    newest = [d.uuid for d in sorted(labels, key=lambda d: (d.created_at, d.uuid))]
    assert main(["query", "--kind", "label", "--newest", "2", "--full"]) == 0
    captured = capsys.readouterr()
    assert [d["uuid"] for d in json.loads(captured.out)] == newest[-2:]
    assert captured.err == "the newest 2 are shown, there are more; see --newest\n"
    monkeypatch.setattr(results, "MOST", 5)
    assert main(["query", "--kind", "label", "--full"]) == 0
    captured = capsys.readouterr()
    assert [d["uuid"] for d in json.loads(captured.out)] == newest[-5:]
    assert "the newest 5 are shown" in captured.err
    assert main(["query", "--kind", "label", "--full", "--campaign", "toy"]) == 0
    captured = capsys.readouterr()
    assert len(json.loads(captured.out)) == len(labels)
    assert captured.err == ""
