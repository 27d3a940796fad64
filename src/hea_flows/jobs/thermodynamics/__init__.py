"""Stability of the alloy: SQS enthalpies, decompositions, DEED, vibrations."""

from __future__ import annotations

from hea_flows.jobs.thermodynamics.maker import ThermodynamicsMaker

__all__ = ["ThermodynamicsMaker"]
