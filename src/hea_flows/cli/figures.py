"""`hea-flows figures`: the paper's figures, panel by panel, from what campaigns left."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hea_flows.cli.output import output_folder


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command()(figures)


def figures(
    campaign: Annotated[
        list[str], typer.Option("--campaign", help="Name of a campaign; repeatable.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", callback=output_folder, help="Folder of the files.")
    ],
    which: Annotated[
        str, typer.Option(help="Panels, for example 1a,1b,4a. Default: all that can be drawn.")
    ] = "",
    form: Annotated[str, typer.Option("--format", help="svg, pdf, png, or several.")] = "svg",
) -> None:
    """Draw the panels of the paper's figures as figure-1a.svg, figure-1b.svg, ...

    Several campaigns give several models and test sets to one figure. A panel that is asked for
    and cannot be drawn is an error; of all panels, those that cannot be drawn are named.
    """
    from hea_flows.cli.output import tell_left_out
    from hea_flows.cli.results import open_store
    from hea_flows.results.figures import FORMATS, write_figure
    from hea_flows.results.paper import PANELS, draw_panel
    from hea_flows.results.store import CampaignDocuments, documents
    from hea_flows.schemas import UnreadableDocumentError, kinds

    forms, asked = _items(form, FORMATS, "format"), _items(which, tuple(PANELS), "panel")
    if not forms:
        msg = f"--format is empty; accepted: {', '.join(FORMATS)}"
        raise ValueError(msg)
    store = open_store()
    unreadable: list[UnreadableDocumentError] = []
    everything = [
        d
        for name in dict.fromkeys(campaign)
        for k in kinds()
        for d in documents(store, k, name, unreadable=unreadable)
    ]
    store.close()
    tell_left_out(unreadable)
    if not everything:
        names = ", ".join(campaign)
        msg = f"no documents of campaign {names}; see hea-flows query --kind campaign"
        raise ValueError(msg)
    inputs = CampaignDocuments.from_documents(everything)
    for panel in asked or PANELS:
        try:
            figure = draw_panel(panel, inputs)
        except ValueError as error:
            if asked:
                msg = f"panel {panel}: {error}"
                raise ValueError(msg) from error
            typer.echo(f"{panel}: not drawn, {error}")
            continue
        files = write_figure(figure, output, f"figure-{panel}", forms)
        typer.echo(f"{panel}: {', '.join(map(str, files))}")


def _items(text: str, accepted: tuple[str, ...], what: str) -> tuple[str, ...]:
    """Return the parts of a comma-separated list, each once."""
    items = tuple(dict.fromkeys(x.strip() for x in text.split(",") if x.strip()))
    if unknown := [x for x in items if x not in accepted]:
        msg = f"no {what} {unknown[0]!r}; accepted: {', '.join(accepted)}"
        raise ValueError(msg)
    return items
