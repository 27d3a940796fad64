from __future__ import annotations

import pytest

from hea_flows.alloy.lattice.ordering import Ordering
from hea_flows.alloy.lattice.prototypes import Alloy
from hea_flows.reference.cost import LabelCost
from hea_flows.reference.gpaw.cost import gpaw_cost
from hea_flows.reference.gpaw.maker import GPAWMaker
from hea_flows.reference.gpaw.settings import GPAWSettings

pytest.importorskip("gpaw", reason="GPAW is not installed, see docs/gpaw.md")

ALLOY = Alloy(("Mo", "Ta", "Nb", "W", "V"))
CELLS = {
    "1x1": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "2x1": ((2, 0, 0), (0, 1, 0), (0, 0, 1)),
    "√3x√3": ((2, 1, 0), (1, 2, 0), (0, 0, 1)),
    "2x2": ((2, 0, 0), (0, 2, 0), (0, 0, 1)),
}


def ordering(cell: str, metals: str) -> Ordering:
    return Ordering(ALLOY, CELLS[cell], tuple(metals.split()))


def cost(cell: str, metals: str, *, max_moves: int = 0, symmetric: bool = True) -> LabelCost:
    settings = GPAWSettings()
    return gpaw_cost(ordering(cell, metals), settings, max_moves=max_moves, symmetric=symmetric)


#: Seconds on one core of the SCF, forces and stress, and their k-points: docs/gpaw.md.
TIMES = [
    ("1x1", "Mo", 19, (8, 10)),
    ("2x1", "Mo W", 38, (50, 50)),
    ("√3x√3", "Mo Nb Ta", 10, (46, 46)),
    ("2x2", "Mo Nb Ta W", 20, (195, 195)),
]


@pytest.mark.parametrize(("cell", "metals", "k_points", "seconds"), TIMES)
def test_time_of_an_scf(
    cell: str, metals: str, k_points: int, seconds: tuple[float, float]
) -> None:
    found = cost(cell, metals)
    assert found.k_points == k_points
    assert not found.spin_polarised
    low, high = seconds
    assert max(found.seconds / low, high / found.seconds) < 1.3


def test_time_with_spin_and_of_relaxations() -> None:
    spin, without = cost("2x1", "V Nb"), cost("2x1", "Ta Nb")
    assert spin.spin_polarised
    assert 2.4 < spin.seconds / without.seconds < 2.9
    assert cost("1x1", "Mo", max_moves=40).seconds == pytest.approx(42, rel=0.35)
    assert 180 / 1.6 < cost("2x1", "Mo Nb", max_moves=40).seconds < 360 * 1.6


#: Gigabytes at the peak, measured in a process that did nothing else (single points but the last).
MEMORY = [
    ("1x1", "Mo", {}, 0.258),
    ("1x1", "V", {}, 0.296),
    ("2x1", "Mo W", {}, 0.483),
    ("2x1", "V Nb", {}, 0.681),
    ("√3x√3", "Mo Nb Ta", {}, 0.469),
    ("√3x√3", "Mo Nb Ta", {"symmetric": False}, 0.652),
    ("2x2", "Mo Nb Ta W", {}, 0.808),
    ("2x2", "Mo Nb V W", {"symmetric": False}, 1.131),
    ("2x1", "V Nb", {"max_moves": 2}, 0.955),
]


@pytest.mark.parametrize(("cell", "metals", "options", "gigabytes"), MEMORY)
def test_memory(cell: str, metals: str, options: dict[str, int], gigabytes: float) -> None:
    assert cost(cell, metals, **options).gigabytes == pytest.approx(gigabytes, rel=0.1)


def test_the_engine_offers_it() -> None:
    structure = ordering("√3x√3", "Mo Nb Ta")
    relaxed = GPAWMaker().estimate(structure)
    assert relaxed == cost("√3x√3", "Mo Nb Ta", max_moves=40)
    assert relaxed.steps == 6
    assert GPAWMaker(max_steps=2).estimate(structure).steps == 3
    assert GPAWMaker(calculation="static").estimate(structure) == cost("√3x√3", "Mo Nb Ta")
    assert GPAWMaker(calculation="static").estimate(structure, symmetric=False).k_points == 26
    # A denser mesh costs in proportion; a higher cutoff brings (E'/E)^{3/2} as many plane waves.
    settings = GPAWSettings(mesh=(24, 24, 1), cutoff=400 * 4 ** (1 / 3))
    dense = GPAWMaker(calculation="static", settings=settings).estimate(structure, symmetric=False)
    assert dense.k_points == 98  # (192 + 4) / 2
    once = GPAWMaker(calculation="static").estimate(structure, symmetric=False).seconds
    assert dense.seconds / 98 - 0.2 == pytest.approx(2 * (once / 26 - 0.2))
