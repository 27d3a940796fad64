"""`hea-flows hull`: which labelled structures are stable against all others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from hea_flows.cli.output import output_file


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command()(hull)


def hull(
    campaign: Annotated[
        str | None, typer.Option(help="Name of a campaign; default all labels of the database.")
    ] = None,
    settings: Annotated[
        str | None, typer.Option(help="Settings id of the labels, where there are several.")
    ] = None,
    calculation: Annotated[
        Literal["relax", "static"], typer.Option(help="Which labels; the two never mix.")
    ] = "relax",
    everything: Annotated[
        bool, typer.Option("--all", help="Also structures above the hull, and what they become.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", callback=output_file, help="Figure of the binaries (svg, pdf or png)."
        ),
    ] = None,
) -> None:
    """Show the convex hull of labelled mixing energies over composition."""
    from hea_flows.cli.output import console, tell_left_out
    from hea_flows.cli.results import open_store
    from hea_flows.results.figures import FORMATS, write_figure
    from hea_flows.results.report import binary_hulls, hull_table, labelled_hull
    from hea_flows.results.store import documents
    from hea_flows.schemas import LabelDoc, StructuresDoc, UnreadableDocumentError

    form = output.suffix.removeprefix(".") if output else FORMATS[0]
    if form not in FORMATS:
        msg = f"no figure format {form!r}; accepted: {', '.join(FORMATS)}"
        raise ValueError(msg)
    store = open_store()
    unreadable: list[UnreadableDocumentError] = []
    labelled = documents(store, LabelDoc, campaign, unreadable=unreadable)
    sets = documents(store, StructuresDoc, campaign, unreadable=unreadable)
    store.close()
    tell_left_out(unreadable)
    labels = labelled_hull(labelled, sets, settings_id=settings, calculation=calculation)
    console().print(hull_table(labels, all_entries=everything))
    if output is not None:
        files = write_figure(binary_hulls(labels), output.parent, output.stem, (form,))
        typer.echo(f"figure: {', '.join(map(str, files))}")
