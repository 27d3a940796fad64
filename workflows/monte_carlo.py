"""Monte Carlo with the model that a campaign left in the database: short-range order.

python workflows/monte_carlo.py quickstart --temperature 300 --temperature 900
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from jobflow import Flow, JobStore, run_locally
from maggma.stores import MemoryStore

from hea_flows.config import MonteCarloSpec
from hea_flows.jobs.montecarlo import MonteCarloMaker
from hea_flows.results.query import documents
from hea_flows.services.connection import find_connection


def main(
    campaign: Annotated[str, typer.Argument(help="Name of a campaign in the database.")],
    temperature: Annotated[list[float] | None, typer.Option(help="K; repeatable.")] = None,
    supercell: Annotated[str, typer.Option(help="Its sites must divide by the elements.")] = "5x5",
    trials: Annotated[int, typer.Option(min=2, help="Swaps that are tried.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Of the first chain; then counted up.")] = 0,
) -> None:
    """Run Monte Carlo with the model of a campaign and print the order parameters."""
    with find_connection(start_local=True).job_store() as store:
        dataset: Any = documents(store, "dataset", campaign, load=True)[-1]
        tuned: Any = documents(store, "finetune", campaign, load=True)[-1]

    spec = MonteCarloSpec(
        supercell=supercell,
        temperatures=temperature or [300.0, 900.0],
        trials=trials,
        average_from=trials // 3,
    )
    # The model comes out of the database with its checksum; no file has to be exported first.
    jobs: list[Any] = [
        MonteCarloMaker(monte_carlo=spec, seed=seed + i).make(tuned, dataset, dataset.alloy, t)
        for i, t in enumerate(spec.temperatures)
    ]
    memory = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    run_locally(Flow(jobs), store=memory, ensure_success=True, log=False)

    chains: list[Any] = documents(memory, "montecarlo")
    for chain in chains:
        print(
            f"{chain.temperature:g} K, {supercell}, "
            f"{chain.trials} trials: mixing energy {chain.energy_mev:.2f} ± "
            f"{chain.energy_error_mev:.2f} meV/unit, acceptance {chain.acceptance:.3f}"
        )
    # CV is 0 for a random alloy and positive where like neighbours prevail.
    print("pair", *(f"{c.temperature:g} K" for c in chains), sep="\t")
    for pair in chains[0].order_parameters:
        print(
            pair,
            *(f"{c.order_parameters[pair]:+.4f} ± {c.order_errors[pair]:.4f}" for c in chains),
            sep="\t",
        )


if __name__ == "__main__":
    typer.run(main)
