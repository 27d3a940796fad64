from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest
from ase.build import make_supercell
from own_hosts import CARBIDE, HCP, OXIDE
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.io.ase import AseAtomsAdaptor

from hea_flows.alloy.lattice.ordering import Ordering, compact_supercell
from hea_flows.alloy.lattice.prototypes import Alloy
from hea_flows.alloy.lattice.site_index import (
    IntMatrix,
    coset_index,
    hermite_normal_form,
    lattice_points,
)
from hea_flows.alloy.sets.enumeration import enumerate_orderings
from hea_flows.alloy.sets.random_structures import is_repetition, random_counts, random_ordering

METALS = ("Mo", "Ta", "Nb", "W", "V")
LAYER = Alloy(METALS)
HOSTS = {
    "2H-MX2": LAYER,
    "1T-MX2": Alloy(METALS, "1T-MX2"),
    "fcc": Alloy(("Cu", "Au"), "fcc", None),
    "bcc": Alloy(("Mo", "W"), "bcc", None),
    "hcp": HCP,
    "own carbide": CARBIDE,
    "own oxide": OXIDE,
}


def random_unimodular(rng: np.random.Generator, layer: bool) -> np.ndarray:
    matrix = np.eye(3, dtype=np.int64)
    n = 2 if layer else 3
    for _ in range(8):
        i, j = rng.choice(n, size=2, replace=False)
        matrix[i] += int(rng.integers(-2, 3)) * matrix[j]
    if rng.random() < 0.5:
        matrix[0] *= -1
    return matrix


def random_supercell(rng: np.random.Generator, layer: bool) -> np.ndarray:
    while True:
        matrix = np.eye(3, dtype=np.int64)
        n = 2 if layer else 3
        matrix[:n, :n] = rng.integers(-2, 4, size=(n, n))
        if 2 <= abs(round(np.linalg.det(matrix))) <= 9:
            return matrix


def as_tuple(matrix: np.ndarray) -> IntMatrix:
    return tuple(tuple(int(x) for x in row) for row in matrix)  # type: ignore[return-value]


def transformed(ordering: Ordering, g: int, shift: np.ndarray, basis: np.ndarray) -> Ordering:
    """Move an ordering by a symmetry operation, translate and re-base it, site by site."""
    operations, m = ordering.alloy.operations, ordering.alloy.host.sites_per_cell
    w, old = operations.rotations[g], np.array(ordering.supercell)
    new = basis @ old @ w.T
    hnf = hermite_normal_form(new)
    species = [""] * ordering.n_sites
    for number, s in enumerate(ordering.species):
        point, place = lattice_points(old)[number // m], number % m
        moved = w @ point + operations.shifts[g, place] + shift
        cell = int(coset_index(moved[None], hnf)[0])
        species[cell * m + operations.places[g, place]] = s
    return Ordering(ordering.alloy, as_tuple(new), tuple(species))


def all_hnfs(size: int, layer: bool) -> Iterator[np.ndarray]:
    """Every lattice of a given index, once."""
    for a in range(1, size + 1):
        for b in range(1, size // a + 1):
            if size % (a * b) or (layer and a * b != size):
                continue
            c = size // (a * b)
            for p, q, r in product(range(a), range(a), range(b)):
                if layer and (q or r):
                    continue
                yield np.array([[a, 0, 0], [p, b, 0], [q, r, c]])


def test_hermite_normal_form_is_canonical() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        matrix = random_supercell(rng, layer=False)
        h = hermite_normal_form(matrix)
        assert (np.triu(h, 1) == 0).all()
        d = np.diag(h)
        assert (d > 0).all()
        assert d.prod() == abs(round(np.linalg.det(matrix)))
        for col in range(3):
            assert all(0 <= h[row, col] < d[col] for row in range(col + 1, 3))
        np.testing.assert_array_equal(
            hermite_normal_form(random_unimodular(rng, layer=False) @ matrix), h
        )
        # Same lattice of row vectors: each is an integer combination of the other.
        ratio = matrix @ np.linalg.inv(h)
        np.testing.assert_allclose(ratio, np.rint(ratio), atol=1e-9)


def test_singular_supercell_is_refused() -> None:
    with pytest.raises(ValueError, match="singular"):
        hermite_normal_form(np.array([[1, 1, 0], [2, 2, 0], [0, 0, 1]]))


def test_coset_index_numbers_every_site_once_and_ignores_lattice_vectors() -> None:
    rng = np.random.default_rng(1)
    for _ in range(30):
        matrix = random_supercell(rng, layer=False)
        h = hermite_normal_form(matrix)
        points = lattice_points(matrix)
        assert coset_index(points, h).tolist() == list(range(len(points)))
        moved = points + rng.integers(-4, 5, size=(len(points), 3)) @ matrix
        assert coset_index(moved, h).tolist() == list(range(len(points)))


@pytest.mark.parametrize("prototype", HOSTS)
def test_id_is_invariant_under_symmetry_translation_and_cell_basis(prototype: str) -> None:
    alloy = HOSTS[prototype]
    rng = np.random.default_rng(7)
    layer = alloy.host.layer
    for _ in range(25):
        matrix = random_supercell(rng, layer)
        counts = random_counts(alloy.elements[:2], alloy.n_sites(matrix), rng)
        ordering = random_ordering(alloy, matrix, counts, rng)
        for _ in range(3):
            g = rng.integers(len(alloy.rotations))
            shift = rng.integers(-3, 4, size=3) * ([1, 1, 0] if layer else [1, 1, 1])
            other = transformed(ordering, g, shift, random_unimodular(rng, layer))
            assert other.id == ordering.id


@pytest.mark.parametrize(
    ("prototype", "size", "distinct"),
    # With the two elements told apart; test_enumeration has the numbers up to their exchange.
    [("2H-MX2", n, k) for n, k in ((2, 1), (3, 4), (4, 8), (5, 12), (6, 26))]
    + [("fcc", n, k) for n, k in ((2, 2), (3, 6), (4, 19), (5, 28))]
    + [("hcp", n, k) for n, k in ((2, 1), (4, 10))],
)
def test_ids_of_all_decorations_count_the_distinct_structures(
    prototype: str, size: int, distinct: int
) -> None:
    alloy = HOSTS[prototype]
    pair = alloy.elements[:2]
    ids = set()
    for hnf in all_hnfs(alloy.n_cells(size), alloy.host.layer):
        for species in product(pair, repeat=size):
            if len(set(species)) == 2:
                ordering = Ordering(alloy, as_tuple(hnf), species)
                if not is_repetition(ordering):
                    ids.add(ordering.id)
    assert len(ids) == distinct


def test_structure_matcher_agrees_on_which_structures_differ() -> None:
    matcher = StructureMatcher(scale=False, primitive_cell=False, ltol=0.02, stol=0.05, angle_tol=1)
    orderings = enumerate_orderings(LAYER, ("Mo", "Ta"), 4)
    structures = []
    for ordering in orderings:
        atoms = ordering.to_atoms(a=3.2)
        atoms.pbc = True
        structures.append(AseAtomsAdaptor.get_structure(atoms))
    rng = np.random.default_rng(3)
    for i, ordering in enumerate(orderings):
        copy = transformed(
            ordering, int(rng.integers(12)), np.array([1, 2, 0]), random_unimodular(rng, layer=True)
        )
        assert copy.id == ordering.id
        atoms = Ordering.from_atoms(LAYER, copy.to_atoms(a=LAYER.lattice_constant("Mo"))).to_atoms(
            a=3.2
        )
        atoms.pbc = True
        structure = AseAtomsAdaptor.get_structure(atoms)
        assert [matcher.fit(structure, s) for s in structures] == [
            j == i for j in range(len(structures))
        ]


@pytest.mark.parametrize("prototype", ["hcp", "own carbide", "own oxide"])
def test_structure_matcher_agrees_where_cells_have_several_sites(prototype: str) -> None:
    """Pairs that it takes for one have one identity, and those that it tells apart have two."""
    alloy = HOSTS[prototype]
    matcher = StructureMatcher(scale=False, primitive_cell=False, ltol=0.01, stol=0.03, angle_tol=1)
    rng = np.random.default_rng(5)
    drawn, structures = [], []
    for _ in range(14):
        matrix = np.diag(rng.permutation([1, 1, 2])) @ random_unimodular(rng, layer=False)
        drawn.append(random_ordering(alloy, matrix, dict.fromkeys(alloy.elements[:2], 2), rng))
        structures.append(AseAtomsAdaptor.get_structure(drawn[-1].to_atoms(a=3.0)))
    for i, one in enumerate(structures):
        fits = [matcher.fit(one, other) for other in structures[i + 1 :]]
        assert fits == [drawn[i].id == other.id for other in drawn[i + 1 :]]
    assert 3 < len({o.id for o in drawn}) < 14


def test_id_does_not_depend_on_the_order_of_elements_or_lattice_constants() -> None:
    species = ("Mo", "Mo", "Ta", "W")
    cell = ((2, 0, 0), (0, 2, 0), (0, 0, 1))
    other = Alloy(("W", "Ta", "Mo"), lattice_constants={"Mo": 3.5}, vacuum=20)
    assert Ordering(LAYER, cell, species).id == Ordering(other, cell, species).id
    assert Ordering(LAYER, cell, species).id != Ordering(HOSTS["1T-MX2"], cell, species).id
    selenide = Alloy(METALS, anion="Se")
    assert Ordering(LAYER, cell, species).id != Ordering(selenide, cell, species).id
    swapped = ("Ta", "Ta", "Mo", "W")
    assert Ordering(LAYER, cell, species).id != Ordering(LAYER, cell, swapped).id


def test_a_supercell_of_an_ordering_keeps_its_own_id() -> None:
    small = Ordering(LAYER, ((2, 0, 0), (0, 1, 0), (0, 0, 1)), ("Mo", "Ta"))
    large = Ordering(LAYER, ((2, 0, 0), (0, 2, 0), (0, 0, 1)), ("Mo", "Mo", "Ta", "Ta"))
    assert is_repetition(large)
    assert not is_repetition(small)
    assert small.id != large.id


@pytest.mark.parametrize("prototype", HOSTS)
def test_atoms_and_back(prototype: str) -> None:
    alloy = HOSTS[prototype]
    rng = np.random.default_rng(11)
    a = alloy.lattice_constant(alloy.elements[0])
    for _ in range(15):
        matrix = random_supercell(rng, alloy.host.layer)
        counts = random_counts(alloy.elements[:2], alloy.n_sites(matrix), rng)
        ordering = random_ordering(alloy, matrix, counts, rng)
        atoms = ordering.to_atoms(a=a)
        assert len(atoms) == ordering.n_atoms == alloy.n_sites(matrix) * alloy.atoms_per_unit
        assert atoms[ordering.alloyed_atoms].get_chemical_symbols() == list(ordering.species)
        distances = atoms.get_all_distances(mic=True) + 10 * np.eye(len(atoms))
        # No atoms on top of each other: no pair closer than in a repeated primitive cell.
        primitive = make_supercell(alloy.primitive(a=a), matrix)
        expected = primitive.get_all_distances(mic=True) + 10 * np.eye(len(atoms))
        np.testing.assert_allclose(np.sort(distances.ravel()), np.sort(expected.ravel()), atol=1e-6)
        back = Ordering.from_atoms(alloy, atoms)
        assert back.id == ordering.id
        assert back.counts == ordering.counts
        assert Ordering.from_atoms(alloy, atoms, compact=False).supercell == as_tuple(matrix)
        assert np.linalg.det(np.array(back.supercell)) > 0
        shuffled = atoms[rng.permutation(len(atoms))]
        assert Ordering.from_atoms(alloy, shuffled).id == ordering.id


def test_compact_supercell_is_the_same_lattice_with_shortest_vectors() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        basis = random_unimodular(rng, layer=True) @ np.diag([4, 4, 1])
        compact = np.array(compact_supercell(LAYER, basis))
        np.testing.assert_array_equal(hermite_normal_form(compact), np.diag([4, 4, 1]))
        lengths = np.linalg.norm(compact @ LAYER.primitive().cell.array, axis=1)
        np.testing.assert_allclose(lengths[:2], 4 * 3.18)


def test_counts_formula_and_vegard() -> None:
    ordering = Ordering(LAYER, ((3, 0, 0), (0, 1, 0), (0, 0, 1)), ("W", "Mo", "Ta"))
    assert ordering.counts == {"Mo": 1, "Ta": 1, "W": 1}
    assert ordering.components == ("Mo", "Ta", "W")
    assert ordering.formula == "Mo1Ta1W1S6"
    assert ordering.lattice_constant() == pytest.approx((3.18 + 3.34 + 3.18) / 3)
    assert ordering.to_atoms().cell.lengths()[0] == pytest.approx(3.18 + 3.34 + 3.18)


def test_errors() -> None:
    with pytest.raises(ValueError, match="holds 2 alloyed sites, got 3"):
        Ordering(LAYER, ((2, 0, 0), (0, 1, 0), (0, 0, 1)), ("Mo", "Mo", "Ta"))
    good = Ordering(LAYER, ((2, 0, 0), (0, 1, 0), (0, 0, 1)), ("Mo", "Ta")).to_atoms(a=3.18)
    moved = good.copy()
    moved.positions[3] += (0.4, 0, 0)
    with pytest.raises(ValueError, match="does not lie on the 2H-MX2 lattice"):
        Ordering.from_atoms(LAYER, moved)
    doubled = good.copy()
    doubled.positions[3] = doubled.positions[0]
    with pytest.raises(ValueError, match="share one site"):
        Ordering.from_atoms(LAYER, doubled)
    foreign = good.copy()
    foreign.symbols[0] = "Ti"
    with pytest.raises(ValueError, match=r"\['Ti'\] are not of the alloy"):
        Ordering.from_atoms(LAYER, foreign)
