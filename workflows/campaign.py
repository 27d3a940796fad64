"""A whole campaign from Python: what `hea-flows run` does, step by step.

python workflows/campaign.py configs/quickstart.yaml
python workflows/campaign.py configs/quickstart.yaml --local      # one process, no database
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from jobflow import JobStore, run_locally
from jobflow.managers.fireworks import flow_to_workflow
from maggma.stores import MemoryStore

from hea_flows import CampaignMaker, find_connection, load_campaign
from hea_flows.flows.campaign import campaign_metadata
from hea_flows.results.store import documents
from hea_flows.services.workers import start_workers


def main(
    config: Annotated[Path, typer.Argument(help="Campaign file.")],
    workers: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 2,
    *,
    local: Annotated[bool, typer.Option("--local", help="No database, no workers.")] = False,
) -> None:
    """Run a campaign and write its report."""
    campaign, text = load_campaign(config)
    # The Maker is made of the Makers of its parts: any of them can be exchanged here.
    maker = CampaignMaker.from_campaign(campaign)
    flow: Any = maker.make(campaign, text)

    if local:
        store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
        run_locally(flow, store=store, ensure_success=True, log=False)
    else:
        connection = find_connection(start_local=True)
        # Jobs find this database; a Firework itself holds no address and no password.
        connection.activate()
        workflow = flow_to_workflow(
            flow,
            store=None,  # type: ignore[arg-type]  # the store of the worker
            metadata=campaign_metadata(campaign),
        )
        ids = connection.launchpad().add_wf(workflow)
        print(f"submitted: {len(ids)} jobs, Firework {min(ids.values())} is one of them")
        for worker in start_workers(workers, connection):
            worker.wait()
        store = connection.job_store()

    with store:
        reports: list[Any] = documents(store, "report", campaign.name, load=True)
    if not reports:
        sys.exit(f"the campaign {campaign.name} did not finish; see hea-flows status")
    path = Path(f"{campaign.name}-report.html")
    path.write_bytes(reports[-1].html.read())
    for key in ("labels", "frames", "mixing_mae_before_mev", "mixing_mae_after_mev"):
        print(f"{key}: {reports[-1].summary[key]}")
    print(f"written: {path}")


if __name__ == "__main__":
    typer.run(main)
