"""`hea-flows run` and `hea-flows submit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hea_flows.cli.output import output_file
from hea_flows.runtime import atomic_write, check_writable

if TYPE_CHECKING:
    from hea_flows.flows.launch import Submission
    from hea_flows.services import Connection, Progress

Config = Annotated[Path, typer.Argument(help="Campaign file (YAML); see configs/.")]
Again = Annotated[
    bool, typer.Option("--again", help="Start afresh even if this file was submitted before.")
]


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command()(run)
    app.command()(submit)


def submit(config: Config, again: Again = False) -> None:
    """Put a campaign on the launchpad; `hea-flows worker` runs it."""
    from hea_flows.cli.check import tell_findings
    from hea_flows.config import find_campaign_file
    from hea_flows.flows import check_campaign, launch
    from hea_flows.services import find_connection

    checked = check_campaign(find_campaign_file(config))
    campaign, text = checked.require(here=False)  # before a database is started
    tell_findings(checked)
    connection = find_connection(start_local=True)
    connection.ping()
    submission = launch.submit(campaign, text, connection, again=again)
    word = "found, going on" if submission.existing else "submitted"
    typer.echo(f"campaign {campaign.name}: {word} (Firework {submission.fw_id}); {connection}")
    typer.echo(f"run it: hea-flows worker    follow it: hea-flows status {submission.fw_id}")


def run(
    config: Config,
    workers: Annotated[int, typer.Option(min=1, max=10_000, help="Worker processes.")] = 2,
    again: Again = False,
    report: Annotated[
        Path | None,
        typer.Option(
            callback=output_file, help="Where to write the report; default NAME-report.html."
        ),
    ] = None,
) -> None:
    """Run a campaign to its end: database, workers, live progress, summary, report.

    If a model or another result is missing in the report, it ends with an error.
    """
    from hea_flows.cli.check import tell_findings
    from hea_flows.config import find_campaign_file
    from hea_flows.flows import check_campaign, launch
    from hea_flows.services import find_connection

    checked = check_campaign(find_campaign_file(config))
    campaign, text = checked.require(here=True)  # before a database is started
    tell_findings(checked)
    path = (report or Path(f"{campaign.name}-report.html")).absolute()
    check_writable(path)
    connection = find_connection(start_local=True)
    connection.ping()
    submission = launch.submit(campaign, text, connection, again=again)
    if submission.existing:
        note = f"; {len(submission.rerun)} failed jobs are tried again" if submission.rerun else ""
        typer.echo(f"campaign {campaign.name} is on the launchpad already, going on{note}")
    done = _follow(submission, connection, workers, campaign.name)
    for job in done.failed:
        typer.echo(f"failed, and left out: {job.name}: {job.error} (log in {job.folder})")
    _summary(connection, campaign.name, path)
    if done.missed:
        raise launch.failure(done.missed)


def _follow(submission: Submission, connection: Connection, workers: int, name: str) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    from hea_flows.flows import launch

    console = Console()
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[running]}"),
    )
    seen: set[int] = set()
    with Bar(*columns, console=console) as bar:
        task = bar.add_task(name, total=None, running="")

        def show(progress: Progress) -> None:
            names = (": ".join(filter(None, (j.name, j.step))) for j in progress.running)
            running = ", ".join(names)
            bar.update(task, total=progress.total, completed=progress.completed, running=running)
            if not console.is_terminal:
                for job in progress.running:
                    if job.fw_id not in seen and not job.name.startswith("archive"):
                        console.print(f"[{progress.completed}/{progress.total}] {job.name}")
                    seen.add(job.fw_id)

        return launch.run_workers(submission, connection, workers=workers, on_progress=show)


def _summary(connection: Connection, name: str, path: Path) -> None:
    from hea_flows.cli.output import console, tell_left_out
    from hea_flows.results.report import (
        benchmark_table,
        growth_table,
        growth_verdict,
        montecarlo_tables,
        summary_table,
    )
    from hea_flows.results.store import CampaignDocuments, documents
    from hea_flows.schemas import ReportDoc, UnreadableDocumentError

    store = connection.open_store()
    unreadable: list[UnreadableDocumentError] = []
    [report] = documents(store, ReportDoc, name, load=True, newest=1, unreadable=unreadable)
    atomic_write(path, report.html.read())
    # Of the report's own sources: an earlier run of the same name is not of this one.
    uuids = {uuid for group in report.sources.values() for uuid in group}
    inputs = CampaignDocuments.from_documents(
        d
        for kind in ("benchmark", "growth", "montecarlo")
        for d in documents(store, kind, name, unreadable=unreadable)
        if d.uuid in uuids
    )
    tell_left_out(unreadable)
    screen = console()
    screen.print(summary_table(report.summary))
    if inputs.benchmarks:
        screen.print(benchmark_table(inputs))
    for table in (*map(growth_table, inputs.growth), *montecarlo_tables(inputs.montecarlo)):
        if not table.folded:
            screen.print(table)
    for doc in inputs.growth:
        screen.print(growth_verdict(doc), highlight=False, markup=False)
    for line in (
        f"report:   {path}",
        f"query:    hea-flows query --kind benchmark --campaign {name}",
        f"trace:    hea-flows show {report.uuid} --provenance",
        f"database: {connection}; its files for jobflow, lpad and pymongo: {connection.folder}",
    ):
        screen.print(line, soft_wrap=True, highlight=False)
