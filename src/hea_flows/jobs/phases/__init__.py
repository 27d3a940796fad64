"""Phase diagrams of binaries with a trained model."""

from __future__ import annotations

from hea_flows.jobs.phases.maker import PhaseDiagramMaker, fitted, sample_cell

__all__ = ["PhaseDiagramMaker", "fitted", "sample_cell"]
