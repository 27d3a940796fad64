from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition, Element

from hea_flows.alloy.thermodynamics.hull import convex_hull

ELEMENTS = ("Mo", "Ta", "Nb", "W", "V")


def random_entries(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Counts (alloys and end members) and mixing energies, some compositions several times."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 5, size=(60, n))
    counts = counts[(counts > 0).sum(axis=1) > 1]
    counts = np.vstack([np.eye(n, dtype=int), counts, counts[:10]])
    energies = rng.normal(0, 0.03, len(counts))
    energies[:n] = 0
    return counts, energies


@pytest.mark.parametrize("n", [2, 3, 4, 5])
@pytest.mark.parametrize("seed", range(3))
def test_equals_pymatgens_phase_diagram(n: int, seed: int) -> None:
    counts, energies = random_entries(n, seed)
    ours = convex_hull(counts, energies)
    entries = [
        PDEntry(
            Composition({e: int(k) for e, k in zip(ELEMENTS, row, strict=False) if k}),
            e * row.sum(),
            name=str(i),
        )
        for i, (row, e) in enumerate(zip(counts, energies, strict=True))
    ]
    theirs = PhaseDiagram(entries, [Element(e) for e in ELEMENTS[:n]])
    expected = [theirs.get_e_above_hull(entry) for entry in entries]
    np.testing.assert_allclose(ours.above, expected, atol=1e-9)
    assert {str(i) for i in ours.vertices} == {entry.name for entry in theirs.stable_entries}
    rng = np.random.default_rng(seed)
    for x in rng.dirichlet(np.ones(n), size=5):
        mixture = {str(p.entry): p.amount for p in ours.decomposition(x)}
        wanted = theirs.get_decomposition(Composition(dict(zip(ELEMENTS, x, strict=False))))
        assert mixture == pytest.approx({e.name: amount for e, amount in wanted.items()}, abs=1e-8)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_end_members_are_always_on_the_hull(n: int) -> None:
    counts, energies = random_entries(n, 7) if n > 1 else (np.ones((1, 1)), np.zeros(1))
    ours = convex_hull(counts, energies)
    assert set(range(n)) <= set(ours.vertices)
    assert (ours.above[:n] == 0).all()
    without = convex_hull(counts[n:], energies[n:])
    np.testing.assert_allclose(without.above, ours.above[n:], atol=1e-12)
    [phase] = without.decomposition(np.eye(n)[0])
    assert (phase.entry, phase.energy, phase.amount) == (None, 0.0, 1.0)


def test_an_excited_end_member_stands_for_none() -> None:
    found = convex_hull([(1, 0), (0, 1), (1, 1)], [0.004, 0.0, -0.01])
    np.testing.assert_allclose(found.above, [0.004, 0, 0], atol=1e-15)
    assert found.vertices == (1, 2)
    assert [(p.entry, p.energy) for p in found.decomposition((1, 0))] == [(None, 0.0)]
    assert found.energy((3, 1)) == pytest.approx(-0.005, abs=1e-15)


def test_two_elements_by_hand() -> None:
    # A, A3B, AB, AB (higher), AB3, B: AB3 at 3/4 lies above the line from AB (−20) to B (0).
    counts = [(1, 0), (3, 1), (1, 1), (2, 2), (1, 3), (0, 1)]
    found = convex_hull(counts, [0.0, -0.012, -0.020, -0.015, -0.008, 0.0])
    assert found.vertices == (0, 1, 2, 5)
    np.testing.assert_allclose(found.above, [0, 0, 0, 0.005, 0.002, 0], atol=1e-15)
    assert found.energy((1, 3)) == pytest.approx(-0.010, abs=1e-15)
    assert found.energy((5, 3)) == pytest.approx(-0.016, abs=1e-15)
    assert [(p.entry, p.amount) for p in found.decomposition((2, 6))] == [
        (2, pytest.approx(0.5, abs=1e-12)),
        (5, pytest.approx(0.5, abs=1e-12)),
    ]


def test_points_on_a_line_are_stable_but_no_vertices() -> None:
    counts = [(3, 1), (1, 1), (1, 3), (1, 1)]
    line = convex_hull(counts, [-0.01, -0.02, -0.01, -0.02])
    assert (line.above == 0).all()
    assert line.vertices == (1,)
    flat = convex_hull(np.vstack([np.eye(4), np.ones((3, 4))]), np.zeros(7))
    assert (flat.above == 0).all()
    assert flat.vertices == (0, 1, 2, 3)


def test_every_composition_is_a_mixture_of_itself() -> None:
    counts, energies = random_entries(5, 11)
    found = convex_hull(counts, energies)
    for x in np.random.default_rng(1).integers(0, 9, size=(30, 5)) + np.eye(5, dtype=int)[0]:
        phases = found.decomposition(x)
        assert sum(p.amount for p in phases) == pytest.approx(1, abs=1e-12)
        mixed = sum(p.amount * np.array(p.fractions) for p in phases)
        np.testing.assert_allclose(mixed, x / x.sum(), atol=1e-12)
        assert len(phases) <= 5
        assert min(p.amount for p in phases) > 0
    # No pair of entries reaches below it.
    fractions = counts / counts.sum(axis=1, keepdims=True)
    for i, j in combinations(range(0, len(counts), 7), 2):
        middle = (energies[i] + energies[j]) / 2
        assert found.energy((fractions[i] + fractions[j]) / 2) <= middle + 1e-12


def test_bad_input_is_one_clear_line() -> None:
    with pytest.raises(ValueError, match=r"entry 1 is of one element and has -0\.01 eV/unit"):
        convex_hull([(1, 1), (2, 0)], [0.1, -0.01])
    with pytest.raises(ValueError, match="as many finite mixing energies"):
        convex_hull([(1, 1)], [np.nan])
    with pytest.raises(ValueError, match="holds no element"):
        convex_hull([(1, 1), (0, 0)], [0.0, 0.0])
    with pytest.raises(ValueError, match="finite amounts"):
        convex_hull([(1, -1)], [0.0])
    with pytest.raises(ValueError, match="of 2 elements, got 3"):
        convex_hull([(1, 1)], [0.0]).energy((1, 1, 1))
