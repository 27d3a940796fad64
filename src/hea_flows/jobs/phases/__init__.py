"""Phase diagrams of binaries with a trained model."""

from __future__ import annotations

from hea_flows.jobs.phases.maker import PhaseDiagramMaker

__all__ = ["PhaseDiagramMaker"]
