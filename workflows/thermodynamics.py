"""Phase stability with the model that a campaign left in the database: SQS, decomposition, DEED.

python workflows/thermodynamics.py quickstart
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer
from jobflow import JobStore, run_locally
from maggma.stores import MemoryStore

from hea_flows import find_connection
from hea_flows.config import ThermodynamicsSpec
from hea_flows.jobs.thermodynamics import ThermodynamicsMaker
from hea_flows.results.store import documents
from hea_flows.schemas import BenchmarkDoc


def main(
    campaign: Annotated[str, typer.Argument(help="Name of a campaign in the database.")],
    sqs: Annotated[
        str, typer.Option(help="Supercell of the SQS of 2, 3, … elements.")
    ] = "2x2,3x3,4x4,5x5",
    random_supercell: Annotated[str, typer.Option(help="Of the random structures.")] = "5x5",
    n_random: Annotated[int, typer.Option(min=2, help="Random structures.")] = 5,
    mode: Annotated[
        Literal["fixed lattice", "relaxed"], typer.Option(help="Energies of all structures.")
    ] = "fixed lattice",
    seed: Annotated[int, typer.Option(min=0, help="Of SQS and random structures.")] = 0,
) -> None:
    """Compute decompositions and DEED with the model of a campaign."""
    with find_connection(start_local=True).job_store() as store:
        dataset: Any = documents(store, "dataset", campaign, load=True)[-1]
        tuned: Any = documents(store, "training", campaign, load=True)[-1]
        # Its error on structures that it was not trained on: the interval of the temperature.
        compared: list[Any] = [
            b
            for b in documents(store, "benchmark", campaign)
            if isinstance(b, BenchmarkDoc) and b.model.sha256 == tuned.model.sha256
        ]

    spec = ThermodynamicsSpec(
        sqs=dict(enumerate(sqs.split(","), start=2)),
        sqs_steps=500,
        random_supercell=random_supercell,
        n_random=n_random,
        mode=mode,
    )
    job = ThermodynamicsMaker(thermodynamics=spec, seed=seed).make(
        tuned, dataset, dataset.alloy, compared[-1] if compared else None
    )
    memory = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    run_locally(job, store=memory, ensure_success=True, log=False)

    result: Any = documents(memory, "thermodynamics")[-1]
    # Mixing enthalpies count from the end points with the same model in the same mode.
    for phase, enthalpy in result.sqs_mixing_mev.items():
        print(f"SQS {phase}: {enthalpy:.2f} meV/unit")
    for temperature, phases in result.transitions:
        print(f"stable above {temperature:.0f} K: {phases}")
    if u := result.uncertainty:
        print(
            f"decomposition temperature {result.decomposition_temperature:.0f} K, "
            f"{100 * u.level:.0f} % interval {u.low:.0f} to {u.high:.0f} K "
            f"from {u.sigma_mev:.2f} meV/unit ({u.sigma_from})"
        )
    print(
        f"{n_random} random structures: {result.h_ave_mev:.2f} ± {result.sigma_mev:.2f} meV/unit, "
        f"hull depth {result.h_hull_mev:.2f} meV/unit"
    )
    # DEED is not defined where the mean mixing enthalpy lies below the hull.
    deed = result.deed_per_unit
    print("DEED: not defined" if deed is None else f"DEED: {deed:.1f} (eV/unit)⁻¹")


if __name__ == "__main__":
    typer.run(main)
