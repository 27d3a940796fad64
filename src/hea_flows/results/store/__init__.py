"""Documents of the job store: queries, those of a campaign, where each comes from, leftovers."""

from __future__ import annotations

from hea_flows.results.store.campaign import CampaignDocuments
from hea_flows.results.store.committees import committee_on, group_seeds
from hea_flows.results.store.leftovers import Leftover, Leftovers, find_leftovers, remove_leftovers
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
    "Leftover",
    "Leftovers",
    "Node",
    "NotFoundError",
    "UnreadableDocumentWarning",
    "committee_on",
    "count_states",
    "decode",
    "documents",
    "find_leftovers",
    "get_document",
    "get_documents",
    "group_seeds",
    "preview",
    "remove_leftovers",
    "render_tree",
    "trace",
]
