from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from ase.units import kB
from scipy.stats import chi2
from sympy.utilities.iterables import multiset_permutations

from hea_flows.alloy.lattice.bonds import bond_counts, neighbour_pairs
from hea_flows.alloy.lattice.order_parameters import correlation_matrix
from hea_flows.alloy.lattice.prototypes import Alloy
from hea_flows.alloy.sampling.chains import Chain
from hea_flows.alloy.sampling.ensembles import Canonical
from hea_flows.alloy.sampling.sampler import Sampler
from hea_flows.alloy.sampling.settings import ExchangeLadder, SamplingSettings
from hea_flows.alloy.sampling.statistics import blocked_mean

ALLOY = Alloy(("Mo", "W", "V"))
CELL = np.diag([3, 3, 1])
ENSEMBLE = Canonical(ALLOY, {"Mo": 3, "W": 3, "V": 3})
PAIRS = neighbour_pairs(ALLOY, CELL)
STATES = np.array(list(multiset_permutations([0, 0, 0, 1, 1, 1, 2, 2, 2])), dtype=np.int64)
PLACES = 3 ** np.arange(9)
TEMPERATURES = (200.0, 600.0, 2000.0)


class Listed:
    """Energies (eV per cell) of all decorations, from a list; counts what it is asked."""

    name = "listed"

    def __init__(self, energies: np.ndarray) -> None:
        self.table = np.full(3**9, np.nan)
        self.table[STATES @ PLACES] = energies
        self.asked = 0

    def energies(self, codes: np.ndarray) -> np.ndarray:
        self.asked += len(codes)
        return self.table[codes @ PLACES]


def smooth() -> np.ndarray:
    """Bonds and a term that no cluster expansion of pairs has."""
    bonds = np.array([[0.0, -0.02, 0.05], [-0.02, 0.0, 0.03], [0.05, 0.03, -0.04]])
    energy = bonds[STATES[:, PAIRS[:, 0]], STATES[:, PAIRS[:, 1]]].sum(axis=1)
    like = (STATES[:, PAIRS] == 2).all(axis=2).sum(axis=1)
    return energy - 0.004 * like**1.5 + 0.03 * np.sin(3 * energy)


def rough() -> np.ndarray:
    """An energy of its own for each decoration: a cluster expansion says nothing about it."""
    return np.random.default_rng(0).normal(0.0, 0.03, size=len(STATES))


def run(energies: np.ndarray, seed: int = 1, **settings) -> Sampler:
    chosen = SamplingSettings(**{"temperatures": TEMPERATURES} | settings)
    sampler = Sampler(
        Listed(energies),
        ALLOY,
        CELL,
        ENSEMBLE,
        chosen,
        seed,
        training=20,
        cutoffs=(1.1,),
    )
    while not sampler.finished:
        sampler.advance()
    return sampler


def boltzmann(energies: np.ndarray, temperature: float) -> np.ndarray:
    weights = np.exp(-(energies - energies.min()) / (kB * temperature))
    return weights / weights.sum()


def mean_of(series: list[np.ndarray]) -> tuple[float, float]:
    blocked = [blocked_mean(s) for s in series]
    error = np.sqrt(sum(b.error**2 for b in blocked)) / len(blocked)
    return float(np.mean([b.mean for b in blocked])), float(error)


@pytest.mark.physics
@pytest.mark.parametrize("exchange", [True, False])
@pytest.mark.parametrize("method", ["nested", "swaps"])
@pytest.mark.parametrize("hamiltonian", [smooth, rough])
def test_averages_equal_full_enumeration(method, hamiltonian, exchange) -> None:
    energies = hamiltonian()
    steps = 1500 if method == "nested" else 8000
    temperatures = TEMPERATURES if hamiltonian is smooth else (600.0, 1000.0, 2000.0)
    sampler = run(
        energies,
        temperatures=temperatures,
        method=method,
        steps=steps,
        burn_in=200,
        exchange=exchange,
    )
    cvs = correlation_matrix([bond_counts(s, PAIRS, 3) for s in STATES], [3, 3, 3])
    upper = np.triu_indices(3)
    limit = 4.2  # 3 temperatures x 7 averages x 8 cases: 1 in 200 that any is beyond by chance
    for temperature in temperatures:
        chains = [c for c in sampler.chains() if c.temperature == temperature]
        weights = boltzmann(energies, temperature)
        value, error = mean_of([c.energies for c in chains])
        exact = weights @ energies / 9
        assert abs(value - exact) < limit * error
        assert error < 0.0002  # 0.2 meV per unit
        series = [correlation_matrix(c.counts[1], c.numbers, c.own_images[1]) for c in chains]
        for a, b in zip(*upper, strict=True):
            value, error = mean_of([s[:, a, b] for s in series])
            assert abs(value - weights @ cvs[:, a, b]) < limit * error + 1e-12
            assert error < 0.005


@pytest.mark.physics
@pytest.mark.parametrize("method", ["nested", "swaps"])
def test_states_are_visited_as_often_as_detailed_balance_asks(method: str) -> None:
    """Chi-square of visits of 84 decorations, and of moves between two against their reverse."""
    two = np.array(list(multiset_permutations([0] * 6 + [1] * 3)), dtype=np.int64)
    model = Listed(rough())
    values = np.random.default_rng(1).normal(0.0, 0.05, size=len(two))
    model.table[two @ PLACES] = values
    settings = SamplingSettings(
        temperatures=[900.0], runs=1, method=method, steps=20000, burn_in=100
    )
    counts = {"Mo": 6, "W": 3}
    sampler = Sampler(
        model, ALLOY, CELL, Canonical(ALLOY, counts), settings, seed=5, training=10, cutoffs=(1.1,)
    )
    index = {int(key): i for i, key in enumerate(two @ PLACES)}
    visits = []
    while not sampler.finished:
        sampler.advance()
        if sampler.step >= 100:
            visits.append(index[int(sampler.decorations[0, 0] @ PLACES)])
    expected = boltzmann(values, 900.0)
    # Every 12th visit is nearly independent of the last.
    seen = np.bincount(visits[::12], minlength=84)
    number = seen.sum()
    statistic = ((seen - number * expected) ** 2 / (number * expected)).sum()
    assert chi2.sf(statistic, 83) > 1e-3
    moves = np.zeros((84, 84))
    for a, b in pairwise(visits):
        moves[a, b] += 1
    there, back = moves[np.triu_indices(84, 1)], moves.T[np.triu_indices(84, 1)]
    used = there + back >= 10
    statistic = ((there - back)[used] ** 2 / (there + back)[used]).sum()
    assert chi2.sf(statistic, used.sum()) > 1e-3
    assert used.sum() > 100


def test_a_useless_expansion_shrinks_its_blocks_and_a_good_one_lengthens_them() -> None:
    settings = {"method": "nested", "steps": 10, "burn_in": 300, "runs": 4}
    bad = run(rough(), temperatures=(150.0,), **settings)
    good = run(smooth(), temperatures=(2000.0,), **settings)
    assert bad.blocks[0] <= 3
    assert good.blocks[0] == 180  # 20 trials per site, as long as any
    assert good.chains()[0].trials == 10 * 180


def test_block_lengths_and_expansions_are_frozen_after_the_burn_in() -> None:
    sampler = Sampler(
        Listed(smooth()),
        ALLOY,
        CELL,
        ENSEMBLE,
        SamplingSettings(temperatures=TEMPERATURES, steps=30, burn_in=40),
        seed=0,
        cutoffs=(1.1,),
    )
    while sampler.step < 40:
        sampler.advance()
    blocks, parameters = sampler.blocks, sampler.expansion.parameters.copy()
    assert parameters.any()
    while not sampler.finished:
        sampler.advance()
    assert (sampler.blocks == blocks).all()
    assert (sampler.expansion.parameters == parameters).all()


def same(a: list[Chain], b: list[Chain]) -> bool:
    return all(
        x.final == y.final
        and x.initial == y.initial
        and x.acceptance == y.acceptance
        and x.exchange_acceptance == y.exchange_acceptance
        and (x.energies == y.energies).all()
        and all((x.counts[s] == y.counts[s]).all() for s in x.counts)
        for x, y in zip(a, b, strict=True)
    )


@pytest.mark.parametrize("method", ["nested", "swaps"])
@pytest.mark.parametrize("at", [0, 1, 7, 20, 33])
def test_a_restored_sampler_goes_the_same_way(method: str, at: int, tmp_path) -> None:
    settings = SamplingSettings(
        temperatures=TEMPERATURES, runs=2, method=method, steps=20, burn_in=20, shells=[1, 2]
    )

    def fresh() -> Sampler:
        return Sampler(
            Listed(smooth()),
            ALLOY,
            CELL,
            ENSEMBLE,
            settings,
            seed=3,
            training=8,
            cutoffs=(1.1,),
        )

    whole, first, second = fresh(), fresh(), fresh()
    while not whole.finished:
        whole.advance()
    for _ in range(at):
        first.advance()
    np.savez(tmp_path / "state.npz", **first.state())
    with np.load(tmp_path / "state.npz", allow_pickle=False) as state:
        second.restore(dict(state))
    while not second.finished:
        second.advance()
    assert same(whole.chains(), second.chains())
    assert second.evaluations == whole.evaluations
    other = SamplingSettings(temperatures=TEMPERATURES, runs=3, method=method)
    with pytest.raises(ValueError, match=r"holds chains of shape \(3, 2, 9\)"):
        Sampler(Listed(smooth()), ALLOY, CELL, ENSEMBLE, other, seed=3).restore(first.state())


def test_same_seed_same_chains_and_global_generators_are_untouched() -> None:
    settings = {"steps": 20, "burn_in": 10, "runs": 2}
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first = run(smooth(), **settings)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
    assert same(first.chains(), run(smooth(), **settings).chains())
    assert not same(first.chains(), run(smooth(), seed=2, **settings).chains())
    assert first.evaluations == first.model.asked


def test_energies_counts_and_decorations_belong_together() -> None:
    energies = smooth()
    sampler = run(energies, steps=25, burn_in=5, runs=2)
    for chain in sampler.chains():
        assert len(chain.energies) == 26 == len(chain.counts[1])
        for species, row in ((chain.initial, 0), (chain.final, -1)):
            codes = np.array([ALLOY.elements.index(s) for s in species])
            assert sorted(codes) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
            assert chain.energies[row] == Listed(energies).table[codes @ PLACES] / 9
            assert (chain.counts[1][row] == bond_counts(codes, PAIRS, 3)).all()
    assert [c.temperature for c in sampler.chains()] == [200, 200, 600, 600, 2000, 2000]
    assert sampler.chains()[-1].exchange_acceptance is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temperatures": (300.0, -1.0)}, "greater than 0"),
        ({"temperatures": (300.0, 300.0)}, "temperatures: every one once"),
        ({"method": "fast"}, "'nested' or 'swaps'"),
        ({"steps": 1}, "greater than or equal to 8"),
    ],
)
def test_settings_out_of_range(changes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SamplingSettings(**{"temperatures": TEMPERATURES, **changes})


def test_what_cannot_be_sampled_is_said() -> None:
    settings = SamplingSettings(temperatures=TEMPERATURES)
    model = Listed(smooth())
    for counts, message in (
        ({"Mo": 9}, "nothing to swap"),
        ({"Mo": 3, "W": 3}, "9 sites, counts .* fill 6"),
        ({"Mo": 3, "Ti": 6}, "not of the alloy"),
    ):
        with pytest.raises(ValueError, match=message):
            Sampler(model, ALLOY, CELL, Canonical(ALLOY, counts), settings, seed=0)
    asked = ExchangeLadder(lowest=300, highest=900, acceptance=0.3)
    with pytest.raises(TypeError, match="are not chosen yet"):
        Sampler(
            model,
            ALLOY,
            CELL,
            ENSEMBLE,
            SamplingSettings(temperatures=asked),
            seed=0,
        )
    for value, message in ((np.nan, "is nan eV"), (np.inf, "20 random ones in a row")):
        model.table[:] = value
        sampler = Sampler(model, ALLOY, CELL, ENSEMBLE, settings, seed=0)
        with pytest.raises(ArithmeticError, match=message):
            sampler.advance()


@pytest.mark.physics
@pytest.mark.parametrize("method", ["nested", "swaps"])
def test_decorations_without_energy_are_never_held(method: str) -> None:
    """A third of all decorations have none; the others are visited as without them."""
    energies = smooth()
    energies[np.random.default_rng(2).random(len(energies)) < 0.3] = np.inf
    sampler = run(energies, method=method, steps=1500, burn_in=100, temperatures=(600.0,))
    assert sampler.forbidden > 100
    weights = boltzmann(energies, 600.0)
    value, error = mean_of([c.energies for c in sampler.chains()])
    allowed = np.isfinite(energies)
    assert abs(value - weights[allowed] @ energies[allowed] / 9) < 4 * error
