"""The terms of a set expression: what each builds, and its canonical text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import combinations
from math import comb
from typing import Protocol

import numpy as np

from hea_flows.alloy.lattice import Alloy, Ordering
from hea_flows.alloy.sets.cost import (
    SetCost,
    annealing_cost,
    enumeration_cost,
    listing_cost,
    total,
)
from hea_flows.alloy.sets.enumeration import enumerate_orderings
from hea_flows.alloy.sets.listed import listed_orderings
from hea_flows.alloy.sets.selection import ANNEALING_STEPS, annealed_subset
from hea_flows.alloy.streams import stream
from hea_flows.inputs import cut


class SetError(ValueError):
    """A set expression that cannot be read, or built for the alloy at hand."""


@dataclass(frozen=True)
class Context:
    """What a term is built for: host, elements in use (sorted), and the seed."""

    alloy: Alloy
    elements: tuple[str, ...]
    seed: int

    def rng(self, text: str) -> np.random.Generator:
        """Return the generator of one term, which other terms of a sum do not change."""
        return stream(self.seed, text, ",".join(self.elements))


class Term(Protocol):
    """A node of the expression."""

    @property
    def at(self) -> int:
        """Position in the text, counted from 1."""

    def text(self) -> str:
        """Return the canonical text."""

    def cost(self, context: Context) -> SetCost:
        """Return what `build` costs, without building anything."""

    def build(self, context: Context) -> list[Ordering]:
        """Return the orderings, no two with the same id."""


def fail(term: Term, reason: object) -> SetError:
    """Return the one-line error of a term that cannot be built."""
    return SetError(f"{cut(term.text())} (position {term.at}): {reason}")


def unique(orderings: list[Ordering]) -> list[Ordering]:
    """Return the orderings without later duplicates by id."""
    return list({o.id: o for o in reversed(orderings)}.values())[::-1]


def span(values: tuple[int, int] | None) -> str:
    """Return the text of a range."""
    if values is None:
        return ""
    low, high = values
    return f"components={low}" if low == high else f"components={low}..{high}"


def join(*parts: str) -> str:
    """Return the comma-separated parts that are not empty."""
    return ", ".join(p for p in parts if p)


def element_sets(
    term: Term, context: Context, components: tuple[int, int] | None
) -> Iterator[list[tuple[str, ...]]]:
    """Yield the element combinations of each number of components in a range.

    Without a range it is the number of elements in use.
    """
    available = len(context.elements)
    low, high = components or (available, available)
    if high > available:
        have = ", ".join(context.elements)
        raise fail(term, f"asks for {high} components, but only {available} are in use ({have})")
    for count in range(low, high + 1):
        yield list(combinations(context.elements, count))


@contextmanager
def errors_of(term: Term) -> Iterator[None]:
    """Say of an error which term it is about."""
    try:
        yield
    except SetError:
        raise
    except ValueError as error:
        raise fail(term, error) from error


@dataclass(frozen=True)
class Enumerated:
    """``N(n, …)``: all N-component structures of n alloyed sites."""

    components: int
    sizes: tuple[int, ...]
    at: int = field(default=1, compare=False)

    def text(self) -> str:
        """Return the canonical text."""
        return f"{self.components}({','.join(map(str, self.sizes))})"

    def build(self, context: Context) -> list[Ordering]:
        """Return the orderings by combination, then size."""
        with errors_of(self):
            return [
                ordering
                for sets in element_sets(self, context, (self.components, self.components))
                for elements in sets
                for size in self.sizes
                for ordering in enumerate_orderings(context.alloy, elements, size)
            ]

    def cost(self, context: Context) -> SetCost:
        """Return what `build` costs."""
        k = self.components
        with errors_of(self):
            each = total([enumeration_cost(context.alloy, k, size) for size in self.sizes])
        return each * comb(len(context.elements), k)


@dataclass(frozen=True)
class Equimolar:
    """``E(n, …)``: all equimolar structures of n alloyed sites with two elements or more."""

    sizes: tuple[int, ...]
    components: tuple[int, int] | None = None
    at: int = field(default=1, compare=False)

    def text(self) -> str:
        """Return the canonical text."""
        return f"E({join(','.join(map(str, self.sizes)), span(self.components))})"

    def build(self, context: Context) -> list[Ordering]:
        """Return the orderings by number of components, combination, then size."""
        wanted = self._wanted(context)
        if all(size % k for size in self.sizes for k in range(wanted[0], wanted[1] + 1)):
            raise fail(self, f"no size is a multiple of {wanted[0]}..{wanted[1]} components")
        with errors_of(self):
            return [
                ordering
                for sets in element_sets(self, context, wanted)
                for elements in sets
                for size in self.sizes
                if size % len(elements) == 0
                for ordering in enumerate_orderings(context.alloy, elements, size, equimolar=True)
            ]

    def cost(self, context: Context) -> SetCost:
        """Return what `build` costs."""
        low, high = self._wanted(context)
        available = len(context.elements)
        with errors_of(self):
            return total(
                [
                    enumeration_cost(context.alloy, k, size, equimolar=True) * comb(available, k)
                    for k in range(low, min(high, available) + 1)
                    for size in self.sizes
                    if size % k == 0
                ]
            )

    def _wanted(self, context: Context) -> tuple[int, int]:
        return self.components or (2, max(2, len(context.elements)))


@dataclass(frozen=True)
class Listed:
    """``dataset(own.json)``: the structures of a dataset that hold no other elements."""

    file: str
    at: int = field(default=1, compare=False)

    def text(self) -> str:
        """Return the canonical text."""
        return f'dataset("{self.file}")'

    def build(self, context: Context) -> list[Ordering]:
        """Return the orderings in the order of the dataset."""
        with errors_of(self):
            return listed_orderings(self.file, context.alloy, context.elements)

    def cost(self, context: Context) -> SetCost:
        """Return what `build` costs."""
        return listing_cost(context.alloy, [o.n_sites for o in self.build(context)])


@dataclass(frozen=True)
class Annealed:
    """``anneal(SET, 50%)``: the best-conditioned part of a set, or ``anneal(SET, 63)``."""

    inner: Term
    amount: str
    draw: int = 0
    steps: int = ANNEALING_STEPS
    at: int = field(default=1, compare=False)

    def text(self) -> str:
        """Return the canonical text."""
        steps = "" if self.steps == ANNEALING_STEPS else f"steps={self.steps}"
        draw = f"draw={self.draw}" if self.draw else ""
        return f"anneal({join(self.inner.text(), self.amount, steps, draw)})"

    def build(self, context: Context) -> list[Ordering]:
        """Return the chosen orderings, in the order of the full set."""
        pool = self.inner.build(context)
        rng = context.rng(self.text())
        with errors_of(self):
            chosen, _ = annealed_subset(
                context.alloy, pool, self._chosen(len(pool)), rng, n_steps=self.steps
            )
        return [pool[i] for i in chosen]

    def cost(self, context: Context) -> SetCost:
        """Return what `build` costs."""
        pool = self.inner.cost(context)
        elements, n = len(context.elements), self._chosen(pool.structures)
        return pool + annealing_cost(pool.structures, n, elements, self.steps)

    def _chosen(self, pool: int) -> int:
        if self.amount.endswith("%"):
            return max(1, round(Fraction(pool * int(self.amount[:-1]), 100)))
        return int(self.amount)


@dataclass(frozen=True)
class Restricted:
    """``SET[Mo,Ta]``: the set as if the alloy had these elements only."""

    inner: Term
    elements: tuple[str, ...]
    at: int = field(default=1, compare=False)

    def text(self) -> str:
        """Return the canonical text."""
        inner = self.inner.text()
        inner = f"({inner})" if isinstance(self.inner, Combined) else inner
        return f"{inner}[{','.join(self.elements)}]"

    def build(self, context: Context) -> list[Ordering]:
        """Return the set built with fewer elements."""
        return self.inner.build(self._within(context))

    def cost(self, context: Context) -> SetCost:
        """Return what `build` costs."""
        return self.inner.cost(self._within(context))

    def _within(self, context: Context) -> Context:
        if unknown := [el for el in self.elements if el not in context.elements]:
            have = ", ".join(context.elements)
            raise fail(self, f"{', '.join(unknown)} not in use here; accepted: {have}")
        return replace(context, elements=self.elements)


@dataclass(frozen=True)
class Combined:
    """``A + B``: union without duplicates; ``A - B``: what of A is not in B. By id."""

    left: Term
    sign: str
    right: Term
    at: int = field(default=1, compare=False)

    def text(self) -> str:
        """Return the canonical text."""
        right = self.right.text()
        right = f"({right})" if isinstance(self.right, Combined) else right
        return f"{self.left.text()} {self.sign} {right}"

    def build(self, context: Context) -> list[Ordering]:
        """Return the union or the difference."""
        left, right = self.left.build(context), self.right.build(context)
        if self.sign == "+":
            return unique(left + right)
        gone = {o.id for o in right}
        return [o for o in left if o.id not in gone]

    def cost(self, context: Context) -> SetCost:
        """Return what `build` costs: that of both sides."""
        return self.left.cost(context) + self.right.cost(context)
