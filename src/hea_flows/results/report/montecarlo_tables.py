"""Tables of Monte Carlo: order parameters, energies and convergence by temperature."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from statistics import fmean

from hea_flows.alloy import asked_and_held
from hea_flows.results.figures import separation_words, shell_name
from hea_flows.results.report.table import Table, number, with_error
from hea_flows.schemas import MonteCarloDoc


def montecarlo_tables(documents: Sequence[MonteCarloDoc]) -> list[Table]:
    """Return two tables per document and shell, a column per temperature.

    The first has CV and energies, the second, on demand, Warren-Cowley parameters.
    """
    return [
        table
        for doc in documents
        for shell in doc.settings.shells
        for table in (_montecarlo_table(doc, shell), _warren_cowley_table(doc, shell))
    ]


def _montecarlo_table(doc: MonteCarloDoc, shell: int) -> Table:
    rows, key = doc.averages[::-1], str(shell)
    body = [
        [
            pair,
            *(
                with_error(r.order_parameters[key][pair], r.order_errors[key][pair], 3)
                for r in rows
            ),
        ]
        for pair in rows[0].order_parameters[key]
    ]
    body += [
        [name, *(with_error(*getter(r)) for r in rows)]
        for name, getter in (
            ("mixing energy (meV/unit)", lambda r: (r.energy_mev, r.energy_error_mev)),
            ("free energy of mixing", lambda r: (r.free_energy_mev, r.free_energy_error_mev)),
            ("ideal mixing in this cell", lambda r: (r.ideal_free_energy_mev, nan)),
            ("ideal mixing, infinite alloy", lambda r: (r.ideal_infinite_mev, nan)),
            ("heat capacity (k_B/unit)", lambda r: (r.heat_capacity, r.heat_capacity_error)),
        )
    ]
    body += [
        ["converged", *("yes" if r.converged else "no" for r in rows)],
        ["R-hat", *(number(r.r_hat, 2) for r in rows)],
        ["effective samples", *(number(r.effective_samples, 0) for r in rows)],
        ["acceptance (%)", *(number(100 * r.acceptance, 1) for r in rows)],
        *_exchanges(doc),
        ["runs", *(str(r.n_runs) for r in rows)],
        ["trials in all", *(number(r.trials, 0) for r in rows)],
    ]
    return Table(
        f"Order parameters CV of {shell_name(shell)}, less those of random decorations, ± standard "
        f"error. Composition: {asked_and_held(doc.composition, doc.counts)}. Energies: {doc.mode}, "
        f"{doc.model.title}, {doc.n_sites} sites, reference lattice a = {doc.lattice_constant:.4g} "
        f"Å; mixing energies refer to end members, {doc.mode}. {separation_words(doc)}"
        + (f" {doc.relaxation.words()}" if doc.relaxation else ""),
        ["pair", *(f"{r.temperature:g} K" for r in rows)],
        body,
    )


def _warren_cowley_table(doc: MonteCarloDoc, shell: int) -> Table:
    rows, key = doc.averages[::-1], str(shell)
    return Table(
        f"Warren-Cowley parameters of {shell_name(shell)}, less those of random decorations, ± "
        f"standard error; negative: neighbours more often than by chance. Energies: {doc.mode}, "
        f"{doc.model.title}.",
        ["pair", *(f"{r.temperature:g} K" for r in rows)],
        [
            [
                pair,
                *(
                    with_error(r.warren_cowley[key][pair], r.warren_cowley_errors[key][pair], 3)
                    for r in rows
                ),
            ]
            for pair in rows[0].warren_cowley[key]
        ],
        folded=True,
    )


def _exchanges(doc: MonteCarloDoc) -> list[list[str]]:
    """Return the row of exchanges with the next higher temperature, if any were tried."""
    shares: dict[float, list[float]] = {r.temperature: [] for r in doc.averages[::-1]}
    for chain in doc.chains:
        if chain.exchange_acceptance is not None:
            shares[chain.temperature].append(chain.exchange_acceptance)
    if not any(shares.values()):
        return []
    means = [number(100 * fmean(x) if x else None, 1) for x in shares.values()]
    return [["exchanged with the next higher (%)", *means]]
