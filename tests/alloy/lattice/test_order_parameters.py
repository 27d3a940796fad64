from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
import pytest
from ase.neighborlist import neighbor_list
from sympy.utilities.iterables import multiset_permutations

from hea_flows.alloy.lattice.bonds import (
    bond_counts,
    neighbour_pairs,
    neighbour_shell,
    pair_labels,
    species_codes,
)
from hea_flows.alloy.lattice.order_parameters import (
    correlation_matrix,
    own_image_share,
    random_bond_shares,
    warren_cowley_matrix,
)
from hea_flows.alloy.lattice.ordering import Ordering
from hea_flows.alloy.lattice.prototypes import Alloy
from hea_flows.alloy.lattice.site_index import lattice_points

METALS = ("Mo", "Ta", "Nb", "W", "V")
LAYER = Alloy(METALS)
HOSTS = {
    "2H-MX2": LAYER,
    "1T-MX2": Alloy(("Mo", "W"), prototype="1T-MX2"),
    "fcc": Alloy(("Cu", "Au"), prototype="fcc", anion=None),
    "bcc": Alloy(("Mo", "W"), prototype="bcc", anion=None),
    "hcp": Alloy(("Ti", "Zr"), "hcp", c_over_a=(8 / 3) ** 0.5),
    "rocksalt": Alloy(("Ti", "Zr"), "rocksalt", "C", lattice_constants={"Ti": 4.3, "Zr": 4.7}),
}
COORDINATION = {
    "2H-MX2": [6, 6, 6, 12, 6],
    "1T-MX2": [6, 6, 6, 12, 6],
    "fcc": [12, 6, 24, 12, 24, 8, 48],
    "bcc": [8, 6, 12, 24, 8, 6, 24],
    "hcp": [12, 6, 2, 18, 12, 6, 12],
    "rocksalt": [12, 6, 24, 12, 24],
}


def by_label(matrix: np.ndarray, elements) -> dict[str, float]:
    upper = matrix[np.triu_indices(len(elements))]
    return dict(zip(pair_labels(elements), upper.tolist(), strict=True))


def counts_of(species, pairs: np.ndarray, elements) -> np.ndarray:
    return bond_counts(species_codes(species, elements), pairs, len(elements))


def numbers_of(species, elements) -> list[int]:
    return [list(species).count(e) for e in elements]


def correlation_values(species, pairs: np.ndarray, elements) -> dict[str, float]:
    """Return the CV of a decoration."""
    counts = counts_of(species, pairs, elements)
    numbers, own = numbers_of(species, elements), own_image_share(pairs)
    return by_label(correlation_matrix(counts, numbers, own), elements)


def infinite_values(species, pairs: np.ndarray, elements) -> dict[str, float]:
    """Return the CV of a decoration that is repeated without end, against the infinite alloy."""
    counts = counts_of(species, pairs, elements)
    numbers = 10**9 * np.array(numbers_of(species, elements))
    return by_label(correlation_matrix(counts, numbers), elements)


def warren_cowley(species, pairs: np.ndarray) -> dict[str, float]:
    """Return Warren-Cowley parameters of a decoration that is repeated without end."""
    elements = sorted(set(species))
    numbers = 10**9 * np.array(numbers_of(species, elements))
    return by_label(warren_cowley_matrix(counts_of(species, pairs, elements), numbers), elements)


def cell(nx: int, ny: int, nz: int = 1) -> np.ndarray:
    return np.diag([nx, ny, nz])


@pytest.mark.parametrize("prototype", list(HOSTS))
def test_coordination_numbers_of_each_shell(prototype: str) -> None:
    alloy, expected = HOSTS[prototype], COORDINATION[prototype]
    shells = [neighbour_shell(alloy.host, k + 1) for k in range(len(expected))]
    assert [2 * len(shell.vectors) / alloy.host.sites_per_cell for shell in shells] == expected
    oblique = np.array([[2, 1, 0], [0, 2, 0], [0, 0, 1]])
    for k, z in enumerate(expected):
        assert len(neighbour_pairs(alloy, oblique, shell=k + 1)) == alloy.n_sites(oblique) * z // 2


@pytest.mark.parametrize("prototype", list(HOSTS))
@pytest.mark.parametrize(
    "matrix",
    [
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[2, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[2, 1, 0], [-1, 1, 0], [0, 0, 1]],
        [[5, 0, 0], [0, 4, 0], [0, 0, 1]],
    ],
)
def test_bonds_are_those_of_a_geometric_neighbour_list(prototype: str, matrix: list) -> None:
    alloy = HOSTS[prototype]
    ordering = Ordering(
        alloy, tuple(map(tuple, matrix)), (alloy.elements[0],) * alloy.n_sites(matrix)
    )
    sites = ordering.to_atoms(a=4.0)[ordering.alloyed_atoms]
    i, j, d = neighbor_list("ijd", sites, 7.0)
    lengths = np.unique(np.round(d, 5))
    for shell in (1, 2):
        inside = np.abs(d - lengths[shell - 1]) < 1e-3
        directed = np.zeros((len(sites), len(sites)), dtype=int)
        np.add.at(directed, (i[inside], j[inside]), 1)
        pairs = neighbour_pairs(alloy, matrix, shell)
        ours = np.zeros_like(directed)
        np.add.at(ours, (pairs[:, 0], pairs[:, 1]), 1)
        np.add.at(ours, (pairs[:, 1], pairs[:, 0]), 1)
        assert (ours == directed).all()


def test_shells_of_hcp_are_those_of_close_packed_spheres_whatever_its_c_over_a() -> None:
    flat = Alloy(("Ti", "Zr"), "hcp", c_over_a=1.5)
    for shell in (1, 2, 3):
        pairs = neighbour_pairs(flat, cell(2, 2, 2), shell)
        np.testing.assert_array_equal(pairs, neighbour_pairs(HOSTS["hcp"], cell(2, 2, 2), shell))


def test_smallest_cells_count_bonds_with_multiplicity() -> None:
    assert neighbour_pairs(LAYER, cell(1, 1)).tolist() == [[0, 0]] * 3
    # Rows of alternating elements: one like bond along the row, two across, per site.
    pairs = neighbour_pairs(LAYER, cell(2, 1))
    assert by_label(counts_of(("Mo", "V"), pairs, ("Mo", "V")), ("Mo", "V")) == {
        "Mo-Mo": 1,
        "Mo-V": 4,
        "V-V": 1,
    }
    values = infinite_values(("Mo", "V"), pairs, ("Mo", "V"))
    assert values == pytest.approx({"Mo-Mo": 1 / 6 - 1 / 4, "Mo-V": -2 / 6, "V-V": 1 / 6 - 1 / 4})
    # There is but one decoration, so that the cell itself has no order.
    assert own_image_share(pairs) == 1 / 3
    values = correlation_values(("Mo", "V"), pairs, ("Mo", "V"))
    assert values == pytest.approx({"Mo-Mo": 0, "Mo-V": 0, "V-V": 0}, abs=1e-15)


def test_ordered_root_three_cell_has_no_like_neighbours() -> None:
    pairs = neighbour_pairs(LAYER, [[2, 1, 0], [-1, 1, 0], [0, 0, 1]])
    values = infinite_values(("Mo", "Ta", "V"), pairs, ("Mo", "Ta", "V"))
    assert [values[k] for k in ("Mo-Mo", "Ta-Ta", "V-V")] == pytest.approx([-1 / 9] * 3)
    assert [values[k] for k in ("Mo-Ta", "Mo-V", "Ta-V")] == pytest.approx([-1 / 3] * 3)


def test_segregated_stripes() -> None:
    # Of 3 bonds per site the stripe's two boundaries (10 sites each, 2 bonds per site) are unlike.
    length, width = 10, 5
    points = lattice_points(cell(length, 2 * width))
    species = ["Mo" if p[1] < width else "W" for p in points]
    pairs = neighbour_pairs(LAYER, cell(length, 2 * width))
    values = infinite_values(species, pairs, ("Mo", "W"))
    total, unlike = 3 * len(points), 2 * 2 * length
    like = (total - unlike) / 2
    assert values["Mo-W"] == pytest.approx((total - 2 * unlike) / total)
    assert values["Mo-Mo"] == pytest.approx(like / total - 1 / 4)


def test_one_element_only_and_its_absent_partner() -> None:
    values = correlation_values(["V"] * 9, neighbour_pairs(LAYER, cell(3, 3)), ("V", "W"))
    assert values == {"V-V": 0, "V-W": 0, "W-W": 0}


def test_counts_agree_with_a_plain_loop_and_labels_follow_the_elements() -> None:
    species = np.random.default_rng(3).choice(METALS, size=30).tolist()
    pairs = neighbour_pairs(LAYER, [[5, 2, 0], [0, 6, 0], [0, 0, 1]], 2)
    counts = by_label(counts_of(species, pairs, METALS), METALS)
    loop = {f"{a}-{b}": 0 for a, b in combinations_with_replacement(METALS, 2)}
    for i, j in pairs:
        a, b = sorted((species[i], species[j]), key=METALS.index)
        loop[f"{a}-{b}"] += 1
    assert counts == loop
    assert list(counts) == list(loop)
    assert sum(counts.values()) == len(pairs) == 90


def placements(numbers: tuple[int, ...]) -> np.ndarray:
    """Return all decorations of a cell, (S, N)."""
    filling = np.repeat(np.arange(len(numbers)), numbers).tolist()
    return np.array(list(multiset_permutations(filling)))


@pytest.mark.parametrize(
    ("prototype", "matrix", "shell", "numbers", "own_images"),
    [
        ("2H-MX2", cell(2, 1), 1, (1, 1), 1 / 3),
        ("2H-MX2", cell(4, 1), 1, (1, 3), 1 / 3),
        ("2H-MX2", cell(2, 3), 1, (1, 2, 3), 0),
        ("2H-MX2", cell(2, 3), 3, (2, 1, 2, 1), 1 / 3),
        ("2H-MX2", [[4, 1, 0], [0, 3, 0], [0, 0, 1]], 1, (6, 6), 0),
        ("fcc", cell(2, 1, 2), 1, (1, 3), 1 / 6),
        ("hcp", cell(2, 1, 1), 2, (1, 1, 2), 0),
        ("hcp", cell(2, 1, 1), 1, (3, 1), 1 / 6),
    ],
)
def test_no_order_reads_as_zero_over_all_decorations(
    prototype: str, matrix: np.ndarray, shell: int, numbers: tuple[int, ...], own_images: float
) -> None:
    """Exactly, in any cell, at any composition, like and unlike pairs."""
    pairs = neighbour_pairs(HOSTS[prototype], matrix, shell)
    own = own_image_share(pairs)
    assert own == pytest.approx(own_images)
    n = len(numbers)
    counts = np.array([bond_counts(codes, pairs, n) for codes in placements(numbers)])
    shares = random_bond_shares(numbers, own)
    np.testing.assert_allclose(counts.mean(axis=0) / len(pairs), shares, rtol=0, atol=1e-14)
    for values in (correlation_matrix, warren_cowley_matrix):
        series = values(counts, numbers, own)
        np.testing.assert_allclose(series.mean(axis=0), 0, rtol=0, atol=1e-12)
        np.testing.assert_array_equal(series, series.transpose(0, 2, 1))


def test_what_a_finite_cell_adds_to_the_values_of_the_infinite_alloy() -> None:
    """Of twelve sites with two elements, half each: 1/11 in Warren-Cowley parameters."""
    pairs = neighbour_pairs(LAYER, cell(4, 3))
    counts = np.array([bond_counts(codes, pairs, 2) for codes in placements((6, 6))])
    assert len(counts) == 924
    mean = warren_cowley_matrix(counts, [6 * 10**9] * 2).mean(axis=0)
    np.testing.assert_allclose(mean, np.array([[1, -1], [-1, 1]]) / 11, rtol=0, atol=1e-8)
    # At equal parts of n elements, the paper's CV: N_AA/N − 1/n², and (N_AA + N_BB − N_AB)/N.
    pairs = neighbour_pairs(LAYER, cell(10, 10))
    species = np.random.default_rng(0).permutation(np.repeat(METALS, 20)).tolist()
    own, infinite = (f(species, pairs, METALS) for f in (correlation_values, infinite_values))
    counts = by_label(counts_of(species, pairs, METALS), METALS)
    assert infinite["V-V"] == pytest.approx(counts["V-V"] / 300 - 1 / 25, abs=1e-9)
    unlike = (counts["Mo-Mo"] + counts["V-V"] - counts["Mo-V"]) / 300
    assert infinite["Mo-V"] == pytest.approx(unlike, abs=1e-9)
    assert own["V-V"] - infinite["V-V"] == pytest.approx(1 / 25 - 19 / 495, abs=1e-9)
    assert own["Mo-V"] - infinite["Mo-V"] == pytest.approx(2 / 495, abs=1e-9)


def test_values_of_a_composition_of_unlike_shares_in_the_infinite_alloy() -> None:
    counts = np.array([[30, 45, 20], [45, 12, 33], [20, 33, 10]])
    x, numbers = np.array([0.5, 0.3, 0.2]), 10**10 * np.array([5, 3, 2])
    cv, alpha = correlation_matrix(counts, numbers), warren_cowley_matrix(counts, numbers)
    for a, b in combinations_with_replacement(range(3), 2):
        if a == b:
            expected = counts[a, a] / 150 - x[a] ** 2
            neighbours = 2 * counts[a, a] / 300 / x[a]  # share of A among the neighbours of A
        else:
            expected = (counts[a, a] + counts[b, b] - counts[a, b]) / 150 - (x[a] - x[b]) ** 2
            neighbours = counts[a, b] / 300 / x[a]
        assert cv[a, b] == pytest.approx(expected, abs=1e-9)
        assert alpha[a, b] == pytest.approx(1 - neighbours / x[b], abs=1e-8)


def test_warren_cowley_of_ordered_and_segregated_structures() -> None:
    fcc = HOSTS["fcc"]
    # L1_0 in the primitive basis of fcc: planes along one cubic axis.
    layered = np.array([[1, 0, 0], [0, 1, 1], [0, -1, 1]])
    points = lattice_points(layered)
    species = ["Cu" if (p[0] + p[1]) % 2 == 0 else "Au" for p in points]
    alpha = warren_cowley(species, neighbour_pairs(fcc, layered))
    assert alpha["Au-Cu"] == pytest.approx(1 - (8 / 12) / 0.5)
    assert alpha["Cu-Cu"] == alpha["Au-Au"] == pytest.approx(1 - (4 / 12) / 0.5)
    # L1_2: every minority atom has majority neighbours only.
    cubic = np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]])
    ordering = Ordering(fcc, tuple(map(tuple, cubic.tolist())), ("Au", "Cu", "Cu", "Cu"))
    alpha = warren_cowley(ordering.species, neighbour_pairs(fcc, cubic))
    assert alpha == pytest.approx({"Au-Au": 1, "Au-Cu": 1 - 1 / 0.75, "Cu-Cu": 1 - (8 / 12) / 0.75})


def test_what_cannot_be_counted_is_said() -> None:
    pairs = neighbour_pairs(LAYER, cell(2, 1))
    with pytest.raises(ValueError, match="counted from 1"):
        neighbour_pairs(LAYER, cell(2, 1), shell=0)
    with pytest.raises(ValueError, match=r"\['V'\] are not among"):
        correlation_values(("Mo", "V"), pairs, ("Mo", "W"))
    with pytest.raises(ValueError, match="distinct"):
        correlation_values(("Mo", "Mo"), pairs, ("Mo", "Mo"))
