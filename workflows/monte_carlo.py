"""Monte Carlo with the model that a campaign left in the database: order and free energy.

python workflows/monte_carlo.py quickstart --temperature 300 --temperature 900
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from jobflow import Flow, JobStore, run_locally
from maggma.stores import MemoryStore

from hea_flows import find_connection
from hea_flows.config import MonteCarloSpec
from hea_flows.jobs.sampling import MonteCarloMaker
from hea_flows.results.store import documents


def main(
    campaign: Annotated[str, typer.Argument(help="Name of a campaign in the database.")],
    temperature: Annotated[list[float] | None, typer.Option(help="K; repeatable.")] = None,
    supercell: Annotated[str, typer.Option(help="Its sites must divide by the elements.")] = "5x5",
    steps: Annotated[int, typer.Option(min=8, help="That the model decides, per chain.")] = 40,
    burn_in: Annotated[int, typer.Option(min=0, help="Steps before that.")] = 20,
    runs: Annotated[int, typer.Option(min=1, help="Chains per temperature.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Of all chains.")] = 0,
) -> None:
    """Run Monte Carlo with the model of a campaign and print averages and order parameters."""
    with find_connection(start_local=True).job_store() as store:
        dataset: Any = documents(store, "dataset", campaign, load=True)[-1]
        tuned: Any = documents(store, "training", campaign, load=True)[-1]

    spec = MonteCarloSpec(
        supercell=supercell,
        temperatures=temperature or [300.0, 900.0],
        runs=runs,
        steps=steps,
        burn_in=burn_in,
    )
    # The model comes out of the database with its checksum; no file has to be exported first.
    job: Any = MonteCarloMaker(monte_carlo=spec, seed=seed).make(tuned, dataset, dataset.alloy)
    memory = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    run_locally(Flow([job]), store=memory, ensure_success=True, log=False)

    found: Any = documents(memory, "montecarlo")[-1]
    for row in found.averages:
        print(
            f"{row.temperature:g} K, {supercell}, {row.n_runs} runs, {row.trials} trials: "
            f"mixing energy {row.energy_mev:.2f} ± {row.energy_error_mev:.2f} meV/unit, "
            f"free energy {row.free_energy_mev:.2f} ± {row.free_energy_error_mev:.2f} meV/unit, "
            f"R-hat {row.r_hat:.2f}, {row.effective_samples:.0f} effective samples"
        )
    # CV is 0 for a random alloy and positive where like neighbours prevail.
    print("pair", *(f"{row.temperature:g} K" for row in found.averages), sep="\t")
    for pair in found.averages[0].order_parameters["1"]:
        cells = [(r.order_parameters["1"][pair], r.order_errors["1"][pair]) for r in found.averages]
        print(pair, *(f"{value:+.4f} ± {error:.4f}" for value, error in cells), sep="\t")


if __name__ == "__main__":
    typer.run(main)
