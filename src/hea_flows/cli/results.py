"""`hea-flows query`, `show`, `report` and `export`: what a campaign left in the database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from hea_flows.cli.output import output_file, output_folder, tell
from hea_flows.runtime import atomic_write, check_writable, to_json

if TYPE_CHECKING:
    from jobflow.core.store import JobStore

    from hea_flows.schemas import Document, UnreadableDocumentError

    D = TypeVar("D", bound=Document)

#: Documents that are shown where no campaign is named.
MOST = 20
Name = Annotated[str, typer.Option("--campaign", help="Name of the campaign.")]

export = typer.Typer(help="Write results as files.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command()(query)
    app.command()(show)
    app.command()(report)
    app.add_typer(export, name="export")


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
    atomic_write(path, _newest(ReportDoc, campaign).html.read())
    tell(f"report: {path.absolute()}", path)


@export.command("dataset")
def export_frames(
    output: Annotated[
        Path,
        typer.Argument(
            callback=output_file, help="extxyz[.gz|.xz]: the dataset; .json: all labels."
        ),
    ],
    campaign: Name,
    title: Annotated[str, typer.Option(help="Title of the card.")] = "",
    note: Annotated[list[str] | None, typer.Option(help="Note of the card; repeatable.")] = None,
    regenerate: Annotated[str, typer.Option(help="Command that makes the dataset again.")] = "",
    licence: Annotated[
        str | None, typer.Option(help="Licence that you give your data, e.g. CC-BY-4.0.")
    ] = None,
    citation: Annotated[str | None, typer.Option(help="What users of the data cite.")] = None,
    author: Annotated[list[str] | None, typer.Option(help="Author; repeatable.")] = None,
) -> None:
    """Write labelled frames, under the names that MACE reads, and their card beside them.

    The card makes them a dataset of the archive engine: campaigns read it with
    `labels: {engine: archive, options: {dataset: NAME.json}}`. It names a licence, a citation and
    authors only if they are given: the data are yours.

    NAME.extxyz[.gz|.xz] holds the frames of the newest dataset document, in its order and with its
    splits. NAME.json (frames in NAME.extxyz.xz) holds every frame that is labelled so far, while
    the campaign still runs.
    """
    from hea_flows.cli.output import tell_left_out
    from hea_flows.reference import DatasetTerms
    from hea_flows.results.export import export_dataset, write_archive
    from hea_flows.results.store import documents
    from hea_flows.schemas import DatasetDoc, LabelDoc, StructuresDoc

    terms = DatasetTerms(licence=licence, citation=citation, authors=author or [])
    store = open_store()
    unreadable: list[UnreadableDocumentError] = []
    labels = documents(store, LabelDoc, campaign, load=True, unreadable=unreadable)
    tell_left_out(unreadable)
    structures = documents(store, StructuresDoc, campaign)
    if output.suffix == ".json":
        if not labels:
            msg = f"campaign {campaign!r} has no labels; see hea-flows status"
            raise ValueError(msg)
        card = write_archive(
            output,
            title=title or campaign,
            labels=labels,
            structures=structures,
            regenerate=regenerate,
            notes=note or [],
            terms=terms,
            unreadable=unreadable,
        )
        frames, card_file = output.with_name(card.file), output
    else:
        card = export_dataset(
            _newest(DatasetDoc, campaign),
            output,
            labels=labels,
            structures=structures,
            title=title,
            regenerate=regenerate,
            notes=note or [],
            terms=terms,
            unreadable=unreadable,
        )
        frames, card_file = output, output.with_name(f"{card.name}.json")
    typer.echo(f"{card.n_structures} structures, {card.n_frames} frames: {frames}, {card_file}")


@export.command("model")
def export_model(
    output: Annotated[Path, typer.Argument(callback=output_file, help="Checkpoint file to write.")],
    campaign: Name,
) -> None:
    """Write the newest fine-tuned model of a campaign, its checksum verified."""
    from hea_flows.schemas import TrainingDoc

    document = _newest(TrainingDoc, campaign)
    atomic_write(output, document.model_file.read())
    tell(f"{document.model.title}: {output}, sha256 {document.model_file.sha256}", output)


@export.command("chains")
def export_chains(
    output: Annotated[Path, typer.Argument(callback=output_folder, help="Folder of the files.")],
    campaign: Name,
) -> None:
    """Write the newest Monte Carlo chains of a campaign, one mchammer DataContainer each."""
    from hea_flows.results.export import export_chains as write_chains
    from hea_flows.schemas import MonteCarloDoc

    document = _newest(MonteCarloDoc, campaign)
    files = write_chains(document, output)
    typer.echo(f"{len(files)} chains of {document.settings.steps} steps: {output}")


def _newest(kind: type[D], campaign: str) -> D:
    from hea_flows.cli.output import tell_left_out
    from hea_flows.results.store import documents

    store = open_store()
    unreadable: list[UnreadableDocumentError] = []
    chosen = documents(store, kind, campaign, load=True, newest=1, unreadable=unreadable)
    store.close()
    tell_left_out(unreadable)
    if not chosen:
        name = kind.model_fields["kind"].default
        msg = f"no {name} document of campaign {campaign!r}; see hea-flows query --kind campaign"
        raise ValueError(msg)
    return chosen[-1]
