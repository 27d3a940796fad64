"""Checks for authors of reference engines and model families, to be called from their tests."""

from __future__ import annotations

from hea_flows.testing.engines import check_reference_engine

__all__ = ["check_reference_engine"]
