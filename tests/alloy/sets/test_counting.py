from __future__ import annotations

import numpy as np
import pytest
from icet.tools import enumerate_supercells
from own_hosts import HCP

from hea_flows.alloy.lattice import Alloy
from hea_flows.alloy.sets import exactly, random_orderings, supercell_matrix
from hea_flows.alloy.sets.counting import (
    distinct_decorations,
    distinct_structures,
    distinct_supercells,
    n_supercells,
)
from hea_flows.alloy.sets.enumeration import enumerate_orderings

LAYER = Alloy(("Mo", "Ta", "Nb", "W", "V"))
BCC = Alloy(("Mo", "Ta", "Nb", "W", "V"), "bcc", None)
FCC = Alloy(("Cu", "Au", "Pd", "Ag", "Ni"), "fcc", None)


def test_supercells_of_hart_and_forcade() -> None:
    """Table I of Phys. Rev. B 77, 224115 (2008): Hermite normal forms, and distinct ones of fcc."""
    assert [n_supercells(FCC, n) for n in range(1, 11)] == [1, 7, 13, 35, 31, 91, 57, 155, 130, 217]
    distinct = [2, 3, 7, 5, 10, 7, 20, 14, 18]
    assert [distinct_supercells(FCC, n) for n in range(2, 11)] == distinct
    assert [distinct_supercells(BCC, n) for n in range(2, 11)] == distinct
    assert [n_supercells(LAYER, n) for n in (1, 2, 3, 4, 12)] == [1, 3, 4, 7, 28]


@pytest.mark.parametrize("alloy", [LAYER, BCC], ids=lambda a: a.host.name)
@pytest.mark.parametrize(
    ("components", "size", "equimolar"),
    [(2, 2, False), (2, 3, False), (3, 3, False), (3, 5, False), (4, 5, False), (5, 5, True)],
)
def test_counts_are_those_of_the_enumeration(
    alloy: Alloy, components: int, size: int, equimolar: bool
) -> None:
    """Exact where no decoration that holds all elements can repeat a smaller cell."""
    built = enumerate_orderings(alloy, alloy.elements[:components], size, equimolar=equimolar)
    assert distinct_structures(alloy, components, size, equimolar=equimolar) == len(built)


@pytest.mark.parametrize(("components", "size"), [(2, 2), (3, 4)])
def test_counts_of_cells_of_several_sites(components: int, size: int) -> None:
    """Of three elements on four sites, none can repeat a cell of two."""
    built = enumerate_orderings(HCP, HCP.elements[:components], size)
    assert distinct_structures(HCP, components, size) == len(built)


def test_supercells_of_hcp() -> None:
    assert [n_supercells(HCP, 2 * n) for n in (1, 2, 3, 4)] == [1, 7, 13, 35]
    assert [distinct_supercells(HCP, 2 * n) for n in (1, 2, 3, 4)] == [
        len(list(enumerate_supercells(HCP.primitive(), [n]))) for n in (1, 2, 3, 4)
    ]


@pytest.mark.parametrize(
    ("components", "size", "equimolar"), [(2, 4, False), (2, 6, False), (2, 6, True), (3, 6, True)]
)
def test_counts_include_repetitions_of_smaller_cells(
    components: int, size: int, equimolar: bool
) -> None:
    built = enumerate_orderings(LAYER, LAYER.elements[:components], size, equimolar=equimolar)
    counted = distinct_structures(LAYER, components, size, equimolar=equimolar)
    assert len(built) < counted < 1.5 * len(built)


@pytest.mark.parametrize(("components", "size"), [(2, 16), (2, 17), (3, 11)])
def test_the_estimate_joins_the_count(
    monkeypatch: pytest.MonkeyPatch, components: int, size: int
) -> None:
    exact = distinct_structures(LAYER, components, size)
    monkeypatch.setattr("hea_flows.alloy.sets.counting._EXACT", 1)
    assert 0.75 * exact < distinct_structures(LAYER, components, size) <= exact


@pytest.mark.parametrize(("cell", "counts"), [("2x2", 2), ("3x2", 2), ("3x2", (3, 3)), ("3x2", 3)])
def test_decorations_of_one_cell(cell: str, counts: int | tuple[int, ...]) -> None:
    """As many as can be drawn."""
    matrix = supercell_matrix(LAYER, cell)
    n = int(distinct_decorations(LAYER, matrix, counts))
    components = counts if isinstance(counts, int) else len(counts)
    ranges = None
    if not isinstance(counts, int):
        ranges = exactly(dict(zip(LAYER.elements, counts, strict=False)))
    rng = np.random.default_rng(0)
    elements = LAYER.elements[:components]
    drawn = random_orderings(LAYER, cell, n, elements, rng, ranges=ranges)
    assert len({o.id for o in drawn}) == n
    with pytest.raises(ValueError, match=f"found only {n} new"):
        random_orderings(LAYER, cell, n + 1, elements, rng, ranges=ranges)
