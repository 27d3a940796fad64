"""A study of several models on several test sets, and its table of errors.

python workflows/study.py configs/studies/example.yaml
python workflows/study.py configs/studies/example.yaml --local      # one process, no database
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from jobflow import JobStore, run_locally
from maggma.stores import MemoryStore

from hea_flows import CampaignMaker, find_connection, load_campaign
from hea_flows.config import plan_campaign
from hea_flows.flows import launch
from hea_flows.results.store import documents


def main(
    config: Annotated[Path, typer.Argument(help="Study file.")],
    workers: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 2,
    *,
    local: Annotated[bool, typer.Option("--local", help="No database, no workers.")] = False,
) -> None:
    """Run a study, or go on with it, and print the errors of every model on every test set."""
    campaign, text = load_campaign(config)
    plan = plan_campaign(campaign)  # what will be done: sets, models, test sets
    structures = {key for one in plan.sets for key in one.ids}
    print(
        f"{campaign.name}: {len(structures)} structures in {len(plan.sets)} sets, "
        f"{len(plan.models)} models to train, {len(plan.foundations)} as they are"
    )

    store: JobStore
    if local:
        flow: Any = CampaignMaker.from_campaign(campaign).make(campaign, text)
        store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
        run_locally(flow, store=store, ensure_success=True, log=False)
    else:
        connection = find_connection(start_local=True)
        submission = launch.submit(campaign, text, connection)
        launch.run_workers(submission, connection, workers=workers, on_progress=lambda _: None)
        store = connection.job_store()

    with store:
        # An earlier study of this name left its benchmarks too: the report knows its own.
        report: Any = documents(store, "report", campaign.name)[-1]
        benchmarks: list[Any] = documents(store, "benchmark", campaign.name)
    print("model\tseed\tdatabase\tgeometry\tn\ttrained on\tfailed\tmixing MAE\tof new (meV/unit)")
    for benchmark in benchmarks:
        if benchmark.uuid not in report.sources["benchmarks"]:
            continue
        for t in benchmark.tables:
            new = "-" if t.new_mixing_mae_mev is None else f"{t.new_mixing_mae_mev:.3f}"
            seed = "-" if benchmark.seed is None else benchmark.seed
            print(
                benchmark.name, seed, t.test_set, t.geometry, t.n, t.n_trained, t.n_failed,
                f"{t.mixing_mae_mev:.3f}", new, sep="\t",
            )  # fmt: skip
    for name, reason in report.missing.items():
        typer.echo(f"no result of {name}: {reason}", err=True)


if __name__ == "__main__":
    typer.run(main)
