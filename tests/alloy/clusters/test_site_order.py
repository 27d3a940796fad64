"""Atoms in the order of their sites."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from hea_flows.alloy.clusters.decoration import decoration_of
from hea_flows.alloy.clusters.site_order import site_order
from hea_flows.alloy.lattice import Alloy, Ordering, phase_flags

HOSTS = [
    (Alloy(("Mo", "Ta", "W", "V")), ((3, 1, 0), (0, 4, 0), (0, 0, 1))),
    (Alloy(("Mo", "W")), ((1, 0, 0), (0, 1, 0), (0, 0, 1))),
    (Alloy(("Mo", "W", "V"), prototype="1T-MX2"), ((2, 0, 0), (1, 3, 0), (0, 0, 1))),
    (Alloy(("Cu", "Au"), prototype="fcc", anion=None), ((2, 0, 0), (0, 2, 1), (0, 0, 2))),
    (
        Alloy(("Ti", "Hf"), "rocksalt", "C", {"Ti": 4.3, "Hf": 4.6}),
        ((2, 0, 0), (0, 2, 1), (0, 0, 2)),
    ),
]


def shuffled(atoms: Atoms, rng: np.random.Generator, *, turned: bool) -> Atoms:
    """Strain, rattle, move, turn, wrap and permute."""
    strain = np.eye(3)
    strain[:2, :2] += rng.uniform(-0.02, 0.02, (2, 2))
    atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
    atoms.rattle(0.05, rng=rng)
    if turned:
        atoms.set_cell(atoms.cell.array[[1, 0, 2]])
    atoms.translate([*rng.uniform(0, 9, 2), 0])
    atoms.pbc = True
    atoms.wrap()
    return atoms[rng.permutation(len(atoms))]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("alloy", "cell"), HOSTS)
def test_atoms_in_this_order_are_those_of_the_ordering(alloy, cell, *, turned: bool) -> None:
    rng = np.random.default_rng(3)
    species = rng.choice(alloy.elements, abs(round(np.linalg.det(cell))))
    for _ in range(3):
        start = Ordering(alloy, cell, tuple(map(str, species)))
        atoms = shuffled(start.to_atoms(), rng, turned=turned)
        ordering = decoration_of(alloy, atoms)
        ordered = atoms[site_order(ordering, atoms)]
        assert ordering.id == start.id
        assert ordered.get_chemical_symbols() == ordering.to_atoms().get_chemical_symbols()
        assert phase_flags(ordering, ordered) == []


def test_anions_go_with_their_own_metal_and_side() -> None:
    alloy, rng = Alloy(("Mo", "W")), np.random.default_rng(0)
    start = Ordering(alloy, ((2, 0, 0), (0, 3, 0), (0, 0, 1)), ("Mo", "W", "Mo", "Mo", "Mo", "W"))
    ideal = start.to_atoms()
    order = rng.permutation(len(ideal))
    atoms = ideal[order]
    atoms.rattle(0.05, rng=rng)
    back = site_order(start, atoms)
    moved = np.linalg.norm(atoms[back].positions - ideal.positions, axis=1)
    # The species repeat under no translation but the identity, so each atom has its own site back.
    assert moved.max() < 0.3
    assert (order[back] == np.arange(len(ideal))).all()


def test_other_atoms_and_an_atom_far_from_its_site_are_refused() -> None:
    alloy = Alloy(("Mo", "W"))
    ordering = Ordering(alloy, ((2, 0, 0), (0, 2, 0), (0, 0, 1)), ("Mo", "W", "Mo", "Mo"))
    atoms = ordering.to_atoms()
    other = atoms.copy()
    other.symbols[0] = "V"
    with pytest.raises(ValueError, match="has not the atoms of Mo3W1S8"):
        site_order(ordering, other)
    atoms.positions[1] += [0, 0, 4.0]
    with pytest.raises(ValueError, match=r"4\.\d+ Å from its site"):
        site_order(ordering, atoms)
