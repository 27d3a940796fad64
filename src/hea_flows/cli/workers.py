"""`hea-flows worker` and `hea-flows status`."""

from __future__ import annotations

import json
import os
from typing import Annotated

import typer

#: Characters of a query in a message.
_SHOWN = 80


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command()(worker)
    app.command()(status)


def worker(
    *,
    category: Annotated[
        list[str] | None, typer.Option(help="Take only jobs of this category; may be repeated.")
    ] = None,
    query: Annotated[
        str | None, typer.Option(help="Take only Fireworks that match this MongoDB query (JSON).")
    ] = None,
    idle_exit: Annotated[
        bool, typer.Option("--idle-exit/--stay", help="Exit when no job can become ready any more.")
    ] = True,
    poll: Annotated[
        float, typer.Option(min=0.05, help="Seconds between looks at an empty launchpad.")
    ] = 2.0,
    max_launches: Annotated[
        int | None, typer.Option(min=1, help="Exit after this many jobs.")
    ] = None,
    max_idle: Annotated[
        float | None,
        typer.Option(min=0, help="Exit after this many idle seconds, whatever may come."),
    ] = None,
    leave_before: Annotated[
        float, typer.Option(min=0, help="Exit this many seconds before the batch job's time limit.")
    ] = 0.0,
    leave_with: Annotated[
        int | None,
        typer.Option(help="Id of the parent process; give the job back and exit with it."),
    ] = None,
) -> None:
    """Run the jobs of the launchpad, one after the other, in this process."""
    from hea_flows.services import find_connection, thread_environment, worker_loop

    parsed_query = _query(query)
    os.environ.update(thread_environment())
    launched = worker_loop(
        find_connection(start_local=False),
        category=category,
        query=parsed_query,
        idle_exit=idle_exit,
        poll=poll,
        max_launches=max_launches,
        max_idle=max_idle,
        leave_before=leave_before,
        leave_with=leave_with,
    )
    typer.echo(f"{launched} jobs run")


def status(
    *,
    workflow: Annotated[
        int | None,
        typer.Argument(
            min=1, max=2**63 - 1, help="Id of any Firework of the workflow; default: all."
        ),
    ] = None,
    recover: Annotated[
        bool, typer.Option("--recover", help="Rerun the jobs whose worker died.")
    ] = False,
) -> None:
    """Show how many jobs are in each state, and which run, failed or lost their worker."""
    from hea_flows.services import (
        campaign_progress,
        find_connection,
        lost_launches,
        recover_lost,
    )

    connection = find_connection(start_local=False)
    connection.ping()
    launchpad = connection.launchpad()
    if recover and (recovery := recover_lost(launchpad)):
        typer.echo(
            f"rerun {list(recovery.rerun)}, finished {list(recovery.finished)}, "
            f"given up {list(recovery.given_up)}"
        )
    progress = campaign_progress(launchpad, workflow)
    counts = ", ".join(f"{n} {state}" for state, n in progress.counts.items())
    typer.echo(f"{progress.total} jobs: {counts or 'none'}")
    lost = {job.fw_id: job.reason for job in lost_launches(launchpad)}
    for job in progress.running:
        note = f"; {job.message}" if job.message else ""
        note += f"; LOST: {lost[job.fw_id]}" if job.fw_id in lost else ""
        typer.echo(f"  {job.fw_id} {job.name}: taken by {job.worker or 'nobody yet'}{note}")
    for ready in progress.left:
        typer.echo(f"  {ready.fw_id} {ready.name}: waits for a worker that has {ready.needs}")
    for failed in progress.failed:
        where = "" if failed.skipped else f"failed in {failed.folder}: "
        typer.echo(f"  {failed.fw_id} {failed.name}: {where}{failed.error}")
    if lost and not recover:
        typer.echo("rerun lost jobs: hea-flows status --recover, or start a worker")


def _query(text: str | None) -> dict[str, object] | None:
    if text is None:
        return None
    try:
        query = json.loads(text)
    except (ValueError, RecursionError):
        query = None
    if not isinstance(query, dict):
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
        msg = f'the query is {shown}; accepted is a JSON object such as {{"spec.campaign": "a"}}'
        raise ValueError(msg)  # noqa: TRY004  # what was typed is wrong
    return query
