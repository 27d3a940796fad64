"""The host lattice: prototypes, orderings, neighbours, order parameters, integrity, meshes."""

from __future__ import annotations

from hea_flows.alloy.lattice.bonds import (
    bond_counts,
    neighbour_pairs,
    pair_labels,
    species_codes,
)
from hea_flows.alloy.lattice.crystals import own_prototype, prototype_of
from hea_flows.alloy.lattice.frames import frames_checksum, max_force
from hea_flows.alloy.lattice.integrity import phase_flags
from hea_flows.alloy.lattice.kmesh import KMesh, folded_mesh
from hea_flows.alloy.lattice.neighbours import Neighbours
from hea_flows.alloy.lattice.order_parameters import (
    correlation_matrix,
    own_image_share,
    random_bond_shares,
    warren_cowley_matrix,
)
from hea_flows.alloy.lattice.ordering import (
    Ordering,
    check_elements,
    compact_supercell,
    multinomial,
)
from hea_flows.alloy.lattice.pair_term import PairTerm
from hea_flows.alloy.lattice.prototypes import (
    PROTOTYPES,
    Alloy,
    Prototype,
    SiteOperations,
    UnknownConstantsError,
    end_point_constants,
    mean_lattice_constant,
)
from hea_flows.alloy.lattice.relaxation import cell_filter, relax
from hea_flows.alloy.lattice.site_index import (
    IntMatrix,
    SiteIndex,
    hermite_normal_form,
    int_matrix,
    lattice_points,
    supercell_size,
)
from hea_flows.alloy.lattice.sites import SIZE_RATIO, STRETCH_RATIO, Sites, from_nearest

__all__ = [
    "PROTOTYPES",
    "SIZE_RATIO",
    "STRETCH_RATIO",
    "Alloy",
    "IntMatrix",
    "KMesh",
    "Neighbours",
    "Ordering",
    "PairTerm",
    "Prototype",
    "SiteIndex",
    "SiteOperations",
    "Sites",
    "UnknownConstantsError",
    "bond_counts",
    "cell_filter",
    "check_elements",
    "compact_supercell",
    "correlation_matrix",
    "end_point_constants",
    "folded_mesh",
    "frames_checksum",
    "from_nearest",
    "hermite_normal_form",
    "int_matrix",
    "lattice_points",
    "max_force",
    "mean_lattice_constant",
    "multinomial",
    "neighbour_pairs",
    "own_image_share",
    "own_prototype",
    "pair_labels",
    "phase_flags",
    "prototype_of",
    "random_bond_shares",
    "relax",
    "species_codes",
    "supercell_size",
    "warren_cowley_matrix",
]
