from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import ArrayLike

from hea_flows.alloy.lattice.kmesh import folded_mesh
from hea_flows.alloy.lattice.prototypes import Alloy

CELL = Alloy(("Mo",)).primitive().cell.array
MESH = (12, 12, 1)
ROOT3 = [[1, -1, 0], [1, 2, 0], [0, 0, 1]]


def unfolded(points: np.ndarray, supercell: ArrayLike) -> set[tuple[int, ...]]:
    """Primitive points (in twelfths) that fold on the given points of a supercell."""
    s = np.array(supercell)
    size = abs(round(np.linalg.det(s)))
    found = set()
    shifts = [np.array(g) for g in np.ndindex(size, size, 1)]
    for k in points:
        # k' = S k, so that k = S⁻¹ (k' + G') with any reciprocal vector G' of the supercell.
        for g in shifts:
            q = np.linalg.solve(s, k + g) * 12
            assert np.allclose(q, np.rint(q), atol=1e-8)
            found.add(tuple(int(x) for x in np.rint(q) % (12, 12, 12)))
    return found


@pytest.mark.parametrize(
    ("supercell", "number"),
    [
        (np.eye(3, dtype=int), 144),
        (np.diag([2, 1, 1]), 72),
        (np.diag([2, 2, 1]), 36),
        (np.diag([3, 1, 1]), 48),
        (ROOT3, 48),
        (np.diag([4, 4, 1]), 9),
        ([[2, 0, 0], [1, 2, 0], [0, 0, 1]], 36),
    ],
)
def test_folded_points_are_the_primitive_mesh(supercell: ArrayLike, number: int) -> None:
    mesh = folded_mesh(MESH, supercell, CELL)
    assert mesh.folds
    assert len(mesh.points) == number
    assert len(np.unique(np.round(mesh.points, 9), axis=0)) == number
    assert (mesh.points >= -0.5).all()
    assert (mesh.points < 0.5).all()
    assert (np.linalg.norm(mesh.points, axis=1) < 1e-12).sum() == 1
    expected = {(i, j, 0) for i in range(12) for j in range(12)}
    assert unfolded(mesh.points, supercell) == expected


def test_root3_points_are_no_mesh_along_its_own_vectors() -> None:
    points = folded_mesh(MESH, ROOT3, CELL).points
    steps = [len(np.unique(np.round(points[:, i], 9))) for i in range(2)]
    assert steps[0] * steps[1] > 48


def test_folding_does_not_depend_on_the_cell_vectors() -> None:
    rng = np.random.default_rng(2)
    for _ in range(10):
        basis = np.eye(3, dtype=int)
        for _ in range(4):
            i, j = rng.permutation(2)
            basis[i] += int(rng.integers(-2, 3)) * basis[j]
        mesh = folded_mesh(MESH, basis @ np.array(ROOT3), CELL)
        assert mesh.folds
        assert len(mesh.points) == 48


@pytest.mark.parametrize("supercell", [np.diag([5, 1, 1]), [[1, 2, 0], [-2, 1, 0], [0, 0, 1]]])
def test_five_sites_do_not_fold_and_are_at_least_as_dense(supercell: ArrayLike) -> None:
    mesh = folded_mesh(MESH, supercell, CELL)
    assert not mesh.folds
    assert abs(round(np.linalg.det(np.array(supercell)))) == 5
    assert len(mesh.points) * 5 >= 144
    reciprocal = np.linalg.norm(np.linalg.inv(np.array(supercell) @ CELL).T, axis=1)
    primitive = np.linalg.norm(np.linalg.inv(CELL).T, axis=1)
    for axis in range(2):
        n = len(np.unique(np.round(mesh.points[:, axis], 9)))
        assert reciprocal[axis] / n <= primitive[axis] / 12 + 1e-12
        assert n == 1 or reciprocal[axis] / (n - 1) > primitive[axis] / 12
    assert (mesh.points[:, 2] == 0).all()
    assert (np.linalg.norm(mesh.points, axis=1) < 1e-12).sum() == 1


def test_energy_per_unit_of_a_folded_band_sum_is_the_primitive_one() -> None:
    """A tight-binding sum: s orbitals on the lattice, all bands, any function of them."""
    hop = [(1, 0), (0, 1), (1, 1), (-1, 0), (0, -1), (-1, -1)]

    def band(k: np.ndarray) -> np.ndarray:
        return sum(np.cos(2 * np.pi * (k[:, :2] @ np.array(v))) for v in hop)

    primitive = folded_mesh(MESH, np.eye(3, dtype=int), CELL).points
    reference = np.mean(np.tanh(band(primitive)))
    points = folded_mesh(MESH, ROOT3, CELL).points
    total = 0.0
    for k in points:
        # Its three bands are the primitive band at the three primitive points that fold on k.
        q = np.array(sorted(unfolded(k[None], ROOT3))) / 12
        assert len(q) == 3
        total += np.tanh(band(q)).sum()
    assert total / (3 * len(points)) == pytest.approx(reference, abs=1e-12)


def test_bulk_mesh_folds_in_three_directions() -> None:
    cell = Alloy(("Cu",), "fcc", None).primitive().cell.array
    assert len(folded_mesh((6, 6, 6), np.diag([2, 3, 1]), cell).points) == 36
    assert not folded_mesh((6, 6, 6), np.diag([4, 1, 1]), cell).folds
