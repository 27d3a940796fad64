"""MACE: training in every way, and quick evaluation in `fast`."""

from __future__ import annotations

from hea_flows.potentials.mace.family import MACEFamily

__all__ = ["MACEFamily"]
