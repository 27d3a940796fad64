"""Random decorations: supercells, compositions and configurations, from an explicit generator."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hea_flows.alloy.lattice import (
    Alloy,
    IntMatrix,
    Ordering,
    SiteIndex,
    check_elements,
    multinomial,
)
from hea_flows.alloy.sets.shares import SiteRanges, drawn_counts, exactly
from hea_flows.inputs import shown

#: A supercell: ``"4x4"``, repetitions (4, 4), or an integer matrix of shape (3, 3).
Supercell = str | Sequence[int] | Sequence[Sequence[int]] | NDArray[np.int64]


def supercell_matrix(alloy: Alloy, supercell: Supercell) -> IntMatrix:
    """Return the integer matrix of a supercell given as text, as repetitions or as a matrix.

    A layer takes two repetitions (or three, the last being 1), a bulk host three.

    Raises
    ------
    ValueError
        If the number of repetitions does not fit the host, or one is below 1.
    """
    if isinstance(supercell, str):
        if not re.fullmatch(r"[0-9]{1,4}(x[0-9]{1,4}){1,2}", supercell):
            given = shown(supercell)
            msg = f"supercell {given} is not understood; write 4x4, or 2x2x2 for a bulk host"
            raise ValueError(msg)
        supercell = [int(n) for n in supercell.split("x")]
    array = np.asarray(supercell)
    if not np.issubdtype(array.dtype, np.integer):
        msg = f"a supercell is made of integers, got {shown(array.tolist())}"
        raise ValueError(msg)
    layer = alloy.host.layer
    given = array.tolist()
    if array.shape == (2,) and layer:
        array = np.append(array, 1)
    if array.shape == (3,):
        array = np.diag(np.maximum(array, 0))
    fits = array.shape == (3, 3) and round(np.linalg.det(array)) != 0
    if fits and layer:
        fits = not (array[2, :2].any() or array[:2, 2].any()) and abs(array[2, 2]) == 1
    if not fits:
        example = "4x4 or 6x6" if layer else "2x2x2"
        msg = f"supercell {given} does not fit host {alloy.host.name}; give e.g. {example}"
        raise ValueError(msg)
    return tuple(tuple(int(x) for x in row) for row in array)  # type: ignore[return-value]


def random_counts(
    elements: Sequence[str], n_sites: int, rng: np.random.Generator
) -> dict[str, int]:
    """Draw a composition with every element present, uniformly over all such compositions.

    Raises
    ------
    ValueError
        If there are fewer sites than elements.
    """
    if n_sites < len(elements):
        msg = f"{n_sites} sites cannot hold {len(elements)} elements {list(elements)}"
        raise ValueError(msg)
    cuts = np.sort(rng.choice(n_sites - 1, size=len(elements) - 1, replace=False)) + 1
    counts = np.diff([0, *cuts, n_sites])
    return {el: int(n) for el, n in zip(elements, counts, strict=True)}


def random_ordering(
    alloy: Alloy, supercell: Supercell, counts: Mapping[str, int], rng: np.random.Generator
) -> Ordering:
    """Draw a configuration of given sites per element, uniformly over all placements.

    Raises
    ------
    ValueError
        If the counts do not fill the supercell or name elements that are not of the alloy.
    """
    check_elements(alloy, list(counts))
    matrix = supercell_matrix(alloy, supercell)
    n_sites = alloy.n_sites(matrix)
    if sum(counts.values()) != n_sites or min(counts.values()) < 0:
        msg = f"counts {dict(counts)} do not fill the {n_sites} sites of the supercell"
        raise ValueError(msg)
    species = np.repeat(list(counts), list(counts.values()))
    return Ordering(alloy, matrix, tuple(str(s) for s in rng.permutation(species)))


def is_repetition(ordering: Ordering) -> bool:
    """Tell whether an ordering merely repeats a smaller cell."""
    number = SiteIndex.of(ordering.supercell, ordering.alloy.host.sites_per_cell)
    species = np.array(ordering.species)
    return any(bool((species[number.translated(p)] == species).all()) for p in number.points[1:])


def random_orderings(
    alloy: Alloy,
    supercell: Supercell,
    n: int,
    elements: Sequence[str],
    rng: np.random.Generator,
    *,
    ranges: SiteRanges | None = None,
    exclude_repetitions: bool = False,
    exclude: set[str] | None = None,
) -> list[Ordering]:
    """Draw `n` decorations, no two of them equal by symmetry.

    Parameters
    ----------
    alloy, supercell, elements
        Host, cell, and the elements that are all present in every decoration.
    n
        How many.
    rng
        Source of all randomness.
    ranges
        Least and most sites of each element: each decoration has a composition drawn within them;
        None for any that holds every element.
    exclude_repetitions
        Leave out decorations that repeat a smaller cell.
    exclude
        Identities that must not be drawn; those drawn are added to it.

    Raises
    ------
    ValueError
        For an impossible composition, or if the cell has too few distinct decorations.
    """
    chosen = check_elements(alloy, elements)
    matrix = supercell_matrix(alloy, supercell)
    n_sites = alloy.n_sites(matrix)
    fixed = None
    if ranges is not None and all(low == high for low, high in ranges.values()):
        fixed = {element: ranges[element][0] for element in chosen}
    placements = None if fixed is None else multinomial(list(fixed.values()))
    seen = set() if exclude is None else exclude
    orderings: list[Ordering] = []
    drawn: set[tuple[str, ...]] = set()
    for _ in range(max(300, 50 * n)):
        if len(orderings) == n or len(drawn) == placements:
            break
        if fixed is None and ranges is not None:
            counts = drawn_counts(ranges, n_sites, rng)
        else:
            counts = fixed or random_counts(chosen, n_sites, rng)
        ordering = random_ordering(alloy, matrix, counts, rng)
        if ordering.species in drawn:  # in small cells most are, and an identity takes time
            continue
        drawn.add(ordering.species)
        if ordering.id in seen or (exclude_repetitions and is_repetition(ordering)):
            continue
        seen.add(ordering.id)
        orderings.append(ordering)
    if len(orderings) < n:
        all_of_them = "" if placements is None else f" ({placements} placements)"
        msg = (
            f"found only {len(orderings)} new distinct decorations of {n_sites} sites with "
            f"{', '.join(chosen)}{all_of_them}, asked for {n}; take a larger supercell or fewer"
        )
        raise ValueError(msg)
    return orderings


def check_random(
    alloy: Alloy, supercell: Supercell, n: int, elements: Sequence[str], rng: np.random.Generator
) -> None:
    """Raise what `random_orderings` would raise for `n` decorations at the alloy's own ratio.

    Where the cell has many more by far, which symmetry bounds from below, none is drawn.
    """
    n_sites = alloy.n_sites(supercell_matrix(alloy, supercell))
    counts = alloy.counts(n_sites, elements)
    least = multinomial(list(counts.values())) // (n_sites * len(alloy.rotations))
    if least < 2 * n:
        random_orderings(alloy, supercell, n, elements, rng, ranges=exactly(counts))
