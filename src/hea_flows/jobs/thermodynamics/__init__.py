"""Decompositions, random structures, vibrations and DEED with a trained model."""

from __future__ import annotations

from hea_flows.jobs.thermodynamics.maker import ThermodynamicsMaker

__all__ = ["ThermodynamicsMaker"]
