"""DEED and transition temperatures where the right answer is known.

    python benchmarks/thermodynamics.py

Prints DEED of the paper's σ, H_ave and ΔH_hull; transition temperatures of hand-made enthalpies by
the machinery and in closed form; the paper's decomposition near 400 K from enthalpies that agree
with what it prints; and the interval of a decomposition temperature against its Gaussian.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import log

import numpy as np
from ase.units import kB

from hea_flows.alloy.thermodynamics import (
    decomposition_temperature_interval,
    decompositions,
    deed,
    hull_depth,
    transition_temperatures,
)

METALS = ("Mo", "Ta", "Nb", "W", "V")
Table = dict[tuple[str, ...], float]


def table(elements: Sequence[str], given: dict[str, float], other: float) -> Table:
    """Return enthalpies (eV/unit) of all phases: those given (meV/unit, Mo-W), else `other`."""
    known = {frozenset(k.split("-")): v for k, v in given.items()}
    return {
        s: 1e-3 * known.get(frozenset(s), other)
        for n in range(2, len(elements) + 1)
        for s in combinations(elements, n)
    }


def regular(elements: Sequence[str], pairs: dict[str, float], other: float = 0.0) -> Table:
    """Return enthalpies of a regular solution, Σ ω x_A x_B with ω in meV/unit."""
    omega = {frozenset(k.split("-")): v for k, v in pairs.items()}
    return {
        s: 1e-3 * sum(omega.get(frozenset(p), other) for p in combinations(s, 2)) / len(s) ** 2
        for n in range(2, len(elements) + 1)
        for s in combinations(elements, n)
    }


#: Name, elements, enthalpies, transition temperatures (K) in closed form.
CASES: list[tuple[str, Sequence[str], Table, list[float]]] = [
    (
        "(V,Nb), H 37.7 meV: H/(k ln 2)",
        ("V", "Nb"),
        table(("V", "Nb"), {"V-Nb": 37.7}, 0),
        [0.0377 / (kB * log(2))],
    ),
    (
        "quinary against end members alone: H/(k ln 5)",
        METALS,
        table(METALS, {"-".join(METALS): 26.9}, 1000),
        [0.0269 / (kB * log(5))],
    ),
    (
        "one element repels four (ω 200 meV): V leaves alone",
        METALS,
        regular(METALS, {f"V-{m}": 200.0 for m in METALS[:4]}),
        [0.2 * 4 / 25 / (kB * (log(5) - 0.8 * log(4)))],
    ),
    (
        "ternary in two steps: A + B + C, (A,B) + C, (A,B,C)",
        ("Mo", "W", "V"),
        table(("Mo", "W", "V"), {"Mo-W": 6.0, "Mo-W-V": 40.0}, 1000),
        [0.006 / (kB * log(2)), (0.040 - 0.004) / (kB * (log(3) - 2 / 3 * log(2)))],
    ),
]

#: (Nb,Ta), (V,Nb), the quinary's SQS and the depth of the hull, 0.4 (−14.6 − 2.65) = −6.9 meV/unit,
#: are the paper's; what it does not print is chosen so that (Mo,Ta,Nb,W) + V is nearly stable.
PAPER = {
    "Ta-Nb": -14.6,
    "Nb-V": 37.7,
    "-".join(METALS): 26.9,
    "Mo-W": -2.65,
    "Mo-Ta-Nb-W": 14.2,
}


def print_deed() -> None:
    """Print the descriptor of the paper's numbers."""
    sigma, mean, depth = 0.0041, 0.0292, 0.0069
    print(f"DEED of σ {sigma}, H_ave {mean}, ΔH_hull {depth} eV/unit (paper: 82 and 247)")
    per_unit, per_atom = (deed(sigma, mean, depth, atoms_per_unit=n) for n in (1, 3))
    print(f"  {per_unit:.3f} (eV/unit)⁻¹ = {per_atom:.3f} (eV/atom)⁻¹")


def print_transitions() -> None:
    """Print transition temperatures of hand-made enthalpies and of their closed forms."""
    print("\nTransition temperatures (K): machinery, closed form, difference")
    for name, elements, enthalpies, expected in CASES:
        found = [t for t, _ in transition_temperatures(decompositions(elements, enthalpies))][1:]
        print(f"  {name}")
        for t, e in zip(found, expected, strict=True):
            print(f"    {t:10.4f} {e:10.4f} {t - e:10.1e}")


def print_paper() -> None:
    """Print the sequence of stable phases of enthalpies that agree with the paper."""
    pool = decompositions(METALS, table(METALS, PAPER, 36.0))
    sequence = transition_temperatures(pool)
    print("\nEnthalpies that agree with the paper: stable phases (paper: near 400 K)")
    for t, d in sequence:
        print(f"  above {t:6.1f} K: {d.name}")
    expected = (0.0269 + 0.0069) / (kB * (log(5) - 0.8 * log(2)))
    print(f"  closed form (H_SQS + ΔH_hull)/(k (ln 5 − 0.8 ln 2)): {expected:.1f} K")
    at = sequence[-1][0]
    four = next(d for d in pool if d.name == "(Mo,Ta,Nb,W) + V")
    lowest = min(float(d.gibbs(at)) for d in pool)
    print(
        f"  there (Mo,Ta,Nb,W) + V lies {1e3 * (float(four.gibbs(at)) - lowest):.2f} meV/unit "
        f"higher; hull depth {1e3 * hull_depth(pool):.2f} meV/unit"
    )
    for label, h in (("SQS of the model, 25.4", 0.0254), ("random mean, 29.2", 0.0292)):
        t = (h + 0.0069) / (kB * (log(5) - 0.8 * log(2)))
        print(f"  with the {label} meV/unit in place of 26.9: {t:.1f} K")
    for sigma in (1.0, 2.0, 4.0):
        rng = np.random.default_rng(0)
        found = decomposition_temperature_interval(
            METALS, table(METALS, PAPER, 36.0), 1e-3 * sigma, rng, 100_000
        )
        first = ", ".join(f"{100 * p:.0f} % {n}" for p, n in found.below[:2])
        print(
            f"  error {sigma:g} meV/unit: 95 % interval {found.low:.0f} to {found.high:.0f} K, "
            f"median {found.median:.0f} K; first on cooling: {first}"
        )


def print_interval() -> None:
    """Print the interval of a binary, which is Gaussian, against its closed form."""
    h, sigma, n = 0.0377, 0.002, 1_000_000
    found = decomposition_temperature_interval(
        ("V", "Nb"), {("V", "Nb"): h}, sigma, np.random.default_rng(0), n
    )
    centre, width = h / (kB * log(2)), sigma / (kB * log(2))
    print(f"\nInterval of (V,Nb), σ 2 meV/unit, {n} draws: found, Gaussian (K)")
    for name, value, z in (
        ("low", found.low, -1.959964),
        ("median", found.median, 0.0),
        ("high", found.high, 1.959964),
    ):
        print(f"  {name:8}{value:10.2f} {centre + z * width:10.2f}")


if __name__ == "__main__":
    print_deed()
    print_transitions()
    print_paper()
    print_interval()
