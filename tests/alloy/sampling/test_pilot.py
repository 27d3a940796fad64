"""Ladders for a model and a cell against full enumeration and against sampled exchanges."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from ase.units import kB
from sympy.utilities.iterables import multiset_permutations

from hea_flows.alloy.lattice.bonds import neighbour_pairs
from hea_flows.alloy.lattice.prototypes import Alloy
from hea_flows.alloy.sampling import pilot as module
from hea_flows.alloy.sampling.ensembles import Canonical
from hea_flows.alloy.sampling.ladder import ladder
from hea_flows.alloy.sampling.pilot import PilotEnergies, PilotLadder, pilot_energies, run_pilot
from hea_flows.alloy.sampling.sampler import Sampler
from hea_flows.alloy.sampling.settings import ExchangeLadder, SamplingSettings

ALLOY = Alloy(("Mo", "W", "V"))
BONDS = np.array([[0.0, -0.02, 0.05], [-0.02, 0.0, 0.03], [0.05, 0.03, -0.04]])


class Pairs:
    """Energies of nearest neighbours (eV per cell); counts what it is asked."""

    name = "pairs"

    def __init__(self, size: int, scale: float = 1.0) -> None:
        self.cell = np.diag([size, size, 1])
        self.counts = dict.fromkeys(ALLOY.elements, size * size // 3)
        self.pairs, self.scale, self.asked = neighbour_pairs(ALLOY, self.cell), scale, 0

    def energies(self, codes: np.ndarray) -> np.ndarray:
        self.asked += len(codes)
        first, second = codes[:, self.pairs[:, 0]], codes[:, self.pairs[:, 1]]
        return self.scale * BONDS[first, second].sum(axis=1)


class Rough(Pairs):
    """An energy of its own for each decoration: a cluster expansion says nothing about it."""

    def energies(self, codes: np.ndarray) -> np.ndarray:
        self.asked += len(codes)
        table = np.random.default_rng(0).normal(0.0, 0.03, size=3**9)
        return table[codes @ 3 ** np.arange(9)]


def find(
    model: Pairs, lowest: float, highest: float, acceptance: float, seed: int = 0
) -> PilotLadder:
    asked = ExchangeLadder(lowest=lowest, highest=highest, acceptance=acceptance)
    rng = np.random.default_rng(seed)
    return run_pilot(model, ALLOY, model.cell, model.counts, asked, rng, cutoffs=(1.1,))


def measured(model: Pairs, lowest: float, highest: float, seed: int = 0) -> PilotEnergies:
    """Return what the pilot of `find` measures."""
    rng = np.random.default_rng(seed)
    return pilot_energies(
        model, ALLOY, model.cell, model.counts, lowest, highest, rng, cutoffs=(1.1,)
    )


def enumerated(model: Pairs, temperatures) -> dict[float, tuple[float, float]]:
    """Mean and variance of the energy per unit, over all 1680 decorations of a 3×3 cell."""
    states = np.array(list(multiset_permutations([0, 0, 0, 1, 1, 1, 2, 2, 2])), dtype=np.int64)
    energies = model.energies(states) / 9
    found = {}
    for t in temperatures:
        weights = np.exp(-9 * (energies - energies.min()) / (kB * t))
        weights /= weights.sum()
        mean = weights @ energies
        found[t] = (float(mean), float(weights @ (energies - mean) ** 2))
    return found


def assert_same_ladder(found, exact) -> None:
    """Rung by rung, to twice the scatter of 16 seeds: rounding decides what a seed draws.

    The exact ladder nearly takes one rung more; one seed in 16 does, and has the rungs of that.
    """
    expected = {len(x): x for x in (ladder(exact, 9, 300.0, 2000.0, a) for a in (0.8, 0.82))}
    assert len(found) in expected
    assert found == pytest.approx(expected[len(found)], rel=0.08)


@pytest.mark.physics
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("kind", [Pairs, Rough])
def test_ladder_is_that_of_full_enumeration(kind, seed) -> None:
    """For a model that the expansion describes, and for one of which it describes nothing.

    The tolerances are twice the scatter of 16 seeds, as those of the ladder.
    """
    model = kind(3)
    found = find(model, 300.0, 2000.0, 0.8, seed)
    assert model.asked == 60 + 2 * 16 * 4
    pilot = measured(kind(3), 300.0, 2000.0, seed)
    assert pilot.evaluations == found.evaluations <= model.asked  # some are drawn twice
    exact = enumerated(model, pilot.moments)
    assert len(ladder(exact, 9, 300.0, 2000.0, 0.8)) == (5 if kind is Pairs else 4)
    assert_same_ladder(found.temperatures, exact)
    for t, (mean, variance) in pilot.moments.items():
        sigma = np.sqrt(exact[t][1])
        # 64 decorations tell the variance of the rough one, to 10 % of σ, and not its mean.
        assert np.sqrt(variance) == pytest.approx(sigma, rel=0.12 if kind is Pairs else 0.3)
        assert kind is Rough or abs(mean - exact[t][0]) < 0.08 * sigma
    assert 1e-3 * found.spread_mev == pilot.spread
    assert pilot.spread == pytest.approx(0.0 if kind is Pairs else 0.03 / 9, rel=0.3, abs=1e-9)


@pytest.mark.physics
@pytest.mark.slow
@pytest.mark.parametrize("acceptance", [0.3, 0.5])
def test_sampled_replicas_exchange_at_the_rate_asked_for(acceptance: float) -> None:
    model = Pairs(6)
    found = find(model, 250.0, 1600.0, acceptance)
    settings = SamplingSettings(temperatures=found.temperatures, steps=800, burn_in=100)
    sampler = Sampler(
        model, ALLOY, model.cell, Canonical(ALLOY, model.counts), settings, 1, cutoffs=(1.1,)
    )
    while not sampler.finished:
        sampler.advance()
    rates = {t: [] for t in found.temperatures[:-1]}
    for chain in sampler.chains():
        if chain.exchange_acceptance is not None:
            rates[chain.temperature].append(chain.exchange_acceptance)
    shares = np.array([np.mean(x) for x in rates.values()])
    assert len(shares) > 3
    # Not below the rate, and with no rung more than it takes.
    assert shares.min() > acceptance - 0.05
    assert shares.mean() < acceptance + 0.1
    assert np.ptp(shares) < 0.15


def test_the_same_generator_gives_the_same_ladder() -> None:
    first, again, other = (find(Pairs(3), 300.0, 2000.0, 0.8, seed) for seed in (0, 0, 1))
    assert again == first
    assert other != first
    assert all(a < b for a, b in pairwise(first.temperatures))
    assert (first.temperatures[0], first.temperatures[-1]) == (300.0, 2000.0)


def test_where_chains_stand_still_a_ladder_is_found_all_the_same() -> None:
    """At 5 K only ground states are seen; up to where others are, one rung is enough."""
    model = Pairs(3)
    found = find(model, 5.0, 1000.0, 0.5)
    cold, next_one = found.temperatures[:2]
    assert cold == 5.0
    assert next_one > 100
    exact = ladder(enumerated(model, np.geomspace(100, 1000, 16)), 9, 100.0, 1000.0, 0.5)
    assert abs(len(found.temperatures) - len(exact)) <= 1


def test_decorations_without_an_energy_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third of them is forbidden, whatever they are; the rest tells what all would."""
    model, energies = Pairs(3), Pairs.energies

    def some(self: Pairs, codes: np.ndarray) -> np.ndarray:
        return np.where(codes @ 3 ** np.arange(9) % 3 == 0, np.inf, energies(self, codes))

    model.asked = 0
    monkeypatch.setattr(Pairs, "energies", some)
    found = find(model, 300.0, 2000.0, 0.8)
    assert found.evaluations <= model.asked == 188
    assert 30 < found.forbidden < 90
    monkeypatch.undo()
    temperatures = measured(model, 300.0, 2000.0).moments
    assert_same_ladder(found.temperatures, enumerated(model, temperatures))


def test_a_model_without_energies_needs_only_the_ends() -> None:
    assert find(Pairs(3, scale=0.0), 300.0, 2000.0, 0.8).temperatures == [300.0, 2000.0]


def test_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="rises, got 300 to 300 K"):
        find(Pairs(3), 300, 300, 0.3)
    with pytest.raises(ValueError, match=r"less than or equal to 0\.9"):
        find(Pairs(3), 300, 900, 1.0)
    model = Pairs(3, scale=np.nan)
    with pytest.raises(ArithmeticError, match="is nan eV"):
        find(model, 300, 900, 0.3)
    monkeypatch.setattr(module, "LONGEST_LADDER", 8)
    with pytest.raises(ValueError, match=r"of 9 units needs \d+ temperatures, more than 8: lower"):
        find(Pairs(3), 300, 2000, 0.9)
