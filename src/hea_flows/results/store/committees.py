"""Benchmarks of one model with several seeds, read as a committee."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hea_flows.alloy.errors import Committee, committee_of
from hea_flows.schemas import BenchmarkDoc, Geometry


def group_seeds(benchmarks: Iterable[BenchmarkDoc]) -> dict[str, list[BenchmarkDoc]]:
    """Return the trained models of which there are several seeds, by name."""
    seeds: dict[str, dict[int, BenchmarkDoc]] = {}
    for b in benchmarks:
        if b.seed is not None:
            seeds.setdefault(b.name, {})[b.seed] = b
    return {name: list(members.values()) for name, members in seeds.items() if len(members) > 1}


def committee_on(
    benchmarks: Sequence[BenchmarkDoc], test_set: str, geometry: Geometry
) -> Committee | None:
    """Return the committee on the mixing energies (meV/unit) of a test set's alloyed structures.

    None if no structure has the values of two members.
    """
    points = [
        [p for p in b.points(geometry) if p.test_set == test_set and p.n_components > 1]
        for b in benchmarks
    ]
    return committee_of(
        [{p.structure_id: p.model_mixing_mev for p in member} for member in points],
        {p.structure_id: p.reference_mixing_mev for member in points for p in member},
    )
