from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
import pytest
from ase.neighborlist import neighbor_list

from hea_flows.alloy.lattice.bonds import (
    bond_counts,
    neighbour_pairs,
    neighbour_shell,
    pair_labels,
    species_codes,
)
from hea_flows.alloy.lattice.order_parameters import correlation_matrix, warren_cowley_matrix
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


def correlation_values(species, pairs: np.ndarray, elements) -> dict[str, float]:
    return by_label(correlation_matrix(counts_of(species, pairs, elements)), elements)


def warren_cowley(species, pairs: np.ndarray) -> dict[str, float]:
    elements = sorted(set(species))
    shares = [list(species).count(e) / len(species) for e in elements]
    return by_label(warren_cowley_matrix(counts_of(species, pairs, elements), shares), elements)


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
    values = correlation_values(("Mo", "V"), pairs, ("Mo", "V"))
    assert values == pytest.approx({"Mo-Mo": 1 / 6 - 1 / 4, "Mo-V": -2 / 6, "V-V": 1 / 6 - 1 / 4})


def test_ordered_root_three_cell_has_no_like_neighbours() -> None:
    pairs = neighbour_pairs(LAYER, [[2, 1, 0], [-1, 1, 0], [0, 0, 1]])
    values = correlation_values(("Mo", "Ta", "V"), pairs, ("Mo", "Ta", "V"))
    assert [values[k] for k in ("Mo-Mo", "Ta-Ta", "V-V")] == pytest.approx([-1 / 9] * 3)
    assert [values[k] for k in ("Mo-Ta", "Mo-V", "Ta-V")] == pytest.approx([-1 / 3] * 3)


def test_segregated_stripes() -> None:
    # Of 3 bonds per site the stripe's two boundaries (10 sites each, 2 bonds per site) are unlike.
    length, width = 10, 5
    points = lattice_points(cell(length, 2 * width))
    species = ["Mo" if p[1] < width else "W" for p in points]
    pairs = neighbour_pairs(LAYER, cell(length, 2 * width))
    values = correlation_values(species, pairs, ("Mo", "W"))
    total, unlike = 3 * len(points), 2 * 2 * length
    like = (total - unlike) / 2
    assert values["Mo-W"] == pytest.approx((total - 2 * unlike) / total)
    assert values["Mo-Mo"] == pytest.approx(like / total - 1 / 4)


def test_one_element_only_and_its_absent_partner() -> None:
    values = correlation_values(["V"] * 9, neighbour_pairs(LAYER, cell(3, 3)), ("V", "W"))
    assert values == pytest.approx({"V-V": 0.75, "V-W": 1.0, "W-W": -0.25})


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


@pytest.mark.physics
def test_random_equimolar_decorations_average_to_zero() -> None:
    rng = np.random.default_rng(5)
    species = np.repeat(METALS, 20)
    pairs = neighbour_pairs(LAYER, cell(10, 10))
    draws = [
        correlation_values(rng.permutation(species).tolist(), pairs, METALS) for _ in range(2000)
    ]
    # At fixed composition, two different sites hold A and A with probability (1/n)(m-1)/(N-1).
    like, unlike = 19 / 99 / 5, 2 * 20 / 99 / 5
    for label in draws[0]:
        samples = np.array([d[label] for d in draws])
        error = samples.std(ddof=1) / np.sqrt(len(samples))
        a, b = label.split("-")
        finite_size = like - 1 / 25 if a == b else 2 * like - unlike
        assert abs(samples.mean() - finite_size) < 4.5 * error
    # Independent sites: the values vanish.
    free = [
        correlation_values(rng.choice(METALS, 100).tolist(), pairs, METALS) for _ in range(2000)
    ]
    for label in free[0]:
        samples = np.array([d[label] for d in free])
        assert abs(samples.mean()) < 4.5 * samples.std(ddof=1) / np.sqrt(len(samples))


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
