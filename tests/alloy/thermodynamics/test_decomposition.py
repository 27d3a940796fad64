from __future__ import annotations

from itertools import combinations
from math import inf, log

import numpy as np
import pytest
from ase.units import kB

from hea_flows.alloy.thermodynamics.decomposition import (
    Decomposition,
    decomposition_temperature,
    decompositions,
    hull_depth,
    set_partitions,
    transition_temperatures,
)

METALS = ("Mo", "Ta", "Nb", "W", "V")


def subsets(elements: tuple[str, ...]) -> list[frozenset[str]]:
    return [frozenset(c) for k in range(2, len(elements) + 1) for c in combinations(elements, k)]


def random_table(elements: tuple[str, ...], seed: int) -> dict[frozenset[str], float]:
    rng = np.random.default_rng(seed)
    return {key: float(rng.normal(0.01, 0.03)) for key in subsets(elements)}


def regular(elements: tuple[str, ...], omega: dict[frozenset[str], float]) -> dict:
    """Mixing enthalpies of a regular solution: sum over pairs of omega x_A x_B."""
    return {
        key: sum(omega[frozenset(p)] for p in combinations(sorted(key), 2)) / len(key) ** 2
        for key in subsets(elements)
    }


@pytest.mark.parametrize(
    ("n", "bell"), [(1, 1), (2, 2), (3, 5), (4, 15), (5, 52), (6, 203), (7, 877)]
)
def test_partitions_are_counted_by_bell_numbers(n: int, bell: int) -> None:
    elements = ("Mo", "Ta", "Nb", "W", "V", "Ti", "Zr")[:n]
    partitions = set_partitions(elements)
    assert len(partitions) == bell
    assert len({frozenset(map(frozenset, p)) for p in partitions}) == bell
    assert all(sorted(e for phase in p for e in phase) == sorted(elements) for p in partitions)
    assert partitions[0] == (elements,)
    assert partitions[-1] == tuple((e,) for e in elements)


def test_enthalpy_and_entropy_of_the_papers_decomposition() -> None:
    table = random_table(METALS, 0)
    by_phases = {frozenset(map(frozenset, d.phases)): d for d in decompositions(METALS, table)}
    assert len(by_phases) == 52
    d = by_phases[frozenset(map(frozenset, (("Mo", "W"), ("Ta", "Nb"), ("V",))))]
    pairs = table[frozenset(("Mo", "W"))] + table[frozenset(("Ta", "Nb"))]
    assert d.enthalpy == pytest.approx(0.4 * pairs)
    assert d.entropy == pytest.approx(0.8 * kB * log(2))
    assert d.gibbs(400.0) == pytest.approx(d.enthalpy - 400 * d.entropy)
    assert d.gibbs([[0.0, 400.0]]).shape == (1, 2)
    assert d.name == "(Mo,W) + (Ta,Nb) + V"


def test_equal_entropies_are_equal_numbers() -> None:
    elements = ("Mo", "Ta", "Nb", "W", "V", "Ti", "Zr", "Hf")
    pool = decompositions(elements, dict.fromkeys(subsets(elements), 0.0))
    four = {
        d.entropy for d in pool if sorted(map(len, d.phases)) in ([1, 1, 1, 1, 4], [2, 2, 2, 2])
    }
    assert len(four) == 1


@pytest.mark.parametrize("seed", range(8))
def test_envelope_agrees_with_brute_force(seed: int) -> None:
    pool = decompositions(METALS, random_table(METALS, seed))
    sequence = transition_temperatures(pool)
    starts = [t for t, _ in sequence]
    assert starts[0] == 0
    assert starts == sorted(set(starts))
    grid = np.linspace(0, 3 * starts[-1] + 500, 4001)
    lowest = np.min([d.gibbs(grid) for d in pool], axis=0)
    ours = np.array(
        [float(sequence[np.searchsorted(starts, t, "right") - 1][1].gibbs(t)) for t in grid]
    )
    assert np.abs(ours - lowest).max() < 1e-12
    # Every crossing of two lines that lies on the envelope is a transition, and no other.
    crossings = set()
    for a, b in combinations(pool, 2):
        if a.entropy != b.entropy:
            t = (a.enthalpy - b.enthalpy) / (a.entropy - b.entropy)
            if t > 0 and float(a.gibbs(t)) <= min(float(d.gibbs(t)) for d in pool) + 1e-13:
                crossings.add(round(t, 6))
    assert sorted(crossings) == pytest.approx(starts[1:], abs=1e-5)
    assert sequence[-1][1].is_solid_solution
    assert decomposition_temperature(pool) == starts[-1]
    for t in (100.0, 450.0, 2000.0):
        at = sequence[np.searchsorted(starts, t, "right") - 1][1]
        assert min(pool, key=lambda d, t=t: float(d.gibbs(t))) == at


def test_binary_transition_in_closed_form() -> None:
    pool = decompositions(("Nb", "V"), {("V", "Nb"): 0.0377})
    (t0, ground), (t1, above) = transition_temperatures(pool)
    assert (t0, ground.name, above.name) == (0.0, "Nb + V", "(Nb,V)")
    assert t1 == pytest.approx(0.0377 / (kB * log(2)))


def hand_made(elements: tuple[str, ...], given: dict[str, float], other: float) -> dict:
    known = {frozenset(k.split("-")): v for k, v in given.items()}
    return {key: 1e-3 * known.get(key, other) for key in subsets(elements)}


@pytest.mark.parametrize(
    ("elements", "given", "expected"),
    [
        # 37.7 meV / (0.08617333 meV/K · 0.6931472)
        (("V", "Nb"), {"V-Nb": 37.7}, [631.2]),
        # 26.9 / (0.08617333 · 1.6094379)
        (METALS, {"Mo-Ta-Nb-W-V": 26.9}, [194.0]),
        # 6 / (0.08617333 · 0.6931472); (40 − 4) / (0.08617333 · (1.0986123 − 0.4620981))
        (("Mo", "W", "V"), {"Mo-W": 6.0, "Mo-W-V": 40.0}, [100.5, 656.3]),
        # −10 and 30: (30 + 20/3) / (0.08617333 · 0.6365142)
        (("Mo", "W", "V"), {"Mo-W": -10.0, "Mo-W-V": 30.0}, [668.5]),
    ],
)
def test_known_transition_temperatures_to_a_tenth_of_a_kelvin(
    elements: tuple[str, ...], given: dict[str, float], expected: list[float]
) -> None:
    sequence = transition_temperatures(decompositions(elements, hand_made(elements, given, 1e3)))
    assert [t for t, _ in sequence[1:]] == pytest.approx(expected, abs=0.1)


def test_the_papers_decomposition_near_400_kelvin() -> None:
    # (Ta,Nb), (V,Nb), the quinary and the depth 0.4 (14.6 + 2.65) = 6.9 meV/unit are the paper's.
    given = {"Ta-Nb": -14.6, "Nb-V": 37.7, "Mo-Ta-Nb-W-V": 26.9, "Mo-W": -2.65, "Mo-Ta-Nb-W": 14.2}
    pool = decompositions(METALS, hand_made(METALS, given, 36.0))
    (_, ground), (at, above) = transition_temperatures(pool)
    assert (ground.name, above.name) == ("(Mo,W) + (Ta,Nb) + V", "(Mo,Ta,Nb,W,V)")
    # (26.9 + 6.9) / (0.08617333 · (1.6094379 − 0.8 · 0.6931472))
    assert at == pytest.approx(371.8, abs=0.1)
    assert 1e3 * hull_depth(pool) == pytest.approx(6.9)
    # (Mo,Ta,Nb,W) + V is nearly stable there.
    [four] = [d for d in pool if d.name == "(Mo,Ta,Nb,W) + V"]
    gap = 1e3 * (float(four.gibbs(at)) - float(above.gibbs(at)))
    # 0.8 · 14.2 − 26.9 + 371.8 · 0.08617333 · (1.6094379 − 0.8 · 1.3862944)
    assert gap == pytest.approx(0.495, abs=0.005)
    with_mean = decompositions(METALS, hand_made(METALS, given | {"Mo-Ta-Nb-W-V": 29.2}, 36.0))
    assert decomposition_temperature(with_mean) is not None
    assert min(with_mean, key=lambda d: float(d.gibbs(500))).is_solid_solution


def test_regular_solution_that_sheds_one_element() -> None:
    # Only pairs with V cost energy, omega each: H of n elements with V is omega (n - 1)/n².
    omega = {frozenset(p): 0.2 * ("V" in p) for p in combinations(METALS, 2)}
    pool = decompositions(METALS, regular(METALS, omega))
    sequence = transition_temperatures(pool)
    assert [d.name for _, d in sequence] == ["(Mo,Ta,Nb,W) + V", "(Mo,Ta,Nb,W,V)"]
    assert sequence[1][0] == pytest.approx(0.2 * 4 / 25 / (kB * (log(5) - 0.8 * log(4))))
    assert hull_depth(pool) == 0


def line(phases, enthalpy: float, entropy: float) -> Decomposition:
    shares = (1 / len(phases),) * len(phases)
    return Decomposition(phases=phases, shares=shares, enthalpy=enthalpy, entropy=entropy)


def test_three_lines_through_one_point_make_one_transition() -> None:
    pool = [
        line((("Mo",), ("W",), ("V",)), 0.0, 0.0),
        line((("Mo", "W"), ("V",)), 0.03, 1e-4),
        line((("Mo", "W", "V"),), 0.06, 2e-4),
    ]
    sequence = transition_temperatures(pool)
    assert [t for t, _ in sequence] == pytest.approx([0, 300])
    assert sequence[1][1].is_solid_solution


def test_rounding_never_turns_the_sequence_back() -> None:
    phases = [
        d.phases
        for d in decompositions(
            ("Mo", "W", "V"),
            regular(
                ("Mo", "W", "V"), {frozenset(p): 0.0 for p in combinations(("Mo", "W", "V"), 2)}
            ),
        )
    ]
    for t in np.linspace(37, 2900, 2000):
        lines = zip(phases, (2.3e-4, 1.7e-4, 1.1e-4, 0.3e-4, 0.0), strict=True)
        sequence = transition_temperatures([line(p, t * s, s) for p, s in lines])
        starts = [start for start, _ in sequence]
        assert starts == sorted(set(starts))
        assert starts[1:] == pytest.approx([t] * (len(starts) - 1))
        assert sequence[-1][1].is_solid_solution


def test_decomposition_temperature_limits() -> None:
    always = decompositions(("Mo", "W"), {("Mo", "W"): -0.007})
    assert decomposition_temperature(always) == 0
    assert hull_depth(always) == pytest.approx(0.007)
    ideal = decompositions(METALS, dict.fromkeys(subsets(METALS), 0.0))
    assert decomposition_temperature(ideal) == 0
    assert decomposition_temperature(ideal[1:]) is None
    with pytest.raises(ValueError, match="no decompositions"):
        transition_temperatures([])


def test_incomplete_or_contradictory_tables() -> None:
    table = random_table(("Mo", "W", "V"), 1)
    del table[frozenset(("Mo", "V"))]
    with pytest.raises(ValueError, match=r"no mixing enthalpy for the phases \(Mo,V\)"):
        decompositions(("Mo", "W", "V"), table)
    with pytest.raises(ValueError, match="given twice"):
        decompositions(("Mo", "W"), {("Mo", "W"): 0.1, ("W", "Mo"): 0.2})
    with pytest.raises(ValueError, match="not finite"):
        decompositions(("Mo", "W"), {("Mo", "W"): inf})
    with pytest.raises(ValueError, match="distinct"):
        set_partitions(("Mo", "Mo"))


def test_decompositions_of_the_phases_that_are_known() -> None:
    table = random_table(METALS, 3)
    lost = frozenset(("Mo", "W"))
    del table[lost]
    every = decompositions(METALS, random_table(METALS, 3))
    known = decompositions(METALS, table, partial=True)
    assert known == [d for d in every if lost not in map(frozenset, d.phases)]
    assert len(known) == 52 - 5  # the other three metals have five partitions
    del table[frozenset(METALS)]
    assert decomposition_temperature(decompositions(METALS, table, partial=True)) is None
