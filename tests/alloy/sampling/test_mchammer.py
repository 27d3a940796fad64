from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, permutations
from types import SimpleNamespace

import numpy as np
import pytest
from ase.calculators.emt import EMT
from ase.data import chemical_symbols
from ase.units import kB
from mchammer.ensembles import CanonicalEnsemble

from hea_flows.alloy.lattice.bonds import bond_counts, neighbour_pairs
from hea_flows.alloy.lattice.order_parameters import correlation_matrix
from hea_flows.alloy.lattice.ordering import Ordering
from hea_flows.alloy.lattice.prototypes import Alloy
from hea_flows.alloy.sampling.energies import AseEnergies
from hea_flows.alloy.sampling.mchammer import DecorationCalculator
from hea_flows.alloy.sampling.statistics import blocked_mean

LAYER = Alloy(("Mo", "W", "V"))
CELL = np.diag([2, 3, 1])
FCC = Alloy(("Cu", "Au"), prototype="fcc", anion=None)
CUBIC = np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]])


class Potts:
    """Bond energies per kind of pair, a Potts model; counts how often it is asked."""

    name = "Potts"

    def __init__(self, alloy: Alloy, supercell: np.ndarray, bonds: dict[str, float]) -> None:
        self.elements = alloy.elements
        self.pairs = neighbour_pairs(alloy, supercell)
        self.bonds = bonds
        self.asked: list[tuple[str, ...]] = []

    def energy(self, species_by_site: Sequence[str]) -> float:
        self.asked.append(tuple(species_by_site))
        return sum(
            self.bonds.get("".join(sorted((species_by_site[i], species_by_site[j]))), 0.0)
            for i, j in self.pairs
        )

    def energies(self, codes: np.ndarray) -> np.ndarray:
        return np.array([self.energy([self.elements[c] for c in row]) for row in codes])


BONDS = {"MoW": -0.02, "MoV": 0.05, "VW": 0.03, "VV": -0.04}
START = ("Mo", "W", "V") * 2


def run(model, alloy, cell, start, temperature, trials, seed):
    """Run one chain of mchammer; return its series, decorations, and what was computed."""
    calculator = DecorationCalculator(model, alloy, cell)
    ensemble = CanonicalEnsemble(
        calculator.structure(start),
        calculator,
        temperature,
        random_seed=seed,
        ensemble_data_write_interval=1,
        trajectory_write_interval=1,
    )
    ensemble.run(trials)
    rows = ensemble.data_container._data_list
    visited = [
        tuple(chemical_symbols[z] for z in row["occupations"][:: alloy.host.atoms_per_cell])
        for row in rows
    ]
    return SimpleNamespace(
        steps=np.array([row["mctrial"] for row in rows]),
        energies=np.array([row["potential"] for row in rows]) / len(start),
        visited=visited,
        final=calculator.species,
        acceptance=sum(a != b for a, b in pairwise(visited)) / trials,
        evaluations=calculator.evaluations,
    )


def order_parameters(decorations, pairs: np.ndarray) -> np.ndarray:
    """Return the CV of all pairs, shape (decorations, 6)."""
    counts = [
        bond_counts(np.array([LAYER.elements.index(e) for e in s]), pairs, 3) for s in decorations
    ]
    return correlation_matrix(
        counts, np.bincount([LAYER.elements.index(e) for e in decorations[0]], minlength=3)
    )[:, *np.triu_indices(3)]


def chain(temperature: float = 600, seed: int = 1, trials: int = 400, **kwargs):
    model = kwargs.pop("model", None) or Potts(LAYER, CELL, BONDS)
    return run(model, LAYER, CELL, START, temperature, trials, seed, **kwargs)


@pytest.mark.physics
@pytest.mark.parametrize("temperature", [250.0, 600.0, 2500.0])
def test_averages_equal_full_enumeration(temperature: float) -> None:
    model = Potts(LAYER, CELL, BONDS)
    states = sorted(set(permutations(START)))
    assert len(states) == 90
    energies = np.array([model.energy(s) for s in states])
    weights = np.exp(-(energies - energies.min()) / (kB * temperature))
    weights /= weights.sum()
    cvs = order_parameters(states, model.pairs)

    result = chain(temperature, seed=7, trials=20000)
    energy = blocked_mean(result.energies[501:])
    assert abs(energy.mean - weights @ energies / 6) < 4.5 * energy.error
    assert energy.error < 0.02 * abs(energies / 6).max()
    for series, exact in zip(
        order_parameters(result.visited[501:], model.pairs).T, weights @ cvs, strict=True
    ):
        value = blocked_mean(series)
        assert abs(value.mean - exact) < 4.5 * value.error
    # The distribution itself, not only its moments: of energy levels, and of single states where
    # the chain is warm enough to travel between equivalent ones.
    share = np.array([result.visited[501:].count(s) for s in states]) / 19500
    levels = np.unique(np.round(energies, 9), return_inverse=True)[1]
    assert 0.5 * np.abs(np.bincount(levels, share - weights)).sum() < 0.02
    if temperature >= 600:
        assert 0.5 * np.abs(share - weights).sum() < 0.06


def test_series_and_decorations_belong_together() -> None:
    result = chain()
    model = Potts(LAYER, CELL, BONDS)
    assert result.steps.tolist() == list(range(401))
    assert result.visited[0] == START
    assert result.final == result.visited[-1]
    assert result.energies == pytest.approx([model.energy(s) / 6 for s in result.visited])


def test_hot_and_cold_limits() -> None:
    assert chain(1e9).acceptance == 1
    cold = chain(1e-3)
    assert (np.diff(cold.energies) <= 1e-12).all()


def test_no_decoration_is_computed_twice() -> None:
    model = Potts(LAYER, CELL, BONDS)
    result = chain(trials=3000, model=model)
    assert len(model.asked) == len(set(model.asked)) == result.evaluations == 90


def test_changes_equal_differences_of_totals_and_hold_no_state() -> None:
    model = Potts(LAYER, CELL, BONDS)
    calculator = DecorationCalculator(model, LAYER, CELL)
    rng = np.random.default_rng(0)
    occupations = calculator.structure(START).numbers
    calculator.set_occupations(occupations)
    for _ in range(60):
        sites = 3 * rng.choice(6, 2, replace=False)
        swapped = occupations.copy()
        swapped[sites] = occupations[sites[::-1]]
        before = calculator.species
        change = calculator.calculate_change(
            sites=list(sites), current_occupations=occupations, new_site_occupations=swapped[sites]
        )
        assert calculator.species == before
        recomputed = [
            Potts(LAYER, CELL, BONDS).energy(calculator_species(o)) for o in (occupations, swapped)
        ]
        assert change == pytest.approx(recomputed[1] - recomputed[0], abs=1e-12)
        if rng.random() < 0.5:
            calculator.accept_change(sites=list(sites), species=list(swapped[sites]))
            occupations = swapped
        assert calculator.calculate_total(occupations=occupations) == pytest.approx(
            model.energy(calculator.species), abs=1e-12
        )


def calculator_species(occupations: np.ndarray) -> tuple[str, ...]:
    return tuple({42: "Mo", 74: "W", 23: "V"}[int(z)] for z in occupations[::3])


def test_site_order_is_that_of_orderings() -> None:
    skewed = np.array([[3, 1, 0], [0, 2, 0], [0, 0, 1]])
    species = ("Mo", "W", "V", "V", "W", "Mo")
    calculator = DecorationCalculator(Potts(LAYER, skewed, BONDS), LAYER, skewed)
    atoms = Ordering(LAYER, tuple(map(tuple, skewed.tolist())), species).to_atoms()
    calculator.set_occupations(atoms.numbers)
    assert calculator.species == species


def test_anions_are_never_touched() -> None:
    calculator = DecorationCalculator(Potts(LAYER, CELL, BONDS), LAYER, CELL)
    (metals,) = calculator.sublattices.active_sublattices
    (anions,) = calculator.sublattices.inactive_sublattices
    assert metals.indices == [0, 3, 6, 9, 12, 15]
    assert anions.chemical_symbols == ("S",)
    for change in ({"sites": [1], "species": [42]}, {"sites": [0], "species": [16]}):
        with pytest.raises(ValueError, match="only alloyed sites change"):
            calculator.accept_change(**change)
    with pytest.raises(TypeError, match="sites and species"):
        calculator.accept_change()
    result = chain(1e6)
    assert sorted(result.final) == sorted(START)
    rocksalt = Alloy(("Ti", "Zr"), "rocksalt", "C", lattice_constants={"Ti": 4.3, "Zr": 4.7})
    model = Potts(rocksalt, CUBIC, {"TiZr": 0.01})
    result = run(model, rocksalt, CUBIC, ("Ti", "Ti", "Zr", "Zr"), 500, 50, 0)
    assert all(sorted(s) == ["Ti", "Ti", "Zr", "Zr"] for s in model.asked)
    assert result.acceptance > 0


def test_ase_model_on_a_fixed_lattice() -> None:
    model = AseEnergies(FCC, CUBIC, 3.9, EMT(), mode="fixed lattice")
    species = ("Au", "Cu", "Cu", "Cu")
    atoms = Ordering(FCC, tuple(map(tuple, CUBIC.tolist())), species).to_atoms(a=3.9)
    atoms.calc = EMT()
    assert model.energy(species) == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
    # L1_2: all four sites are equivalent.
    turned = [model.energy(tuple(np.roll(species, k))) for k in range(4)]
    assert turned == pytest.approx([turned[0]] * 4, abs=1e-9)
    assert model.name == "fixed lattice, a = 3.9 Å"


def test_ase_model_relaxes_each_decoration_from_the_same_geometry() -> None:
    calls = []

    def factory() -> EMT:
        calls.append(1)
        return EMT()

    settings = {"mode": "relaxed", "fmax": 0.005}
    model = AseEnergies(FCC, CUBIC, 3.9, factory, **settings)
    first, second = ("Au", "Cu", "Cu", "Cu"), ("Au", "Au", "Au", "Cu")
    energies = {s: model.energy(s) for s in (first, second)}
    assert len(calls) == 2
    shared = AseEnergies(FCC, CUBIC, 3.9, EMT(), **settings)
    for s in (second, first):  # neither order nor a shared calculator matters
        assert shared.energy(s) == pytest.approx(energies[s], abs=1e-9)
    assert model.reference.cell.volume == pytest.approx(3.9**3)
    # L1_2 stays cubic: relaxing is finding the best lattice constant.
    fixed = min(
        AseEnergies(FCC, CUBIC, a, EMT(), mode="fixed lattice").energy(first)
        for a in np.arange(3.700, 3.717, 0.002)
    )
    assert energies[first] == pytest.approx(fixed, abs=1e-4)


def test_relaxed_chain_ends_in_the_energy_of_its_decoration() -> None:
    matrix = [[2, 1, 0], [0, 2, 0], [0, 0, 1]]
    model = AseEnergies(FCC, matrix, 3.85, EMT(), mode="relaxed", fmax=0.1)
    result = run(model, FCC, matrix, ("Cu", "Cu", "Au", "Au"), 1500, 8, 3)
    fresh = AseEnergies(FCC, matrix, 3.85, EMT(), mode="relaxed", fmax=0.1)
    assert result.energies[-1] == pytest.approx(fresh.energy(result.final) / 4, abs=1e-9)
    assert result.acceptance > 0
    assert np.ptp(result.energies) > 0.01
    assert 2 <= result.evaluations <= 6
    assert model.name == "relaxed, a = 3.85 Å"


def test_given_reference_geometry_is_kept() -> None:
    ideal = Ordering(FCC, tuple(map(tuple, CUBIC.tolist())), ("Cu",) * 4).to_atoms(a=3.7)
    rattled = ideal.copy()
    rattled.rattle(0.05, seed=1)
    model = AseEnergies(FCC, CUBIC, 3.7, EMT(), mode="fixed lattice", reference=rattled)
    rattled.calc = EMT()
    assert model.energy(("Cu",) * 4) == pytest.approx(rattled.get_potential_energy(), abs=1e-9)
    with pytest.raises(ValueError, match="does not fit: 4 units"):
        AseEnergies(FCC, CUBIC, 3.7, EMT(), mode="fixed lattice", reference=ideal[:3])


def test_what_cannot_be_sampled_is_said() -> None:
    with pytest.raises(RuntimeError, match="did not relax to fmax"):
        AseEnergies(FCC, CUBIC, 4.3, EMT(), mode="relaxed", fmax=0.001, max_steps=1).energy(
            ("Au", "Cu", "Cu", "Cu")
        )
    with pytest.raises(ValueError, match="'fixed lattice' or 'relaxed'"):
        AseEnergies(FCC, CUBIC, 3.8, EMT(), mode="local")

    class Broken(Potts):
        def energies(self, codes: np.ndarray) -> np.ndarray:
            return np.full(len(codes), np.nan)

    with pytest.raises(ArithmeticError, match="is nan eV"):
        chain(model=Broken(LAYER, CELL, BONDS))
