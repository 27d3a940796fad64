"""`hea-flows export`: results of a campaign as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hea_flows.cli.output import output_file, output_folder, tell
from hea_flows.runtime import atomic_write

if TYPE_CHECKING:
    from hea_flows.schemas import UnreadableDocumentError

Name = Annotated[str, typer.Option("--campaign", help="Name of the campaign.")]

export = typer.Typer(help="Write results as files.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.add_typer(export, name="export")


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
    from hea_flows.cli.results import newest_document, open_store
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
            newest_document(DatasetDoc, campaign),
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
    output: Annotated[Path, typer.Argument(callback=output_file, help="Model file to write.")],
    campaign: Name,
    model: Annotated[
        str | None, typer.Option(help="The campaign's name of the model; default the newest.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of its training.")] = None,
    form: Annotated[
        Literal["checkpoint", "native"],
        typer.Option("--format", help="Of hea-flows, or of the family's own program."),
    ] = "checkpoint",
    zero: Annotated[
        Literal["label", "model"],
        typer.Option(help="Zero of energy: of the labels, or the model's own."),
    ] = "label",
    curve: Annotated[
        Path | None, typer.Option(callback=output_file, help="CSV of the training curve.")
    ] = None,
) -> None:
    """Write a model that a campaign made, and say how it is opened; its checksum is verified.

    Without a name or a seed, the newest that was trained; a committee is named.
    """
    from hea_flows.cli.output import tell_left_out
    from hea_flows.cli.results import no_document, open_store
    from hea_flows.results.export import choose_model, curve_csv
    from hea_flows.results.export import export_model as write_model
    from hea_flows.results.store import documents, get_document
    from hea_flows.schemas import CommitteeModelDoc, ModelDoc, TrainingDoc

    store = open_store()
    unreadable: list[UnreadableDocumentError] = []
    newest = 1 if model is None and seed is None else None
    made: list[ModelDoc] = [
        *documents(store, TrainingDoc, campaign, newest=newest, unreadable=unreadable)
    ]
    if newest is None:
        made += documents(store, CommitteeModelDoc, campaign, unreadable=unreadable)
    tell_left_out(unreadable)
    if not made:
        raise no_document(TrainingDoc, campaign)
    document = get_document(store, choose_model(made, model, seed).uuid, load=True)
    store.close()
    assert isinstance(document, ModelDoc)
    if curve is not None and not isinstance(document, TrainingDoc):
        msg = f"{document.name} is a committee, and has no training curve; name a member"
        raise ValueError(msg)
    tell("\n".join(write_model(document, output, form=form, zero=zero)), output)
    if curve is not None and isinstance(document, TrainingDoc):
        atomic_write(curve, curve_csv(document.curve))
        tell(f"training curve, {len(document.curve)} epochs: {curve}", curve)


@export.command("chains")
def export_chains(
    output: Annotated[Path, typer.Argument(callback=output_folder, help="Folder of the files.")],
    campaign: Name,
) -> None:
    """Write the newest Monte Carlo chains of a campaign, one mchammer DataContainer each."""
    from hea_flows.cli.results import newest_document
    from hea_flows.results.export import export_chains as write_chains
    from hea_flows.schemas import MonteCarloDoc

    document = newest_document(MonteCarloDoc, campaign)
    files = write_chains(document, output)
    typer.echo(f"{len(files)} chains of {document.settings.steps} steps: {output}")


@export.command("tdb")
def export_tdb(
    output: Annotated[Path, typer.Argument(callback=output_file, help="TDB file to write.")],
    campaign: Name,
) -> None:
    """Write the binary phase diagrams of a campaign as one thermodynamic database.

    CALPHAD programs read it, for example pycalphad. Free energies of three and more elements follow
    from the binaries.
    """
    from hea_flows.cli.results import documents_of
    from hea_flows.results.export import thermodynamic_database
    from hea_flows.schemas import PhaseDiagramDoc

    found = documents_of(PhaseDiagramDoc, campaign)
    atomic_write(output, thermodynamic_database(found))
    tell(f"{', '.join('-'.join(d.pair) for d in found)}: {output}", output)
