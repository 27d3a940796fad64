"""The critical temperature of the triangular Ising ferromagnet at equal composition.

    python benchmarks/ising.py --sizes 12 24 48 --sweeps 40000

H = −J Σ s_i s_j over nearest neighbours, s = ±1, sampled by swaps of a cluster expansion with one
pair. The composition is fixed, so order shows in the Fourier amplitudes A_k of the three shortest
wave vectors: with S = Σ_k |A_k|², the ratio ⟨S²⟩/⟨S⟩² is 4/3 in the disordered phase, 1 in the
separated one, and the same for all sizes at the critical temperature up to corrections to scaling.
Where the curves of neighbouring sizes cross is compared with the exact 4 J/(k_B ln 3)
(R. M. F. Houtappel, Physica 16, 425 (1950)).
"""

from __future__ import annotations

import argparse
import itertools
import math
import time

import numpy as np
from ase.units import kB
from numpy.typing import NDArray

from hea_flows.alloy.clusters import Clusters, Tables, cluster_space
from hea_flows.alloy.lattice import Alloy, lattice_points

J = 0.01  # eV
EXACT = 4 * J / (kB * math.log(3))
ALLOY = Alloy(("Mo", "W"))


def ising(size: int) -> Tables:
    """Return the energies of a size × size supercell."""
    a = ALLOY.lattice_constant("Mo")
    clusters = Clusters.of(cluster_space(ALLOY, [1.1 * a]), ALLOY, np.diag([size, size, 1]))
    return clusters.tables([0.0, 0.0, -3 * J])


def amplitudes(size: int) -> NDArray[np.complex128]:
    """Return exp(i k r)/n of the three shortest wave vectors, (3, n); the axes enclose 120°."""
    points = lattice_points(np.diag([size, size, 1]))[:, :2]
    waves = np.array([(1, 0), (0, 1), (1, -1)])
    phases: NDArray[np.complex128] = np.exp(2j * np.pi * waves @ points.T / size) / size**2
    return phases


def sample(
    size: int, temperature: float, sweeps: int, seed: int, *, every: int = 2
) -> NDArray[np.float64]:
    """Return S along a chain of so many sweeps, the first fifth left out."""
    tables, waves = ising(size), amplitudes(size)
    rng = np.random.default_rng([seed, size])
    codes = rng.permutation(np.repeat([0, 1], size**2 // 2)).astype(np.int64)
    beta, found = 1 / (kB * temperature), []
    for step in range(sweeps // every):
        tables.run(codes, every * size**2, beta, rng)
        if step >= sweeps // every // 5:
            found.append(float((np.abs(waves @ (2.0 * codes - 1.0)) ** 2).sum()))
    return np.array(found)


def ratio(series: NDArray[np.float64], rng: np.random.Generator) -> tuple[float, float]:
    """Return ⟨S²⟩/⟨S⟩² and its error, by resampling 20 blocks of the chain."""
    blocks = np.array_split(series, 20)
    moments = np.array([(b.mean(), (b**2).mean()) for b in blocks])
    drawn = moments[rng.integers(20, size=(400, 20))].mean(axis=1)
    first, second = moments.mean(axis=0)
    return float(second / first**2), float((drawn[:, 1] / drawn[:, 0] ** 2).std())


def crossing(
    scale: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> float:
    """Return where two curves (smaller, larger size) cross, from parabolas through both."""
    roots = np.roots(np.polyfit(scale - 1.0, high - low, 2))
    real = roots[np.isreal(roots)].real
    return float(1.0 + real[np.abs(real).argmin()]) if len(real) else math.nan


def main() -> None:
    """Print the ratios, and where they cross."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[12, 24, 48])
    parser.add_argument("--sweeps", type=int, default=60000, help="at the smallest size")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    scale = np.linspace(0.96, 1.04, 9)
    rng = np.random.default_rng(options.seed)
    print(f"exact T_c = 4 J/(k_B ln 3) = {EXACT:.3f} K for J = {1e3 * J:g} meV")
    values, errors = [], []
    for size in options.sizes:
        clock = time.perf_counter()
        sweeps = round(options.sweeps * (size / options.sizes[0]) ** 1.5)
        rows = [ratio(sample(size, EXACT * s, sweeps, options.seed), rng) for s in scale]
        values.append([v for v, _ in rows])
        errors.append([e for _, e in rows])
        text = "  ".join(
            f"{s:.2f}: {v:.4f}({e:.4f})" for s, (v, e) in zip(scale, rows, strict=True)
        )
        print(f"{size:3d} x {size:<3d} {text}  {time.perf_counter() - clock:.0f} s", flush=True)
    table, noise = np.array(values), np.array(errors)
    for i, (smaller, larger) in enumerate(itertools.pairwise(options.sizes)):
        best = crossing(scale, table[i], table[i + 1])
        drawn = [
            crossing(scale, *(rng.normal(table[i : i + 2], noise[i : i + 2]))) for _ in range(400)
        ]
        error = float(np.nanstd(drawn))
        print(
            f"{smaller} and {larger} cross at {best * EXACT:.2f} ± {error * EXACT:.2f} K: "
            f"{100 * (best - 1):+.2f} ± {100 * error:.2f} %"
        )


if __name__ == "__main__":
    main()
