from __future__ import annotations

import numpy as np
import pytest

from hea_flows.alloy.lattice.prototypes import Alloy
from hea_flows.alloy.sets.named import parse
from hea_flows.reference.cost import irreducible_points
from hea_flows.reference.gpaw.settings import GPAWSettings

ALLOY = Alloy(("Mo", "Ta", "Nb", "W", "V"))


def test_closed_forms() -> None:
    unit = parse("1(1)[Mo]").build(ALLOY)[0].to_atoms()

    def mesh(n: int) -> np.ndarray:
        return np.array(list(np.ndindex(n, n, 1))) / n

    # A hexagonal n × n mesh, n even, of point group 6/mmm in the plane: (n/2 + 1)(n/2 + 2)/2 points
    # in the triangle of the square cell, less those that the hexagon's zone does not hold.
    assert [irreducible_points(unit, mesh(n)) for n in (1, 2, 3, 6, 12)] == [1, 2, 3, 7, 19]
    # Time reversal alone leaves (n² + 4)/2 points, of which four are their own images.
    assert [irreducible_points(unit, mesh(n), symmetric=False) for n in (2, 6, 12)] == [4, 20, 74]


@pytest.mark.parametrize(
    "expression",
    [
        "1(1)",
        "2(2)",
        "3(3)[Mo,Ta,V]",
        "random(2x2, n=2, components=2..4)",
        "2(3)[Mo,V]",
        "2(5)[Mo,V]",
    ],
)
def test_gpaw_counts_the_same(expression: str) -> None:
    pytest.importorskip("gpaw", reason="GPAW is not installed, see docs/gpaw.md")
    from gpaw.new.brillouin import BZPoints
    from gpaw.new.symmetry import create_symmetries_object

    for ordering in parse(expression).build(ALLOY, 23):
        atoms = ordering.to_atoms()
        points = GPAWSettings().k_points(ordering).points
        theirs = BZPoints(points).reduce(create_symmetries_object(atoms), strict=False)
        assert irreducible_points(atoms, points) == len(theirs)
        moved = atoms.copy()
        moved.rattle(0.01)
        theirs = BZPoints(points).reduce(create_symmetries_object(moved))
        assert irreducible_points(moved, points) == len(theirs)
        assert irreducible_points(atoms, points, symmetric=False) == len(theirs)
