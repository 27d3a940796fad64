"""`hea-flows query`, `show`, `report` and `export`: what a campaign left in the database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hea_flows.runtime.atomic_files import atomic_write

if TYPE_CHECKING:
    from jobflow.core.store import JobStore

    from hea_flows.schemas import DatasetDoc

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
    from hea_flows.services.connection import find_connection

    connection = find_connection(start_local=True)
    connection.ping()
    store = connection.job_store()
    store.connect()
    return store


def query(
    kind: Annotated[str, typer.Option(help="Kind of document, for example benchmark.")],
    campaign: Annotated[str | None, typer.Option(help="Name of the campaign.")] = None,
    full: Annotated[bool, typer.Option("--full", help="JSON of whole documents.")] = False,
) -> None:
    """Show the documents of a kind; big fields stay in the data store."""
    from hea_flows.cli.output import console
    from hea_flows.results.report.inputs import ReportInputs
    from hea_flows.results.report.tables import benchmark_table
    from hea_flows.results.store.query import documents, light

    found = documents(open_store(), kind, campaign)
    if full:
        typer.echo(json.dumps([json.loads(d.model_dump_json()) for d in found], indent=2))
        return
    if not found:
        typer.echo(f"no {kind} document" + (f" of campaign {campaign}" if campaign else ""))
        raise typer.Exit(1)
    screen = console()
    if kind == "benchmark":
        screen.print(benchmark_table(ReportInputs.from_documents(found)))
        return
    for document in found:
        screen.print_json(data=light(document), default=str)


def show(
    uuid: Annotated[str, typer.Argument(help="uuid of a document, or its unique beginning.")],
    provenance: Annotated[
        bool, typer.Option("--provenance", help="Walk the links to the campaign file.")
    ] = False,
) -> None:
    """Show one document, or everything it was made from."""
    from hea_flows.cli.output import console
    from hea_flows.results.store.provenance import render_tree, walk
    from hea_flows.results.store.query import by_uuid, light

    store = open_store()
    screen = console()
    if provenance:
        screen.print(render_tree(walk(store, uuid)), soft_wrap=True)
    else:
        screen.print_json(data=light(by_uuid(store, uuid)), default=str)


def report(
    campaign: Name,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="HTML file.")] = None,
) -> None:
    """Write the newest report of a campaign."""
    from hea_flows.schemas import ReportDoc

    document = _newest("report", campaign)
    assert isinstance(document, ReportDoc)
    path = output or Path(f"{campaign}-report.html")
    atomic_write(path, document.html.read())
    typer.echo(f"report: {path.absolute()}")


@export.command("dataset")
def export_frames(
    output: Annotated[
        Path, typer.Argument(help="extxyz[.gz|.xz]: the dataset; .json: all labels.")
    ],
    campaign: Name,
    title: Annotated[str, typer.Option(help="Title of the card.")] = "",
    note: Annotated[list[str] | None, typer.Option(help="Note of the card; repeatable.")] = None,
    regenerate: Annotated[str, typer.Option(help="Command that makes the dataset again.")] = "",
) -> None:
    """Write labelled frames, under the names that MACE reads, and their card beside them.

    The card makes them a dataset of the archive engine: campaigns read it with
    `labels: {engine: archive, options: {dataset: NAME.json}}`.

    NAME.extxyz[.gz|.xz] holds the frames of the newest dataset document, in its order and with its
    splits. NAME.json (frames in NAME.extxyz.xz) holds every frame that is labelled so far, while
    the campaign still runs.
    """
    from hea_flows.results.export.archive import write_archive
    from hea_flows.results.export.dataset import export_dataset
    from hea_flows.results.store.query import documents
    from hea_flows.schemas import DatasetDoc, LabelDoc, StructuresDoc

    store = open_store()
    everything = output.suffix == ".json"
    found = documents(store, "label", campaign, load=True)
    labels = [d for d in found if isinstance(d, LabelDoc)]
    structures = [
        d for d in documents(store, "structures", campaign) if isinstance(d, StructuresDoc)
    ]
    if everything:
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
        )
        frames, card_file = output.with_name(card.file), output
    else:
        dataset = _newest("dataset", campaign)
        assert isinstance(dataset, DatasetDoc)
        card = export_dataset(
            dataset,
            output,
            labels=labels,
            structures=structures,
            title=title,
            regenerate=regenerate,
            notes=note or [],
        )
        frames, card_file = output, output.with_name(f"{card.name}.json")
    typer.echo(f"{card.n_structures} structures, {card.n_frames} frames: {frames}, {card_file}")


@export.command("model")
def export_model(
    output: Annotated[Path, typer.Argument(help="Checkpoint file to write.")], campaign: Name
) -> None:
    """Write the newest fine-tuned model of a campaign, its checksum verified."""
    from hea_flows.schemas import TrainingDoc

    document = _newest("training", campaign)
    assert isinstance(document, TrainingDoc)
    atomic_write(output, document.model_file.read())
    typer.echo(f"{document.model.label}: {output}, sha256 {document.model_file.sha256}")


@export.command("chains")
def export_chains(
    output: Annotated[Path, typer.Argument(help="Folder of the files.")], campaign: Name
) -> None:
    """Write the newest Monte Carlo chains of a campaign, one mchammer DataContainer each."""
    from hea_flows.results.export.chains import export_chains as write_chains
    from hea_flows.schemas import MonteCarloDoc

    document = _newest("montecarlo", campaign)
    assert isinstance(document, MonteCarloDoc)
    files = write_chains(document, output)
    typer.echo(f"{len(files)} chains of {document.settings.steps} steps: {output}")


def _newest(kind: str, campaign: str) -> DatasetDoc | Any:  # noqa: ANN401
    from hea_flows.results.store.query import documents

    store = open_store()
    found = documents(store, kind, campaign, load=True)
    store.close()
    if not found:
        msg = f"no {kind} document of campaign {campaign!r}; see hea-flows query --kind campaign"
        raise ValueError(msg)
    return found[-1]
