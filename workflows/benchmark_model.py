"""Benchmark a campaign's fine-tuned model, or any foundation, against the campaign's labels.

python workflows/benchmark_model.py quickstart
python workflows/benchmark_model.py quickstart --foundation chgnet:0.2.0 --relaxed
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from jobflow import JobStore, run_locally
from maggma.stores import MemoryStore

from hea_flows import find_connection
from hea_flows.config import BenchmarkSpec, model_from_text
from hea_flows.jobs.learning.benchmark import BenchmarkMaker
from hea_flows.results.store import documents
from hea_flows.schemas import ModelSpec


def main(
    campaign: Annotated[str, typer.Argument(help="Name of a campaign in the database.")],
    foundation: Annotated[
        str | None, typer.Option(help="family:name; default the campaign's fine-tuned model.")
    ] = None,
    *,
    relaxed: Annotated[
        bool, typer.Option("--relaxed", help="Also relax the structures with the model.")
    ] = False,
) -> None:
    """Benchmark a model against the labels of a campaign."""
    # The database is found as the command line finds it: environment, own files, or local.
    with find_connection(start_local=True).job_store() as store:
        test_sets: Any = documents(store, "test_set", campaign, load=True)
        dataset: Any = documents(store, "dataset", campaign, load=True)[-1]
        tuned: Any = documents(store, "training", campaign, load=True)[-1]

    maker = BenchmarkMaker(benchmark=BenchmarkSpec(relaxed=relaxed))
    if foundation is None:
        job = maker.make(test_sets, training=tuned, datasets=[dataset])
    else:
        job = maker.make(
            test_sets, foundation=ModelSpec.model_validate(model_from_text(foundation))
        )

    # A store in memory: nothing is added to the campaign. Pass its own store to keep the result.
    memory = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    run_locally(job, store=memory, ensure_success=True, log=False)

    result: Any = documents(memory, "benchmark")[-1]
    print(f"{result.role} {result.model.title}, labels {result.settings_id}")
    for table in result.tables:
        low, high = table.mixing_mae_interval_mev
        print(
            f"{table.test_set}, {table.geometry}: mixing MAE {table.mixing_mae_mev:.3f} meV/unit "
            f"[{low:.3f}, {high:.3f}], n = {table.n}"
        )
    for structure, reason in result.failed.items():
        print(f"left out: {structure}: {reason}")


if __name__ == "__main__":
    typer.run(main)
