"""What is known of a set before it is built: its structures, the time of one core, roundings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from operator import add

from hea_flows.alloy.lattice import Alloy
from hea_flows.alloy.sets.counting import distinct_structures, distinct_supercells, n_supercells
from hea_flows.inputs import MOST_SET_SECONDS, MOST_STRUCTURES

# Seconds on one core of a server of 2024, fitted to `benchmarks/set_cost.py`; right within a
# factor of three.
_PER_PAIR_OF_SUPERCELLS = 15e-6
_PER_DECORATION = 3e-6  # of one shape, by each of its translations
_PER_YIELD = 1.2e-3
_PER_ORDERING = 2e-3
_IDENTITY = (35e-6, 0.4e-6)  # per image of an ordering: itself, and each of its sites
_SQS_SETUP = 4e-6  # per pair of sites
_SQS_STEP = (0.25e-3, {True: 4e-6, False: 15e-6})  # itself; each site of a layer, of a bulk cell
_ANNEALING_STEP = (0.1e-3, 1.2e-9)  # itself; n structures and p parameters: n p²
#: Draws after which a search for decorations that are not drawn yet is given up.
_MOST_DRAWS = 50


@dataclass(frozen=True)
class SetCost:
    """What building a set costs.

    Parameters
    ----------
    structures
        Structures that are built, an upper bound except in the last per cent.
    seconds
        Time of one core (s), right within a factor of three; infinite if it is out of reach.
    rounded
        Compositions that a cell does not hold exactly: what was asked for, and what it holds.
    """

    structures: int = 0
    seconds: float = 0.0
    rounded: tuple[str, ...] = ()

    def __add__(self, other: SetCost) -> SetCost:
        rounded = tuple(dict.fromkeys((*self.rounded, *other.rounded)))
        return SetCost(self.structures + other.structures, self.seconds + other.seconds, rounded)

    def __mul__(self, times: int) -> SetCost:
        if times == 0:  # also of what is out of reach
            return SetCost()
        return SetCost(self.structures * times, _product(self.seconds, times), self.rounded)


#: What is built without being asked twice.
AFFORDABLE = SetCost(MOST_STRUCTURES, MOST_SET_SECONDS)


def total(costs: list[SetCost]) -> SetCost:
    """Return the sum of costs."""
    return reduce(add, costs, SetCost())


def enumeration_cost(
    alloy: Alloy, components: int, size: int, *, equimolar: bool = False
) -> SetCost:
    """Return the cost of `enumerate_orderings`."""
    if (
        components == 1 and size > alloy.host.sites_per_cell
    ):  # the repeated end points are looked at, and left out
        return SetCost(0, _supercells_seconds(alloy, size))
    structures = distinct_structures(alloy, components, size, equimolar=equimolar)
    looked_at = distinct_structures(
        alloy, components, size, equimolar=equimolar, complete=equimolar
    )
    # every image of a decoration is looked up, of each of its supercells
    images = _product(_PER_DECORATION * size * len(alloy.rotations), looked_at)
    seconds = (
        _supercells_seconds(alloy, size)
        + images
        + _product(_PER_YIELD, looked_at)
        + _product(_PER_ORDERING + _identity_seconds(alloy, size), structures)
    )
    return SetCost(structures, seconds)


def random_cost(alloy: Alloy, size: int, n: int, distinct: float) -> SetCost:
    """Return the cost of `random_orderings`.

    Parameters
    ----------
    alloy, size
        The host, and the sites of the cell.
    n, distinct
        How many are drawn, and from how many: the fewer are left, the rarer is a new one.
    """
    left = max(distinct - n, 0.5)
    draws = distinct * math.log(1 + n / left) if n > 1 and distinct < 1e12 else float(n)
    draws = min(max(draws, n), max(300, _MOST_DRAWS * n))
    return SetCost(n, draws * (_PER_ORDERING + _identity_seconds(alloy, size)))


def listing_cost(alloy: Alloy, sizes: list[int]) -> SetCost:
    """Return the cost of structures that are listed, by their alloyed sites."""
    seconds = sum(_PER_ORDERING + _identity_seconds(alloy, size) for size in sizes)
    return SetCost(len(sizes), seconds)


def sqs_cost(alloy: Alloy, size: int, steps: int, *, every_shape: bool) -> SetCost:
    """Return the cost of one call of `special_quasirandom`.

    Parameters
    ----------
    alloy, size
        The host, and the sites of a cell.
    steps
        Annealing steps; 0 is its default, 3000 for each shape.
    every_shape
        Whether supercells of all shapes are searched.
    """
    shapes = distinct_supercells(alloy, size) if every_shape else 1
    seconds = _supercells_seconds(alloy, size) if every_shape else 0.0
    setup = shapes * _SQS_SETUP * float(size) ** 2
    step = _SQS_STEP[0] + _SQS_STEP[1][alloy.host.layer] * size
    annealing = (steps or 3000 * shapes) * step
    return SetCost(1, seconds + setup + annealing + _identity_seconds(alloy, size))


def annealing_cost(pool: int, n: int, elements: int, steps: int) -> SetCost:
    """Return what `annealed_subset` adds to the cost of its pool."""
    parameters = 1 + (elements - 1) + 3 * elements * (elements - 1) // 2  # pairs of three shells
    step = _ANNEALING_STEP[0] + _product(_ANNEALING_STEP[1] * parameters**2, n)
    return SetCost(0, steps * step + _product(_PER_YIELD, pool))


def _supercells_seconds(alloy: Alloy, size: int) -> float:
    """Return the time to find the distinct supercells of one size."""
    return _PER_PAIR_OF_SUPERCELLS * float(n_supercells(alloy, size)) ** 2


def _identity_seconds(alloy: Alloy, size: int) -> float:
    """Return the time to find the identity of one ordering (`Ordering.id`)."""
    each, site = _IDENTITY
    return len(alloy.rotations) * size * (each + site * size)


def _product(seconds: float, times: int) -> float:
    """Return a time that is paid so often; the number may be too large for a float."""
    return seconds * times if times < 10**300 else math.inf
