"""Cluster spaces, fitted cluster expansions, and the compiled tables that make swaps fast."""

from __future__ import annotations

from hea_flows.alloy.clusters.decoration import decoration_of
from hea_flows.alloy.clusters.expansion import Expansion, fit_expansion, zero_expansion
from hea_flows.alloy.clusters.fit import HostFit, fit_host_expansion
from hea_flows.alloy.clusters.host_expansion import HostExpansion
from hea_flows.alloy.clusters.site_order import site_order
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
    "HostExpansion",
    "HostFit",
    "Tables",
    "check_cutoffs",
    "cluster_space",
    "cluster_vectors",
    "decoration_of",
    "fit_expansion",
    "fit_host_expansion",
    "neighbour_distance",
    "site_order",
    "zero_expansion",
]
