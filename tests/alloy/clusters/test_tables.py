from __future__ import annotations

import numpy as np
import pytest
from ase.units import kB
from icet import ClusterExpansion
from mchammer.calculators import ClusterExpansionCalculator
from own_hosts import CARBIDE, HCP, OXIDE

from hea_flows.alloy.clusters.space import cluster_space
from hea_flows.alloy.clusters.tables import Clusters
from hea_flows.alloy.lattice.ordering import Ordering
from hea_flows.alloy.lattice.prototypes import Alloy

LAYER = Alloy(("Mo", "Ta", "Nb", "W", "V"))
FCC = Alloy(("Cu", "Au", "Ag"), prototype="fcc", anion=None)
CASES = [
    (LAYER, [[3, 1, 0], [0, 4, 0], [0, 0, 1]], [7.0, 4.5]),
    (LAYER, [[1, 0, 0], [0, 2, 0], [0, 0, 1]], [7.0, 4.5]),  # sites are their own neighbours
    (LAYER, [[6, 0, 0], [0, 6, 0], [0, 0, 1]], [10.5, 5.6, 4.0]),
    (FCC, [[2, 0, 0], [0, 2, 1], [0, 0, 2]], [5.0, 3.7]),
    (HCP, [[2, 0, 0], [0, 2, 1], [0, 0, 1]], [5.2, 3.2]),
    (CARBIDE, [[2, 0, 0], [0, 2, 0], [0, 1, 1]], [4.5, 3.2]),
    (OXIDE, [[2, 0, 0], [0, 1, 0], [0, 0, 1]], [4.0, 2.9]),
]


def setup(alloy: Alloy, cell: list[list[int]], cutoffs: list[float], seed: int = 0):
    space = cluster_space(alloy, cutoffs)
    clusters = Clusters.of(space, alloy, cell)
    rng = np.random.default_rng(seed)
    codes = rng.integers(len(alloy.elements), size=(5, clusters.n_sites))
    parameters = rng.normal(size=len(space))
    return space, clusters, codes, parameters, rng


def atoms_of(alloy: Alloy, cell: list[list[int]], codes: np.ndarray):
    species = tuple(alloy.elements[c] for c in codes)
    atoms = Ordering(alloy, tuple(map(tuple, cell)), species).to_atoms(
        a=alloy.lattice_constant(alloy.elements[0])
    )
    atoms.pbc = True
    return atoms


@pytest.mark.parametrize(("alloy", "cell", "cutoffs"), CASES)
def test_vectors_and_energies_are_those_of_icet(alloy, cell, cutoffs) -> None:
    space, clusters, codes, parameters, _ = setup(alloy, cell, cutoffs)
    structures = [atoms_of(alloy, cell, row) for row in codes]
    expected = np.array([space.get_cluster_vector(s) for s in structures])
    assert clusters.vectors(codes) == pytest.approx(expected, abs=1e-12)
    expansion = ClusterExpansion(space, parameters)
    tables = clusters.tables(parameters)
    for row, structure in zip(codes, structures, strict=True):
        energy = clusters.n_sites * expansion.predict(structure)
        assert tables.energy(row) == pytest.approx(energy, abs=1e-9)


@pytest.mark.parametrize(("alloy", "cell", "cutoffs"), CASES)
def test_changes_are_differences_of_totals(alloy, cell, cutoffs) -> None:
    _, clusters, codes, parameters, rng = setup(alloy, cell, cutoffs, seed=1)
    tables, row = clusters.tables(parameters), codes[0]
    for _ in range(30):
        i, j = rng.choice(clusters.n_sites, 2, replace=False)
        swapped = row.copy()
        swapped[[i, j]] = row[[j, i]]
        before = row.copy()
        change = tables.swap_change(row, int(i), int(j))
        assert (row == before).all()
        assert change == pytest.approx(tables.energy(swapped) - tables.energy(row), abs=1e-9)
        row = swapped


def test_changes_are_those_of_mchammers_calculator() -> None:
    alloy, cell, cutoffs = CASES[2]
    space, clusters, codes, parameters, rng = setup(alloy, cell, cutoffs, seed=2)
    tables, structure = clusters.tables(parameters), atoms_of(alloy, cell, codes[0])
    expansion = ClusterExpansion(space, parameters)
    calculator = ClusterExpansionCalculator(structure, expansion, scaling=clusters.n_sites)
    for _ in range(20):
        i, j = (int(x) for x in rng.choice(clusters.n_sites, 2, replace=False))
        numbers = structure.numbers
        expected = calculator.calculate_change(
            sites=[3 * i, 3 * j],
            current_occupations=numbers,
            new_site_occupations=[numbers[3 * j], numbers[3 * i]],
        )
        assert tables.swap_change(codes[0], i, j) == pytest.approx(expected, abs=1e-9)


def test_a_run_keeps_the_composition_and_counts_its_energy() -> None:
    _, clusters, codes, parameters, _ = setup(*CASES[0])
    tables, row = clusters.tables(0.02 * parameters), codes[0].copy()
    start = tables.energy(row)
    change, accepted = tables.run(row, 2000, 1 / (kB * 500), np.random.default_rng(3))
    assert 0 < accepted < 2000
    assert sorted(row) == sorted(codes[0])
    assert tables.energy(row) == pytest.approx(start + change, abs=1e-9)
    again = codes[0].copy()
    assert tables.run(again, 2000, 1 / (kB * 500), np.random.default_rng(3)) == (change, accepted)
    assert (again == row).all()
    cold = codes[0].copy()
    change, _ = tables.run(cold, 2000, 1e9, np.random.default_rng(3))
    assert change <= 0
