"""The terms of a set expression that are drawn: random decorations, and quasirandom ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import comb, exp, inf, log

import numpy as np

from hea_flows.alloy.composition import asked_and_held, equal_counts, is_rounded, whole_counts
from hea_flows.alloy.lattice import IntMatrix, Ordering
from hea_flows.alloy.sets.cost import SetCost, random_cost, sqs_cost, total
from hea_flows.alloy.sets.counting import distinct_decorations
from hea_flows.alloy.sets.random_structures import random_orderings, supercell_matrix
from hea_flows.alloy.sets.shares import (
    Shares,
    SiteRanges,
    exactly,
    n_compositions,
    simplex_points,
)
from hea_flows.alloy.sets.sqs import special_quasirandom
from hea_flows.alloy.sets.terms import Context, element_sets, errors_of, fail, join, span

#: A grid has at most so many compositions of one combination of elements.
MOST_COMPOSITIONS = 1000
#: Logarithm of the largest number of decorations that is told from others.
_LARGE = 700.0


@dataclass(frozen=True)
class Drawn:
    """``random(cell, …)``: decorations drawn at random; ``sqs(cell, …)``: quasirandom ones.

    Of `fractions` (of the first element, by symbol, of a binary), `grid` (compositions in steps of
    1/grid), `shares` and `equimolar` there is one or none. With none, ``random`` draws the
    composition too, and ``sqs`` has the alloy's own ratio of the elements. `steps` are those of the
    annealing, 0 for the default.
    """

    kind: str
    cell: str
    n: int = 1
    components: tuple[int, int] | None = None
    fractions: tuple[Fraction, ...] = ()
    grid: int = 0
    shares: Shares | None = None
    equimolar: bool = False
    per_combination: bool = False
    primitive: bool = False
    draw: int = 0
    steps: int = 0
    at: int = field(default=1, compare=False)

    def text(self) -> str:
        """Return the canonical text."""
        x = "" if self.shares is None else self.shares.text()
        if self.fractions:
            ends = dict.fromkeys((self.fractions[0], self.fractions[-1]))
            x = "x=" + "..".join(str(f) for f in ends)
        many = self.kind == "random"
        parts = join(
            self.cell,
            f"n={self.n}" if many else "",
            span(self.components),
            x,
            f"grid={self.grid}" if self.grid else "",
            "equimolar" if self.equimolar else "",
            "per=combination" if self.per_combination and many else "",
            "primitive" if self.primitive else "",
            f"steps={self.steps}" if self.steps else "",
            f"draw={self.draw}" if self.draw else "",
        )
        return f"{self.kind}({parts})"

    def build(self, context: Context) -> list[Ordering]:
        """Return the orderings by number of components, combination, then composition."""
        with errors_of(self):
            if self.kind == "sqs":
                return list(self._quasirandom(context))
            return list(self._random(context))

    def cost(self, context: Context) -> SetCost:
        """Return what `build` costs."""
        alloy, every_shape = context.alloy, self.cell.isdigit()
        costs = []
        with errors_of(self):
            matrix = None if every_shape else supercell_matrix(alloy, self.cell)
            size = int(self.cell) if matrix is None else alloy.n_sites(matrix)
            for sets in self._combinations(context):
                costs.append(SetCost(rounded=self._rounded(context, sets, size)))
                if matrix is None or self.kind == "sqs":
                    one = sqs_cost(alloy, size, self.steps, every_shape=every_shape)
                    many = len(self._compositions(context, sets[0])) or 1
                    costs.append(one * (len(sets) * many))
                    continue
                for ranges in self._ranges(context, sets[0], size):
                    distinct = _distinct(context, matrix, sets[0], ranges)
                    if self.per_combination:
                        costs.append(random_cost(alloy, size, self.n, distinct) * len(sets))
                    else:
                        costs.append(random_cost(alloy, size, self.n, distinct * len(sets)))
        return total(costs)

    def _combinations(self, context: Context) -> Iterator[list[tuple[str, ...]]]:
        """Yield the element combinations of each number of components."""
        if self.shares is not None:
            yield [self.shares.elements(context.elements)]
            return
        for sets in element_sets(self, context, self.components):
            k = len(sets[0])
            if self.grid and not 0 < (n := comb(self.grid - 1, k - 1)) <= MOST_COMPOSITIONS:
                msg = f"grid={self.grid} has {n} compositions of {k} elements"
                raise fail(self, f"{msg}; accepted: 1 to {MOST_COMPOSITIONS}")
            yield sets

    def _compositions(self, context: Context, elements: tuple[str, ...]) -> list[dict[str, float]]:
        """Return the exact compositions asked for, none if they are drawn or equal parts."""
        if self.shares is not None:
            return [self.shares.exact] if self.shares.is_exact else []
        if self.grid:
            return simplex_points(elements, self.grid)
        if self.kind == "sqs" and not self.fractions and context.alloy.composition:
            return [context.alloy.shares(elements)]
        return [dict(zip(elements, (float(x), float(1 - x)), strict=True)) for x in self.fractions]

    def _ranges(
        self, context: Context, elements: tuple[str, ...], n_sites: int
    ) -> list[SiteRanges | None]:
        """Return the sites per element of each composition asked for, None for any."""
        if exact := self._compositions(context, elements):
            return [exactly(whole_counts(x, n_sites)) for x in exact]
        if self.equimolar:
            return [exactly(equal_counts(elements, n_sites))]
        return [None if self.shares is None else self.shares.site_ranges(elements, n_sites)]

    def _rounded(
        self, context: Context, sets: list[tuple[str, ...]], n_sites: int
    ) -> tuple[str, ...]:
        """Return the compositions that a cell does not hold exactly, in words."""
        exact = [x for elements in sets for x in self._compositions(context, elements)]
        pairs = [(x, whole_counts(x, n_sites)) for x in exact]
        return tuple(asked_and_held(x, n) for x, n in pairs if is_rounded(x, n))

    def _quasirandom(self, context: Context) -> Iterator[Ordering]:
        """Yield one SQS per combination and composition, each with its own generator."""
        cell = int(self.cell) if self.cell.isdigit() else self.cell
        for sets in self._combinations(context):
            for elements in sets:
                rng = replace(context, elements=elements).rng(self.text())
                asked: Sequence[dict[str, float] | None] = self._compositions(context, elements)
                for shares in asked or [None]:
                    yield special_quasirandom(
                        context.alloy,
                        cell,
                        elements,
                        rng,
                        shares=shares,
                        n_steps=self.steps or None,
                    )[0]

    def _random(self, context: Context) -> Iterator[Ordering]:
        """Yield random decorations, all distinct."""
        rng = context.rng(self.text())
        n_sites = context.alloy.n_sites(supercell_matrix(context.alloy, self.cell))
        seen: set[str] = set()
        for sets in self._combinations(context):
            if self.per_combination:
                for elements in sets:
                    for ranges in self._ranges(context, elements, n_sites):
                        yield from self._new(context, elements, self.n, ranges, rng, seen)
                continue
            repeats = self.n * len(self._ranges(context, sets[0], n_sites))
            for turn, i in enumerate(rng.integers(len(sets), size=repeats)):
                # A combination of which every decoration is taken gives way to another one.
                first: ValueError | None = None
                for elements in (sets[i], *(other for other in sets if other != sets[i])):
                    ranges = self._ranges(context, elements, n_sites)[turn // self.n]
                    try:
                        yield from self._new(context, elements, 1, ranges, rng, seen)
                        break
                    except ValueError as error:
                        first = first or error
                else:
                    assert first is not None
                    raise first

    def _new(
        self,
        context: Context,
        elements: tuple[str, ...],
        n: int,
        ranges: SiteRanges | None,
        rng: np.random.Generator,
        seen: set[str],
    ) -> list[Ordering]:
        """Return decorations of a combination that were not seen before."""
        return random_orderings(
            context.alloy,
            self.cell,
            n,
            elements,
            rng,
            ranges=ranges,
            exclude_repetitions=self.primitive,
            exclude=seen,
        )


def _distinct(
    context: Context, matrix: IntMatrix, elements: tuple[str, ...], ranges: SiteRanges | None
) -> float:
    """Return the number of distinct decorations of a cell within ranges, about."""
    if ranges is None:
        return distinct_decorations(context.alloy, matrix, len(elements))
    if all(low == high for low, high in ranges.values()):
        return distinct_decorations(context.alloy, matrix, [n for n, _ in ranges.values()])
    every = distinct_decorations(context.alloy, matrix, len(elements))
    if every == inf:  # so many sites that compositions are not counted either
        return every
    n_sites = context.alloy.n_sites(matrix)
    share = n_compositions(ranges, n_sites) / comb(n_sites - 1, len(elements) - 1)
    return exp(min(log(max(every, 1)) + log(share), _LARGE))  # it may be too large for a float
