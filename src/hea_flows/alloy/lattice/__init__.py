"""The host lattice: prototypes, decorations, neighbours, order parameters, integrity, meshes."""

from __future__ import annotations

from hea_flows.alloy.lattice.integrity import phase_flags
from hea_flows.alloy.lattice.kmesh import KMesh, folded_mesh
from hea_flows.alloy.lattice.neighbours import Neighbours
from hea_flows.alloy.lattice.order_parameters import (
    correlation_matrix,
    count_matrix,
    neighbour_pairs,
    pair_labels,
    warren_cowley_matrix,
)
from hea_flows.alloy.lattice.ordering import (
    IntMatrix,
    Ordering,
    check_elements,
    compact_supercell,
    coset_index,
    hermite_normal_form,
    lattice_points,
    multinomial,
)
from hea_flows.alloy.lattice.pair_term import PairTerm
from hea_flows.alloy.lattice.prototypes import PROTOTYPES, Alloy
from hea_flows.alloy.lattice.relaxation import cell_filter, relax

__all__ = [
    "PROTOTYPES",
    "Alloy",
    "IntMatrix",
    "KMesh",
    "Neighbours",
    "Ordering",
    "PairTerm",
    "cell_filter",
    "check_elements",
    "compact_supercell",
    "correlation_matrix",
    "coset_index",
    "count_matrix",
    "folded_mesh",
    "hermite_normal_form",
    "lattice_points",
    "multinomial",
    "neighbour_pairs",
    "pair_labels",
    "phase_flags",
    "relax",
    "warren_cowley_matrix",
]
