"""How wrong a model's mixing energies are, from its benchmark."""

from __future__ import annotations

from math import isfinite, sqrt

from hea_flows.alloy.sampling import Mode
from hea_flows.schemas import BenchmarkDoc


def mixing_error(benchmark: BenchmarkDoc | None, mode: Mode) -> tuple[float, str] | None:
    """Return the model's error on structures it was not trained on, and what it was measured on.

    Parameters
    ----------
    benchmark
        Of the model; each alloyed structure counts once, however many test sets hold it.
    mode
        Relaxed energies take the errors of relaxed structures; those at fixed geometry stand in
        where there are none, and are always taken for a fixed lattice.

    Returns
    -------
    sigma, source
        Root mean square of model minus reference (meV/unit), a bias included, with the words for
        it; None if the benchmark has no such structure.
    """
    if benchmark is None:
        return None
    for geometry in ("relaxed", "fixed") if mode == "relaxed" else ("fixed",):
        pool = benchmark.relaxed if geometry == "relaxed" else benchmark.fixed
        errors = {
            p.structure_id: p.model_mixing_mev - p.reference_mixing_mev
            for p in pool
            if not p.trained and p.n_components > 1
        }
        finite = [e for e in errors.values() if isfinite(e)]
        if finite:
            sigma = sqrt(sum(e * e for e in finite) / len(finite))
            return sigma, f"RMSE of {len(finite)} held-out structures, {geometry}"
    return None
