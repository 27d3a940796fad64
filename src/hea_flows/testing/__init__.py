"""Checks for authors of Makers, reference engines and model families, to call from tests."""

from __future__ import annotations

from hea_flows.testing.engines import check_reference_engine
from hea_flows.testing.families import check_family
from hea_flows.testing.makers import check_maker

__all__ = ["check_family", "check_maker", "check_reference_engine"]
