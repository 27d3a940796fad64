"""Cluster spaces, fitted cluster expansions, and the compiled tables that make swaps fast."""

from __future__ import annotations

from hea_flows.alloy.clusters.expansion import Expansion, fit_expansion, zero_expansion
from hea_flows.alloy.clusters.space import (
    check_cutoffs,
    cluster_space,
    cluster_vectors,
    neighbour_distance,
)
from hea_flows.alloy.clusters.tables import Clusters, Tables

__all__ = [
    "Clusters",
    "Expansion",
    "Tables",
    "check_cutoffs",
    "cluster_space",
    "cluster_vectors",
    "fit_expansion",
    "neighbour_distance",
    "zero_expansion",
]
