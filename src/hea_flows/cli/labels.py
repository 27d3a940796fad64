"""`hea-flows estimate`: the cost of labels, before a campaign is submitted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hea_flows.jobs.labelling.estimate import SetEstimate
    from hea_flows.reference import LabelCost


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command()(estimate)


def estimate(
    config: Annotated[Path, typer.Argument(help="Campaign file (YAML); see configs/.")],
    workers: Annotated[int, typer.Option(min=1, help="Worker processes, one core each.")] = 2,
) -> None:
    """Estimate time and memory of a campaign's labels; nothing is computed or submitted."""
    from rich.markup import escape
    from rich.table import Table

    from hea_flows.cli.campaign import _find_config
    from hea_flows.cli.output import console
    from hea_flows.config import load_campaign
    from hea_flows.jobs.labelling import estimate as estimates
    from hea_flows.settings import get_settings

    campaign, _ = load_campaign(_find_config(config))
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
    screen = console()
    screen.print(table)
    if costs:
        typer.echo("Hours on one core, then with that many workers. GB: memory of one label.")
    if costs and (command := get_settings().gpaw_command):
        typer.echo(f"The processes of gpaw_command ({command}) share the time of each label.")
    for engine in sorted({one.engine for one in sets if one.costs is None}):
        typer.echo(f"{engine}: counted only; this engine offers no estimate.")
    if warning := estimates.memory_warning(sets, workers):
        typer.echo(f"warning: {warning}")


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
