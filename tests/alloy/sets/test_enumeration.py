from __future__ import annotations

from itertools import combinations

import pytest
from icet.tools import enumerate_structures
from own_hosts import CARBIDE, HCP, OXIDE

from hea_flows.alloy.lattice.ordering import Ordering, multinomial
from hea_flows.alloy.lattice.prototypes import Alloy
from hea_flows.alloy.sets.enumeration import enumerate_orderings
from hea_flows.alloy.sets.random_structures import is_repetition

METALS = ("Mo", "Ta", "Nb", "W", "V")
LAYER = Alloy(METALS)

#: Structures with all N elements on n cells of the layer, per element combination.
TABLE = {
    2: {2: 1, 3: 4, 4: 8, 5: 12, 6: 26, 8: 115},
    3: {3: 3, 4: 18, 5: 48, 6: 233},
    4: {4: 10, 5: 72, 6: 656},
    5: {5: 36},
}


@pytest.mark.parametrize(
    ("components", "size", "number"),
    [(n, size, number) for n, row in TABLE.items() for size, number in row.items()],
)
def test_numbers_of_the_table(components: int, size: int, number: int) -> None:
    found = enumerate_orderings(LAYER, METALS[:components], size)
    assert len(found) == number
    assert len({o.id for o in found}) == number
    for ordering in found:
        assert ordering.n_sites == size
        assert ordering.components == tuple(sorted(METALS[:components]))
        assert not is_repetition(ordering)


def test_the_diagonal_has_126_structures() -> None:
    numbers = {
        n: [len(enumerate_orderings(LAYER, c, n)) for c in combinations(METALS, n)]
        for n in (2, 3, 4, 5)
    }
    assert numbers == {2: [1] * 10, 3: [3] * 10, 4: [10] * 5, 5: [36]}
    assert sum(map(sum, numbers.values())) == 10 * 1 + 10 * 3 + 5 * 10 + 36 == 126


@pytest.mark.parametrize(
    # Hart and Forcade, Phys. Rev. B 77, 224115 (2008): 2, 3, 12 and 14 derivative structures of
    # binary fcc, up to the exchange of the two elements; 2, 6, 19 and 28 if they are told apart.
    ("size", "number", "unlabelled"),
    [(2, 2, 2), (3, 6, 3), (4, 19, 12), (5, 28, 14)],
)
def test_binary_fcc_follows_the_known_sequence(size: int, number: int, unlabelled: int) -> None:
    alloy = Alloy(("Cu", "Au"), "fcc", None)
    found = enumerate_orderings(alloy, ("Cu", "Au"), size)
    assert len({o.id for o in found}) == len(found) == number
    exchange = {"Cu": "Au", "Au": "Cu"}
    classes = {
        frozenset((o.id, type(o)(alloy, o.supercell, tuple(exchange[s] for s in o.species)).id))
        for o in found
    }
    assert len(classes) == unlabelled


def test_other_hosts() -> None:
    rocksalt = Alloy(("Ti", "V"), "rocksalt", "N", {"Ti": 4.24, "V": 4.12})
    # The metals of rocksalt form an fcc lattice.
    assert len(enumerate_orderings(rocksalt, ("Ti", "V"), 4)) == 19
    octahedral = Alloy(METALS, "1T-MX2")
    assert [len(enumerate_orderings(octahedral, METALS[:2], n)) for n in (2, 3, 4)] == [1, 4, 8]


@pytest.mark.parametrize("alloy", [HCP, CARBIDE, OXIDE], ids=lambda a: a.host.name)
@pytest.mark.parametrize("size", [2, 4, 6])
def test_several_sites_per_cell_have_the_structures_of_icet(alloy: Alloy, size: int) -> None:
    found = enumerate_orderings(alloy, alloy.elements[:2], size)
    assert len({o.id for o in found}) == len(found)
    assert not any(is_repetition(o) for o in found)
    allowed = alloy.allowed_species(alloy.elements[:2])
    every = enumerate_structures(alloy.primitive(), [size // 2], allowed)
    mixed = [atoms for atoms in every if set(alloy.elements[:2]) <= set(atoms.symbols)]
    assert {Ordering.from_atoms(alloy, atoms).id for atoms in mixed} == {o.id for o in found}
    assert len(mixed) == len(found)


def test_numbers_of_hcp() -> None:
    sizes = {n: len(enumerate_orderings(HCP, ("Ti", "Zr"), n)) for n in (2, 4, 6)}
    assert sizes == {2: 1, 4: 10, 6: 50}
    assert len(enumerate_orderings(HCP, ("Ti",), 2)) == 1
    with pytest.raises(ValueError, match=r"size 3 is no whole number .* hcp has 2 alloyed sites"):
        enumerate_orderings(HCP, ("Ti", "Zr"), 3)


@pytest.mark.parametrize(("size", "number"), [(2, 1), (4, 2), (6, 8), (8, 29)])
def test_equimolar_binaries(size: int, number: int) -> None:
    pair = ("Mo", "Ta")
    found = enumerate_orderings(LAYER, pair, size, equimolar=True)
    assert len(found) == number
    assert all(o.counts == {"Mo": size // 2, "Ta": size // 2} for o in found)
    every = enumerate_orderings(LAYER, pair, size)
    kept = [o.id for o in every if o.counts == {"Mo": size // 2, "Ta": size // 2}]
    assert sorted(kept) == sorted(o.id for o in found)


def test_order_is_reproducible() -> None:
    first = enumerate_orderings(LAYER, METALS[:3], 4)
    again = enumerate_orderings(Alloy(METALS), METALS[:3], 4)
    assert [(o.supercell, o.species) for o in first] == [(o.supercell, o.species) for o in again]


@pytest.mark.parametrize(
    ("elements", "size", "equimolar", "message"),
    [
        (("Mo", "Ta", "W"), 2, False, "2 units cannot hold 3 elements"),
        (("Mo", "Ta"), 0, False, "0 units cannot hold 2 elements"),
        (("Mo", "Ta"), 3, True, "use a multiple of 2"),
        (("Mo", "Ti"), 2, False, r"\['Ti'\] are not of the alloy; accepted: Mo, Ta, Nb, W, V"),
        (("Mo", "Mo"), 2, False, "distinct"),
    ],
)
def test_errors(elements: tuple[str, ...], size: int, equimolar: bool, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        enumerate_orderings(LAYER, elements, size, equimolar=equimolar)


def test_multinomial() -> None:
    assert multinomial([1, 1]) == 2
    assert multinomial([2, 2]) == 6
    assert multinomial([5, 5, 5, 5, 5]) == 623360743125120
