"""Documents of the job store: queries, and where each document comes from."""

from __future__ import annotations

from hea_flows.results.store.query import documents

__all__ = ["documents"]
