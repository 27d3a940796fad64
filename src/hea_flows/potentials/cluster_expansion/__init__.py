"""Cluster expansions as a model family: energies of decorations, without a geometry."""

from __future__ import annotations

from hea_flows.potentials.cluster_expansion.family import ClusterExpansionFamily

__all__ = ["ClusterExpansionFamily"]
