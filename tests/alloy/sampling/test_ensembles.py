from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from ase.units import kB
from icet import ClusterExpansion
from mchammer.calculators import ClusterExpansionCalculator
from mchammer.ensembles import SemiGrandCanonicalEnsemble, VCSGCEnsemble

from hea_flows.alloy.clusters import cluster_space
from hea_flows.alloy.lattice import Alloy, Ordering, bond_counts, int_matrix, neighbour_pairs
from hea_flows.alloy.sampling.ensembles import Canonical, VariableComposition
from hea_flows.alloy.sampling.sampler import Sampler
from hea_flows.alloy.sampling.settings import SamplingSettings
from hea_flows.alloy.sampling.statistics import blocked_mean

ALLOY = Alloy(("Mo", "W", "V"))
CELL = np.diag([3, 3, 1])
PAIRS = neighbour_pairs(ALLOY, CELL)
#: All decorations of the cell, and how many sites of each element they have.
STATES = np.array(list(product(range(3), repeat=9)), dtype=np.int64)
NUMBERS = (STATES[:, :, None] == np.arange(3)).sum(axis=1)
PLACES = 3 ** np.arange(9)[::-1]
TEMPERATURES = (900.0, 1500.0, 3000.0)
#: Δμ (eV) and φ at three points.
POTENTIALS = ({"W": -0.1}, {"V": 0.05}, {"W": 0.04, "V": 0.1})
PHI = ({"W": -0.4, "V": -0.4}, {"W": -1.0, "V": -0.5}, {"W": 0.1, "V": -1.5})
KAPPA = 1.5


class Listed:
    """Energies (eV per cell) of all decorations, from a list."""

    name = "listed"

    def __init__(self, energies: np.ndarray) -> None:
        self.table = energies

    def energies(self, codes: np.ndarray) -> np.ndarray:
        return self.table[codes @ PLACES]


def smooth() -> np.ndarray:
    """Bonds, points, and a term that no expansion of pairs has."""
    bonds = np.array([[0.0, -0.02, 0.05], [-0.02, 0.0, 0.03], [0.05, 0.03, -0.04]])
    energy = bonds[STATES[:, PAIRS[:, 0]], STATES[:, PAIRS[:, 1]]].sum(axis=1)
    return energy + NUMBERS @ [0.0, 0.05, -0.08] + 0.03 * np.sin(3 * energy)


def rough() -> np.ndarray:
    """An energy of its own for each decoration: an expansion says nothing about it."""
    return np.random.default_rng(0).normal(0.0, 0.04, size=len(STATES))


def weights_of(energies: np.ndarray, temperature: float, ensemble: str, point: int) -> np.ndarray:
    """Return the share of each decoration, straight from the definition of the ensemble."""
    beta = 1 / (kB * temperature)
    shares = dict(zip(ALLOY.elements, NUMBERS.T / 9, strict=True))
    if ensemble == "semi-grand":
        bias = 9 * beta * sum(v * shares[e] for e, v in POTENTIALS[point].items())
    else:
        bias = -9 * KAPPA * sum((shares[e] + v / 2) ** 2 for e, v in PHI[point].items())
    exponent = bias - beta * energies
    weights = np.exp(exponent - exponent.max())
    return weights / weights.sum()


def ensemble_of(name: str) -> VariableComposition:
    if name == "semi-grand":
        return VariableComposition.semi_grand(ALLOY, POTENTIALS)
    return VariableComposition.variance_constrained(ALLOY, KAPPA, PHI)


@pytest.mark.physics
@pytest.mark.slow
@pytest.mark.parametrize("ensemble", ["semi-grand", "variance-constrained"])
@pytest.mark.parametrize("method", ["nested", "swaps"])
@pytest.mark.parametrize("hamiltonian", [smooth, rough])
def test_averages_equal_full_enumeration(hamiltonian, method: str, ensemble: str) -> None:
    energies = hamiltonian()
    temperatures = TEMPERATURES if hamiltonian is smooth else (700.0, 1200.0, 2000.0)
    settings = SamplingSettings(
        temperatures=list(temperatures),
        runs=2,
        method=method,
        steps=2000 if method == "nested" else 8000,
        burn_in=200,
    )
    sampler = Sampler(
        Listed(energies),
        ALLOY,
        CELL,
        ensemble_of(ensemble),
        settings,
        1,
        training=80,
        cutoffs=(1.1,),
    )
    while not sampler.finished:
        sampler.advance()
    bonds = np.array([bond_counts(s, PAIRS, 3)[2, 2] for s in STATES])
    exact = np.column_stack([energies / 9, NUMBERS, bonds])
    deviations = []
    for temperature in temperatures:
        for point in range(3):
            chains = [
                c for c in sampler.chains() if (c.temperature, c.point) == (temperature, point)
            ]
            share = weights_of(energies, temperature, ensemble, point)
            for k in range(5):
                series = [
                    np.column_stack([c.energies, c.numbers, c.counts[1][:, 2, 2]])[:, k]
                    for c in chains
                ]
                blocked = [blocked_mean(s.astype(float)) for s in series]
                error = np.sqrt(sum(b.error**2 for b in blocked)) / len(blocked)
                mean, expected = np.mean([b.mean for b in blocked]), share @ exact[:, k]
                # Rare states may not have been seen at all: no error is below independent draws'.
                variance = share @ (exact[:, k] - expected) ** 2
                floor = np.sqrt(variance / sum(len(one) for one in series))
                deviations.append((mean - expected) / max(error, floor))
    # 9 states x 5 averages x 8 cases, Bonferroni: 1 in 100 that any is beyond by chance.
    assert np.abs(deviations).max() < 4.2
    assert np.mean(np.square(deviations)) < 2


@pytest.mark.physics
@pytest.mark.slow
@pytest.mark.parametrize("ensemble", ["semi-grand", "variance-constrained"])
def test_expansions_are_sampled_as_mchammer_samples_them(ensemble: str) -> None:
    """Signs and factors of Δμ, κ and φ, at one state of a 4×4 binary."""
    alloy, cell, temperature = Alloy(("Mo", "V")), np.diag([4, 4, 1]), 900.0
    a = alloy.lattice_constant("Mo")
    space = cluster_space(alloy, [3.4])
    expansion = ClusterExpansion(space, [0.0, 0.03, 0.05])
    atoms = Ordering(alloy, int_matrix(cell), ("Mo",) * 8 + ("V",) * 8).to_atoms(a)
    theirs = ClusterExpansionCalculator(atoms, expansion)
    common = {"structure": atoms, "calculator": theirs, "temperature": temperature}
    common["random_seed"] = 7
    if ensemble == "semi-grand":
        other = SemiGrandCanonicalEnsemble(chemical_potentials={"Mo": 0.0, "V": 0.09}, **common)
        ours = VariableComposition.semi_grand(alloy, [{"V": 0.09}])
    else:
        other = VCSGCEnsemble(phis={"V": -0.7}, kappa=2.0, **common)
        ours = VariableComposition.variance_constrained(alloy, 2.0, [{"V": -0.7}])
    other.run(120_000)
    data = other.data_container.data.iloc[100:]
    blocked = blocked_mean(data["V_count"].to_numpy(dtype=float))

    sites = np.flatnonzero(atoms.numbers != 16)

    class Expansion:
        name = "expansion"

        def energies(self, codes: np.ndarray) -> np.ndarray:
            occupations = np.tile(atoms.numbers, (len(codes), 1))
            occupations[:, sites] = np.where(codes, 23, 42)
            return np.array([theirs.calculate_total(occupations=row) for row in occupations])

    settings = SamplingSettings(temperatures=[temperature], runs=4, steps=3000, burn_in=100)
    sampler = Sampler(Expansion(), alloy, cell, ours, settings, 1, training=20, cutoffs=(1.1,))
    while not sampler.finished:
        sampler.advance()
    own = [blocked_mean(c.numbers[:, 1].astype(float)) for c in sampler.chains()]
    mean = np.mean([b.mean for b in own])
    error = np.hypot(blocked.error, np.sqrt(sum(b.error**2 for b in own)) / len(own))
    assert abs(mean - blocked.mean) < 4 * error
    assert error < 0.1


def test_a_restored_sampler_of_variable_composition_goes_the_same_way() -> None:
    settings = SamplingSettings(temperatures=list(TEMPERATURES), runs=2, steps=20, burn_in=20)

    def fresh() -> Sampler:
        ensemble = ensemble_of("semi-grand")
        return Sampler(
            Listed(smooth()), ALLOY, CELL, ensemble, settings, 3, training=30, cutoffs=(1.1,)
        )

    whole, first, second = fresh(), fresh(), fresh()
    while not whole.finished:
        whole.advance()
    for _ in range(27):
        first.advance()
    second.restore(first.state())
    while not second.finished:
        second.advance()
    for a, b in zip(whole.chains(), second.chains(), strict=True):
        assert (a.energies == b.energies).all()
        assert (a.numbers == b.numbers).all()
        assert a.final == b.final
    places = [(c.temperature, c.point, c.run) for c in whole.chains()]
    assert places == list(product(TEMPERATURES, range(3), range(2)))
    assert all((c.numbers.sum(axis=1) == 9).all() for c in whole.chains())


def test_points_that_make_no_sense_are_said() -> None:
    with pytest.raises(ValueError, match=r"chemical potentials: \['Ti'\] are not of the alloy"):
        VariableComposition.semi_grand(ALLOY, [{"Ti": 0.1}])
    with pytest.raises(ValueError, match="phi: at least one point is needed"):
        VariableComposition.variance_constrained(ALLOY, 1.0, [])
    with pytest.raises(ValueError, match="kappa is a positive number, got -1"):
        VariableComposition.variance_constrained(ALLOY, -1.0, [{"V": -1.0}])
    with pytest.raises(ValueError, match="counts are numbers of sites"):
        Canonical(ALLOY, {"Mo": 10, "W": -1})
