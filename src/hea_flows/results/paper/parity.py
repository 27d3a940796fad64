"""Parity plots: a panel per model (2c-d, 5c), or per model and database (3c)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hea_flows.results.paper.study import (
    QUANTITY_WORDS,
    Quantity,
    Study,
    energies,
    names,
    study_note,
)
from hea_flows.results.report import Geometry
from hea_flows.results.style import PALETTE, new_figure, plain, say_empty, styled

_UNITS: dict[Quantity, str] = {"total": "eV/unit", "mixing": "meV/unit"}
_COLUMNS = 4


@styled
def parity_by_model(studies: Sequence[Study], geometry: Geometry, quantity: Quantity) -> Figure:
    """Draw model against reference energies, a panel per model, a colour per database (2c-d, 5c).

    Parameters
    ----------
    studies
        Models and databases.
    geometry, quantity
        Which energies.

    Raises
    ------
    ValueError
        If there are no studies or their references differ in settings.
    """
    note = _note(studies, geometry, quantity)
    labels, databases = names(studies)
    columns = min(_COLUMNS, len(labels))
    rows = -(-len(labels) // columns)
    figure = new_figure(max(5.0, 3.1 * columns), 0.8 + 3.2 * rows, note)
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes, label in zip(panels.flat, labels, strict=False):
        chosen = [s for s in studies if s.label == label]
        _panel(axes, chosen, databases, geometry, quantity)
        axes.set_title(plain(label))
    for axes in panels.flat[len(labels) :]:
        axes.set_axis_off()
    _finish(list(panels.flat), quantity)
    return figure


@styled
def parity_grid(studies: Sequence[Study], geometry: Geometry, quantity: Quantity) -> Figure:
    """Draw model against reference energies, a row per model and a column per database (3c).

    Parameters
    ----------
    studies
        Models and databases.
    geometry, quantity
        Which energies.

    Raises
    ------
    ValueError
        If there are no studies or their references differ in settings.
    """
    note = _note(studies, geometry, quantity)
    labels, databases = names(studies)
    figure = new_figure(max(5.0, 3.1 * len(databases)), 0.8 + 3.2 * len(labels), note)
    panels = figure.subplots(len(labels), len(databases), squeeze=False)
    for row, label in zip(panels, labels, strict=True):
        for axes, database in zip(row, databases, strict=True):
            chosen = [s for s in studies if (s.label, s.database) == (label, database)]
            _panel(axes, chosen, databases, geometry, quantity)
            axes.set_title(plain(f"{label}: {database}"))
    _finish(list(panels.flat), quantity)
    return figure


def _note(studies: Sequence[Study], geometry: Geometry, quantity: Quantity) -> str:
    offsets = " Per-element offsets removed." if quantity == "total" else ""
    return f"{study_note(studies, geometry)} Open marks: structures trained on.{offsets}"


def _panel(
    axes: Axes,
    studies: Sequence[Study],
    databases: Sequence[str],
    geometry: Geometry,
    quantity: Quantity,
) -> None:
    """Draw the points of one panel; of several seeds all points."""
    for j, database in enumerate(databases):
        colour = PALETTE[j % len(PALETTE)]
        rows = [
            (*energies(p, quantity), p.trained)
            for s in studies
            if s.database == database
            for p in s.points(geometry)
        ]
        if not rows:
            continue
        x, y, trained = np.array(rows, dtype=float).T
        error = float(np.abs(y - x).mean()) * (1e3 if quantity == "total" else 1.0)
        text = plain(f"{database}, n = {len(x)}: {error:.3g} meV/unit")
        for which, face in ((trained == 0, colour), (trained == 1, "none")):
            if which.any():
                axes.plot(x[which], y[which], "o", ms=4, mfc=face, mec=colour, mew=0.9, label=text)
                text = "_again"  # one line of the legend per database
    if not axes.get_lines():
        say_empty(axes, f"no {geometry} energies")


def _finish(panels: Sequence[Axes], quantity: Quantity) -> None:
    """Give all panels one square window, the diagonal, labels with units and a legend."""
    shown = [axes for axes in panels if axes.axison]
    if not shown:
        return
    values = [v for a in shown for v in (*a.get_xlim(), *a.get_ylim())]
    ends = (min(values), max(values))
    words, unit = QUANTITY_WORDS[quantity], _UNITS[quantity]
    for axes in shown:
        axes.legend(
            loc="upper left",
            title="MAE",
            fontsize=7,
            title_fontsize=7,
            alignment="left",
            frameon=True,
            framealpha=0.8,
            edgecolor="none",
        )
        axes.axline((ends[0], ends[0]), slope=1, color="#888888", lw=0.8, zorder=0)
        axes.set(
            xlim=ends,
            ylim=ends,
            aspect="equal",
            xlabel=f"reference {words} ({unit})",
            ylabel=f"model ({unit})",
        )
