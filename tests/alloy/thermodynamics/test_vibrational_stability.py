from __future__ import annotations

from itertools import combinations
from math import log

import numpy as np
import pytest
from ase.units import kB

from hea_flows.alloy.thermodynamics.decomposition import (
    Decomposition,
    decompositions,
    transition_temperatures,
)
from hea_flows.alloy.thermodynamics.vibrational_stability import vibrational_transitions
from hea_flows.alloy.thermodynamics.vibrations import THZ, Modes

METALS = ("Mo", "W", "Nb", "V")
GRID = np.arange(0.0, 2001.0, 10.0)


def all_phases() -> list[tuple[str, ...]]:
    return [s for k in range(1, 5) for s in combinations(METALS, k)]


def pool(seed: int) -> list[Decomposition]:
    rng = np.random.default_rng(seed)
    table = {s: float(rng.normal(0.02, 0.03)) for s in all_phases() if len(s) > 1}
    return decompositions(METALS, table)


@pytest.mark.parametrize("seed", range(4))
def test_without_vibrations_it_is_the_exact_sequence(seed: int) -> None:
    decomps = pool(seed)
    same = dict.fromkeys(all_phases(), -0.0001 * GRID)  # cancels: the same in every phase
    found = vibrational_transitions(decomps, same, GRID)
    exact = [(t, d) for t, d in transition_temperatures(decomps) if t <= GRID[-1]]
    assert [d.name for _, d in found] == [d.name for _, d in exact]
    assert [t for t, _ in found] == pytest.approx([t for t, _ in exact], abs=1e-6)


def test_a_linear_free_energy_is_an_entropy() -> None:
    decomps = pool(1)
    rng = np.random.default_rng(9)
    entropy = {s: float(rng.normal(0, 2e-5)) for s in all_phases()}
    found = vibrational_transitions(decomps, {s: -x * GRID for s, x in entropy.items()}, GRID)

    def extra(d: Decomposition) -> float:
        ends = sum(entropy[(e,)] for e in METALS) / 4
        return sum(len(p) / 4 * entropy[p] for p in d.phases) - ends

    shifted = [d.model_copy(update={"entropy": d.entropy + extra(d)}) for d in decomps]
    exact = [(t, d) for t, d in transition_temperatures(shifted) if t <= GRID[-1]]
    assert [d.name for _, d in found] == [d.name for _, d in exact]
    assert [t for t, _ in found] == pytest.approx([t for t, _ in exact], abs=1e-6)


def test_softer_modes_of_the_alloy_lower_the_transition() -> None:
    # Classically F = 3 k T ln(ħω/k T): the alloy's 4 THz against 5 THz gain 3 k ln(5/4).
    decomps = decompositions(("Nb", "V"), {("Nb", "V"): 0.15})
    soft, hard = (Modes(np.full((1, 3), f), np.ones(1)).free_energy(GRID) for f in (4.0, 5.0))
    free = {("V", "Nb"): soft, ("Nb",): hard, ("V",): hard}
    [(_, ground), (at, above)] = vibrational_transitions(decomps, free, GRID)
    assert (ground.name, above.name) == ("Nb + V", "(Nb,V)")
    classical = 0.15 / (kB * (log(2) + 3 * log(5 / 4)))
    assert at == pytest.approx(classical, abs=1.5)  # quantum corrections are (ħω/kT)²/24
    # Exactly: the two free energies of one oscillator are equal there.
    t = at
    exact = (
        0.15
        - kB * t * log(2)
        + 3 * kB * t * log(np.sinh(2 * THZ / kB / t) / np.sinh(2.5 * THZ / kB / t))
    )
    assert exact == pytest.approx(0, abs=1e-8)


def test_bad_input() -> None:
    decomps = pool(0)
    free = dict.fromkeys(all_phases(), 0 * GRID)
    with pytest.raises(ValueError, match="no vibrational free energy of V"):
        vibrational_transitions(decomps, {k: v for k, v in free.items() if k != ("V",)}, GRID)
    with pytest.raises(ValueError, match="need shape"):
        vibrational_transitions(decomps, free | {("V",): GRID[1:]}, GRID)
    with pytest.raises(ValueError, match="four rising temperatures"):
        vibrational_transitions(decomps, free, [0.0, 100.0])
