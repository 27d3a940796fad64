"""Special quasirandom structures, seeded, with the objective that they reach."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
from icet import ClusterSpace
from icet.tools import enumerate_supercells
from icet.tools.structure_generation import generate_target_structure_from_supercells
from mchammer.calculators import compare_cluster_vectors
from numpy.typing import NDArray

from hea_flows.alloy.clusters import (
    check_cutoffs,
    cluster_space,
    cluster_vectors,
    neighbour_distance,
)
from hea_flows.alloy.composition import whole_counts
from hea_flows.alloy.lattice import (
    Alloy,
    IntMatrix,
    Ordering,
    check_elements,
    compact_supercell,
)
from hea_flows.alloy.sets.random_structures import Supercell, supercell_matrix

#: Default cutoffs of pairs and triplets, in units of the nearest-neighbour distance.
SQS_CUTOFFS = (2.7, 1.8)


@contextmanager
def untouched_global_generators() -> Iterator[None]:
    """Give Python's and numpy's global generators their state back afterwards."""
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002


def supercell_shapes(alloy: Alloy, size: int) -> list[IntMatrix]:
    """Return one compact matrix per symmetry-distinct supercell of `size` alloyed sites."""
    if size < 1:
        msg = f"a supercell holds at least one site, got size {size}"
        raise ValueError(msg)
    primitive = alloy.primitive()
    inverse = np.linalg.inv(primitive.cell.array)
    return [
        compact_supercell(alloy, np.rint(cell.cell.array @ inverse).astype(np.int64))
        for cell in enumerate_supercells(primitive, [alloy.n_cells(size)])
    ]


def random_alloy_vector(
    space: ClusterSpace, alloy: Alloy, fractions: Mapping[str, float]
) -> NDArray[np.float64]:
    """Return the cluster vector of the infinite random alloy, shape (parameters,).

    Sites are independent there, so that each component is the product over its sites of the mean
    point function, which the end points' cluster vectors hold.
    """
    pure = cluster_vectors(space, [Ordering.end_point(alloy, el) for el in fractions])
    mean = np.array(list(fractions.values())) @ pure
    functions: list[tuple[int, ...]] = [
        o["multicomponent_vector"] if o["order"] else () for o in space.as_list
    ]
    point = {f[0]: value for f, value in zip(functions, mean, strict=True) if len(f) == 1}
    return np.array([np.prod([point[j] for j in f]) for f in functions])


def special_quasirandom(
    alloy: Alloy,
    supercell: Supercell | int,
    elements: Sequence[str],
    rng: np.random.Generator,
    *,
    shares: Mapping[str, float] | None = None,
    cutoffs: Sequence[float] | None = None,
    n_steps: int | None = None,
) -> tuple[Ordering, float]:
    """Return a special quasirandom structure and its objective.

    Parameters
    ----------
    alloy
        The host.
    supercell
        One supercell, or a size, whose supercells of every shape are then searched.
    elements
        Elements of the random alloy.
    rng
        Source of all randomness; global generators are left as they were.
    shares
        Of the elements, adding up to 1, rounded to what the cell holds; default the alloy's own
        ratio.
    cutoffs
        Largest diameters (Å) of pairs, triplets, …; default `SQS_CUTOFFS` in units of the
        nearest-neighbour distance.
    n_steps
        Annealing steps; default 3000 per supercell shape.

    Returns
    -------
    ordering, objective
        The objective is van de Walle's, Calphad 42, 13 (2013): the summed deviation from the
        random alloy's correlations minus the radius up to which pairs match exactly. The lower
        the better; 0.0 for a single element, which is the end point itself.

    Raises
    ------
    ValueError
        If the cell does not hold the elements, or equal parts of them.
    """
    chosen = check_elements(alloy, elements)
    if isinstance(supercell, int):
        shapes = supercell_shapes(alloy, supercell)
    else:
        shapes = [supercell_matrix(alloy, supercell)]
    n_sites = alloy.n_sites(shapes[0])
    counts = alloy.counts(n_sites, chosen) if shares is None else whole_counts(shares, n_sites)
    species = tuple(el for el, n in counts.items() for _ in range(n))
    if len(chosen) == 1:
        return Ordering(alloy, shapes[0], species), 0.0
    space = _space(alloy, chosen, cutoffs)
    fractions = {el: n / n_sites for el, n in counts.items()}
    target = random_alloy_vector(space, alloy, fractions)
    cells = []
    for shape in shapes:
        cell = Ordering(alloy, shape, species).to_atoms(a=alloy.lattice_constant(alloy.elements[0]))
        cell.pbc = True
        cells.append(cell)
    with untouched_global_generators():
        best = generate_target_structure_from_supercells(
            space,
            cells,
            fractions,
            target,
            n_steps=n_steps,
            random_seed=int(rng.integers(2**31)),
        )
    # Atoms keep their order.
    shape = next(s for s, c in zip(shapes, cells, strict=True) if np.allclose(c.cell, best.cell))
    symbols = best.get_chemical_symbols()
    species = tuple(symbols[i] for i in alloy.alloyed_atoms(n_sites))
    ordering = Ordering(alloy, shape, species)
    return ordering, _objective(space, ordering, target)


def sqs_objective(ordering: Ordering, cutoffs: Sequence[float] | None = None) -> float:
    """Return the objective of an ordering as a quasirandom structure; see `special_quasirandom`.

    Parameters
    ----------
    ordering
        A decoration; its own composition is that of the random alloy.
    cutoffs
        As in `special_quasirandom`.
    """
    alloy, elements = ordering.alloy, ordering.components
    if len(elements) == 1:
        return 0.0
    space = _space(alloy, elements, cutoffs)
    fractions = {el: n / ordering.n_sites for el, n in ordering.counts.items()}
    return _objective(space, ordering, random_alloy_vector(space, alloy, fractions))


def check_sqs(alloy: Alloy, supercell: Supercell, elements: Sequence[str]) -> None:
    """Raise `ValueError` if a supercell does not hold the alloy's ratio of elements."""
    matrix = supercell_matrix(alloy, supercell)
    alloy.counts(alloy.n_sites(matrix), elements)
    check_cutoffs(alloy, _cutoffs(alloy))


def _cutoffs(alloy: Alloy) -> list[float]:
    return [c * neighbour_distance(alloy) for c in SQS_CUTOFFS]


def _space(alloy: Alloy, elements: Sequence[str], cutoffs: Sequence[float] | None) -> ClusterSpace:
    return cluster_space(alloy, _cutoffs(alloy) if cutoffs is None else cutoffs, elements)


def _objective(space: ClusterSpace, ordering: Ordering, target: NDArray[np.float64]) -> float:
    vector = cluster_vectors(space, [ordering])[0]
    return float(compare_cluster_vectors(vector, target, space.as_list))
