from __future__ import annotations

import numpy as np
import pytest
from icet import ClusterExpansion

from hea_flows.alloy.clusters.fit import CUTOFFS, fit_host_expansion
from hea_flows.alloy.clusters.host_expansion import HostExpansion, host_space
from hea_flows.alloy.lattice.bonds import neighbour_pairs
from hea_flows.alloy.lattice.ordering import Ordering
from hea_flows.alloy.lattice.prototypes import Alloy
from hea_flows.alloy.sets import parse

LAYER = Alloy(("Mo", "Ta", "Nb", "W", "V"))
FCC = Alloy(("Cu", "Au", "Ag"), prototype="fcc", anion=None)


def build(alloy: Alloy, expression: str, seed: int = 0) -> list[Ordering]:
    return list(parse(expression).build(alloy, seed))


def pair_energies(alloy: Alloy, orderings: list[Ordering], seed: int = 3) -> np.ndarray:
    """Return Σ of an energy per element and one per nearest pair, counted bond by bond."""
    rng = np.random.default_rng(seed)
    n = len(alloy.elements)
    pure, pairs = rng.normal(size=n), rng.normal(scale=0.05, size=(n, n))
    pairs += pairs.T
    energies = []
    for o in orderings:
        codes = np.array([alloy.elements.index(s) for s in o.species])
        i, j = neighbour_pairs(alloy, o.supercell, 1).T
        energies.append(pure[codes].sum() + pairs[codes[i], codes[j]].sum())
    return np.array(energies)


@pytest.mark.parametrize(
    ("alloy", "expression", "unseen"),
    [
        (LAYER, "1(1)+2(2)", "random(4x4, n=5, components=2..5)"),
        (LAYER, "1(1)+2(2,3)+3(3)", "random(5x5, n=5, components=3..5)"),
        (FCC, "1(1)+2(2,3)", "random(3x3x3, n=4, components=2..3)"),
    ],
)
def test_a_hamiltonian_of_nearest_pairs_is_found_exactly(alloy, expression, unseen) -> None:
    """Ten binaries are enough for its ten pairs; nothing larger than pairs is chosen."""
    known, new = build(alloy, expression), build(alloy, unseen, 5)
    fit = fit_host_expansion(alloy, known, pair_energies(alloy, known), seed=1)
    assert fit.expansion.cutoffs == CUTOFFS[0]
    assert fit.rmse < 1e-9
    assert fit.n == len(known) - len(alloy.elements)
    expected = pair_energies(alloy, new)
    assert fit.expansion.energies(new) == pytest.approx(expected, abs=1e-8)
    space = host_space(alloy, CUTOFFS[0])
    structures = [o.to_atoms(a=alloy.lattice_constant(alloy.elements[0])) for o in known]
    for atoms in structures:
        atoms.pbc = True
    vectors = np.array([space.get_cluster_vector(atoms) for atoms in structures])
    per_unit = pair_energies(alloy, known) / [o.n_sites for o in known]
    own = np.linalg.lstsq(vectors, per_unit, rcond=1e-10)[0]
    assert fit.expansion.parameters == pytest.approx(own, abs=1e-8)


def test_larger_clusters_are_chosen_where_they_are_needed() -> None:
    alloy, cutoffs = Alloy(("Mo", "Ta", "V")), (2.1, 1.1)
    space = host_space(alloy, cutoffs)
    parameters = np.random.default_rng(0).normal(size=len(space))
    true = HostExpansion(alloy, cutoffs, parameters)
    known = build(alloy, "1(1)+random(4x4, n=60, components=2..3)")
    fit = fit_host_expansion(alloy, known, true.energies(known), seed=0)
    assert fit.expansion.cutoffs == cutoffs
    assert fit.expansion.parameters == pytest.approx(parameters, abs=1e-7)
    assert fit.cv_rmse < 1e-8


def test_energies_are_those_of_icet_times_the_size() -> None:
    rng = np.random.default_rng(1)
    for alloy, cell in (
        (LAYER, ((3, 1, 0), (0, 4, 0), (0, 0, 1))),
        (LAYER, ((1, 0, 0), (0, 2, 0), (0, 0, 1))),
        (FCC, ((2, 0, 0), (0, 2, 1), (0, 0, 2))),
    ):
        space = host_space(alloy, (2.1, 1.1))
        expansion = HostExpansion(alloy, (2.1, 1.1), rng.normal(size=len(space)))
        theirs = ClusterExpansion(space, expansion.parameters)
        n = abs(round(np.linalg.det(cell)))
        chosen = [
            Ordering(alloy, cell, tuple(map(str, rng.choice(alloy.elements, n)))) for _ in range(4)
        ]
        expected = []
        for o in chosen:
            atoms = o.to_atoms(a=alloy.lattice_constant(alloy.elements[0]))
            atoms.pbc = True
            expected.append(n * theirs.predict(atoms))
        assert expansion.energies(chosen) == pytest.approx(expected, abs=1e-9)


def test_equivalent_decorations_and_larger_cells_have_the_same_energy() -> None:
    rng = np.random.default_rng(2)
    space = host_space(LAYER, (2.1, 1.8))
    expansion = HostExpansion(LAYER, (2.1, 1.8), rng.normal(size=len(space)))
    cell = ((2, 1, 0), (0, 3, 0), (0, 0, 1))
    one = Ordering(LAYER, cell, ("Mo", "V", "W", "Mo", "Nb", "Ta"))
    atoms = one.to_atoms()
    twice = Ordering.from_atoms(LAYER, ideal(one).repeat((2, 2, 1)))
    moved = Ordering.from_atoms(LAYER, ideal(one)[[*range(6, len(atoms)), *range(6)]])
    energy, large, other = expansion.energies([one, twice, moved])
    assert large == pytest.approx(4 * energy, abs=1e-9)
    assert other == pytest.approx(energy, abs=1e-9)


def ideal(ordering: Ordering):
    return ordering.to_atoms(a=LAYER.lattice_constant("Mo"))


def test_end_points_are_exact_and_offsets_are_added() -> None:
    known = build(LAYER, "1(1)+2(2,3)")
    energies = np.random.default_rng(0).normal(size=len(known))
    fit = fit_host_expansion(LAYER, known, energies, seed=0)
    pure = [i for i, o in enumerate(known) if len(o.counts) == 1]
    assert fit.expansion.energies(known)[pure] == pytest.approx(energies[pure], abs=1e-10)
    shift = {"Mo": 1.0, "V": -2.0, "S": 0.25}
    added = [o.n_sites * 0.5 + o.counts.get("Mo", 0) - 2 * o.counts.get("V", 0) for o in known]
    change = fit.expansion.plus(shift).energies(known) - fit.expansion.energies(known)
    assert change == pytest.approx(added, abs=1e-9)


def test_the_seed_and_given_cutoffs_decide() -> None:
    known = build(LAYER, "1(1)+2(2,3)")
    energies = np.random.default_rng(0).normal(size=len(known))
    same = [fit_host_expansion(LAYER, known, energies, seed=s) for s in (0, 0)]
    assert same[0].expansion.parameters.tolist() == same[1].expansion.parameters.tolist()
    other = fit_host_expansion(LAYER, known, energies, seed=1)
    assert other.cv_rmse != same[0].cv_rmse
    assert fit_host_expansion(LAYER, known, energies, 0, (1.8, 1.1)).expansion.cutoffs == (1.8, 1.1)


def test_too_few_energies_are_refused_in_one_line() -> None:
    known = build(LAYER, "1(1)+2(2)")
    energies = np.ones(len(known))
    pure = [o for o in known if len(o.counts) == 1]
    for chosen, values, words in (
        (known[1:], energies[1:], "end points of all elements; none of"),
        (pure, np.ones(5), "two energies of mixed structures or more"),
        (known, np.full(len(known), np.nan), "finite energies"),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            fit_host_expansion(LAYER, chosen, values, seed=0)
        assert "\n" not in str(caught.value)
    ideal_mixture = fit_host_expansion(LAYER, known, [float(o.n_sites) for o in known], seed=0)
    assert ideal_mixture.expansion.energies(known) == pytest.approx([o.n_sites for o in known])
    with pytest.raises(ValueError, match="finite parameters"):
        HostExpansion(LAYER, (1.1,), np.zeros(3))
