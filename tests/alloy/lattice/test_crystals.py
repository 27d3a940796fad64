from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal
from own_hosts import CARBIDE, HCP, carbide, oxide

from hea_flows.alloy.lattice import PROTOTYPES, Alloy, Prototype, prototype_of


def titanium() -> Atoms:
    return bulk("Ti", "hcp", a=2.95, c=4.68)


def test_hcp_of_a_file_is_hcp() -> None:
    host = prototype_of(titanium(), ["Ti"])
    own = Alloy(("Ti", "Zr"), host, None, {"Ti": 2.95})
    built_in = Alloy(("Ti", "Zr"), "hcp", c_over_a=4.68 / 2.95)
    assert host.sites_per_cell == 2
    assert host.site_distance == pytest.approx(np.hypot(1 / np.sqrt(3), 4.68 / 2.95 / 2))
    np.testing.assert_allclose(
        own.primitive().cell.array, built_in.primitive().cell.array, atol=1e-9
    )
    for ours, theirs in zip(
        (own.operations.rotations, own.operations.shifts, own.operations.places),
        (built_in.operations.rotations, built_in.operations.shifts, built_in.operations.places),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("atoms", "alloyed"), [(titanium(), ["Ti"]), (carbide(), ["Ti"]), (oxide(), ["O"])]
)
def test_every_cell_of_a_crystal_is_one_host(atoms: Atoms, alloyed: list[str]) -> None:
    """Repeated, re-based, shifted, turned, rattled a little, larger: the lattice is the same."""
    host, rng = prototype_of(atoms, alloyed), np.random.default_rng(0)
    for repeats in ((1, 1, 1), (2, 1, 1), (1, 3, 2)):
        other = atoms.repeat(repeats)
        other.set_cell([[1, 1, 0], [0, 1, 0], [0, 0, 1]] @ other.cell.array)
        other.positions += rng.normal(size=3)
        other.rotate(50, (1, 2, 3), rotate_cell=True)
        other.set_cell(1.1 * other.cell.array, scale_atoms=True)
        other.positions += rng.uniform(-0.001, 0.001, other.positions.shape)
        other = other[rng.permutation(len(other))]
        assert prototype_of(other, alloyed).name == host.name


def test_other_geometries_and_elements_are_other_hosts() -> None:
    flat, other = carbide(), carbide()
    flat.set_cell(flat.cell.array * [[1], [1], [1.01]], scale_atoms=True)
    other.symbols[other.symbols == "C"] = "N"
    hosts = [prototype_of(atoms, ["Ti"]) for atoms in (titanium(), carbide(), flat, other)]
    assert [host.name[:3] for host in hosts] == ["M2-", "M2C", "M2C", "M2N"]
    assert len({host.name for host in hosts}) == 4


def test_several_elements_may_share_the_alloyed_sites() -> None:
    """L1_2 of gold and copper, all alloyed, is fcc: one site per cell."""
    ordered = crystal(["Au", "Cu"], [(0, 0, 0), (0, 0.5, 0.5)], spacegroup=221, cellpar=[3.8] * 3)
    host = prototype_of(ordered, ["Au", "Cu"])
    assert host.alloyed_sites == ((0.0, 0.0, 0.0),)
    assert host.site_distance == pytest.approx(PROTOTYPES["fcc"].site_distance)
    assert len(Alloy(("Au", "Cu"), host).rotations) == 48


def test_the_unit_is_an_alloyed_site_with_its_share_of_the_fixed_atoms() -> None:
    assert CARBIDE.unit_formula("Ti") == "TiC0.5"
    assert CARBIDE.atoms_per_unit == 1.5
    assert CARBIDE.n_atoms(4) == 6
    assert CARBIDE.alloyed_atoms(4).tolist() == [0, 1, 3, 4]
    assert CARBIDE.end_point_set == HCP.end_point_set == "1(2)"
    assert HCP.unit_formula("Zr") == "Zr"
    with pytest.raises(ValueError, match="size 5 is no whole number of primitive cells"):
        CARBIDE.n_cells(5)


def layer() -> Atoms:
    atoms = titanium()
    atoms.center(vacuum=5, axis=2)
    return atoms


def slab() -> Atoms:
    atoms = titanium()
    atoms.pbc = (True, True, False)
    return atoms


def defective() -> Atoms:
    atoms = titanium()
    atoms.info["occupancy"] = {"0": {"Ti": 0.9}}
    return atoms


def two_kinds() -> Atoms:
    """Metals in the corners and in the middle of the faces, one face pair beside carbon."""
    atoms = bulk("Ti", "fcc", a=4.2, cubic=True)
    return atoms + Atoms("C", [(2.1, 2.1, 2.1)])


@pytest.mark.parametrize(
    ("atoms", "alloyed", "message"),
    [
        (titanium(), ["Zr"], "it has no Zr to be alloyed; its elements: Ti"),
        (layer(), ["Ti"], "10.0 Å of empty space; hosts of one's own are bulk crystals"),
        (slab(), ["Ti"], "not periodic in three directions"),
        (defective(), ["Ti"], "partly occupied sites.* vacancies are out of scope"),
        (two_kinds(), ["Ti"], "of 2 kinds that no symmetry .* two alloyed sublattices"),
    ],
)
def test_what_is_no_host_is_refused(atoms: Atoms, alloyed: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        prototype_of(atoms, alloyed)
    assert "\n" not in str(caught.value)


def test_fixed_elements_are_not_alloyed_too() -> None:
    host: Prototype = prototype_of(carbide(), ["Ti"])
    with pytest.raises(ValueError, match="C cannot be both on the fixed sublattice"):
        Alloy(("Ti", "C"), host, None, {"Ti": 3.0, "C": 3.0})
    with pytest.raises(ValueError, match="takes no anion"):
        Alloy(("Ti", "V"), host, "N", {"Ti": 3.0, "V": 3.0})


def test_metals_have_a_lattice_constant_in_every_host_without_fixed_atoms() -> None:
    """That of their own structure, else of the same volume per atom."""
    own = Alloy(("Ti", "Nb", "Al"), prototype_of(titanium(), ["Ti"]), None, {"Ti": 2.95})
    volume = own.primitive("Nb").cell.volume / 2
    assert volume == pytest.approx(3.30**3 / 2)
    assert Alloy(("Ti",), "bcc").primitive().cell.volume == pytest.approx(
        np.sqrt(3) / 4 * 2.95**2 * 4.68, rel=2e-3
    )
    assert Alloy(("Mg", "Ti"), "hcp").lattice_constant("Mg") == 3.21


def test_c_over_a_is_the_mean_of_the_elements_own() -> None:
    assert Alloy(("Ti",), "hcp").vectors[2, 2] == 1.588
    assert Alloy(("Al",), "hcp").vectors[2, 2] == pytest.approx(np.sqrt(8 / 3))
    both = (Alloy(("Ti",), "hcp").vectors + Alloy(("Al",), "hcp").vectors) / 2
    np.testing.assert_allclose(Alloy(("Al", "Ti"), "hcp").vectors, both)
    assert Alloy(("Ti",), "hcp", c_over_a=1.6).vectors[2, 2] == 1.6
