from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import spglib

from hea_flows.alloy.lattice.prototypes import PROTOTYPES, Alloy

METALS = ("Mo", "Ta", "Nb", "W", "V")


def alloy_of(prototype: str) -> Alloy:
    if PROTOTYPES[prototype].layer:
        return Alloy(METALS, prototype)
    if PROTOTYPES[prototype].fixed_sites:
        return Alloy(("Ti", "V"), prototype, "N", {"Ti": 4.24, "V": 4.12})
    return Alloy({"fcc": ("Cu", "Au"), "bcc": ("Mo", "W")}[prototype], prototype, None)


@pytest.mark.parametrize(
    ("prototype", "space_group", "operations"),
    [
        ("2H-MX2", "P-6m2", 12),
        ("1T-MX2", "P-3m1", 12),
        ("fcc", "Fm-3m", 48),
        ("bcc", "Im-3m", 48),
        ("rocksalt", "Fm-3m", 48),
    ],
)
def test_symmetry_of_each_host(prototype: str, space_group: str, operations: int) -> None:
    alloy = alloy_of(prototype)
    cell = alloy.primitive()
    found = spglib.get_spacegroup((cell.cell.array, cell.get_scaled_positions(), cell.numbers))
    assert found.split()[0] == space_group
    assert alloy.rotations.shape == (operations, 3, 3)
    assert set(np.abs(np.rint(np.linalg.det(alloy.rotations))).tolist()) == {1.0}
    # Rotations keep the metric of the lattice.
    metric = cell.cell.array @ cell.cell.array.T
    for w in alloy.rotations:
        np.testing.assert_allclose(w.T @ metric @ w, metric, atol=1e-8)
    # A group: closed under products.
    members = {tuple(w.ravel()) for w in alloy.rotations.tolist() for w in [np.array(w)]}
    products = {tuple((a @ b).ravel()) for a in alloy.rotations for b in alloy.rotations}
    assert products == members


@pytest.mark.parametrize("prototype", ["2H-MX2", "1T-MX2"])
def test_layer_has_six_equal_bonds_and_the_asked_vacuum(prototype: str) -> None:
    alloy = Alloy(("Mo",), prototype, vacuum=17.5)
    cell = alloy.primitive()
    assert cell.pbc.tolist() == [True, True, False]
    heights = cell.positions[:, 2]
    assert cell.cell[2, 2] - np.ptp(heights) == pytest.approx(17.5)
    assert heights.mean() == pytest.approx(cell.cell[2, 2] / 2)
    shifts = np.array([(i, j, 0) for i in (-1, 0, 1) for j in (-1, 0, 1)]) @ cell.cell.array
    bonds = np.concatenate(
        [np.linalg.norm(cell.positions[s] + shifts - cell.positions[0], axis=1) for s in (1, 2)]
    )
    nearest = np.sort(bonds)[:7]
    # Bond from the lattice constant and the layer thickness: sqrt(a²/3 + (t/2)²).
    expected = np.sqrt(3.18**2 / 3 + (3.13 / 2) ** 2)
    np.testing.assert_allclose(nearest[:6], expected, rtol=1e-12)
    assert nearest[6] > 1.5 * expected


@pytest.mark.parametrize(
    ("prototype", "distance"),
    [("fcc", 1 / np.sqrt(2)), ("bcc", np.sqrt(3) / 2), ("rocksalt", 0.5)],
)
def test_bulk_nearest_neighbour_distance(prototype: str, distance: float) -> None:
    alloy = alloy_of(prototype)
    cell = alloy.primitive(a=4.0).repeat(3)
    d = np.delete(cell.get_all_distances(mic=True)[0], 0)
    assert d.min() == pytest.approx(4.0 * distance)


def test_units_per_cell_and_formula() -> None:
    assert alloy_of("2H-MX2").atoms_per_unit == 3
    assert alloy_of("rocksalt").atoms_per_unit == 2
    assert alloy_of("fcc").atoms_per_unit == 1
    assert alloy_of("2H-MX2").unit_formula("W") == "WS2"
    assert alloy_of("rocksalt").unit_formula("Ti") == "TiN"
    assert alloy_of("fcc").unit_formula("Cu") == "Cu"


def test_lattice_constant_given_wins_over_table() -> None:
    alloy = Alloy(("Mo", "W"), lattice_constants={"Mo": 3.161})
    assert alloy.lattice_constant("Mo") == 3.161
    assert alloy.lattice_constant("W") == 3.18
    assert alloy.primitive("Mo").cell.lengths()[0] == pytest.approx(3.161)
    assert Alloy(("Mo",), anion="Se").lattice_constant("Mo") == 3.32
    assert Alloy(("Cu",), "fcc", None).lattice_constant("Cu") == 3.61


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"elements": ("Mo",), "prototype": "3R"}, "unknown prototype '3R'; accepted: 2H-MX2"),
        ({"elements": ("Mo", "Xx")}, "unknown element 'Xx'"),
        ({"elements": ("Mo", "Mo")}, "must be distinct"),
        ({"elements": ()}, "at least one"),
        ({"elements": ("Ti",), "prototype": "rocksalt"}, "rocksalt needs an anion; got anion None"),
        ({"elements": ("Cu",), "prototype": "fcc", "anion": "S"}, "fcc takes no anion"),
        ({"elements": ("Cu",), "prototype": "fcc", "c_over_a": 1.5}, "fcc has no c/a"),
        ({"elements": ("Mo", "S")}, "S cannot be both on the fixed sublattice and an alloyed"),
        ({"elements": ("Au",)}, "no lattice constant known for AuS2 in 2H-MX2"),
        ({"elements": ("Mo", "U", "I"), "prototype": "fcc"}, r"known for U, I in fcc; give them"),
        (
            {"elements": ("Ti", "Nb"), "prototype": "rocksalt", "anion": "C"},
            r"known for TiC, NbC in rocksalt; .* lattice_constants: \{Ti: <Å>, Nb: <Å>\}",
        ),
    ],
)
def test_errors_say_what_is_accepted(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Alloy(**arguments)
