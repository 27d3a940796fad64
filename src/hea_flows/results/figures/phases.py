"""Phase diagrams of binaries: temperature against composition."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hea_flows.results.figures.style import PALETTE, anion_tail, new_figure, say_empty, styled
from hea_flows.schemas import PhaseDiagramDoc

_COLUMNS = 3
_TWO, _CONCAVE = "#dbe6ef", PALETTE[1]


@styled
def phase_diagrams(docs: Sequence[PhaseDiagramDoc]) -> Figure:
    """Draw binodal, spinodal and critical point of every binary, a panel each."""
    columns = min(_COLUMNS, max(1, len(docs)))
    rows = -(-len(docs) // columns) or 1
    figure = new_figure(3.4 * columns + 0.4, 3.1 * rows + 0.7, _note(docs))
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, doc in zip(panels, docs, strict=False):
        _draw(axes, doc)
    for axes in panels[len(docs) :]:
        axes.set_axis_off()
    if not docs:
        say_empty(panels[0], "no phase diagrams")
    return figure


def _note(docs: Sequence[PhaseDiagramDoc]) -> str:
    if not docs:
        return ""
    doc = docs[-1]
    host = doc.alloy.to_alloy().host.name
    sizes = sorted({d.cells[-1].n_sites for d in docs})
    return (
        f"Energies: {doc.mode}, {doc.model.title}, cells of {', '.join(map(str, sizes))} sites. "
        f"Phases of the prototype {host} only; no others, no compounds. Bars: 95 % intervals from "
        "sampling."
    )


def _draw(axes: Axes, doc: PhaseDiagramDoc) -> None:
    first, second = doc.pair
    temperatures = [p.temperature for p in doc.points]
    low, high = min(temperatures), max(temperatures)
    margin = 0.06 * (high - low) or 0.1 * high
    branches: dict[int, list[tuple[float, ...]]] = {}
    for point in doc.points:
        for k, gap in enumerate(doc.gaps(point)):
            both = (gap.low, gap.low_error, gap.high, gap.high_error)
            branches.setdefault(k, []).append((point.temperature, *both))
        for a, b in point.spinodals if doc.gaps(point) else ():
            axes.plot([a, b], [point.temperature] * 2, "|", color=_CONCAVE, ms=7)
    for ends_of_gap in branches.values():
        t, a, a_error, b, b_error = np.array(ends_of_gap).T
        edges = np.array([t, a, b])
        if doc.critical and len(branches) == 1:
            top = 0.5 * (a[-1] + b[-1])
            edges = np.column_stack([edges, [doc.critical.temperature, top, top]])
        axes.fill_betweenx(edges[0], edges[1], edges[2], color=_TWO, lw=0, zorder=0)
        for x, error in ((a, a_error), (b, b_error)):
            axes.errorbar(x, t, xerr=1.96 * np.nan_to_num(error), fmt="o", ms=4, color=PALETTE[0])
    if doc.critical:
        axes.axhline(doc.critical.temperature, color="#888888", lw=0.9, ls=(0, (2, 2)))
        axes.annotate(
            f"{doc.critical.temperature:.0f} ± {1.96 * doc.critical.error:.0f} K",
            (0.02, doc.critical.temperature),
            va="bottom",
            fontsize=8.5,
            color="#444444",
        )
    elif not branches:
        axes.text(0.5, 0.5 * (low + high), "one phase", ha="center", va="center", color="#777777")
    tail = anion_tail(doc.alloy)
    axes.set(
        title=f"{first}₁₋ₓ{second}ₓ{tail}",
        xlabel=f"x, share of {second}",
        ylabel="temperature (K)",
        xlim=(0, 1),
        ylim=(low - margin, high + margin),
    )
