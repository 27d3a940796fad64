from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("mace")

import torch
from ase.neighborlist import neighbor_list
from mchammer.ensembles import CanonicalEnsemble
from mchammer.observers import ClusterCountObserver
from own_hosts import CARBIDE, HCP

from hea_flows.alloy.clusters.space import cluster_space
from hea_flows.alloy.lattice.bonds import neighbour_pairs
from hea_flows.alloy.lattice.ordering import Ordering
from hea_flows.alloy.lattice.prototypes import Alloy
from hea_flows.alloy.lattice.site_index import int_matrix
from hea_flows.alloy.sampling.energies import AseEnergies
from hea_flows.alloy.sampling.mchammer import DecorationCalculator, LocalCalculator
from hea_flows.potentials.lattice_energies import LatticeDecorations
from hea_flows.potentials.mace import MACEFamily, modules
from hea_flows.potentials.mace.fast import LatticeMACE, lattice_layers
from hea_flows.potentials.mace.potential import MACEPotential
from hea_flows.potentials.potential import PotentialCalculator

LAYER = Alloy(("Mo", "Ta", "Nb", "W", "V"))
FCC = Alloy(("Cu", "Au"), prototype="fcc", anion=None)
ROCKSALT = Alloy(("Ti", "Zr"), "rocksalt", "C", lattice_constants={"Ti": 4.3, "Zr": 4.7})
OLDER = {"interaction_cls_first": "RealAgnosticInteractionBlock", "max_ell": 3}
DEEP = {"num_interactions": 3, "r_max": 3.5, "correlation": 2}
SKEWED = [[3, 1, 0], [0, 4, 0], [0, 0, 1]]


def model(dtype: str = "float64", **changes) -> MACEPotential:
    config = dict(modules.ARCHITECTURE) | ({"hidden_irreps": "8x0e", "radial_MLP": [16]} | changes)
    numbers = [6, 16, 22, 23, 29, 40, 41, 42, 72, 73, 74, 79]
    config |= {
        "atomic_numbers": numbers,
        "atomic_energies": np.linspace(-1, -9, len(numbers)).tolist(),
        "avg_num_neighbors": 40.0,
        "atomic_inter_scale": 0.8,
        "atomic_inter_shift": 0.1,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        module = modules.build(config)
    modules.widen_species(module)
    return MACEPotential(module, config, dtype, "cpu")


def plain(potential, alloy, cell, a) -> AseEnergies:
    return AseEnergies(alloy, cell, a, PotentialCalculator(potential), mode="fixed lattice")


@pytest.mark.parametrize(
    ("alloy", "cell", "a", "changes"),
    [
        (LAYER, SKEWED, 3.24, {}),
        (LAYER, SKEWED, 3.24, OLDER),
        (LAYER, [[1, 0, 0], [0, 2, 0], [0, 0, 1]], 3.2, OLDER),
        (LAYER, SKEWED, 3.24, DEEP),
        (LAYER, SKEWED, 3.24, {"num_interactions": 1}),
        (FCC, [[2, 0, 0], [0, 2, 1], [0, 0, 2]], 3.9, {}),
        (ROCKSALT, [[-1, 1, 1], [1, -1, 1], [1, 1, -1]], 4.5, OLDER),
        (HCP, [[2, 0, 0], [0, 2, 1], [0, 0, 1]], 3.1, {}),
        (CARBIDE, [[2, 0, 0], [0, 2, 0], [0, 1, 1]], 3.0, OLDER),
    ],
)
def test_energies_are_those_of_the_calculator(alloy, cell, a, changes) -> None:
    potential = model(**changes)
    assert lattice_layers.supported(potential.module)
    codes = np.random.default_rng(1).integers(len(alloy.elements), size=(4, alloy.n_sites(cell)))
    quick = LatticeMACE(potential, alloy, cell, a)
    reference = plain(potential, alloy, cell, a)
    assert quick.energies(codes) == pytest.approx(reference.energies(codes), abs=1e-9)
    assert quick.energies(codes[2]) == pytest.approx(quick.energies(codes)[2:3], abs=1e-9)
    assert quick.name == reference.name


@pytest.mark.parametrize(
    ("alloy", "a"), [(LAYER, 40.0), (FCC, 40.0), (ROCKSALT, 40.0)], ids=["layer", "fcc", "rocksalt"]
)
@pytest.mark.parametrize("changes", [{}, OLDER, DEEP])
def test_atoms_of_a_lattice_that_is_too_wide_for_bonds(alloy: Alloy, a: float, changes) -> None:
    """Metals of the layer see only their own anions or nothing; a metal of fcc sees nothing."""
    potential, cell = model(**changes), np.diag([2, 2, 1])
    quick = LatticeMACE(potential, alloy, cell, a)
    assert 0 in quick.neighbours.alloyed
    codes = np.random.default_rng(3).integers(len(alloy.elements), size=(3, 4))
    expected = plain(potential, alloy, cell, a).energies(codes)
    assert quick.energies(codes) == pytest.approx(expected, abs=1e-9)
    assert quick.energies(codes[:0]).shape == (0,)
    local = quick.local()
    assert local.hold(codes[0]) == pytest.approx(expected[0], abs=1e-9)
    change = local.change(np.arange(4), codes[1])
    assert change == pytest.approx(expected[1] - expected[0], abs=1e-9)
    local.accept(np.arange(4), codes[1])
    assert local.energy == pytest.approx(expected[1], abs=1e-9)


def test_many_decorations_are_those_one_by_one() -> None:
    quick = LatticeMACE(model(), LAYER, np.diag([6, 6, 1]), 3.24)
    codes = np.random.default_rng(2).integers(5, size=(9, 36))  # several parts of a batch
    each = [quick.energies(row)[0] for row in codes]
    assert quick.energies(codes) == pytest.approx(each, abs=1e-9)


def test_changes_of_cells_with_several_alloyed_sites() -> None:
    cell = np.diag([2, 2, 3])
    held = LatticeMACE(model(), CARBIDE, cell, 3.0)
    local, rng = held.local(), np.random.default_rng(4)
    codes = rng.integers(2, size=CARBIDE.n_sites(cell))
    energy = local.hold(codes)
    for site in (0, 5, 22):
        sites, new = np.array([site]), np.array([1 - codes[site]])
        change = local.change(sites, new)
        local.accept(sites, new)
        codes[site] = new[0]
        energy += change
        assert energy == pytest.approx(held.energies(codes)[0], abs=1e-9)
        assert local.energy == pytest.approx(energy, abs=1e-9)


@pytest.mark.parametrize("changes", [{}, OLDER, DEEP])
@pytest.mark.parametrize("size", [3, 5, 12])
def test_changes_are_full_recomputation_over_random_swaps(size: int, changes) -> None:
    """Cells smaller than the reach of a swap, and one that is larger."""
    potential = model(**changes)
    cell = np.diag([size, size, 1])
    quick, held = (LatticeMACE(potential, LAYER, cell, 3.24) for _ in range(2))
    local, rng = held.local(), np.random.default_rng(size)
    codes = rng.integers(5, size=size**2)
    assert local.hold(codes) == pytest.approx(quick.energies(codes)[0], abs=1e-9)
    for step in range(30):
        sites = rng.choice(size**2, 2, replace=False)
        swapped = codes.copy()
        swapped[sites] = codes[sites[::-1]]
        change = local.change(sites, swapped[sites])
        before, after = quick.energies(np.array([codes, swapped]))
        assert change == pytest.approx(after - before, abs=1e-9)  # 1e-6 eV is asked
        assert local.energy == pytest.approx(before, abs=1e-9)
        if step % 2:
            local.accept(sites, swapped[sites])
            codes = swapped
            assert local.energy == pytest.approx(after, abs=1e-9)


def test_a_swap_reaches_the_neighbours_of_neighbours() -> None:
    cell = np.diag([20, 20, 1])
    quick = LatticeMACE(model(), LAYER, cell, 3.24)  # two layers of 5 Å
    atoms = Ordering(LAYER, int_matrix(cell), ("Mo",) * 400).to_atoms(a=3.24)
    first, second = neighbor_list("ij", atoms, 5.0)
    reached = {0}
    for _ in range(2):
        reached |= set(second[np.isin(first, list(reached))].tolist())
    near = quick.near(quick.near(np.array([0])))
    assert near.tolist() == sorted(reached)
    assert len(near) < len(atoms) / 20


def test_float32_stays_within_a_millionth() -> None:
    potential = model("float32")
    cell = np.diag([6, 6, 1])
    quick = LatticeMACE(potential, LAYER, cell, 3.24)
    exact = LatticeMACE(model(), LAYER, cell, 3.24)
    local, rng = quick.local(), np.random.default_rng(0)
    codes = rng.integers(5, size=36)
    local.hold(codes)
    for _ in range(10):
        sites = rng.choice(36, 2, replace=False)
        swapped = codes.copy()
        swapped[sites] = codes[sites[::-1]]
        change = local.change(sites, swapped[sites])
        assert change == pytest.approx(
            np.diff(quick.energies(np.array([codes, swapped])))[0], abs=1e-6
        )
        assert change == pytest.approx(
            np.diff(exact.energies(np.array([codes, swapped])))[0], abs=2e-5
        )
        local.accept(sites, swapped[sites])
        codes = swapped


def test_local_and_plain_calculators_make_the_same_chain() -> None:
    potential, cell = model(), np.diag([4, 4, 1])
    quick = LatticeMACE(potential, LAYER, cell, 3.24)
    rng = np.random.default_rng(4)
    species = [LAYER.elements[i] for i in rng.integers(5, size=16)]
    chains = []
    for kind in (LocalCalculator, DecorationCalculator):
        calculator = kind(quick, LAYER, cell)
        ensemble = CanonicalEnsemble(
            calculator.structure(species),
            calculator,
            100.0,
            random_seed=7,
            ensemble_data_write_interval=1,
        )
        ensemble.run(60)
        potential = ensemble.data_container.get("potential")
        assert 0 < np.count_nonzero(np.diff(potential)) < 60
        chains.append((potential, calculator.species))
    assert chains[0][0] == pytest.approx(chains[1][0], abs=1e-8)
    assert chains[0][1] == chains[1][1]


@pytest.mark.parametrize("kind", [LocalCalculator, DecorationCalculator])
def test_mchammers_ensembles_and_observers_take_the_calculators(kind) -> None:
    alloy, cell = Alloy(("Mo", "V")), np.diag([4, 4, 1])
    quick = LatticeMACE(model(), alloy, cell, 3.2)
    calculator = kind(quick, alloy, cell)
    structure = calculator.structure(["Mo", "V"] * 8, a=alloy.lattice_constant("Mo"))
    structure.pbc = True
    ensemble = CanonicalEnsemble(
        structure, calculator, temperature=2000, random_seed=1, ensemble_data_write_interval=1
    )
    space = cluster_space(alloy, [3.5])
    ensemble.attach_observer(ClusterCountObserver(space, structure, interval=1))
    ensemble.run(25)
    codes = (ensemble.configuration.occupations[::3] == 23).astype(np.int64)
    potentials = ensemble.data_container.get("potential")
    assert potentials[-1] == pytest.approx(quick.energies(codes)[0], abs=1e-9)
    assert np.ptp(potentials) > 1e-6
    counted = ensemble.data_container.data.filter(like="Mo_Mo").to_numpy()[-1, 0]
    pairs = neighbour_pairs(alloy, cell)
    assert counted == (codes[pairs] == 0).all(axis=1).sum()


def test_local_calculator_refuses_anions_and_follows_set_occupations() -> None:
    quick = LatticeMACE(model(), LAYER, SKEWED, 3.24)
    calculator = LocalCalculator(quick, LAYER, SKEWED)
    rng = np.random.default_rng(5)
    for _ in range(2):
        species = [LAYER.elements[i] for i in rng.integers(5, size=12)]
        numbers = calculator.structure(species).numbers
        calculator.set_occupations(numbers)
        codes = np.array([LAYER.elements.index(s) for s in species])
        total = calculator.calculate_total(occupations=numbers)
        assert total == pytest.approx(quick.energies(codes)[0], abs=1e-9)
        changed = codes.copy()
        changed[3] = (changed[3] + 1) % 5
        new = calculator.structure([LAYER.elements[c] for c in changed]).numbers[9]
        change = calculator.calculate_change(sites=[9], new_site_occupations=[new])
        assert change == pytest.approx(np.diff(quick.energies(np.array([codes, changed])))[0])
        calculator.accept_change(sites=[9], species=[new])
        numbers[9] = new
        assert calculator.calculate_total(occupations=numbers) == pytest.approx(total + change)
    with pytest.raises(ValueError, match="only alloyed sites change"):
        calculator.calculate_change(sites=[1], new_site_occupations=[42])


def test_models_with_other_terms_take_the_general_way() -> None:
    for changes in (
        {"distance_transform": "Agnesi"},
        {"pair_repulsion": True},
        {"interaction_cls": "RealAgnosticDensityResidualInteractionBlock"},
        {"hidden_irreps": "8x0e+8x1o"},
    ):
        potential = model(**changes)
        assert not lattice_layers.supported(potential.module)
        quickest = MACEFamily().quickest(potential)
        general = quickest.lattice_energies(LAYER, SKEWED, 3.24)
        assert isinstance(general, LatticeDecorations)
    with pytest.raises(ValueError, match="knows S, not Ti"):
        LatticeMACE(
            MACEPotential(
                model().module, dict(model().config) | {"atomic_numbers": [16]}, "float64", "cpu"
            ),
            Alloy(("Ti", "Zr"), lattice_constants={"Ti": 3.3, "Zr": 3.5}),
            SKEWED,
            3.3,
        )
