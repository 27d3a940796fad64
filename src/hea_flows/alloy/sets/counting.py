"""How many structures there are, counted without building them (Pólya; Burnside's lemma)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from math import comb, inf

import numpy as np
from numpy.typing import NDArray

from hea_flows.alloy.lattice import (
    Alloy,
    IntMatrix,
    coset_index,
    hermite_normal_form,
    int_matrix,
    lattice_points,
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
        Elements, and primitive cells per supercell.
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
        operations = len(_acting(alloy)) * size
        return decorations * n_supercells(alloy, size) // operations
    lattices = _lattices(size, layer=alloy.host.layer)
    index, operations = _cycle_index(_acting(alloy), lattices)
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
    size = supercell_size(supercell)
    if size > _EXACT_CELLS:
        return inf
    components = counts if isinstance(counts, int) else len(counts)
    fixed = None if isinstance(counts, int) else tuple(counts)
    decorations = _colourings((1,) * size, components, fixed)
    if decorations > _EXACT:
        return decorations // (len(_acting(alloy)) * size)
    hnf = int_matrix(hermite_normal_form(np.array(supercell)))
    index, _ = _cycle_index(_acting(alloy), (hnf,))
    total = sum(n * _colourings(cycles, components, fixed) for cycles, n in index.items())
    return total // sum(index.values())


def distinct_supercells(alloy: Alloy, size: int) -> int:
    """Return the number of symmetry-distinct supercells of one size.

    Where there are more than a few thousand without symmetry, a lower bound.
    """
    rotations, cells = _acting(alloy), n_supercells(alloy, size)
    if cells > _EXACT_CELLS:
        return cells // len(rotations)
    lattices = _lattices(size, layer=alloy.host.layer)
    return sum(len(kept) for _, kept in _kept(rotations, lattices)) // len(rotations)


def n_supercells(alloy: Alloy, size: int) -> int:
    """Return the number of supercell lattices of one size: Hermite normal forms."""
    sums = {d: sum(e for e in range(1, d + 1) if d % e == 0) for d in _divisors(size)}
    return sums[size] if alloy.host.layer else sum(d * s for d, s in sums.items())


def _divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]


def _acting(alloy: Alloy) -> tuple[IntMatrix, ...]:
    """Return the host's rotations without those that move no alloyed site of a layer."""
    rotations = [np.array(w) for w in alloy.rotations]
    if alloy.host.layer:
        for w in rotations:
            w[2, 2] = 1
    return tuple(sorted({int_matrix(w) for w in rotations}))


def _lattices(size: int, *, layer: bool) -> tuple[IntMatrix, ...]:
    """Return all Hermite normal forms of a determinant, rows being the supercell's vectors."""
    forms = [
        ((a, 0, 0), (b, c, 0), (d, e, f))
        for a in _divisors(size)
        for c in _divisors(size // a)
        for f in [size // (a * c)]
        if not layer or f == 1
        for b in range(a)
        for d in range(1 if layer else a)
        for e in range(1 if layer else c)
    ]
    return tuple(forms)


def _kept(
    rotations: Sequence[IntMatrix], lattices: Sequence[IntMatrix]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield every rotation with the lattices that it keeps, shape (n, 3, 3)."""
    matrices = np.array(lattices)
    inverses = np.linalg.inv(matrices)
    for w in np.array(rotations):
        moved = matrices @ w.T @ inverses
        yield w, matrices[np.abs(moved - np.rint(moved)).max(axis=(1, 2)) < 1e-6]


@lru_cache(maxsize=64)
def _cycle_index(
    rotations: tuple[IntMatrix, ...], lattices: tuple[IntMatrix, ...]
) -> tuple[CycleIndex, int]:
    """Return the cycles of all operations that keep a lattice, and the operations of the group."""
    size = supercell_size(lattices[0])
    index: Counter[tuple[int, ...]] = Counter()
    for w, kept in _kept(rotations, lattices):
        for hnf in kept:
            points = lattice_points(hnf)
            images = (points @ w.T)[None, :, :] + points[:, None, :]
            permutations = coset_index(images.reshape(-1, 3), hnf).reshape(size, size)
            index.update(map(tuple, _cycles(permutations).tolist()))
    return {tuple(n for n in cycles if n): times for cycles, times in index.items()}, (
        len(rotations) * size
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
