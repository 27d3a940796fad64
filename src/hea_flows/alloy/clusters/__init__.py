"""Cluster spaces, the compiled tables that make swaps quick, and fitted cluster expansions."""

from __future__ import annotations

from hea_flows.alloy.clusters.space import cluster_space, cluster_vectors, neighbour_distance
from hea_flows.alloy.clusters.surrogate import Surrogate, fit, flat
from hea_flows.alloy.clusters.tables import Clusters, Tables

__all__ = [
    "Clusters",
    "Surrogate",
    "Tables",
    "cluster_space",
    "cluster_vectors",
    "fit",
    "flat",
    "neighbour_distance",
]
