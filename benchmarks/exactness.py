"""Averages of plain, local and nested Monte Carlo against full enumeration of one Hamiltonian.

    python benchmarks/exactness.py

(Mo,W,V)S2 with two of each metal in a 2 × 3 cell has 90 decorations. CHGNet 0.3.0 evaluates all of
them, at one geometry and relaxed, and a MACE with random weights, whose energies are as good as any
for this purpose, at one geometry. Energies and every nearest-neighbour CV are compared with exact
averages at three temperatures; errors are those of `average_of` over independent chains. With N
comparisons the largest deviation is expected to stay below the printed number of errors in 99 of
100 runs. Energies of decorations that were met before are remembered, but for the local calculator,
which computes every change anew.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from ase.units import kB
from local_growth import small_mace
from numpy.typing import NDArray
from scipy.stats import norm
from seeded_ensemble import SeededCanonicalEnsemble

from hea_flows.alloy.lattice import (
    Alloy,
    bond_counts,
    correlation_matrix,
    neighbour_pairs,
    own_image_share,
)
from hea_flows.alloy.sampling import (
    Canonical,
    DecorationEnergies,
    Sampler,
    SamplingSettings,
    average_of,
)
from hea_flows.alloy.sampling.mchammer import LocalCalculator
from hea_flows.potentials.lattice_energies import decoration_energies
from hea_flows.potentials.mace.fast import LatticeMACE
from hea_flows.schemas import ModelSpec

ALLOY = Alloy(("Mo", "W", "V"))
CELL = np.diag([2, 3, 1])
PAIRS = neighbour_pairs(ALLOY, CELL)
UPPER = np.triu_indices(3)
OWN_IMAGES = own_image_share(PAIRS)
#: Energies per unit (S,) and CVs (S, 6) of one chain.
Series = tuple[NDArray[np.float64], NDArray[np.float64]]


class Remembered:
    """Energies of decorations, each computed once."""

    def __init__(self, model: DecorationEnergies) -> None:
        self.model, self.name = model, model.name
        self.known: dict[bytes, float] = {}

    def energies(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the energies (eV per cell) of decorations (B, n_sites)."""
        new = {row.tobytes(): row for row in codes if row.tobytes() not in self.known}
        if new:
            values = self.model.energies(np.array(list(new.values())))
            self.known.update(zip(new, values.tolist(), strict=True))
        return np.array([self.known[row.tobytes()] for row in codes])


def states() -> NDArray[np.int64]:
    """Return all decorations, (90, 6)."""
    found = {
        tuple(np.random.default_rng(i).permutation([0, 0, 1, 1, 2, 2]).tolist())
        for i in range(5000)
    }
    assert len(found) == 90
    return np.array(sorted(found), dtype=np.int64)


def values(codes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the CVs (B, 6) of decorations."""
    counts = [bond_counts(row, PAIRS, 3) for row in codes]
    return correlation_matrix(counts, [2, 2, 2], OWN_IMAGES)[:, UPPER[0], UPPER[1]]


def sampled(
    model: DecorationEnergies, temperatures: Sequence[float], method: str, steps: int, runs: int
) -> dict[float, list[Series]]:
    """Return chains of the sampler by temperature."""
    settings = SamplingSettings(
        temperatures=list(temperatures),
        runs=runs,
        method="nested" if method == "nested" else "swaps",
        steps=steps,
        burn_in=200,
        exchange=False,
    )
    counts = dict.fromkeys(ALLOY.elements, 2)
    sampler = Sampler(
        model, ALLOY, CELL, Canonical(ALLOY, counts), settings, seed=1, training=20, cutoffs=(1.1,)
    )
    while not sampler.finished:
        sampler.advance()
    found: dict[float, list[Series]] = {t: [] for t in temperatures}
    for c in sampler.chains():
        cv = correlation_matrix(c.counts[1], c.numbers, c.own_images[1])[:, UPPER[0], UPPER[1]]
        found[c.temperature].append((c.energies, cv))
    return found


def local(
    model: LatticeMACE, temperatures: Sequence[float], trials: int, runs: int
) -> dict[float, list[Series]]:
    """Return chains of mchammer's ensemble with the local calculator by temperature."""
    found: dict[float, list[Series]] = {}
    for temperature in temperatures:
        chains = found.setdefault(temperature, [])
        for run in range(runs):
            calculator = LocalCalculator(model, ALLOY, CELL)
            energies, codes = [], []

            def sample(
                _: int,
                energy: float,
                calculator: LocalCalculator = calculator,
                energies: list[float] = energies,
                codes: list[list[int]] = codes,
            ) -> None:
                energies.append(energy / 6)
                codes.append([ALLOY.elements.index(s) for s in calculator.species])

            rng = np.random.default_rng([run, 7])
            species = rng.permutation(np.repeat(ALLOY.elements, 2)).tolist()
            SeededCanonicalEnsemble(calculator, species, temperature, rng, on_sample=sample).run(
                trials
            )
            chains.append((np.array(energies[200:]), values(np.array(codes[200:]))))
    return found


class Comparison:
    """Deviations from exact averages, in errors."""

    def __init__(self) -> None:
        self.deviations: list[float] = []
        self.errors: list[tuple[float, float]] = []

    def add(self, title: str, model: DecorationEnergies, chains: dict[float, list[Series]]) -> None:
        """Compare chains, and print a line for each temperature."""
        every = states()
        energies, cvs = model.energies(every), values(every)
        for temperature, series in chains.items():
            weights = np.exp(-(energies - energies.min()) / (kB * temperature))
            weights /= weights.sum()
            energy = average_of([e for e, _ in series])
            own = [(energy.mean - weights @ energies / 6) / energy.error]
            errors = []
            for k in range(6):
                cv = average_of([c[:, k] for _, c in series])
                if cv.error > 0:
                    own.append((cv.mean - weights @ cvs[:, k]) / cv.error)
                errors.append(cv.error)
            self.deviations += own
            self.errors.append((1e3 * energy.error, max(errors)))
            print(
                f"{title:40s} {temperature:5.0f} K: E {1e3 * energy.mean:9.3f} ± "
                f"{1e3 * energy.error:.3f} meV/unit, exact {1e3 * weights @ energies / 6:9.3f}; "
                f"CV errors up to {max(errors):.4f}; largest deviation "
                f"{np.abs(own).max():.1f} errors",
                flush=True,
            )

    def conclude(self) -> None:
        """Print what all comparisons say together."""
        n, worst = len(self.deviations), float(np.abs(self.deviations).max())
        limit = float(norm.isf(0.005 / n))
        chi = float(np.mean(np.square(self.deviations)))
        print(
            f"{n} comparisons: largest {worst:.2f} errors, limit {limit:.2f} "
            f"({'kept' if worst < limit else 'BROKEN'}); mean square {chi:.2f}; errors up to "
            f"{max(e for e, _ in self.errors):.3f} meV/unit and "
            f"{max(c for _, c in self.errors):.4f} in CV"
        )


def main() -> None:
    """Print the comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--runs", type=int, default=4)
    options = parser.parse_args()
    torch.set_num_threads(1)
    comparison = Comparison()
    spec = ModelSpec(family="chgnet", name="0.3.0", dtype="float64")
    for mode in ("fixed lattice", "relaxed"):
        model = Remembered(
            decoration_energies(spec, ALLOY, CELL, 3.18, mode=mode)  # type: ignore[arg-type]
        )
        for method, steps in (("plain", options.steps), ("nested", options.steps // 4)):
            chains = sampled(model, (300.0, 600.0, 1500.0), method, steps, options.runs)
            comparison.add(f"CHGNet, {mode}, {method}", model, chains)
    potential = small_mace()
    potential.module.double()
    potential.dtype = torch.float64
    lattice = LatticeMACE(potential, ALLOY, CELL, 3.18)
    remembered = Remembered(lattice)
    spread = float(remembered.energies(states()).std()) / kB
    temperatures = [round(f * spread, 1) for f in (0.7, 1.5, 4.0)]
    for method, steps in (("plain", options.steps), ("nested", options.steps // 4)):
        chains = sampled(remembered, temperatures, method, steps, options.runs)
        comparison.add(f"MACE, random weights, {method}", remembered, chains)
    chains = local(lattice, temperatures, options.steps // 2, options.runs)
    comparison.add("MACE, random weights, local", remembered, chains)
    comparison.conclude()


if __name__ == "__main__":
    main()
