"""What labels structures: the base Maker, the archive, a potential in place of DFT."""

from __future__ import annotations

from hea_flows.reference.base import reference_engine, reference_engines

__all__ = ["reference_engine", "reference_engines"]
