"""Documents of the job store: queries, the documents of a campaign, and where each comes from."""

from __future__ import annotations

from hea_flows.results.store.campaign import CampaignDocuments
from hea_flows.results.store.committees import committee_on, group_seeds
from hea_flows.results.store.provenance import Node, count_states, render_tree, trace
from hea_flows.results.store.query import (
    STORED,
    NotFoundError,
    decode,
    documents,
    get_document,
    get_documents,
    preview,
)

__all__ = [
    "STORED",
    "CampaignDocuments",
    "Node",
    "NotFoundError",
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
