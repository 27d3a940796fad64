"""Benchmarks of one model with several seeds, read as a committee."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import nan

import numpy as np

from hea_flows.alloy.errors import Committee, build_committee
from hea_flows.results.report.inputs import Geometry
from hea_flows.schemas import BenchmarkDoc


def by_name(benchmarks: Iterable[BenchmarkDoc]) -> dict[str, list[BenchmarkDoc]]:
    """Return the trained models of which there are several seeds, by name."""
    seeds: dict[str, dict[int, BenchmarkDoc]] = {}
    for b in benchmarks:
        if b.seed is not None:
            seeds.setdefault(b.name, {})[b.seed] = b
    return {name: list(found.values()) for name, found in seeds.items() if len(found) > 1}


def members_on(
    benchmarks: Sequence[BenchmarkDoc], test_set: str, geometry: Geometry
) -> Committee | None:
    """Return the committee on the mixing energies (meV/unit) of a test set's alloyed structures.

    None if no structure has the values of two members.
    """
    tables = [
        {
            p.structure_id: p
            for p in (b.relaxed if geometry == "relaxed" else b.fixed)
            if p.test_set == test_set and p.n_components > 1
        }
        for b in benchmarks
    ]
    reference = {k: p.reference_mixing_mev for table in tables for k, p in table.items()}
    values = np.array(
        [[table[k].model_mixing_mev if k in table else nan for k in reference] for table in tables]
    )
    if not reference or (np.isfinite(values).sum(axis=0) < 2).all():
        return None
    return build_committee(values, list(reference.values()))
