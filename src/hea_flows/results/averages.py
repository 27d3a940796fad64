"""Averages over Monte Carlo chains that differ in the seed only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite, sqrt
from statistics import fmean, stdev
from typing import Any

from hea_flows.schemas import MonteCarloDoc


@dataclass(frozen=True)
class OrderRow:
    """Chains that differ in the seed only, averaged; errors are standard errors."""

    mode: str
    model: str
    n_sites: int
    lattice_constant: float
    temperature: float
    n_chains: int
    trials: int
    acceptance: float
    energy_mev: float
    energy_error_mev: float
    order: dict[str, float]
    order_errors: dict[str, float]


def _combined(values: Sequence[float], errors: Sequence[float]) -> tuple[float, float]:
    """Return mean and standard error of independent chains.

    The larger of two estimates: errors within the chains, and scatter between them.
    """
    kept = [(v, e) for v, e in zip(values, errors, strict=True) if isfinite(v)]
    if not kept:
        return float("nan"), float("nan")
    n, means = len(kept), [v for v, _ in kept]
    within = sqrt(sum(e * e for _, e in kept)) / n
    between = stdev(means) / sqrt(n) if n > 1 else float("nan")
    return fmean(means), max((e for e in (within, between) if isfinite(e)), default=float("nan"))


def order_rows(chains: Iterable[MonteCarloDoc]) -> list[OrderRow]:
    """Average Monte Carlo chains that differ in nothing but the seed, hottest first."""
    groups: dict[tuple[Any, ...], list[MonteCarloDoc]] = {}
    for c in chains:
        key = (c.mode, c.model.label, c.supercell, c.lattice_constant, c.temperature)
        groups.setdefault(key, []).append(c)
    rows = []
    for (mode, model, _, a, temperature), group in groups.items():
        energy = _combined([c.energy_mev for c in group], [c.energy_error_mev for c in group])
        nan = float("nan")
        combined = {
            pair: _combined(
                [c.order_parameters.get(pair, nan) for c in group],
                [c.order_errors.get(pair, nan) for c in group],
            )
            for pair in dict.fromkeys(p for c in group for p in c.order_parameters)
        }
        rows.append(
            OrderRow(
                mode,
                model,
                len(group[0].final_species),
                a,
                temperature,
                len(group),
                sum(c.trials for c in group),
                fmean(c.acceptance for c in group),
                *energy,
                order={p: v for p, (v, _) in combined.items()},
                order_errors={p: e for p, (_, e) in combined.items()},
            )
        )
    return sorted(rows, key=lambda r: (r.mode, r.model, r.n_sites, -r.temperature))
