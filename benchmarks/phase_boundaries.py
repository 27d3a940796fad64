"""Binodal, Δμ of coexistence and critical temperature of the Ising model, against the exact ones.

    python benchmarks/phase_boundaries.py
    python benchmarks/phase_boundaries.py --small

The Ising model on the triangular lattice with a linear term, E = −J Σ s_i s_j + c N_V, is sampled
as an alloy: nested chains in the variance-constrained ensemble, histograms of composition.
T_c = 4J/(k_B ln 3) and M = [1 − 16u³/((1 + 3u)(1 − u)³)]^(1/8), u = exp(−4J/k_B T) (R. B. Potts,
Phys. Rev. 88, 352 (1952)). The Δμ of coexistence is c.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
from ase.units import kB
from own_machine import load, print_table
from triangular_ising import ALLOY, CRITICAL, LINEAR, Ising, magnetization

from hea_flows.alloy.phases import (
    CompositionFreeEnergy,
    binder_cumulant,
    coexistences,
    composition_free_energy,
    falls_through_zero,
)
from hea_flows.alloy.sampling import (
    Sampler,
    SamplingSettings,
    VariableComposition,
    autocorrelation_time,
)

KAPPA = 3.0
#: T/T_c of the binodal, and around the crossing of cumulants.
BELOW = (0.6, 0.7, 0.8, 0.9, 0.95)
AROUND = (0.96, 0.98, 1.0, 1.02, 1.04)


def sampled(
    size: int, temperature: float, points: int, steps: int, seed: int
) -> CompositionFreeEnergy:
    """Return the free energy of a cell against its composition."""
    beta, n = 1 / (kB * temperature), size**2
    # ⟨x⟩ = −φ/2 − βc/(2κ) without interactions: points over the whole range of composition.
    phis = -2 * np.linspace(-0.05, 1.05, points) - beta * LINEAR / KAPPA
    ensemble = VariableComposition.variance_constrained(ALLOY, KAPPA, [{"V": p} for p in phis])
    settings = SamplingSettings(temperatures=[temperature], runs=2, steps=steps, burn_in=64)
    model = Ising(size, size)
    sampler = Sampler(model, ALLOY, model.cell, ensemble, settings, seed, cutoffs=(1.1,))
    while not sampler.finished:
        sampler.advance()
    chains, sites = sampler.chains(), np.arange(n + 1)
    times = [autocorrelation_time(c.numbers[:, 1].astype(float)) for c in chains]
    return composition_free_energy(
        beta,
        [c.numbers[:, 1] for c in chains],
        [-KAPPA * n * (sites / n + phis[c.point] / 2) ** 2 for c in chains],
        [t if np.isfinite(t) else 1.0 for t in times],
    )


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--small", action="store_true", help="smaller cells, shorter chains")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    size, cells, steps = (10, (4, 8), 150) if given.small else (14, (6, 12), 400)
    began, table = time.perf_counter(), []
    for share in BELOW:
        temperature = share * CRITICAL
        free = sampled(size, temperature, 3 * size // 2, steps, given.seed)
        exact, pairs = (1 - magnetization(temperature)) / 2, coexistences(free)
        if len(pairs) != 1:
            sys.exit(f"{len(pairs)} pairs of phases at {share} T_c, expected 1")
        low, high, ratio = pairs[0].low, 1 - pairs[0].high, pairs[0].potential / LINEAR
        off = max(abs(low - exact), abs(high - exact))
        numbers = (low, high, exact, off, ratio)
        table.append((share, temperature, *(f"{x:.4f}" for x in numbers)))
    print(f"binodal in a cell of {size} × {size}; {load()}")
    print_table(("T/Tc", "T (K)", "x low", "1 − x high", "exact", "|Δx|", "Δμ/c"), table)
    cumulants = {
        one: [
            binder_cumulant(sampled(one, share * CRITICAL, 2 * one, steps, given.seed))
            for share in AROUND
        ]
        for one in cells
    }
    rows = [(s, *(f"{cumulants[c][i]:.4f}" for c in cells)) for i, s in enumerate(AROUND)]
    print_table(("T/Tc", *(f"cumulant, {c} × {c}" for c in cells)), rows)
    small, large = (np.array(cumulants[c]) for c in cells)
    found = falls_through_zero([s * CRITICAL for s in AROUND], large - small, np.zeros(len(AROUND)))
    ratio = f"{found[0]:.1f} K, {found[0] / CRITICAL:.4f} of the exact T_c" if found else "none"
    print(f"crossing: {ratio} ({CRITICAL:.1f} K); {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
