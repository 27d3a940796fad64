"""Nequix, read into a torch module of our own."""

from __future__ import annotations

from hea_flows.potentials.nequix.family import NequixFamily

__all__ = ["NequixFamily"]
