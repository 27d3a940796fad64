"""A kind of document that another package adds: its class is all that is written."""

from __future__ import annotations

from typing import ClassVar, Literal

import pytest
from jobflow import JobStore
from rich.console import Console

from hea_flows.cli import main, results
from hea_flows.results.report.learning_tables import provenance_tables
from hea_flows.results.store import CampaignDocuments, documents, render_tree, trace
from hea_flows.schemas import Document, StoredFile, kinds
from hea_flows.schemas import documents as registry


class ElasticDoc(Document):
    """Elastic constants with a model."""

    blob_fields: ClassVar[tuple[str, ...]] = ("curves",)

    kind: Literal["elastic"] = "elastic"
    c11: float
    curves: StoredFile

    @property
    def heading(self) -> str:
        """The largest constant."""
        return f"C11 = {self.c11:g} GPa"

    def headline(self) -> dict[str, object]:
        """Return the checksum of the curves."""
        return {"curves sha256": self.curves.sha256, "reason": None}


@pytest.fixture
def elastic(scratch: JobStore, inputs: CampaignDocuments) -> ElasticDoc:
    document = ElasticDoc(
        uuid="e1a5",
        campaign="toy",
        c11=238.0,
        curves=StoredFile.from_bytes("curves.npz", b"x"),
        sources={"training": [inputs.trainings[0].uuid]},
        versions={"elastic": "1.0"},
    )
    row = {"uuid": document.uuid, "index": 1, "output": document}
    scratch.update(row, key=["uuid", "index"], save={"data": ElasticDoc.in_store()})
    return document


def test_it_is_queried_shown_and_traced(
    elastic: ElasticDoc,
    scratch: JobStore,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert kinds()["elastic"] is ElasticDoc
    [stored] = documents(scratch, ElasticDoc, "toy")
    assert (stored.c11, stored.curves.sha256) == (238.0, "not loaded")
    [loaded] = documents(scratch, "elastic", load=True, c11=238.0)
    assert loaded.model_dump(exclude={"created_at"}) == elastic.model_dump(exclude={"created_at"})
    tree = trace(scratch, "e1a5")
    assert [n.kind for n in tree.campaigns] == ["campaign"]
    console = Console(width=200)
    with console.capture() as printed:
        console.print(render_tree(tree))
    assert printed.get().startswith("elastic C11 = 238 GPa e1a5\n├── curves sha256 not loaded\n")
    monkeypatch.setattr(results, "open_store", lambda: scratch)
    assert main(["query", "--kind", "elastic", "--campaign", "toy"]) == 0
    assert main(["show", "e1a5"]) == 0
    assert capsys.readouterr().out.count('"c11": 238.0') == 2


def test_it_is_in_the_provenance_of_a_report(elastic: ElasticDoc) -> None:
    [table] = provenance_tables(CampaignDocuments.from_documents([elastic]))
    [[kind, name, uuid, _, details]] = table.rows
    assert (kind, name, uuid) == ("elastic", "C11 = 238 GPa", "e1a5")
    assert details == f"curves sha256: {elastic.curves.sha256}; versions: elastic 1.0"


def test_a_kind_is_that_of_one_class() -> None:
    with pytest.raises(TypeError, match=r"Other: the kind 'elastic' is that of .*ElasticDoc; give"):

        class Other(Document):
            kind: Literal["elastic"] = "elastic"

    class Base(Document):  # has no kind of its own
        c11: float

    assert Base not in kinds().values()
    assert kinds()["elastic"] is ElasticDoc


def test_kinds_of_installed_packages_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Entry:
        def load(self) -> type[Document]:
            class FoundDoc(Document):
                kind: Literal["installed"] = "installed"

            return FoundDoc

    monkeypatch.setattr(registry, "entry_points", lambda group: [Entry()])
    registry._load_plugins.cache_clear()
    assert "installed" in kinds()
    del registry._KINDS["installed"]
