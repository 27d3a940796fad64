from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from own_hosts import CARBIDE, HCP, OXIDE

from hea_flows.alloy.clusters.decoration import decoration_of
from hea_flows.alloy.clusters.host_expansion import HostExpansion, host_space
from hea_flows.alloy.lattice.ordering import Ordering
from hea_flows.alloy.lattice.prototypes import Alloy

LAYER = Alloy(("Mo", "Ta", "Nb", "W", "V"))
FCC = Alloy(("Cu", "Au", "Ag"), prototype="fcc", anion=None)
SALT = Alloy(("Ti", "Hf"), "rocksalt", "C", {"Ti": 4.3, "Hf": 4.6})
CASES = [
    (LAYER, ((3, 1, 0), (0, 4, 0), (0, 0, 1))),
    (LAYER, ((1, 0, 0), (0, 1, 0), (0, 0, 1))),
    (LAYER, ((5, 0, 0), (0, 5, 0), (0, 0, 1))),
    (Alloy(("Mo", "W", "V"), prototype="1T-MX2"), ((2, 0, 0), (1, 3, 0), (0, 0, 1))),
    (FCC, ((2, 0, 0), (0, 2, 1), (0, 0, 2))),
    (Alloy(("Nb", "V"), prototype="bcc", anion=None), ((2, 0, 0), (0, 2, 0), (0, 0, 2))),
    (SALT, ((2, 0, 0), (0, 2, 1), (0, 0, 2))),
    (HCP, ((2, 0, 0), (0, 2, 1), (0, 0, 1))),
    (CARBIDE, ((2, 0, 0), (0, 2, 0), (0, 1, 1))),
    (OXIDE, ((2, 0, 0), (0, 2, 0), (0, 0, 1))),
]


def decorated(alloy: Alloy, cell, seed: int = 0) -> Ordering:
    species = np.random.default_rng(seed).choice(alloy.elements, alloy.n_sites(cell))
    return Ordering(alloy, cell, tuple(map(str, species)))


def distorted(atoms: Atoms, layer: bool, rng: np.random.Generator) -> Atoms:
    strain = np.eye(3) + rng.uniform(-0.03, 0.03, (3, 3))
    if layer:
        strain[2], strain[:, 2] = (0, 0, 1), (0, 0, 1)
    atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
    atoms.rattle(0.08, rng=rng)
    return atoms


@pytest.mark.parametrize(("alloy", "cell"), CASES)
def test_strain_rattles_order_origin_and_wrapping_change_nothing(alloy, cell) -> None:
    ordering, rng = decorated(alloy, cell), np.random.default_rng(1)
    for _ in range(5):
        atoms = distorted(ordering.to_atoms(), alloy.host.layer, rng)
        atoms = atoms[rng.permutation(len(atoms))]
        atoms.translate(rng.uniform(0, 9, 3))
        atoms.pbc = True
        atoms.wrap()
        assert decoration_of(alloy, atoms).id == ordering.id


@pytest.mark.parametrize(("alloy", "cell"), CASES)
def test_turned_and_mirrored_structures_have_the_same_clusters(alloy, cell) -> None:
    """Triplets of a layer over a hollow and over an anion differ: a turn by 60° would show."""
    space, rng = host_space(alloy, (1.8, 1.1)), np.random.default_rng(2)
    expansion = HostExpansion(alloy, (1.8, 1.1), rng.normal(size=len(space)))
    ordering = decorated(alloy, cell)
    [energy] = expansion.energies([ordering])
    for angle, axis in ((60.0, "z"), (73.0, (1, 2, 3))):
        atoms = ordering.to_atoms()
        atoms.rattle(0.05, rng=rng)
        atoms.rotate(angle, axis, rotate_cell=True)
        mirrored = atoms.copy()
        mirrored.positions[:, 0] *= -1
        mirrored.cell[:, 0] *= -1
        found = expansion.energies([decoration_of(alloy, a) for a in (atoms, mirrored)])
        assert found == pytest.approx([energy] * 2, abs=1e-9)


def test_the_vacuum_changes_nothing() -> None:
    ordering = decorated(LAYER, CASES[0][1])
    for height in (3.8, 30.0, 0.0):
        atoms = ordering.to_atoms()
        atoms.cell[2, 2] = height
        assert decoration_of(LAYER, atoms).id == ordering.id


@pytest.mark.parametrize(
    "cell", [((2, 0, 0), (1, 2, 0), (0, 0, 1)), ((4, 1, 0), (0, 1, 0), (0, 0, 1))]
)
def test_another_choice_of_cell_vectors_is_the_same_decoration(cell) -> None:
    ordering = decorated(LAYER, cell)
    atoms = ordering.to_atoms()
    atoms.set_cell(np.array([[1, 1, 0], [0, 1, 0], [0, 0, 1]]) @ atoms.cell.array)
    found = decoration_of(LAYER, atoms)
    assert found.id == ordering.id
    assert found.supercell != ordering.supercell


def test_what_is_on_no_lattice_of_the_host_is_refused_in_one_line() -> None:
    atoms = decorated(LAYER, CASES[0][1]).to_atoms()
    refused = {}
    refused["elements \\['Cr'\\] are not of the alloy"] = atoms.copy()
    refused["elements \\['Cr'\\] are not of the alloy"].symbols[0] = "Cr"
    refused["no whole number of units of MoS2"] = atoms[:-1]
    large, moved, sheared, octahedral, nan, collapsed = (atoms.copy() for _ in range(6))
    large.set_cell(1.3 * large.cell.array, scale_atoms=True)
    moved.positions[0, 0] += 1.0
    sheared.set_cell(sheared.cell.array * [[1.4], [1], [1]], scale_atoms=True)
    octahedral.set_positions(
        Ordering(Alloy(LAYER.elements, "1T-MX2"), CASES[0][1], tuple(atoms.symbols[::3]))
        .to_atoms()
        .positions
    )
    nan.positions[1, 1] = np.nan
    collapsed.cell[1] = 0.0
    for atoms, words in [
        *((a, w) for w, a in refused.items()),
        *((a, "does not lie on the 2H-MX2 lattice") for a in (large, moved, sheared, octahedral)),
        *((a, "does not lie on the 2H-MX2 lattice") for a in (nan, collapsed)),
    ]:
        with pytest.raises(ValueError, match=words) as caught:
            decoration_of(LAYER, atoms)
        assert "\n" not in str(caught.value)
