"""Structures that left their phase, made exactly; and those that did not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import spglib
from ase import Atoms
from ase.neighborlist import neighbor_list
from own_hosts import CARBIDE, HCP, OXIDE

from hea_flows.alloy.lattice.integrity import phase_flags
from hea_flows.alloy.lattice.ordering import Ordering
from hea_flows.alloy.lattice.prototypes import Alloy
from hea_flows.alloy.lattice.site_index import (
    IntMatrix,
    coset_index,
    hermite_normal_form,
    lattice_points,
)
from hea_flows.alloy.sets.enumeration import enumerate_orderings
from hea_flows.reference import find_card, load_dataset

HOSTS = {
    "2H-MX2": Alloy(("Mo", "Ta", "Nb", "W", "V")),
    "1T-MX2": Alloy(("Ti", "Zr", "Hf", "Ta"), "1T-MX2", "Se"),
    "fcc": Alloy(("Cu", "Au", "Ni"), "fcc", None),
    "bcc": Alloy(("Mo", "W", "Nb"), "bcc", None),
    "rocksalt": Alloy(("Ti", "Nb"), "rocksalt", "N", {"Ti": 4.24, "Nb": 4.42}),
    "hcp": HCP,
    "own carbide": CARBIDE,
    "own oxide": OXIDE,
}
#: Two units, periodic along and across the rows of metals.
RECTANGLE: IntMatrix = ((1, 0, 0), (1, 2, 0), (0, 0, 1))
LAYERS = ("2H-MX2", "1T-MX2")
WORD = {"2H-MX2": "prismatic (2H)", "1T-MX2": "octahedral (1T)"}
OTHER = {"2H-MX2": WORD["1T-MX2"], "1T-MX2": WORD["2H-MX2"]}
MIXED = "neither prismatic nor octahedral"


def cell(n: int, m: int, k: int = 1) -> IntMatrix:
    return ((n, 0, 0), (0, m, 0), (0, 0, k))


def decorated(name: str, supercell: IntMatrix, seed: int = 0) -> Ordering:
    host, rng = HOSTS[name], np.random.default_rng(seed)
    species = rng.choice(host.elements, host.n_sites(supercell))
    return Ordering(host, supercell, tuple(species.tolist()))


def orderings(name: str) -> Iterator[Ordering]:
    host = HOSTS[name]
    for n in (1, 2, 3, 4):
        for components in range(1, min(n, len(host.elements)) + 1):
            if n % host.host.sites_per_cell:
                continue
            yield from enumerate_orderings(host, host.elements[:components], n)
    rng = np.random.default_rng(1)
    for seed in range(12):  # skewed cells, left-handed ones too
        matrix = rng.integers(-3, 4, size=(3, 3))
        if host.host.layer:
            matrix[2] = matrix[:, 2] = (0, 0, 1)
        if 2 <= abs(round(np.linalg.det(matrix))) <= 30:
            yield decorated(name, tuple(map(tuple, matrix.tolist())), seed)


def strained(atoms: Atoms, rng: np.random.Generator, size: float = 0.05) -> Atoms:
    """Return a copy, turned in space, whose principal strains are up to `size`."""
    n = int(sum(atoms.pbc))
    axes = np.linalg.qr(rng.normal(size=(n, n)))[0]
    stretch = np.eye(3)
    stretch[:n, :n] = axes.T @ np.diag(1 + rng.uniform(-size, size, n)) @ axes
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    rotation *= np.sign(np.linalg.det(rotation))
    copy = atoms.copy()
    copy.set_cell(atoms.cell.array @ stretch @ rotation, scale_atoms=True)
    return copy


def moved(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """Return a translated copy, wrapped in all directions, or every atom in some other image."""
    copy = atoms.copy()
    copy.positions += rng.normal(scale=5, size=3)
    if rng.random() < 0.5:
        copy.wrap(pbc=True)
    else:
        copy.positions += rng.integers(-2, 3, size=(len(atoms), 3)) @ atoms.cell.array
    return copy


def glide(ordering: Ordering) -> np.ndarray:
    """Return the vector (Å) from the hollow of a unit's upper anion to the next empty one."""
    x, y, _ = ordering.alloy.host.fixed_sites[0]
    prim = ordering.alloy.primitive(a=ordering.lattice_constant()).cell.array
    return (1 / 3 - x) * prim[0] + (2 / 3 - y) * prim[1]


def slid(ordering: Ordering) -> Atoms:
    """Return the layer with its upper anions in the other hollows: 2H becomes 1T and back."""
    atoms = ordering.to_atoms()
    atoms.positions[1::3] += glide(ordering)
    return atoms


def turned(ordering: Ordering, unit: int) -> Atoms:
    """Turn the upper triangle of one metal by 60°: each of its anions goes to the next hollow."""
    atoms = ordering.to_atoms()
    vectors = atoms.get_distances(3 * unit, range(len(atoms)), mic=True, vector=True)
    near = [i for i, v in enumerate(vectors) if np.linalg.norm(v) < 2.8 and v[2] > 0.5]
    assert len(near) == 3
    for i in near:
        atoms.positions[i] += np.array([1, 1, 0]) * (_rotate(vectors[i], 60) - vectors[i])
    return atoms


def _rotate(vector: np.ndarray, degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ vector


# ---------------------------------------------------------------- nothing to tell


@pytest.mark.parametrize("name", HOSTS)
def test_ideal_strained_and_rattled_structures_keep_their_phase(name: str) -> None:
    rng, seen = np.random.default_rng(3), 0
    for ordering in orderings(name):
        ideal = ordering.to_atoms()
        assert phase_flags(ordering, ideal) == []
        for _ in range(3):
            atoms = strained(ideal, rng)
            atoms.positions += rng.normal(scale=0.05, size=atoms.positions.shape)
            assert phase_flags(ordering, moved(atoms, rng)) == [], ordering
        seen += 1
    assert seen > 15


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("degrees", range(0, 360, 30))
def test_lateral_shifts_of_anions_are_no_change_of_phase(name: str, degrees: int) -> None:
    ordering = decorated(name, cell(2, 3))
    rng = np.random.default_rng(degrees)
    shift = 0.2 * _rotate(np.array([1.0, 0, 0]), degrees)
    rigid, opposite, random = (ordering.to_atoms() for _ in range(3))
    rigid.positions[1::3] += shift
    opposite.positions[1::3] += shift
    opposite.positions[2::3] -= shift
    for i in range(len(random)):
        if i % 3:
            random.positions[i] += _rotate(shift, rng.uniform(0, 360))
    for atoms in (rigid, opposite, random):
        assert phase_flags(ordering, strained(atoms, rng, 0.03)) == []


def test_every_frame_of_the_shipped_labels_kept_its_phase() -> None:
    card, trajectories = load_dataset(find_card("pbe-mo-ta-nb-w-v-s2"))
    alloy = card.alloy.to_alloy()
    checked = 0
    for (structure_id, _), frames in trajectories.items():
        species = tuple(frames[0].get_chemical_symbols()[::3])
        area = np.linalg.norm(np.cross(frames[0].cell[0], frames[0].cell[1])) / len(species)
        prim = alloy.primitive(a=np.sqrt(area * 2 / np.sqrt(3))).cell.array
        matrix = np.rint(frames[0].cell.array @ np.linalg.inv(prim)).astype(int)
        matrix[2] = (0, 0, 1)
        ordering = Ordering(alloy, tuple(map(tuple, matrix.tolist())), species)
        assert ordering.id == structure_id
        for frame in frames:
            assert phase_flags(ordering, frame) == []
            checked += 1
    assert checked == card.n_frames


@pytest.mark.parametrize("name", HOSTS)
def test_labels_stored_under_another_choice_of_cell(name: str) -> None:
    """An archive finds labels by identity: frames may be of any equivalent ordering."""
    rng = np.random.default_rng(6)
    different = 0
    for ordering in orderings(name):
        matrix, points = np.array(ordering.supercell), lattice_points(np.array(ordering.supercell))
        operations, m = ordering.alloy.operations, ordering.alloy.host.sites_per_cell
        g = rng.integers(len(operations.rotations))
        rotation, shifts = operations.rotations[g], operations.shifts[g]
        turned_cell = matrix @ rotation.T
        hnf = hermite_normal_form(turned_cell)
        species = np.empty(ordering.n_sites, dtype=object)
        origin = rng.integers(-3, 4, 3) * ([1, 1, 0] if name in LAYERS else [1, 1, 1])
        for b, place in enumerate(operations.places[g]):
            to = coset_index(points @ rotation.T + shifts[b] + origin, hnf) * m + place
            species[to] = ordering.species[b::m]
        stored = Ordering(ordering.alloy, tuple(map(tuple, turned_cell.tolist())), tuple(species))
        assert stored.id == ordering.id
        different += stored != ordering
        atoms = stored.to_atoms()
        n = int(sum(atoms.pbc))
        strain = np.eye(3)
        strain[:n, :n] += rng.uniform(-0.03, 0.03, (n, n))
        atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
        atoms.positions += rng.normal(scale=0.03, size=atoms.positions.shape)
        assert phase_flags(ordering, moved(atoms, rng)) == []
        if name in LAYERS:
            count = f"{ordering.n_sites} of {ordering.n_sites} units {OTHER[name]}"
            assert phase_flags(ordering, slid(stored)) == [f"{count} instead of {WORD[name]}"]
    assert different > 10


# ---------------------------------------------------------------- phases of a layer


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_whose_upper_anions_slid_is_the_other_phase(name: str) -> None:
    rng = np.random.default_rng(5)
    for ordering in orderings(name):
        n = ordering.n_sites
        expected = [f"{n} of {n} units {OTHER[name]} instead of {WORD[name]}"]
        atoms = slid(ordering)
        assert phase_flags(ordering, atoms) == expected
        atoms = strained(atoms, rng)
        atoms.positions += rng.normal(scale=0.05, size=atoms.positions.shape)
        assert phase_flags(ordering, moved(atoms, rng)) == expected


def test_sliding_back_and_forth() -> None:
    # Half-way the anion is over a bridge: bonded to two metals, 30° from both hollows.
    ordering = decorated("2H-MX2", cell(1, 1))
    found = []
    for part in np.linspace(0, 1, 21):
        atoms = ordering.to_atoms()
        atoms.positions[1] += part * glide(ordering)
        found.append(phase_flags(ordering, atoms))
    bridge = [
        [f"1 of 1 units {MIXED} instead of prismatic (2H)"],
        ["layer broken: 1 of 1 metals without their 6 S"],
        [f"1 of 1 units {MIXED} instead of prismatic (2H)"],
    ]
    assert found[:9] == [[]] * 9
    assert found[9:12] == bridge
    assert found[12:] == [["1 of 1 units octahedral (1T) instead of prismatic (2H)"]] * 9


@pytest.mark.parametrize("unit", [0, 5, 11])
@pytest.mark.parametrize("name", LAYERS)
def test_one_unit_of_many(name: str, unit: int) -> None:
    ordering = decorated(name, cell(4, 4))
    # Each of its six neighbours has one anion of six in the next hollow.
    assert sorted(phase_flags(ordering, turned(ordering, unit))) == [
        f"1 of 16 units {OTHER[name]} instead of {WORD[name]}",
        f"6 of 16 units {MIXED} instead of {WORD[name]}",
    ]


@pytest.mark.parametrize("flipped", [2, 3, 4, 5])
def test_a_stripe_of_the_other_phase(flipped: int) -> None:
    """Slide the upper anions of some of six strips between rows of metals.

    A row between two slid strips is octahedral; one at an edge has lost, the other won an anion.
    """
    ordering = decorated("2H-MX2", cell(2, 6))
    atoms = ordering.to_atoms()
    prim = ordering.alloy.primitive(a=ordering.lattice_constant()).cell.array
    # From up-triangles to down-triangles of the same strip: 1/3 of b and 2/3 of a along it.
    within = prim[0] / 3 - prim[1] / 3 + prim[1] * 2 / 3 - prim[0] * 2 / 3
    strips = lattice_points(np.array(ordering.supercell))[:, 1]
    for i in np.flatnonzero(strips < flipped):
        atoms.positions[3 * i + 1] += within
    expected = ["layer broken: 4 of 12 metals without their 6 S"]
    expected += [f"{2 * (flipped - 1)} of 12 units octahedral (1T) instead of prismatic (2H)"]
    assert phase_flags(ordering, atoms) == expected


#: One layer of WTe2, x y z in Å (Mar, Jobic and Ibers, J. Am. Chem. Soc. 114, 8963 (1992)).
WTE2_CELL = (3.477, 6.249, 14.018)
WTE2 = {
    "W": [(0, 0.60062, 0.5), (0.5, -0.03980, 0.51522)],
    "Te": [
        (0, 0.85725, 0.65525),
        (0.5, -0.29845, 0.35983),
        (0.5, -0.64631, 0.61112),
        (0, 0.20722, 0.40387),
    ],
}


@pytest.mark.parametrize("name", LAYERS)
def test_the_measured_structure_of_a_distorted_layer(name: str) -> None:
    ordering = Ordering(Alloy(("W",), name, "Te"), RECTANGLE, ("W", "W"))
    (w1, w2), (t1, t2, t3, t4) = WTE2["W"], WTE2["Te"]
    scaled = [w1, t1, t2, w2, t3, t4]
    atoms = Atoms("WTe2WTe2", scaled_positions=scaled, cell=WTE2_CELL, pbc=True)
    assert atoms.get_distance(0, 3, mic=True) == pytest.approx(2.849, abs=1e-3)
    bonds = neighbor_list("d", atoms, {("W", "Te"): 3.3})
    assert len(bonds) == 24
    assert (bonds.min(), bonds.max()) == pytest.approx((2.70, 2.80), abs=0.01)
    check_distorted(ordering, atoms)


@pytest.mark.parametrize("name", LAYERS)
def test_zigzag_rows_of_metals(name: str) -> None:
    ordering = decorated(name, RECTANGLE)
    atoms = slid(ordering) if name == "2H-MX2" else ordering.to_atoms()
    a = ordering.lattice_constant()
    np.testing.assert_allclose(atoms.cell.array[:2], [[a, 0, 0], [0, np.sqrt(3) * a, 0]], atol=1e-9)
    atoms.positions[3, 1] -= a * (np.sqrt(3) / 2 - np.sqrt(0.87**2 - 0.25))
    assert atoms.get_distance(0, 3, mic=True) == pytest.approx(0.87 * a)  # as in 1T'-MoS2
    check_distorted(ordering, atoms)


def check_distorted(ordering: Ordering, atoms: Atoms) -> None:
    before = WORD[ordering.alloy.prototype]
    expected = [f"2 of 2 units distorted octahedral (1T') instead of {before}"]
    assert phase_flags(ordering, atoms) == expected
    rng = np.random.default_rng(2)
    for _ in range(20):
        rattled = strained(atoms, rng, 0.03)
        rattled.positions += rng.normal(scale=0.03, size=rattled.positions.shape)
        assert phase_flags(ordering, moved(rattled, rng)) == expected


def test_a_charge_density_wave_is_no_other_phase() -> None:
    """Twelve metals of a √13×√13 cell move 0.06 a towards the thirteenth, as in 1T-TaS2."""
    star: IntMatrix = ((3, -1, 0), (1, 4, 0), (0, 0, 1))
    ordering = Ordering(HOSTS["1T-MX2"], star, ("Ta",) * 13)
    atoms = ordering.to_atoms()
    a = ordering.lattice_constant()
    vectors = atoms.get_distances(0, range(len(atoms)), mic=True, vector=True)
    ring = [i for i in range(3, 39, 3) if np.linalg.norm(vectors[i]) < 1.01 * a]
    assert len(ring) == 6
    for i in range(3, 39, 3):
        atoms.positions[i] -= 0.06 * a * vectors[i] / np.linalg.norm(vectors[i])
    assert phase_flags(ordering, atoms) == []


# ---------------------------------------------------------------- decoration


def swapped(ordering: Ordering, i: int, j: int) -> Atoms:
    atoms, alloyed = ordering.to_atoms(), ordering.alloyed_atoms
    atoms.positions[alloyed[[i, j]]] = atoms.positions[alloyed[[j, i]]]
    return atoms


@pytest.mark.parametrize("name", HOSTS)
def test_swapped_metals(name: str) -> None:
    matrix = cell(4, 4) if name in LAYERS else cell(2, 2, 4)
    ordering = decorated(name, matrix)
    rng = np.random.default_rng(0)
    changed = 0
    n = ordering.n_sites
    for i, j in rng.integers(0, n, size=(20, 2)).tolist():
        atoms = strained(swapped(ordering, i, j), rng, 0.03)
        atoms.positions += rng.normal(scale=0.03, size=atoms.positions.shape)
        species = list(ordering.species)
        species[i], species[j] = species[j], species[i]
        unlike = Ordering(ordering.alloy, matrix, tuple(species)).id != ordering.id
        expected = [f"decoration changed: 2 of {n} sites hold another element"] if unlike else []
        assert phase_flags(ordering, moved(atoms, rng)) == expected
        changed += unlike
    assert changed > 5


def test_three_metals_that_change_places() -> None:
    species = ["W"] * 16
    species[0], species[6], species[11] = "Mo", "Ta", "Nb"
    ordering = Ordering(HOSTS["2H-MX2"], cell(4, 4), tuple(species))
    atoms = ordering.to_atoms()
    atoms.positions[[0, 18, 33]] = atoms.positions[[18, 33, 0]]
    assert phase_flags(ordering, atoms) == [
        "decoration changed: 3 of 16 sites hold another element"
    ]


def test_a_swap_that_a_symmetry_undoes_changes_nothing() -> None:
    alloy = HOSTS["2H-MX2"]
    pair = Ordering(alloy, cell(2, 1), ("Mo", "W"))  # a translation
    assert phase_flags(pair, swapped(pair, 0, 1)) == []
    [three] = [o for o in enumerate_orderings(alloy, ("Mo", "W", "V"), 3) if _triangular(o)]
    for i, j in ((0, 1), (1, 2), (0, 2)):  # a reflection
        assert phase_flags(three, swapped(three, i, j)) == []


def _triangular(ordering: Ordering) -> bool:
    a, b, _, _, _, gamma = ordering.to_atoms().cell.cellpar()
    return bool(np.isclose(a, b) and np.isclose(abs(gamma - 90), 30))


def test_a_metal_between_sites() -> None:
    ordering = decorated("2H-MX2", cell(4, 4))
    atoms = ordering.to_atoms()
    a = ordering.lattice_constant()
    atoms.positions[0] -= [0, a / np.sqrt(3), 0]  # a hollow without anions
    flags = phase_flags(ordering, atoms)
    assert flags[0] == f"1 of 16 metals off their sites by up to {a / np.sqrt(3):.2f} Å"


def test_a_metal_on_the_site_of_another() -> None:
    ordering = decorated("2H-MX2", cell(4, 4))
    atoms = ordering.to_atoms()
    atoms.positions[0] = atoms.positions[15] + [0, 0, 3.0]
    flags = phase_flags(ordering, atoms)
    assert flags[0] == "1 of 16 sites empty, others hold two metals"
    assert flags[1] == "layer buckled: 1 of 16 metals off their plane by up to 3.00 Å"
    assert flags[2] == "layer broken: 1 of 16 metals without their 6 S"


def test_an_adatom() -> None:
    ordering = decorated("2H-MX2", cell(4, 4))
    atoms = ordering.to_atoms()
    atoms.positions[9] += [0, 0, 3.0]
    assert phase_flags(ordering, atoms) == [
        "layer buckled: 1 of 16 metals off their plane by up to 3.00 Å",
        "layer broken: 1 of 16 metals without their 6 S",
    ]


# ---------------------------------------------------------------- broken layers


@pytest.mark.parametrize("height", [1.5, 3.0, 8.0, 12.0])
@pytest.mark.parametrize("name", LAYERS)
def test_a_desorbed_anion(name: str, height: float) -> None:
    ordering = decorated(name, cell(4, 4))
    atoms = ordering.to_atoms()
    atoms.positions[4] += [0, 0, height]
    x = ordering.alloy.anion
    expected = [
        f"layer broken: 3 of 16 metals without their 6 {x}",
        f"1 of 32 {x} atoms desorbed, bonded to no metal",
    ]
    assert phase_flags(ordering, atoms) == expected
    assert phase_flags(ordering, moved(atoms, np.random.default_rng(0))) == expected


def test_a_wave() -> None:
    ordering = decorated("2H-MX2", cell(6, 1))
    atoms = ordering.to_atoms()
    phase = 2 * np.pi * lattice_points(np.array(ordering.supercell))[:, 0] / 6
    atoms.positions[:, 2] += np.repeat(np.sin(phase), 3)
    assert phase_flags(ordering, atoms)[0] == (
        "layer buckled: 4 of 6 metals off their plane by up to 0.87 Å"
    )
    atoms = ordering.to_atoms()
    atoms.positions[:, 2] += np.repeat(0.3 * np.sin(phase), 3)
    assert phase_flags(ordering, atoms) == []


# ---------------------------------------------------------------- bulk hosts


def pulled(ordering: Ordering, ratio: float) -> Atoms:
    """Stretch along a cube axis at constant volume, c/a times `ratio`."""
    atoms = ordering.to_atoms()
    stretch = np.diag([ratio ** (-1 / 3), ratio ** (-1 / 3), ratio ** (2 / 3)])
    atoms.set_cell(atoms.cell.array @ stretch, scale_atoms=True)
    return atoms


@pytest.mark.parametrize(("name", "end"), [("fcc", 2**-0.5), ("bcc", 2**0.5)])
def test_the_bain_path(name: str, end: float) -> None:
    rng = np.random.default_rng(1)
    pure = Ordering(HOSTS[name], cell(1, 1), HOSTS[name].elements[:1])
    there = pulled(pure, end)
    group = spglib.get_spacegroup((there.cell.array, there.get_scaled_positions(), there.numbers))
    assert group == {"fcc": "Im-3m (229)", "bcc": "Fm-3m (225)"}[name]
    for matrix in (cell(1, 1), cell(2, 2, 2), ((1, 1, 0), (0, 2, 1), (-1, 0, 3))):
        ordering = decorated(name, matrix)
        text = f"cell strained to another lattice than {name}: stretches differ"
        assert phase_flags(ordering, pulled(ordering, end)) == [f"{text} 1.41-fold"]
        for part in np.linspace(0, 1, 10):
            atoms = moved(pulled(ordering, end**part), rng)
            flags = phase_flags(ordering, atoms)
            assert flags == ([f"{text} {2 ** (part / 2):.2f}-fold"] if part > 0.5 else [])


def test_fcc_to_hcp() -> None:
    """Shear alternate (111) planes: the two-layer cell becomes the hexagonal one."""
    host = Alloy(("Cu",), "fcc", None)
    # a1 - a2, a2 - a3 in the plane, and a vector over two planes.
    ordering = Ordering(host, ((1, -1, 0), (0, 1, -1), (1, 0, 1)), ("Cu", "Cu"))
    atoms = ordering.to_atoms()
    a, b, c = atoms.cell.array
    normal = np.cross(a, b) / np.linalg.norm(np.cross(a, b))
    upright = (c @ normal) * normal
    hcp = Atoms(
        "Cu2",
        positions=[np.zeros(3), upright / 2 + (2 * a + b) / 3],
        cell=[a, b, upright],
        pbc=True,
    )
    group = spglib.get_spacegroup((hcp.cell.array, hcp.get_scaled_positions(), hcp.numbers))
    assert group == "P6_3/mmc (194)"
    assert phase_flags(ordering, hcp)


def test_bcc_to_omega() -> None:
    """Two of three (111) planes of bcc meet half-way: each moves by a √3/12."""
    host = Alloy(("Zr",), "bcc", None, {"Zr": 3.57})
    ordering = Ordering(host, ((1, -1, 0), (0, 1, -1), (1, 1, 1)), ("Zr",) * 3)
    atoms = ordering.to_atoms()
    diagonal = atoms.cell.array[2]
    assert np.linalg.norm(diagonal) == pytest.approx(3.57 * np.sqrt(3) / 2)
    heights = atoms.positions @ diagonal / (diagonal @ diagonal) % 1
    for atom, height in zip(atoms, heights, strict=True):
        atom.position += diagonal * (0 if height % 1 < 0.1 else 0.5 - height)
    group = spglib.get_spacegroup((atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers))
    assert group == "P6/mmm (191)"
    far = 3.57 * np.sqrt(3) / 12
    assert phase_flags(ordering, atoms) == [f"2 of 3 atoms off their sites by up to {far:.2f} Å"]


def test_fixed_atoms_that_left_their_sites() -> None:
    ordering = decorated("own oxide", cell(2, 2, 1))
    atoms = ordering.to_atoms()
    fixed = np.setdiff1d(np.arange(len(atoms)), ordering.alloyed_atoms)
    atoms.positions[fixed[[0, 3, 4]]] += [0, 0.7, 0]
    found = phase_flags(ordering, moved(atoms, np.random.default_rng(4)))
    assert found == ["3 of 8 Li and Co atoms off their sites"]


@pytest.mark.parametrize("name", ["fcc", "bcc", "rocksalt"])
def test_atoms_that_left_their_sites(name: str) -> None:
    ordering = decorated(name, cell(3, 3, 2))
    per = ordering.alloy.host.atoms_per_cell
    rng = np.random.default_rng(4)
    word = "metals" if per > 1 else "atoms"
    atoms = ordering.to_atoms()
    atoms.positions[4 * per] += [0.7, 0, 0]
    found = phase_flags(ordering, moved(strained(atoms, rng, 0.02), rng))
    assert len(found) == 1
    assert re.fullmatch(rf"1 of 18 {word} off their sites by up to 0\.\d\d Å", found[0])
    if per > 1:
        atoms = ordering.to_atoms()
        atoms.positions[[5, 7]] += [0, 0.7, 0]
        expected = ["2 of 18 N atoms off their sites"]
        assert phase_flags(ordering, moved(strained(atoms, rng, 0.02), rng)) == expected


# ---------------------------------------------------------------- anything


@pytest.mark.parametrize("name", HOSTS)
def test_cells_that_exploded_collapsed_or_are_no_numbers(name: str) -> None:
    ordering = decorated(name, cell(2, 2))
    for size in (0.3, 0.8, 1.25, 3.0):
        atoms = ordering.to_atoms()
        n = int(sum(atoms.pbc))
        stretch = np.diag([*[size] * n, *[1.0] * (3 - n)])
        atoms.set_cell(atoms.cell.array @ stretch, scale_atoms=True)
        assert phase_flags(ordering, atoms) == [f"cell {size:.2f} times as long as the ideal one"]
    flat = ordering.to_atoms()
    flat.cell[0] = flat.cell[1]
    assert phase_flags(ordering, flat) == ["cell without volume"]
    for broken in (np.nan, np.inf):
        for target in ("positions", "cell"):
            atoms = ordering.to_atoms()
            getattr(atoms, target)[0, 0] = broken
            assert phase_flags(ordering, atoms) == ["cell or positions are not finite numbers"]


def test_a_hexagonal_cell_that_became_square() -> None:
    ordering = Ordering(HOSTS["2H-MX2"], RECTANGLE, ("Mo", "W"))
    atoms = ordering.to_atoms()
    stretch = np.diag([3**0.25, 3**-0.25, 1])
    atoms.set_cell(atoms.cell.array @ stretch, scale_atoms=True)
    assert atoms.cell.lengths()[0] == pytest.approx(atoms.cell.lengths()[1])
    expected = ["cell strained to another lattice than 2H-MX2: stretches differ 1.73-fold"]
    assert phase_flags(ordering, atoms) == expected
    for axis in "xyz":
        atoms.rotate(90, axis, rotate_cell=True)
        assert phase_flags(ordering, atoms) == expected


def test_atoms_in_another_order_are_an_error() -> None:
    ordering = Ordering(HOSTS["2H-MX2"], cell(2, 1), ("Mo", "W"))
    atoms = ordering.to_atoms()
    with pytest.raises(ValueError, match=r"in the order of Ordering.to_atoms \(MoS2WS2\), got"):
        phase_flags(ordering, atoms[[0, 3, 1, 2, 4, 5]])
    with pytest.raises(ValueError, match="got MoS2WS"):
        phase_flags(ordering, atoms[:5])


def broken_layer(ordering: Ordering) -> Atoms:
    atoms = slid(ordering)
    atoms.positions[1] += [0, 0, 4.0]
    return atoms


def shuffled(ordering: Ordering) -> Atoms:
    atoms, per = ordering.to_atoms(), ordering.alloy.host.atoms_per_cell
    i = next(i for i, s in enumerate(ordering.species) if s != ordering.species[0])
    atoms.positions[[0, i * per]] = atoms.positions[[i * per, 0]]
    atoms.positions[3 * per] += [0.0, 0.7, 0.1]
    return atoms


@pytest.mark.parametrize(
    ("name", "spoil"),
    [*[(n, f) for n in LAYERS for f in (slid, broken_layer, shuffled)]]
    + [(n, shuffled) for n in ("fcc", "bcc", "rocksalt")],
)
def test_flags_do_not_depend_on_the_choice_of_cell(
    name: str, spoil: Callable[[Ordering], Atoms]
) -> None:
    rng = np.random.default_rng(8)
    ordering = decorated(name, cell(3, 2) if name in LAYERS else cell(3, 2, 2))
    atoms = spoil(ordering)
    expected = phase_flags(ordering, atoms)
    assert expected
    for _ in range(5):
        # Other vectors of the same lattice: the order of the sites depends on the lattice alone.
        n = 2 if name in LAYERS else 3
        change = np.eye(3, dtype=int)
        for _ in range(4):
            i, j = rng.choice(n, size=2, replace=False)
            change[i] += int(rng.integers(-1, 2)) * change[j]
        matrix = change @ np.array(ordering.supercell)
        other = Ordering(ordering.alloy, tuple(map(tuple, matrix.tolist())), ordering.species)
        copy = atoms.copy()
        copy.set_cell(change @ atoms.cell.array)
        assert phase_flags(other, moved(strained(copy, rng, 0.02), rng)) == expected
    # Twice the cell, twice as many.
    big, doubled = twice(ordering, atoms)
    twice_as_many = [
        re.sub(r"\d+(?= of)|(?<=of )\d+", lambda m: str(2 * int(m[0])), flag) for flag in expected
    ]
    assert phase_flags(big, doubled) == twice_as_many


def twice(ordering: Ordering, atoms: Atoms) -> tuple[Ordering, Atoms]:
    """Repeat an ordering and its atoms twice along the first vector, in the order of the sites."""
    small = np.array(ordering.supercell)
    large = np.diag([2, 1, 1]) @ small
    points = lattice_points(large)
    home = coset_index(points, hermite_normal_form(small))
    own = lattice_points(small)[home]
    prim = np.linalg.solve(small, atoms.cell.array)
    per = ordering.alloy.host.atoms_per_cell
    units = atoms.positions.reshape(-1, per, 3)[home] + ((points - own) @ prim)[:, None]
    species = tuple(ordering.species[i] for i in home)
    big = Ordering(ordering.alloy, tuple(map(tuple, large.tolist())), species)
    doubled = Atoms(
        big.to_atoms().symbols,
        units.reshape(-1, 3),
        cell=np.diag([2, 1, 1]) @ atoms.cell.array,
        pbc=atoms.pbc,
    )
    return big, doubled
