"""Parity plots: a panel per model (2c-d, 5c), or per kind of model and test set (3c)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from hea_flows.results.figures import PALETTE, new_figure, plain, say_empty, styled
from hea_flows.results.paper.comparison import (
    QUANTITY_WORDS,
    Comparison,
    Quantity,
    comparison_note,
    energies,
    model_names,
    test_set_names,
)
from hea_flows.schemas import Geometry

_UNITS: dict[Quantity, str] = {"total": "eV/unit", "mixing": "meV/unit"}
_COLUMNS = 4
_HEAD = "MAE (bias) in meV/unit; n"


@dataclass(frozen=True)
class _Cloud:
    """Points of one colour in one panel; of several seeds all points."""

    colour: str
    reference: NDArray[np.float64]
    model: NDArray[np.float64]
    trained: NDArray[np.bool_]
    n_models: int

    def errors_mev(self, quantity: Quantity) -> NDArray[np.float64]:
        """Return model minus reference (meV/unit)."""
        return (self.model - self.reference) * (1e3 if quantity == "total" else 1.0)

    def statistics(self, quantity: Quantity) -> str:
        """Return mean absolute error, bias (mean error) and number of points."""
        errors = self.errors_mev(quantity)
        seeds = f", {self.n_models} seeds" if self.n_models > 1 else ""
        bias = f"{errors.mean():+.2f}".replace("-", "−")
        return f"{np.abs(errors).mean():.3g} ({bias}); {len(errors)}{seeds}"


@styled
def parity_by_model(
    comparisons: Sequence[Comparison], geometry: Geometry, quantity: Quantity
) -> Figure:
    """Draw model against reference energies, a panel per model, a colour per test set (2c-d, 5c).

    Panels give mean absolute error, bias and number of points. Since all total energies look
    alike, an inset shows how their errors are distributed.

    Raises
    ------
    ValueError
        If there are no comparisons or their references differ in settings.
    """
    note = _note(comparisons, geometry, quantity)
    models, test_sets = model_names(comparisons), test_set_names(comparisons)
    rows = -(-len(models) // _COLUMNS)
    columns = -(-len(models) // rows)
    figure = new_figure(max(5.0, 3.1 * columns), 1.2 + 3.1 * rows, note)
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes, model in zip(panels.flat, models, strict=False):
        groups = [[s for s in comparisons if (s.name, s.test_set) == (model, d)] for d in test_sets]
        _panel(axes, groups, geometry, quantity)
        axes.set_title(plain(model))
    for axes in panels.flat[len(models) :]:
        axes.set_axis_off()
    _finish(figure, panels, test_sets, quantity)
    return figure


@styled
def parity_grid(
    comparisons: Sequence[Comparison],
    geometry: Geometry,
    quantity: Quantity,
    kinds: Mapping[str, str] | None = None,
) -> Figure:
    """Draw model against reference energies, a row per kind of model, a column per test set (3c).

    `kinds` maps the name of a model to its kind, for example ``enumerated`` or ``random``; a model
    that is not in it is a kind of its own.

    Raises
    ------
    ValueError
        If there are no comparisons or their references differ in settings.
    """
    note = _note(comparisons, geometry, quantity)
    models, test_sets = model_names(comparisons), test_set_names(comparisons)
    kind_of = {model: (kinds or {}).get(model, model) for model in models}
    rows = list(dict.fromkeys(kind_of.values()))
    figure = new_figure(max(5.0, 3.1 * len(test_sets)), 1.2 + 3.1 * len(rows), note)
    panels = figure.subplots(len(rows), len(test_sets), squeeze=False)
    for line, kind in zip(panels, rows, strict=True):
        for axes, test_set in zip(line, test_sets, strict=True):
            groups = [
                [s for s in comparisons if (s.name, s.test_set) == (model, test_set)]
                if kind_of[model] == kind
                else []
                for model in models
            ]
            _panel(axes, groups, geometry, quantity)
            axes.set_title(plain(f"{kind}: {test_set}"))
    _finish(figure, panels, models, quantity)
    return figure


def _note(comparisons: Sequence[Comparison], geometry: Geometry, quantity: Quantity) -> str:
    insets = " Per-element offsets removed. Insets: model − reference (meV/unit)."
    return comparison_note(comparisons, geometry) + (insets if quantity == "total" else "")


def _panel(
    axes: Axes, groups: Sequence[Sequence[Comparison]], geometry: Geometry, quantity: Quantity
) -> None:
    """Draw a cloud for each group of comparisons that has points, and its statistics."""
    clouds = []
    for j, group in enumerate(groups):
        rows = [(*energies(p, quantity), p.trained) for s in group for p in s.points(geometry)]
        if rows:
            x, y, trained = np.array(rows, dtype=np.float64).T
            colour = PALETTE[j % len(PALETTE)]
            clouds.append(_Cloud(colour, x, y, trained == 1, len(group)))
    if not clouds:
        say_empty(axes, f"no {geometry} energies")
        return
    for c in clouds:
        for which, face in ((~c.trained, c.colour), (c.trained, "none")):
            if which.any():
                style: dict[str, Any] = {"ms": 3.6, "mfc": face, "mec": c.colour, "mew": 0.8}
                axes.plot(c.reference[which], c.model[which], "o", **style)
    # Above the diagonal or below it: where fewer points are in the way.
    above = sum(int((c.model > c.reference).sum()) for c in clouds)
    top = quantity == "total" or above <= sum(len(c.model) for c in clouds) / 2
    texts = [(_HEAD, "#444444"), *((c.statistics(quantity), c.colour) for c in clouds)]
    for i, (text, colour) in enumerate(texts if top else texts[::-1]):
        axes.text(
            0.03 if top else 0.97,
            0.97 - 0.065 * i if top else 0.03 + 0.065 * i,
            text,
            transform=axes.transAxes,
            ha="left" if top else "right",
            va="top" if top else "bottom",
            color=colour,
            fontsize=7,
            zorder=6,
            bbox={"facecolor": "white", "alpha": 0.75, "lw": 0, "pad": 0.8},
        )
    if quantity == "total":
        _inset(axes, clouds)


def _inset(axes: Axes, clouds: Sequence[_Cloud]) -> None:
    """Draw histograms of the errors of total energies into the lower right corner."""
    inset = axes.inset_axes((0.56, 0.1, 0.42, 0.3))
    errors = [c.errors_mev("total") for c in clouds]
    edges = np.histogram_bin_edges(np.concatenate(errors), bins=21)
    for c, values in zip(clouds, errors, strict=True):
        inset.hist(values, bins=edges.tolist(), histtype="step", color=c.colour, lw=1)
    inset.axvline(0, color="#888888", lw=0.7)
    inset.set(yticks=[])
    inset.tick_params(labelsize=6.5, length=2, pad=1.5)
    inset.grid(visible=False)
    inset.patch.set_alpha(0.8)


def _finish(
    figure: Figure, panels: NDArray[Any], legend: Sequence[str], quantity: Quantity
) -> None:
    """Give all panels one square window, the diagonal and, at the outside, labels with units."""
    shown = [axes for axes in panels.flat if axes.axison]
    if not shown:
        return
    values = [v for a in shown for v in (*a.get_xlim(), *a.get_ylim())]
    ends = (min(values), max(values))
    words, unit = QUANTITY_WORDS[quantity], _UNITS[quantity]
    for (i, j), axes in np.ndenumerate(panels):
        if not axes.axison:
            continue
        axes.axline((ends[0], ends[0]), slope=1, color="#888888", lw=0.8, zorder=0)
        axes.set(xlim=ends, ylim=ends, aspect="equal")
        if not any(a.axison for a in panels[i + 1 :, j]):
            axes.set_xlabel(f"reference {words} ({unit})")
        if not any(a.axison for a in panels[i, :j]):
            axes.set_ylabel(f"model ({unit})")
    dots: dict[str, Any] = {"ls": "none", "marker": "o", "ms": 5}
    handles = [
        Line2D([], [], color=PALETTE[j % len(PALETTE)], label=plain(name), **dots)
        for j, name in enumerate(legend)
    ]
    if any(x.get_markerfacecolor() == "none" for a in shown for x in a.get_lines()):
        open_mark: dict[str, Any] = {**dots, "mfc": "none", "mec": "#444444"}
        handles.append(Line2D([], [], label="open: trained on", **open_mark))
    figure.legend(handles=handles, loc="outside upper left", ncols=min(4, len(handles)))
