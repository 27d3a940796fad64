"""`hea-flows check`: what is wrong with a campaign file, and what the campaign will cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from hea_flows.config import Campaign
    from hea_flows.flows import CampaignCheck
    from hea_flows.jobs.labelling.estimate import SetEstimate
    from hea_flows.reference import LabelCost

#: What a line of each kind of finding begins with.
_WORDS = {"error": "error", "here": "missing here", "warning": "warning", "note": "note"}


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command()(check)


def check(
    config: Annotated[Path, typer.Argument(help="Campaign file (YAML); see configs/.")],
    workers: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Worker processes, one core each.")
    ] = 2,
) -> None:
    """Say what is wrong with a campaign, and how long its parts take; nothing is submitted.

    Exit code 1 if `hea-flows submit` would refuse it. What is missing here keeps `hea-flows run`
    from starting, too; with `submit`, workers of another machine may have it.
    """
    from hea_flows.cli.output import console
    from hea_flows.config import find_campaign_file
    from hea_flows.flows import check_campaign

    result = check_campaign(find_campaign_file(config))
    tell_findings(result)
    if result.refused(here=False) or result.campaign is None:
        raise typer.Exit(1)
    campaign, screen = result.campaign, console()
    _labels(campaign, workers, screen)
    _parts(campaign, screen)
    if all(finding.kind == "note" for finding in result.findings):
        typer.echo("Nothing is wrong.")


def tell_findings(result: CampaignCheck) -> None:
    """Print findings on the standard error, a line each."""
    for finding in result.findings:
        typer.echo(f"{_WORDS[finding.kind]}: {finding}", err=True)


def _labels(campaign: Campaign, workers: int, screen: Console) -> None:
    from rich.markup import escape
    from rich.table import Table

    from hea_flows.jobs.labelling import estimate as estimates
    from hea_flows.settings import get_settings

    sets = estimates.estimate(campaign)
    table = Table(title=escape(f"Labels of {campaign.name}"), title_justify="left")
    for name in ("set", "use", "engine"):
        table.add_column(name)
    each = ("structures", "atoms", "k-points", "with spin", "hours", f"on {workers}", "GB each")
    for name in each:
        table.add_column(name, justify="right")
    for one in sets:
        head = (escape(one.expression), one.use, escape(one.engine))
        table.add_row(*head, *_cells(one, workers))
    costs = [cost for one in sets for cost in one.costs or []]
    memory = max((one.gigabytes for one in sets if one.gigabytes is not None), default=None)
    table.add_section()
    count = str(sum(len(one.atoms) for one in sets))
    table.add_row("all", "", "", count, "", "", "", *_hours(costs or None, workers), _gb(memory))
    screen.print(table)
    if costs:
        typer.echo("Hours on one core, then with that many workers. GB: memory of one label.")
    if costs and (command := get_settings().gpaw_command):
        typer.echo(f"The processes of gpaw_command ({command}) share the time of each label.")
    for engine in sorted({one.engine for one in sets if one.costs is None}):
        typer.echo(f"{engine}: counted only; this engine offers no estimate.")
    if warning := estimates.memory_warning(sets, workers):
        typer.echo(f"warning: {warning}", err=True)


def _parts(campaign: Campaign, screen: Console) -> None:
    from rich.markup import escape
    from rich.table import Table

    from hea_flows.jobs import estimate as estimates

    parts = estimates.estimate_parts(campaign)
    if not parts:
        return
    table = Table(title="Everything else", title_justify="left")
    table.add_column("part")
    table.add_column("work")
    table.add_column("minutes", justify="right")
    table.add_column("basis")
    for one in parts:
        time = "–" if one.seconds is None else f"{one.seconds / 60:.1f}"
        table.add_row(escape(one.part), escape(one.work), time, escape(one.basis))
    screen.print(table)
    typer.echo(
        f"Minutes of one core (or of the GPU) of this machine, if a step of training takes "
        f"{estimates.TRAINING:g} evaluations and a relaxation {estimates.MOVES} moves."
    )


def _cells(one: SetEstimate, workers: int) -> list[str]:
    k_points = spin = "–"
    if one.costs is not None:
        k_points = _span([cost.k_points for cost in one.costs])
        spin = str(sum(cost.spin_polarised for cost in one.costs))
    times = _hours(one.costs, workers)
    return [str(len(one.atoms)), _span(one.atoms), k_points, spin, *times, _gb(one.gigabytes)]


def _hours(costs: Sequence[LabelCost] | None, workers: int) -> list[str]:
    from hea_flows.jobs.labelling.estimate import hours

    return ["–", "–"] if costs is None else [f"{hours(costs, n):.1f}" for n in (1, workers)]


def _gb(gigabytes: float | None) -> str:
    return "–" if gigabytes is None else f"{gigabytes:.1f}"


def _span(numbers: Sequence[int]) -> str:
    if not numbers:
        return "–"
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low}–{high}"
