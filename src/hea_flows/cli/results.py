"""`hea-flows query`, `show` and `report`: what a campaign left in the database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from hea_flows.cli.output import output_file, tell
from hea_flows.runtime import atomic_write, check_writable, to_json

if TYPE_CHECKING:
    from jobflow.core.store import JobStore

    from hea_flows.schemas import Document, UnreadableDocumentError

    D = TypeVar("D", bound=Document)

#: Documents that are shown where no campaign is named.
MOST = 20
Name = Annotated[str, typer.Option("--campaign", help="Name of the campaign.")]


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command()(query)
    app.command()(show)
    app.command()(report)


def open_store() -> JobStore:
    """Return the job store of this machine's database, connected."""
    from hea_flows.services import find_connection

    connection = find_connection(start_local=True)
    connection.ping()
    connection.ensure_indexes()
    return connection.open_store()


def query(
    kind: Annotated[str, typer.Option(help="Kind of document, for example benchmark.")],
    campaign: Annotated[str | None, typer.Option(help="Name of the campaign.")] = None,
    newest: Annotated[
        int | None,
        typer.Option(min=1, help="How many; default all of a campaign, 20 without one."),
    ] = None,
    superseded: Annotated[
        bool,
        typer.Option("--superseded", help="Those that a newer run of their job replaced, instead."),
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="JSON of whole documents.")] = False,
) -> None:
    """Show the documents of a kind, oldest first; big fields stay in the data store."""
    from hea_flows.cli.output import console, tell_left_out
    from hea_flows.results.report import benchmark_table, forgetting_table, stability_table
    from hea_flows.results.store import CampaignDocuments, documents, preview

    unreadable: list[UnreadableDocumentError] = []
    most = newest or (MOST if campaign is None else None)
    more = None if most is None else most + 1
    chosen = documents(
        open_store(), kind, campaign, newest=more, superseded=superseded, unreadable=unreadable
    )
    tell_left_out(unreadable)
    if most is not None and len(chosen) > most:
        chosen = chosen[1:]
        typer.echo(f"the newest {most} are shown, there are more; see --newest", err=True)
    mark = {"superseded": True} if superseded else {}
    if full:
        typer.echo(to_json([d.model_dump(mode="json") | mark for d in chosen]))
        return
    if not chosen:
        which = f"{'readable ' if unreadable else ''}{'superseded ' if superseded else ''}{kind}"
        msg = f"no {which} document" + (f" of campaign {campaign!r}" if campaign else "")
        raise ValueError(msg)
    screen = console()
    if kind == "benchmark" and not superseded:
        compared = CampaignDocuments.from_documents(chosen)
        for table in (f(compared) for f in (benchmark_table, forgetting_table, stability_table)):
            if table.rows:
                screen.print(table)
        return
    for document in chosen:
        screen.print_json(to_json(preview(document) | mark))


def show(
    uuid: Annotated[str, typer.Argument(help="uuid of a document, or its unique beginning.")],
    provenance: Annotated[
        bool, typer.Option("--provenance", help="Walk the links to the campaign file.")
    ] = False,
) -> None:
    """Show one document, or everything it was made from."""
    from hea_flows.cli.output import console
    from hea_flows.results.store import get_document, preview, render_tree, trace

    store = open_store()
    screen = console()
    if provenance:
        screen.print(render_tree(trace(store, uuid)), soft_wrap=True)
    else:
        screen.print_json(to_json(preview(get_document(store, uuid))))


def report(
    campaign: Name,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", callback=output_file, help="HTML file.")
    ] = None,
) -> None:
    """Write the newest report of a campaign."""
    from hea_flows.schemas import ReportDoc

    path = output or Path(f"{campaign}-report.html")
    check_writable(path)
    atomic_write(path, newest_document(ReportDoc, campaign).html.read())
    tell(f"report: {path.absolute()}", path)


def newest_document(kind: type[D], campaign: str) -> D:
    """Return the newest document of a campaign, loaded; what cannot be read is told."""
    return documents_of(kind, campaign, load=True, newest=1)[-1]


def documents_of(
    kind: type[D], campaign: str, *, load: bool = False, newest: int | None = None
) -> list[D]:
    """Return the documents of a campaign, at least one; what cannot be read is told.

    Raises
    ------
    ValueError
        If there is none.
    """
    from hea_flows.cli.output import tell_left_out
    from hea_flows.results.store import documents

    store = open_store()
    unreadable: list[UnreadableDocumentError] = []
    chosen = documents(store, kind, campaign, load=load, newest=newest, unreadable=unreadable)
    store.close()
    tell_left_out(unreadable)
    if not chosen:
        raise no_document(kind, campaign)
    return chosen


def no_document(kind: type[Document], campaign: str) -> ValueError:
    """Return the error for a campaign that has no document of a kind."""
    name = kind.model_fields["kind"].default
    return ValueError(
        f"no {name} document of campaign {campaign!r}; see hea-flows query --kind campaign"
    )
