"""Independent samples per second: nested Monte Carlo against mchammer with a plain calculator.

    python benchmarks/sampling_speed.py chgnet model.pt SHA256
    python benchmarks/sampling_speed.py mace model.pt SHA256 --mode relaxed --steps 60

One core, one run, seconds of the processor: the equimolar (Mo,Ta,Nb,W,V)S2 in a 10 × 10 cell (300
atoms). The baseline is mchammer's canonical ensemble with the calculator of the model's own
package: seconds per trial are measured, its autocorrelation time, in trials, is that of the same
swaps with the cluster expansion that the nested run fitted, because the model itself would take
hours. On a 5 × 5 cell both are run and compared: autocorrelation times, and averages of the nested
run and of plain swaps.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
from ase.calculators.calculator import Calculator
from ase.units import kB
from numpy.typing import NDArray
from seeded_ensemble import SeededCanonicalEnsemble

from hea_flows.alloy.lattice import Alloy, neighbour_pairs
from hea_flows.alloy.sampling import (
    AseEnergies,
    Canonical,
    Mode,
    Sampler,
    SamplingSettings,
    autocorrelation_time,
    average_of,
)
from hea_flows.alloy.sampling.mchammer import DecorationCalculator
from hea_flows.potentials.base import family
from hea_flows.potentials.lattice_energies import decoration_energies
from hea_flows.schemas import ModelSpec

ALLOY = Alloy(("Mo", "Ta", "Nb", "W", "V"))
A = 3.241  # mean of the end points' lattice constants (Å)
V = ALLOY.elements.index("V")

#: Error of relaxed energies that is aimed at (eV per cell): 0.1 k_B T at 400 K.
ERROR = 0.1 * kB * 400


def plain_calculator(spec: ModelSpec) -> Calculator:
    """Return the calculator of the model's own package."""
    chosen: Any = family(spec.family)
    module = chosen.load(spec).module
    if spec.family == "chgnet":
        from chgnet.model.dynamics import CHGNetCalculator

        return CHGNetCalculator(module, use_device="cpu", on_isolated_atoms="error")
    from mace.calculators import MACECalculator

    return MACECalculator(models=[module], device="cpu", default_dtype=spec.dtype)


def seconds_per_trial(spec: ModelSpec, size: int, mode: Mode, fmax: float, trials: int) -> float:
    """Return the mean time of a trial of mchammer's ensemble, the first two left out."""
    cell = np.diag([size, size, 1])
    model = AseEnergies(ALLOY, cell, A, plain_calculator(spec), mode=mode, fmax=fmax)
    rng = np.random.default_rng(0)
    species = rng.permutation(np.repeat(ALLOY.elements, size**2 // 5)).tolist()
    calculator = DecorationCalculator(model, ALLOY, cell)
    ensemble = SeededCanonicalEnsemble(calculator, species, 1000.0, rng, interval=10**6)
    ensemble.run(1)
    before, clock = calculator.evaluations, time.process_time()
    ensemble.run(trials)
    assert calculator.evaluations - before == trials
    return (time.process_time() - clock) / trials


def like_bonds(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the V–V CV from bond counts (S, n, n)."""
    n = counts.shape[-1]
    total = np.triu(np.ones((n, n), dtype=int))
    return counts[:, V, V] / (counts[0] * total).sum() - 1 / n**2


def swaps_of_expansion(
    sampler: Sampler, level: int, trials: int, seed: int
) -> tuple[NDArray[np.float64], int]:
    """Return the V–V CV along swaps of the expansion of a temperature, and trials per sample."""
    tables, every = sampler.expansion.tables, 10
    pairs = neighbour_pairs(ALLOY, _cell(sampler))
    codes, rng = sampler.decorations[level, 0], np.random.default_rng(seed)
    beta, found = 1 / (kB * sampler.temperatures[level]), []
    for _ in range(trials // every):
        tables.run(codes, every, beta, rng)
        found.append(float((codes[pairs] == V).all(axis=1).mean()) - 1 / len(ALLOY.elements) ** 2)
    return np.array(found), every


def _cell(sampler: Sampler) -> NDArray[np.int64]:
    size = round(sampler.n_units**0.5)
    return np.diag([size, size, 1])


def run(
    spec: ModelSpec,
    size: int,
    options: argparse.Namespace,
    settings: SamplingSettings,
) -> tuple[Sampler, float, float]:
    """Return a finished sampler, the seconds of its burn-in, and seconds per step and chain."""
    cell = np.diag([size, size, 1])
    model = decoration_energies(spec, ALLOY, cell, A, mode=options.mode, error=ERROR)
    counts = dict.fromkeys(ALLOY.elements, size**2 // 5)
    sampler = Sampler(
        model, ALLOY, cell, Canonical(ALLOY, counts), settings, seed=options.seed, training=100
    )
    clock = time.process_time()
    while not sampler.finished:
        sampler.advance()
        if sampler.step == settings.burn_in:
            burnt = time.process_time() - clock
    spent = time.process_time() - clock - burnt
    return sampler, burnt, spent / settings.steps / len(sampler.temperatures) / settings.runs


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("family")
    parser.add_argument("path")
    parser.add_argument("sha256")
    parser.add_argument("--mode", default="fixed lattice", choices=["fixed lattice", "relaxed"])
    parser.add_argument("--fmax", type=float, default=0.01, help="eV/Å, of relaxed mchammer")
    parser.add_argument("--steps", type=int, default=400, help="counted decisions per chain")
    parser.add_argument("--burn-in", type=int, default=200)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--trials", type=int, default=8, help="timed trials of the baseline")
    parser.add_argument("--check", type=int, default=20000, help="plain swaps on 5 × 5; 0: none")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    spec = ModelSpec(family=options.family, path=options.path, sha256=options.sha256)
    settings = SamplingSettings(
        temperatures=[400.0, 1000.0],
        runs=options.runs,
        steps=options.steps,
        burn_in=options.burn_in,
        exchange=False,
    )
    print(f"{options.family}, {options.mode}, 10 × 10, one core")
    plain = seconds_per_trial(spec, 10, options.mode, options.fmax, options.trials)
    print(f"mchammer with the package's calculator: {plain:.3f} s per trial")
    sampler, burnt, step = run(spec, 10, options, settings)
    model = sampler.model
    clock = time.process_time()
    model.energies(sampler.decorations[:, 0])
    once = (time.process_time() - clock) / 2
    print(
        f"nested: burn-in {burnt:.1f} s (all chains, not counted below); {step:.4f} s per step, "
        f"of which the model {once:.4f} s; expansion rmse {1e3 * sampler.expansion.rmse:.2f} "
        "meV/unit"
    )
    for level, temperature in enumerate(sampler.temperatures):
        chains = [c for c in sampler.chains() if c.temperature == temperature]
        series = [like_bonds(c.counts[1]) for c in chains]
        tau = float(np.mean([autocorrelation_time(s) for s in series]))
        expansion, every = swaps_of_expansion(sampler, level, 200_000, options.seed)
        trials = every * autocorrelation_time(expansion)
        ours, theirs = 1 / (tau * step), 1 / (trials * plain)
        print(
            f"{temperature:g} K: baseline τ {trials:.0f} trials, {theirs:.5f} samples/s; nested "
            f"blocks of {chains[0].block}, accepted {np.mean([c.acceptance for c in chains]):.2f}, "
            f"τ {tau:.2f} steps, {ours:.3f} samples/s; ratio {ours / theirs:.0f} = "
            f"{trials / tau:.0f} (trials per step) × {plain / step:.1f} (seconds)"
        )
        value = average_of(series)
        print(f"    V-V CV {value.mean:.4f} ± {value.error:.4f}, R-hat {value.r_hat:.3f}")
    if options.check:
        _check(spec, options, settings)


def _check(spec: ModelSpec, options: argparse.Namespace, settings: SamplingSettings) -> None:
    """Compare swaps of the model, swaps of the expansion and nested steps on a 5 × 5 cell."""
    nested, _, _ = run(spec, 5, options, settings)
    swaps, _, _ = run(
        spec,
        5,
        options,
        settings.model_copy(
            update={"method": "swaps", "steps": options.check, "burn_in": 500, "runs": 1}
        ),
    )
    for level, temperature in enumerate(nested.temperatures):
        rows = {}
        for name, sampler in (("nested", nested), ("swaps", swaps)):
            chains = [c for c in sampler.chains() if c.temperature == temperature]
            cv = average_of([like_bonds(c.counts[1]) for c in chains])
            energy = average_of([1e3 * c.energies for c in chains])
            rows[name] = (cv, energy, chains)
        tau = autocorrelation_time(like_bonds(rows["swaps"][2][0].counts[1]))
        expansion, every = swaps_of_expansion(nested, level, 200_000, options.seed)
        print(
            f"5 × 5, {temperature:g} K: τ of V-V {tau:.0f} trials of the model, "
            f"{every * autocorrelation_time(expansion):.0f} of the expansion; "
            + "; ".join(
                f"{name} CV {cv.mean:.4f} ± {cv.error:.4f}, E {e.mean:.2f} ± {e.error:.2f} meV/unit"
                for name, (cv, e, _) in rows.items()
            )
        )


if __name__ == "__main__":
    main()
