from __future__ import annotations

from itertools import combinations
from math import erf, log, sqrt

import numpy as np
import pytest
from ase.units import kB

from hea_flows.alloy.thermodynamics.decomposition import (
    decomposition_temperature,
    decompositions,
    transition_temperatures,
)
from hea_flows.alloy.thermodynamics.transition_interval import decomposition_temperature_interval

METALS = ("Mo", "Ta", "Nb", "W", "V")


def table(elements: tuple[str, ...], seed: int) -> dict[tuple[str, ...], float]:
    rng = np.random.default_rng(seed)
    sets = [c for k in range(2, len(elements) + 1) for c in combinations(elements, k)]
    return {s: float(rng.normal(0.02 * ("V" in s), 0.01)) for s in sets}


def test_a_binary_has_a_gaussian_interval() -> None:
    # T = H/(k ln 2): its quantiles are those of a Gaussian of width σ/(k ln 2).
    h, sigma, n = 0.0377, 0.002, 400_000
    found = decomposition_temperature_interval(
        ("Nb", "V"), {("V", "Nb"): h}, sigma, np.random.default_rng(1), n
    )
    width = sigma / (kB * log(2))
    # Standard errors of sample quantiles: sqrt(p (1 − p)/n)/density, in widths.
    assert found.median == pytest.approx(h / (kB * log(2)), abs=5 * width * 1.2533 / sqrt(n))
    tail = 5 * width * sqrt(0.025 * 0.975 / n) / 0.05845
    assert found.low == pytest.approx(h / (kB * log(2)) - 1.959964 * width, abs=tail)
    assert found.high == pytest.approx(h / (kB * log(2)) + 1.959964 * width, abs=tail)
    assert found.share_none == 0
    assert found.below == [(1.0, "Nb + V")]


def test_the_share_that_never_decomposes_is_a_gaussian_tail() -> None:
    h, sigma, n = 0.001, 0.002, 400_000
    found = decomposition_temperature_interval(
        ("Nb", "V"), {("Nb", "V"): h}, sigma, np.random.default_rng(2), n
    )
    tail = (1 - erf(h / sigma / sqrt(2))) / 2
    assert found.share_none == pytest.approx(tail, abs=5 * sqrt(tail * (1 - tail) / n))
    assert found.low == 0
    assert found.below == [(pytest.approx(1 - found.share_none, abs=1e-12), "Nb + V")]


@pytest.mark.parametrize("seed", range(5))
def test_without_error_it_is_the_decomposition_temperature(seed: int) -> None:
    enthalpies = table(METALS, seed)
    pool = decompositions(METALS, enthalpies)
    found = decomposition_temperature_interval(METALS, enthalpies, 0.0, np.random.default_rng(0), 3)
    temperature = decomposition_temperature(pool)
    assert temperature is not None
    assert temperature > 0
    assert (found.low, found.median, found.high) == pytest.approx([temperature] * 3, rel=1e-12)
    assert found.below == [(1.0, transition_temperatures(pool)[-2][1].name)]


def test_equals_drawing_enthalpies_one_by_one() -> None:
    enthalpies, sigma = table(METALS[:4], 3), 0.01
    # The same errors, added to the table and sent through all of the machinery.
    order = [frozenset(METALS[:4])]
    order += [s for k in (3, 2) for s in map(frozenset, combinations(METALS[:4], k))]
    temperatures = []
    errors = np.random.default_rng(6).normal(0, sigma, (2000, len(order)))
    for row in errors:
        drawn = {
            s: enthalpies[tuple(m for m in METALS if m in s)] + e
            for s, e in zip(order, row, strict=True)
        }
        temperatures.append(decomposition_temperature(decompositions(METALS[:4], drawn)))
    many = decomposition_temperature_interval(
        METALS[:4], enthalpies, sigma, np.random.default_rng(7), 200_000, level=0.8
    )
    spread = float(np.std(temperatures))
    assert np.quantile(temperatures, [0.1, 0.5, 0.9]) == pytest.approx(
        [many.low, many.median, many.high], abs=5 * spread * 1.8 / sqrt(2000)
    )
    assert np.mean(np.array(temperatures) == 0) == pytest.approx(
        many.share_none, abs=5 * sqrt(0.25 / 2000)
    )
    assert sum(share for share, _ in many.below) + many.share_none == pytest.approx(1)


def test_same_generator_same_interval() -> None:
    draws = [
        decomposition_temperature_interval(
            METALS, table(METALS, 1), 0.002, np.random.default_rng(4), 500
        )
        for _ in range(2)
    ]
    assert draws[0] == draws[1]


@pytest.mark.parametrize(
    ("elements", "sigma", "n", "level"),
    [
        (("V",), 0.001, 10, 0.95),
        (("Nb", "V"), -0.001, 10, 0.95),
        (("Nb", "V"), float("nan"), 10, 0.95),
        (("Nb", "V"), 0.001, 0, 0.95),
        (("Nb", "V"), 0.001, 10, 1.0),
    ],
)
def test_bad_input(elements: tuple[str, ...], sigma: float, n: int, level: float) -> None:
    with pytest.raises(ValueError, match="an interval needs two elements or more"):
        decomposition_temperature_interval(
            elements, {("Nb", "V"): 0.03}, sigma, np.random.default_rng(0), n, level=level
        )
