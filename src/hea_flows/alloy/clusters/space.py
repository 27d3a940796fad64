"""Cluster spaces and cluster vectors of orderings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hea_flows.alloy.lattice import Alloy, Ordering, check_elements

if TYPE_CHECKING:
    from icet import ClusterSpace


def neighbour_distance(alloy: Alloy) -> float:
    """Return the distance of nearest alloyed sites (Å) at the first element's lattice constant."""
    return alloy.host.site_distance * alloy.lattice_constant(alloy.elements[0])


def check_cutoffs(alloy: Alloy, cutoffs: Sequence[float]) -> None:
    """Raise `ValueError` if clusters of these diameters (Å) reach the next image of a layer."""
    height = float(alloy.primitive().cell[2, 2])
    if alloy.host.layer and max(cutoffs) >= height:
        given = ", ".join(f"{c:.1f}" for c in cutoffs)
        msg = (
            f"cutoffs {given} Å reach the next layer; stay below {height:.1f} Å, or raise the "
            "vacuum"
        )
        raise ValueError(msg)


def cluster_space(
    alloy: Alloy, cutoffs: Sequence[float], elements: Sequence[str] | None = None
) -> ClusterSpace:
    """Return the cluster space of an alloy.

    Parameters
    ----------
    alloy
        The host.
    cutoffs
        Largest diameters (Å) of pairs, triplets, …, at the first element's lattice constant.
    elements
        Elements on the sublattice, at least two; default all of the alloy.

    Raises
    ------
    ValueError
        For fewer than two elements, or a cutoff that reaches the next image of a layer.
    """
    from icet import ClusterSpace

    chosen = check_elements(alloy, alloy.elements if elements is None else elements)
    if len(chosen) < 2:
        msg = f"a cluster space needs two elements or more, got {list(chosen)}"
        raise ValueError(msg)
    check_cutoffs(alloy, cutoffs)
    primitive = alloy.primitive()
    primitive.pbc = True  # icet asks for it; the vacuum is wider than every cutoff
    return ClusterSpace(primitive, list(cutoffs), alloy.allowed_species(chosen))


def cluster_vectors(space: ClusterSpace, orderings: Sequence[Ordering]) -> NDArray[np.float64]:
    """Return the cluster vectors of orderings, shape (number of orderings, parameters)."""
    rows = []
    for ordering in orderings:
        atoms = ordering.to_atoms(a=ordering.alloy.lattice_constant(ordering.alloy.elements[0]))
        atoms.pbc = True
        rows.append(space.get_cluster_vector(atoms))
    return np.array(rows, dtype=np.float64).reshape(len(orderings), len(space))
