"""`hea-flows db start|stop|status|prune` and `hea-flows doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hea_flows.results.store import Leftover

db = typer.Typer(help="The local MongoDB server and the connection.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.add_typer(db, name="db")
    app.command()(doctor)


@db.command()
def start() -> None:
    """Start the local MongoDB server, unless it runs."""
    from hea_flows.services import mongod

    before = mongod.status().running
    state = mongod.start()
    state_text = "is already running" if before else "started"
    typer.echo(f"mongod {state_text}: 127.0.0.1:{state.port}, pid {state.pid}, log {state.log}")


@db.command()
def stop() -> None:
    """Shut the local MongoDB server down; its data stays."""
    from hea_flows.services import mongod

    typer.echo("mongod stopped" if mongod.stop() else "mongod was not running")


@db.command()
def status() -> None:
    """Show which database is used and whether it answers; exit code 1 if it does not."""
    from hea_flows.services import find_connection, mongod

    state = mongod.status()
    address = f"127.0.0.1:{state.port}, pid {state.pid}" if state.running else "not running"
    typer.echo(f"local mongod: {address} ({state.folder})")
    connection = find_connection(start_local=False)
    connection.ping()
    typer.echo(f"used: {connection} (from: {connection.source})")
    launchpad_file = connection.launchpad_file
    if launchpad_file is None:
        connection.environment()
        launchpad_file = connection.folder / "my_launchpad.yaml"
    typer.echo(f"FireWorks' own commands: lpad -l {launchpad_file} get_wflows")


@db.command()
def prune(
    yes: Annotated[bool, typer.Option("--yes", help="Remove it.")] = False,
) -> None:
    """Say what reruns left in the database, and remove it with --yes.

    Documents that a newer one of the same job replaced, and stored fields (trajectories, weights)
    that no document refers to. What a running job may own is left alone.
    """
    from hea_flows.results.store import find_leftovers, remove_leftovers
    from hea_flows.services import find_connection, workflows

    connection = find_connection(start_local=True)
    connection.ping()
    connection.ensure_indexes()
    since = workflows.running_since(connection.launchpad())
    with connection.job_store() as store:
        found = find_leftovers(store, since)
        kinds = ", ".join(f"{kind} {n}" for kind, n in sorted(found.kinds.items()))
        typer.echo(f"superseded documents: {_size(found.documents)}" + (kinds and f": {kinds}"))
        typer.echo(f"blobs of no document: {_size(found.blobs)}")
        typer.echo(f"unfinished blobs: {_size(found.unfinished)}")
        if found.spared:
            why = "a running job may own them" if since else "they are of the last minutes"
            typer.echo(f"left alone: {found.spared} blobs, since {why}")
        if yes:
            remove_leftovers(store, found)
    if yes:
        typer.echo("removed")
    elif found:
        typer.echo("remove them: hea-flows db prune --yes")


def _size(leftovers: Sequence[Leftover]) -> str:
    size = sum(each.size for each in leftovers)
    return f"{len(leftovers)} ({size / 1e6:.1f} MB)"


def doctor() -> None:
    """Check this machine and say what to do; exit code 1 if something needed is missing."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from hea_flows.services.doctor import check_all

    colours = {"ok": "green", "warn": "yellow", "missing": "red"}
    table = Table(box=None, pad_edge=False)
    table.add_column("check", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("result, and → what to do", overflow="fold")
    checks = check_all()
    for check in checks:
        state = f"[{colours[check.state]}]{check.state}[/]"
        result = check.detail + (f"\n→ {check.action}" if check.action else "")
        table.add_row(check.name, state, escape(result))
    Console().print(table)
    if any(check.state == "missing" for check in checks):
        raise typer.Exit(1)
