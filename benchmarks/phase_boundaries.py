"""Binodal, Δμ of coexistence and critical temperature of the Ising model, against the exact ones.

    python benchmarks/phase_boundaries.py
    python benchmarks/phase_boundaries.py --small

The Ising model on the triangular lattice with a linear term, E = −J Σ s_i s_j + c N_V, takes the
place of the potential in what a campaign's phase diagram does: nested chains in the
variance-constrained ensemble in two cells, histograms of composition, Binder cumulants.
T_c = 4J/(k_B ln 3) and M = [1 − 16u³/((1 + 3u)(1 − u)³)]^(1/8), u = exp(−4J/k_B T) (R. B. Potts,
Phys. Rev. 88, 352 (1952)). The Δμ of coexistence of energies of mixing is 0.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from own_machine import load, print_table
from triangular_ising import ALLOY, CRITICAL, LINEAR, Ising, magnetization

from hea_flows.alloy.phases import SectionPoint, critical_point
from hea_flows.config import PhaseDiagramSpec
from hea_flows.jobs.phases import sample_cell

#: T/T_c of the binodal, and around the crossing of cumulants.
BELOW, AROUND = (0.6, 0.7, 0.8, 0.9, 0.95), (1.0, 1.05)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--small", action="store_true", help="smaller cells, shorter chains")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    sizes, steps = ((4, 8), 60) if given.small else ((6, 10), 100)
    began = time.perf_counter()
    spec = PhaseDiagramSpec(
        supercells=[f"{n}x{n}" for n in sizes],
        temperatures=[share * CRITICAL for share in BELOW + AROUND],
        steps=steps,
        burn_in=64,
        mode="fixed lattice",
    )
    cells = []
    with TemporaryDirectory() as folder:
        for size, supercell in zip(sizes, spec.cells(ALLOY), strict=True):
            place = Path(folder) / str(size)
            model = Ising(size, size)
            done = sample_cell(model, ALLOY, supercell, spec, given.seed, place, "ising")
            assert done is not None
            cells.append(done[0])
    table = [_row(point) for point in cells[-1].points[: len(BELOW)]]
    print(f"binodal in a cell of {sizes[-1]} × {sizes[-1]}; {load()}")
    print_table(("T/Tc", "x low", "±", "1 − x high", "±", "exact", "|Δx|", "Δμ/c"), table)
    points = [cell.points for cell in cells]
    for which in (points, points[-1:]):
        found = critical_point(which, layer=True)
        if found is None:
            sys.exit("the cumulants do not cross")
        share, error = found.temperature / CRITICAL, found.error / CRITICAL
        print(f"T_c {share:.4f} ± {error:.4f} of the exact one ({found.method})")
    print(f"{time.perf_counter() - began:.0f} s")


def _row(point: SectionPoint) -> tuple[str, ...]:
    share = point.temperature / CRITICAL
    if len(point.gaps) != 1:
        sys.exit(f"{len(point.gaps)} pairs of phases at {share:.2f} T_c, expected 1")
    [gap] = point.gaps
    exact = (1 - magnetization(point.temperature)) / 2
    off = max(abs(gap.low - exact), abs(1 - gap.high - exact))
    numbers = (gap.low, gap.low_error, 1 - gap.high, gap.high_error, exact, off)
    return f"{share:.2f}", *(f"{x:.4f}" for x in numbers), f"{gap.potential / LINEAR:.4f}"


if __name__ == "__main__":
    main()
