"""How many structures there are, counted without building them (Pólya; Burnside's lemma)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from math import comb, inf
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hea_flows.alloy.lattice import (
    Alloy,
    IntMatrix,
    SiteIndex,
    hermite_normal_form,
    int_matrix,
    multinomial,
    supercell_size,
)

#: With more decorations of a cell, or more cells, symmetry makes few of them equal: only the
#: identity is counted then.
_EXACT, _EXACT_CELLS = 200_000, 3_000
#: Number of cycles of each length, to the number of symmetry operations that have it.
CycleIndex = Mapping[tuple[int, ...], int]


def distinct_structures(
    alloy: Alloy, components: int, size: int, *, equimolar: bool = False, complete: bool = True
) -> int:
    """Return the number of symmetry-distinct decorations of all supercells of one size.

    Those that repeat a smaller cell are among them, so that `enumerate_orderings` gives as many or
    a few less. Where there are more than 200,000 decorations per supercell, it is a lower bound
    that is up to a quarter too small.

    Parameters
    ----------
    alloy
        The host.
    components, size
        Elements, and alloyed sites per supercell.
    equimolar
        Count those with equal numbers of every element only.
    complete
        Count those that hold every element only.

    Notes
    -----
    Pairs of a supercell lattice and its decoration are counted as orbits of the host's space group.
    """
    counts = (size // components,) * components if equimolar else None
    decorations = _colourings((1,) * size, components, counts, complete=complete)
    if decorations > _EXACT or n_supercells(alloy, size) > _EXACT_CELLS:
        operations = len(_acting(alloy).rotations) * alloy.n_cells(size)
        return decorations * n_supercells(alloy, size) // operations
    index, operations = _cycle_index(_acting(alloy), _lattices(alloy, size))
    total = sum(
        n * _colourings(cycles, components, counts, complete=complete)
        for cycles, n in index.items()
    )
    return total // operations


def distinct_decorations(alloy: Alloy, supercell: IntMatrix, counts: int | Sequence[int]) -> float:
    """Return the number of decorations of one supercell that its own symmetry leaves distinct.

    Where there are more than 200,000, a lower bound; of cells of thousands of sites infinite.

    Parameters
    ----------
    alloy, supercell
        The host and the cell.
    counts
        Sites per element; or the number of elements, of any composition that holds them all.
    """
    size = alloy.n_sites(supercell)
    if size > _EXACT_CELLS:
        return inf
    components = counts if isinstance(counts, int) else len(counts)
    fixed = None if isinstance(counts, int) else tuple(counts)
    decorations = _colourings((1,) * size, components, fixed)
    if decorations > _EXACT:
        return decorations // (len(_acting(alloy).rotations) * supercell_size(supercell))
    hnf = int_matrix(hermite_normal_form(np.array(supercell)))
    index, _ = _cycle_index(_acting(alloy), (hnf,))
    total = sum(n * _colourings(cycles, components, fixed) for cycles, n in index.items())
    return total // sum(index.values())


def distinct_supercells(alloy: Alloy, size: int) -> int:
    """Return the number of symmetry-distinct supercells of one size.

    Where there are more than a few thousand without symmetry, a lower bound.
    """
    operations, cells = _acting(alloy), n_supercells(alloy, size)
    if cells > _EXACT_CELLS:
        return cells // len(operations.rotations)
    kept = [len(lattices) for *_, lattices in _kept(operations, _lattices(alloy, size))]
    return sum(kept) // len(kept)


def n_supercells(alloy: Alloy, size: int) -> int:
    """Return the number of supercell lattices of one size: Hermite normal forms."""
    cells = alloy.n_cells(size)
    sums = {d: sum(e for e in range(1, d + 1) if d % e == 0) for d in _divisors(cells)}
    return sums[cells] if alloy.host.layer else sum(d * s for d, s in sums.items())


def _divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]


class _Operations(NamedTuple):
    """Operations of a host as tuples, those of `SiteOperations`."""

    rotations: tuple[IntMatrix, ...]
    shifts: tuple[tuple[tuple[int, ...], ...], ...]
    places: tuple[tuple[int, ...], ...]


def _acting(alloy: Alloy) -> _Operations:
    """Return the host's operations without those that move no alloyed site of a layer."""
    own = alloy.operations
    rotations = own.rotations.copy()
    if alloy.host.layer:
        rotations[:, 2, 2] = 1
    _, first = np.unique(rotations, axis=0, return_index=True)
    return _Operations(
        tuple(int_matrix(w) for w in rotations[first]),
        tuple(tuple(map(tuple, s)) for s in own.shifts[first].tolist()),
        tuple(map(tuple, own.places[first].tolist())),
    )


def _lattices(alloy: Alloy, size: int) -> tuple[IntMatrix, ...]:
    """Return all Hermite normal forms of a size, rows being the supercell's vectors."""
    cells, layer = alloy.n_cells(size), alloy.host.layer
    forms = [
        ((a, 0, 0), (b, c, 0), (d, e, f))
        for a in _divisors(cells)
        for c in _divisors(cells // a)
        for f in [cells // (a * c)]
        if not layer or f == 1
        for b in range(a)
        for d in range(1 if layer else a)
        for e in range(1 if layer else c)
    ]
    return tuple(forms)


def _kept(
    operations: _Operations, lattices: Sequence[IntMatrix]
) -> Iterator[tuple[NDArray[np.int64], ...]]:
    """Yield rotation, shifts and places of every operation, and the lattices that it keeps."""
    matrices = np.array(lattices)
    inverses = np.linalg.inv(matrices)
    for operation in zip(*map(np.array, operations), strict=True):
        moved = matrices @ operation[0].T @ inverses
        yield *operation, matrices[np.abs(moved - np.rint(moved)).max(axis=(1, 2)) < 1e-6]


@lru_cache(maxsize=64)
def _cycle_index(
    operations: _Operations, lattices: tuple[IntMatrix, ...]
) -> tuple[CycleIndex, int]:
    """Return the cycles of all operations that keep a lattice, and the operations of the group."""
    cells = supercell_size(lattices[0])
    index: Counter[tuple[int, ...]] = Counter()
    for w, shifts, places, kept in _kept(operations, lattices):
        for hnf in kept:
            number = SiteIndex(hnf, len(places))
            moved = (number.points @ w.T)[:, None] + shifts
            images = moved + number.points[:, None, None]
            permutations = number(images, places).reshape(cells, -1)
            index.update(map(tuple, _cycles(permutations).tolist()))
    return {tuple(n for n in cycles if n): times for cycles, times in index.items()}, (
        len(operations.rotations) * cells
    )


def _cycles(permutations: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the sorted lengths of the cycles of permutations, shape (m, n), zeros in front."""
    n = permutations.shape[1]
    lowest = np.broadcast_to(np.arange(n), permutations.shape)
    step = permutations
    for _ in range(n.bit_length()):  # the power of the permutation doubles
        lowest = np.minimum(lowest, np.take_along_axis(lowest, step, axis=1))
        step = np.take_along_axis(step, step, axis=1)
    lengths: NDArray[np.int64] = (lowest[:, :, None] == np.arange(n)).sum(axis=1)
    return np.sort(lengths, axis=1)


@lru_cache(maxsize=4096)
def _colourings(
    cycles: tuple[int, ...],
    components: int,
    counts: tuple[int, ...] | None = None,
    *,
    complete: bool = True,
) -> int:
    """Return the decorations that colour every cycle as one, with all elements or with `counts`."""
    free = len(cycles)
    if counts is None:
        if not complete:
            return int(components**free)
        k = components
        signs = (1 if j % 2 == 0 else -1 for j in range(k))
        return sum(sign * comb(k, j) * int((k - j) ** free) for j, sign in enumerate(signs))
    if free == sum(counts):
        return multinomial(counts)
    ways: dict[tuple[int, ...], int] = {counts: 1}
    for length in cycles:
        after: Counter[tuple[int, ...]] = Counter()
        for left, number in ways.items():
            for i, n in enumerate(left):
                if n >= length:
                    after[(*left[:i], n - length, *left[i + 1 :])] += number
        ways = after
    return ways.get((0,) * len(counts), 0)
