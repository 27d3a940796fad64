"""Documents of the job store: queries, those of a campaign, where each comes from, leftovers."""

from __future__ import annotations

from hea_flows.results.store.campaign import CampaignDocuments
from hea_flows.results.store.committees import committee_on, group_seeds
from hea_flows.results.store.leftovers import Leftover, Leftovers, find_leftovers, remove_leftovers
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
    "Leftover",
    "Leftovers",
    "Node",
    "NotFoundError",
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
