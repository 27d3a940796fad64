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
from hea_flows.alloy.thermodynamics.mixtures import PhasePool
from hea_flows.alloy.thermodynamics.vibrational_stability import (
    vibrational_mixing,
    vibrational_transitions,
)
from hea_flows.alloy.thermodynamics.vibrations import THZ, Modes

METALS = ("Mo", "W", "Nb", "V")
GRID = np.arange(0.0, 2001.0, 10.0)


def all_phases() -> list[tuple[str, ...]]:
    return [s for k in range(1, 5) for s in combinations(METALS, k)]


def mixing(free: dict[tuple[str, ...], np.ndarray]) -> dict[tuple[str, ...], np.ndarray]:
    """Return free energies of phases of equal parts relative to their end members."""
    return vibrational_mixing(free, {phase: dict.fromkeys(phase, 1) for phase in free})


def pool(seed: int) -> list[Decomposition]:
    rng = np.random.default_rng(seed)
    table = {s: float(rng.normal(0.02, 0.03)) for s in all_phases() if len(s) > 1}
    return decompositions(METALS, table)


@pytest.mark.parametrize("seed", range(4))
def test_without_vibrations_it_is_the_exact_sequence(seed: int) -> None:
    decomps = pool(seed)
    same = dict.fromkeys(all_phases(), -0.0001 * GRID)  # cancels: the same in every phase
    found = vibrational_transitions(decomps, mixing(same), GRID)
    exact = [(t, d) for t, d in transition_temperatures(decomps) if t <= GRID[-1]]
    assert [d.name for _, d in found] == [d.name for _, d in exact]
    assert [t for t, _ in found] == pytest.approx([t for t, _ in exact], abs=1e-6)


def test_a_linear_free_energy_is_an_entropy() -> None:
    decomps = pool(1)
    rng = np.random.default_rng(9)
    entropy = {s: float(rng.normal(0, 2e-5)) for s in all_phases()}
    free = {s: -x * GRID for s, x in entropy.items()}
    found = vibrational_transitions(decomps, mixing(free), GRID)

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
    [(_, ground), (at, above)] = vibrational_transitions(decomps, mixing(free), GRID)
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


def test_mixtures_of_unequal_parts_with_a_linear_free_energy() -> None:
    """As with the entropies of the phases changed: every mixture that is stable is found."""
    rng, whole = np.random.default_rng(5), {"Mo": 3, "W": 1, "Nb": 2, "V": 2}
    counts = {s: {e: whole[e] for e in s} for s in all_phases()}
    mixed = [s for s in counts if len(s) > 1]
    phases = PhasePool.of(METALS, counts, {s: float(rng.normal(0.01, 0.03)) for s in mixed}, whole)
    entropy = {s: float(rng.normal(0, 3e-5)) for s in counts}
    added = vibrational_mixing({s: -x * GRID for s, x in entropy.items()}, counts)
    v, mo = entropy["Mo", "V"], (3 * entropy[("Mo",)] + 2 * entropy[("V",)]) / 5
    np.testing.assert_allclose(added["Mo", "V"], -(v - mo) * GRID, atol=1e-15)
    found = vibrational_transitions(phases.stable_at(GRID, added), added, GRID)

    class Changed(PhasePool):
        @property
        def entropies(self) -> np.ndarray:
            more = [0.0 if len(p) == 1 else -added[p][1] / GRID[1] for p in self.phases]
            return super().entropies + more

    changed = Changed(
        phases.elements, phases.phases, phases.fractions, phases.enthalpies, phases.overall
    )
    exact = [(t, d) for t, d in transition_temperatures(changed.stable()) if t <= GRID[-1]]
    assert len(exact) > 2
    assert [d.name for _, d in found] == [d.name for _, d in exact]
    assert [t for t, _ in found] == pytest.approx([t for t, _ in exact], abs=1e-5)


def test_bad_input() -> None:
    decomps = pool(0)
    free = mixing(dict.fromkeys(all_phases(), 0 * GRID))
    assert mixing({("Mo", "V"): GRID, ("V",): GRID}) == {}
    with pytest.raises(ValueError, match="no vibrational free energy of Mo-V"):
        vibrational_transitions(decomps, {k: v for k, v in free.items() if k != ("Mo", "V")}, GRID)
    with pytest.raises(ValueError, match="need shape"):
        vibrational_transitions(decomps, free | {("Mo", "V"): GRID[1:]}, GRID)
    with pytest.raises(ValueError, match="four rising temperatures"):
        vibrational_transitions(decomps, free, [0.0, 100.0])
