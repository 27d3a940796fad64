"""Time per swap against the size of the supercell: the local calculator and a plain one.

    python benchmarks/local_growth.py

A MACE of the architecture of MACE-MP-0 small (128 scalars, 6 Å, two layers, angular momenta to 3),
with random weights, whose values change no time, on (Mo,Ta,Nb,W,V)S2 monolayers from 12 × 12 to
36 × 36; one core, seconds of the processor. The plain calculator is MACE's own, with forces, as
ASE users have it.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
from ase.data import atomic_numbers
from mace.calculators import MACECalculator
from numpy.typing import NDArray
from seeded_ensemble import SeededCanonicalEnsemble

from hea_flows.alloy.lattice import Alloy
from hea_flows.alloy.sampling.mchammer import LocalCalculator
from hea_flows.potentials.mace import modules
from hea_flows.potentials.mace.fast import LatticeMACE
from hea_flows.potentials.mace.potential import MACEPotential

ALLOY = Alloy(("Mo", "Ta", "Nb", "W", "V"))
A = 3.241
SMALL = {
    "hidden_irreps": "128x0e",
    "r_max": 6.0,
    "num_bessel": 10,
    "max_ell": 3,
    "interaction_cls_first": "RealAgnosticInteractionBlock",
}


def small_mace() -> MACEPotential:
    """Return the model."""
    numbers = sorted(atomic_numbers[e] for e in (*ALLOY.elements, "S"))
    config: dict[str, Any] = (
        dict(modules.ARCHITECTURE)
        | (SMALL)
        | {
            "atomic_numbers": numbers,
            "atomic_energies": [0.0] * len(numbers),
            "avg_num_neighbors": 60.0,
            "atomic_inter_scale": 0.8,
            "atomic_inter_shift": 0.0,
        }
    )
    torch.manual_seed(0)
    module = modules.build(config)
    modules.widen_species(module)
    return MACEPotential(module, config, "float32", "cpu")


def median(seconds: list[float]) -> float:
    """Return the median, the first left out."""
    return float(np.median(seconds[1:]))


def local(potential: MACEPotential, cell: NDArray[np.int64], trials: int) -> float:
    """Return the median seconds of a trial of mchammer's ensemble with the local calculator."""
    model = LatticeMACE(potential, ALLOY, cell, A)
    rng = np.random.default_rng(0)
    n = int(np.prod(np.diag(cell)))
    species = [ALLOY.elements[i] for i in rng.integers(len(ALLOY.elements), size=n)]
    calculator = LocalCalculator(model, ALLOY, cell)
    ensemble = SeededCanonicalEnsemble(calculator, species, 1000.0, rng, interval=10**6)
    ensemble.run(1)
    spent = []
    for _ in range(trials):
        clock = time.process_time()
        ensemble.run(1)
        spent.append(time.process_time() - clock)
    return median(spent)


def plain(potential: MACEPotential, cell: NDArray[np.int64], trials: int) -> float:
    """Return the median seconds of a total energy of MACE's own calculator after a swap."""
    model = LatticeMACE(potential, ALLOY, cell, A)
    atoms = LocalCalculator(model, ALLOY, cell).structure([ALLOY.elements[0]] * model.cells, a=A)
    atoms.pbc = True
    atoms.calc = MACECalculator(models=[potential.module], device="cpu", default_dtype="float32")
    rng, spent = np.random.default_rng(0), []
    for _ in range(trials):
        site = 3 * int(rng.integers(model.cells))
        atoms.numbers[site] = 42 if atoms.numbers[site] != 42 else 23
        clock = time.process_time()
        atoms.get_potential_energy()
        spent.append(time.process_time() - clock)
    return median(spent)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 12, 24, 36])
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--plain-trials", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    potential = small_mace()
    times = {}
    for size in options.sizes:
        cell = np.diag([size, size, 1])
        times[size] = (
            local(potential, cell, options.trials),
            plain(potential, cell, options.plain_trials),
        )
        quick, slow = times[size]
        print(
            f"{size} × {size}: {3 * size**2} atoms, local {1e3 * quick:.1f} ms per trial, "
            f"plain {1e3 * slow:.0f} ms, ratio {slow / quick:.0f}",
            flush=True,
        )
    small, large = times[options.sizes[-3]], times[options.sizes[-1]]
    print(
        f"from {options.sizes[-3]} to {options.sizes[-1]}: local {large[0] / small[0]:.2f} times, "
        f"plain {large[1] / small[1]:.1f} times"
    )


if __name__ == "__main__":
    main()
