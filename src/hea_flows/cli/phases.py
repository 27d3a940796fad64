"""`hea-flows phases`: which phases an alloy of any composition consists of."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command()(phases)


def phases(
    composition: Annotated[str, typer.Argument(help="Shares, for example Mo=0.4,W=0.4,V=0.2.")],
    campaign: Annotated[str, typer.Option(help="Campaign with phase diagrams of the binaries.")],
    temperature: Annotated[
        list[float] | None,
        typer.Option("--temperature", "-t", help="K; repeatable. Default: those of the diagrams."),
    ] = None,
) -> None:
    """Show which phases are in equilibrium, by the binary phase diagrams of a campaign.

    The free energy of several elements follows from their binaries; terms of three elements are
    not known, so that this is an extrapolation.
    """
    from hea_flows.cli.output import console
    from hea_flows.cli.results import documents_of
    from hea_flows.results.export import joined_solution
    from hea_flows.results.report import equilibrium_table, parse_composition
    from hea_flows.schemas import PhaseDiagramDoc

    shares = parse_composition(composition)
    found = documents_of(PhaseDiagramDoc, campaign)
    console().print(
        equilibrium_table(found, joined_solution(found), shares, sorted(temperature or []))
    )
