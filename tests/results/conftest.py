"""The stored campaign, its documents by kind, and the stores that hold it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from jobflow import JobStore
from stored_campaign import campaign_documents, memory_store, put, with_reference

from hea_flows.results.store import CampaignDocuments
from hea_flows.schemas import Document, ThermodynamicsDoc
from hea_flows.services.connection import Connection


@pytest.fixture(scope="module")
def filled(documents: list[Document]) -> JobStore:
    """Return a store that holds the campaign; to be read only."""
    return memory_store(documents)


@pytest.fixture
def scratch(documents: list[Document]) -> JobStore:
    """Return a store that holds the campaign, for one test to change."""
    return memory_store(documents)


@pytest.fixture
def database(
    connection: Connection, documents: list[Document], monkeypatch: pytest.MonkeyPatch
) -> Iterator[JobStore]:
    """Yield the store of a MongoDB that the command line uses; it holds all but the labels."""
    assert connection.uri is not None
    monkeypatch.setenv("HEA_FLOWS_MONGODB_URI", connection.uri.get_secret_value())
    monkeypatch.setenv("HEA_FLOWS_DATABASE", connection.database_name)
    store = connection.job_store()
    store.connect()
    for document in documents:
        if document.kind != "label":
            put(store, document)
    yield store
    store.close()


@pytest.fixture(scope="session")
def documents() -> list[Document]:
    return campaign_documents()


@pytest.fixture(scope="session")
def surer(documents: list[Document]) -> CampaignDocuments:
    """Return the campaign with an interval and reference SQS in its thermodynamics."""
    return CampaignDocuments.from_documents(
        with_reference(d) if isinstance(d, ThermodynamicsDoc) else d for d in documents
    )


@pytest.fixture(scope="session")
def inputs(documents: list[Document]) -> CampaignDocuments:
    return CampaignDocuments.from_documents(documents)
