from __future__ import annotations

import numpy as np
import pytest

from hea_flows.alloy.thermodynamics.mixing import (
    apply_offsets,
    composition_matrix,
    fit_offsets,
    mixing_energies,
    mixing_energy,
)

METALS = ("Mo", "Ta", "Nb", "W", "V")
ALL = (*METALS, "S")


def frames(rng: np.random.Generator, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Metal counts and counts of all atoms of random MX2 cells."""
    metals = rng.integers(0, 5, size=(n, 5))
    metals[:, 0] += metals.sum(axis=1) == 0
    return metals, np.column_stack([metals, 2 * metals.sum(axis=1)])


def test_definition_by_hand() -> None:
    # Two Mo at -3, one Ta at -5: E = -11 + 3 * 0.02.
    assert mixing_energy(-10.94, [2, 1], [-3.0, -5.0]) == pytest.approx(0.02)
    found = mixing_energies([-10.94, -3.0], [{"Mo": 2, "Ta": 1}, {"Mo": 1}], {"Mo": -3, "Ta": -5})
    np.testing.assert_allclose(found, [0.02, 0.0], atol=1e-12)


def test_end_points_and_their_supercells_have_none() -> None:
    pure = np.array([-21.0, -23.0, -20.0, -25.0, -22.0])
    counts = np.vstack([np.eye(5), 4 * np.eye(5)]).astype(int)
    energies = counts @ pure
    np.testing.assert_allclose(mixing_energy(energies, counts, pure), 0, atol=1e-12)


def test_vectorised_over_any_shape() -> None:
    rng = np.random.default_rng(0)
    metals, _ = frames(rng, 24)
    pure, energies = rng.normal(size=5), rng.normal(size=24)
    flat = mixing_energy(energies, metals, pure)
    grid = mixing_energy(energies.reshape(4, 6), metals.reshape(4, 6, 5), pure)
    np.testing.assert_array_equal(grid.ravel(), flat)
    loop = [
        (e - sum(n * p for n, p in zip(row, pure, strict=True))) / sum(row)
        for e, row in zip(energies, metals, strict=True)
    ]
    np.testing.assert_allclose(flat, loop, rtol=1e-12, atol=1e-12)


def test_missing_end_points_matter_only_where_needed() -> None:
    assert mixing_energy(-6.0, [2, 0], [-3.0, np.nan]) == pytest.approx(0)
    with pytest.raises(ValueError, match=r"columns \[1\] are missing"):
        mixing_energy(-6.0, [1, 1], [-3.0, np.nan])
    assert mixing_energies([-6.0], [{"Mo": 2, "V": 0}], {"Mo": -3.0})[0] == pytest.approx(0)
    with pytest.raises(ValueError, match="no end point for Ta, V; given: Mo"):
        mixing_energies([-6.0], [{"Mo": 1, "V": 1, "Ta": 1}], {"Mo": -3.0})


@pytest.mark.parametrize(
    ("energies", "counts", "pure", "message"),
    [
        ([1.0, 2.0], [[1, 1]], [0.0, 0.0], "do not match"),
        ([1.0], [[1, 1]], [0.0], "do not match"),
        ([1.0], [[0, 0]], [0.0, 0.0], "at least one alloyed site"),
        ([1.0], [[-1, 2]], [0.0, 0.0], "no negative count"),
    ],
)
def test_errors(
    energies: list[float], counts: list[list[int]], pure: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        mixing_energy(energies, counts, pure)


def test_composition_matrix() -> None:
    found = composition_matrix([{"Mo": 2}, {"W": 1, "Mo": 1}], ("Mo", "Ta", "W"))
    assert found.tolist() == [[2, 0, 0], [1, 0, 1]]
    assert composition_matrix([], ("Mo",)).shape == (0, 1)
    with pytest.raises(ValueError, match=r"no column for elements \['V'\]"):
        composition_matrix([{"V": 1}], ("Mo",))


def test_offsets_never_change_mixing_energies() -> None:
    rng = np.random.default_rng(1)
    metals, atoms = frames(rng)
    pure, energies = rng.normal(-20, 2, 5), rng.normal(-60, 10, len(metals))
    offsets = dict(zip(ALL, rng.normal(0, 5, 6), strict=True))
    shifted_pure = apply_offsets(pure, np.column_stack([np.eye(5), np.full(5, 2)]), ALL, offsets)
    shifted = apply_offsets(energies, atoms, ALL, offsets)
    assert np.abs(shifted - energies).min() > 0.01
    np.testing.assert_allclose(
        mixing_energy(shifted, metals, shifted_pure),
        mixing_energy(energies, metals, pure),
        atol=1e-11,
    )


def test_exact_offsets_are_recovered_as_energy_shifts() -> None:
    rng = np.random.default_rng(2)
    _, atoms = frames(rng)
    truth = np.array([1.5, -2.0, 0.3, 4.0, -1.0, 0.7])
    found = fit_offsets(atoms, atoms @ truth, ALL)
    assert list(found) == list(ALL)
    np.testing.assert_allclose(
        apply_offsets(np.zeros(len(atoms)), atoms, ALL, found), atoms @ truth, atol=1e-9
    )
    # Only metal + 2 S is determined, and the solution is the shortest that gives it.
    solution = np.array(list(found.values()))
    np.testing.assert_allclose(solution[:5] + 2 * solution[5], truth[:5] + 2 * truth[5], atol=1e-9)
    null = np.array([2, 2, 2, 2, 2, -1])  # changes no energy, as S = 2 × metals
    assert np.abs(atoms @ null).max() == 0
    assert abs(solution @ null) < 1e-9
    assert np.linalg.norm(solution) < np.linalg.norm(truth)


def test_fit_is_least_squares_per_atom() -> None:
    # One element, two frames: the weighted mean of the two differences per atom is their plain
    # mean, whatever the sizes of the cells.
    found = fit_offsets([[1], [9]], [1.0, 27.0], ("Cu",))
    assert found["Cu"] == pytest.approx(2.0)
    rng = np.random.default_rng(3)
    _, atoms = frames(rng)
    differences = rng.normal(size=len(atoms))
    solution = np.array(list(fit_offsets(atoms, differences, ALL).values()))
    per_atom = atoms / atoms.sum(axis=1, keepdims=True)
    residual = per_atom @ solution - differences / atoms.sum(axis=1)
    np.testing.assert_allclose(per_atom.T @ residual, 0, atol=1e-10)  # normal equations


def test_elements_without_frames_get_no_offset() -> None:
    found = fit_offsets([[1, 0, 2]], [3.0], ("Mo", "W", "S"))
    assert found["W"] == pytest.approx(0, abs=1e-12)
    # (1, 0, 2) · x = 3 with least norm: x = 3 (1, 0, 2) / 5.
    assert (found["Mo"], found["S"]) == (pytest.approx(0.6), pytest.approx(1.2))


def test_offset_errors() -> None:
    with pytest.raises(ValueError, match="do not match"):
        fit_offsets([[1, 2]], [1.0, 2.0], ("Mo", "S"))
    with pytest.raises(ValueError, match="needs atoms and a finite"):
        fit_offsets([[1, 2]], [np.nan], ("Mo", "S"))
    with pytest.raises(ValueError, match="no offset for W; given: Mo"):
        apply_offsets([1.0], [[1, 1]], ("Mo", "W"), {"Mo": 1.0})
    assert apply_offsets([1.0], [[2, 0]], ("Mo", "W"), {"Mo": 1.5}).tolist() == [4.0]
