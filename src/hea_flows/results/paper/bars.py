"""Errors of models: bars (2a-b, 3a-b, 5a-b), learning curve (4a), scatter over seeds (4c)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from hea_flows.results.figures import PALETTE, new_figure, plain, styled
from hea_flows.results.paper.comparison import (
    QUANTITY_WORDS,
    Comparison,
    Errors,
    Quantity,
    comparison_note,
    errors_of,
    model_names,
    over_seeds,
    test_set_names,
)
from hea_flows.schemas import Geometry

_RANGES = "Lines: 95 % bootstrap interval, or least to greatest of several seeds."


@styled
def error_bars(comparisons: Sequence[Comparison], geometry: Geometry, quantity: Quantity) -> Figure:
    """Draw the errors as bars: a group per model, a colour per test set (2a-b, 3a-b, 5a-b).

    Hatched bars hold structures that the model was trained on.

    Raises
    ------
    ValueError
        If there are no comparisons or their references differ in settings.
    """
    note = f"{comparison_note(comparisons, geometry)} {_RANGES}"
    models, test_sets = model_names(comparisons), test_set_names(comparisons)
    if quantity == "total":
        note += " Per-element offsets removed."
    figure = new_figure(max(6.0, 1.5 + 0.5 * len(models) * (len(test_sets) + 1)), 4.0, note)
    axes = figure.subplots()
    width = 0.8 / len(test_sets)
    overlap = False
    for j, test_set in enumerate(test_sets):
        for i, model in enumerate(models):
            errors = _errors(comparisons, model, test_set, geometry, quantity)
            if not errors:
                continue
            value, low, high = over_seeds(errors)
            trained = any(e.n_training for e in errors)
            overlap |= trained
            at = i + (j - (len(test_sets) - 1) / 2) * width
            axes.bar(
                at,
                value,
                0.92 * width,
                color=PALETTE[j % len(PALETTE)],
                hatch="///" if trained else None,
                edgecolor="white",
                linewidth=0,
                yerr=np.array([[max(0.0, value - low)], [max(0.0, high - value)]]),
                error_kw={"lw": 1, "ecolor": "#444444", "capsize": 2},
            )
    handles = _patches(test_sets)
    if overlap:
        handles.append(
            Patch(facecolor="#bbbbbb", edgecolor="white", hatch="///", label="trained on, in part")
        )
    axes.set(ylabel=f"MAE of the {QUANTITY_WORDS[quantity]} (meV/unit)")
    axes.grid(visible=False, axis="x")
    _model_ticks(axes, models)
    figure.legend(handles=handles, loc="outside upper left", ncols=min(4, len(handles)))
    return figure


@styled
def learning_by_size(comparisons: Sequence[Comparison], geometry: Geometry) -> Figure:
    """Draw the mixing-energy error against the models ordered by the size of their training set.

    A panel per test set; a line per number of elements and one for the average over all
    structures (4a). Sizes count alloyed structures, frames those of end points too.

    Raises
    ------
    ValueError
        If a comparison has no dataset, one name stands for training sets of different sizes, there
        are no comparisons, or their references differ in settings.
    """
    note = f"{comparison_note(comparisons, geometry)} {_RANGES}"
    models, test_sets = model_names(comparisons), test_set_names(comparisons)
    sizes: dict[str, int] = {}
    for comparison in comparisons:
        name, size = comparison.name, comparison.n_training_structures()
        if sizes.setdefault(name, size) != size:
            msg = (
                f"{name} stands for training sets of {sizes[name]} and {size} structures; give "
                "them different names"
            )
            raise ValueError(msg)
    models = sorted(models, key=sizes.__getitem__)
    width = max(5.0, 1.5 + 0.7 * len(models))
    figure = new_figure(width * len(test_sets), 4.2, note)
    panels = figure.subplots(1, len(test_sets), squeeze=False, sharey=True)[0]
    for axes, test_set in zip(panels, test_sets, strict=True):
        columns = [_errors(comparisons, model, test_set, geometry, "mixing") for model in models]
        numbers = sorted({n for column in columns for e in column for n in e.by_components})
        for i, n in enumerate(numbers):
            shown = [[e.by_components[n] for e in c if n in e.by_components] for c in columns]
            ys = [float(np.mean(v)) if v else np.nan for v in shown]
            style: dict[str, Any] = {"color": PALETTE[i % len(PALETTE)], "lw": 1.3}
            axes.plot(range(len(models)), ys, marker="os^Dv"[i % 5], label=f"{n} elements", **style)
        rows = [over_seeds(c) if c else (np.nan, np.nan, np.nan) for c in columns]
        mean, low, high = np.array(rows).T
        ends = np.clip([mean - low, high - mean], 0, None)
        axes.errorbar(
            range(len(models)), mean, yerr=ends, color="black", lw=2, capsize=3, label="average"
        )
        axes.set(title=plain(test_set), xlabel="structures / frames of the training set")
        axes.set_ylim(bottom=0)
        ticks = [f"{model}\n{sizes[model]} / {_n_frames(comparisons, model)}" for model in models]
        _model_ticks(axes, ticks)
        axes.legend(loc="upper right")
    panels[0].set_ylabel("MAE of the mixing energy (meV/unit)")
    return figure


def _n_frames(comparisons: Sequence[Comparison], model: str) -> str:
    """Return the number of frames a model was trained on, or the least and greatest of several."""
    pool = [s.dataset for s in comparisons if s.name == model]
    numbers = sorted({sum(d.n_frames.values()) for d in pool if d is not None})
    return "–".join(dict.fromkeys(map(str, (numbers[0], numbers[-1]))))


@styled
def seed_scatter(comparisons: Sequence[Comparison], geometry: Geometry) -> Figure:
    """Draw the mixing-energy error of every seed, a column per model, a colour per test set (4c).

    Comparisons that share a name differ in their seeds, of training or of selection.

    Raises
    ------
    ValueError
        If there are no comparisons or their references differ in settings.
    """
    note = comparison_note(comparisons, geometry)
    note += " A point per model; bar: mean ± standard deviation."
    models, test_sets = model_names(comparisons), test_set_names(comparisons)
    figure = new_figure(max(5.0, 1.5 + 0.9 * len(models) * len(test_sets)), 4.0, note)
    axes = figure.subplots()
    width = 0.8 / len(test_sets)
    for j, test_set in enumerate(test_sets):
        colour = PALETTE[j % len(PALETTE)]
        for i, model in enumerate(models):
            errors = _errors(comparisons, model, test_set, geometry, "mixing")
            if not errors:
                continue
            at = i + (j - (len(test_sets) - 1) / 2) * width
            spread = np.linspace(-0.3, 0.3, len(errors)) * width if len(errors) > 1 else np.zeros(1)
            axes.plot(at + spread, [e.mae for e in errors], "o", ms=5, color=colour, alpha=0.8)
            mean = over_seeds(errors)[0]
            axes.plot([at - 0.4 * width, at + 0.4 * width], [mean, mean], color=colour, lw=2.2)
            if len(errors) > 1:
                scatter = float(np.std([e.mae for e in errors], ddof=1))
                text = f"{mean:.2f} ± {scatter:.2f}"
                where = (at, max(e.mae for e in errors))
                away: Any = {"xytext": (0, 6), "textcoords": "offset points", "ha": "center"}
                axes.annotate(text, where, color=colour, fontsize=8, **away)
    handles = _patches(test_sets)
    axes.set(ylabel="MAE of the mixing energy (meV/unit)")
    axes.set_ylim(bottom=0)
    axes.grid(visible=False, axis="x")
    _model_ticks(axes, models)
    figure.legend(handles=handles, loc="outside upper left", ncols=min(4, len(handles)))
    return figure


def _errors(
    comparisons: Sequence[Comparison],
    model: str,
    test_set: str,
    geometry: Geometry,
    quantity: Quantity,
) -> list[Errors]:
    """Return the errors of one model on one test set, one per seed, in the order of the seeds."""
    chosen = [s for s in comparisons if (s.name, s.test_set) == (model, test_set)]
    chosen.sort(key=lambda s: s.training.settings.seed if s.training else 0)
    errors = (errors_of(s, geometry, quantity) for s in chosen)
    return [e for e in errors if e is not None]


def _patches(test_sets: Sequence[str]) -> list[Patch]:
    return [
        Patch(facecolor=PALETTE[j % len(PALETTE)], label=plain(d)) for j, d in enumerate(test_sets)
    ]


def _model_ticks(axes: Axes, models: Sequence[str]) -> None:
    steep = sum(max(map(len, x.split("\n"))) for x in models) > 60
    axes.set_xticks(
        range(len(models)),
        [plain(x) for x in models],
        rotation=30 if steep else 0,
        ha="right" if steep else "center",
    )
    axes.set_xlim(-0.6, len(models) - 0.4)
