"""Documents of the job store: queries, the documents of a campaign, and where each comes from."""

from __future__ import annotations

from hea_flows.results.store.campaign import CampaignDocuments
from hea_flows.results.store.committees import committee_on, group_seeds
from hea_flows.results.store.provenance import Node, count_states, render_tree, trace
from hea_flows.results.store.query import (
    STORED,
    NotFoundError,
    documents,
    get_document,
    get_documents,
    preview,
)
from hea_flows.results.store.reading import CheckedStore, UnreadableDocumentWarning, decode

__all__ = [
    "STORED",
    "CampaignDocuments",
    "CheckedStore",
    "Node",
    "NotFoundError",
    "UnreadableDocumentWarning",
    "committee_on",
    "count_states",
    "decode",
    "documents",
    "get_document",
    "get_documents",
    "group_seeds",
    "preview",
    "render_tree",
    "trace",
]
