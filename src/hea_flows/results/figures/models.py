"""Figures of models: mixing energies, parity, learning curves."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator

from hea_flows.results.figures.style import (
    FOUNDATION,
    PALETTE,
    REFERENCE,
    TUNED,
    new_figure,
    plain,
    say_empty,
    styled,
    violin,
)
from hea_flows.schemas import BenchmarkDoc, Geometry, ParityPoint, TrainingDoc

GEOMETRY_WORDS: dict[Geometry, str] = {
    "relaxed": "relaxed, each energy with its own method",
    "fixed": "fixed geometry, every method at the geometry of the label",
}
_MARKS: dict[str, dict[str, Any]] = {
    "reference": {"marker": "o", "color": "#c9c9c9", "ms": 7, "mec": REFERENCE, "mew": 0.8},
    "foundation model": {"marker": "+", "color": FOUNDATION, "ms": 6, "mew": 1.3},
    "fine-tuned model": {"marker": "x", "color": TUNED, "ms": 5, "mew": 1.3},
}
_TEST_SET_MARKS = (("D", "#D55E00", "white"), ("o", "none", "#0072B2"), ("s", "none", "#009E73"))


def fractions(formula: str, elements: Sequence[str]) -> dict[str, float]:
    """Return the share of each alloyed element in a formula such as ``Mo2W1S6``."""
    every = {el: int(n or 1) for el, n in re.findall(r"([A-Z][a-z]?)(\d*)", formula)}
    counts = {el: every[el] for el in elements if el in every}
    return {el: n / sum(counts.values()) for el, n in counts.items()}


def energy_note(benchmarks: Sequence[BenchmarkDoc], geometry: Geometry) -> str:
    """Return the line that says which energies a figure shows."""
    references = dict.fromkeys(
        t.reference for b in benchmarks for t in b.tables if t.geometry == geometry
    )
    ends = "; ".join(references) or "not given"
    return f"Energies: {GEOMETRY_WORDS[geometry]}. Reference of mixing energies: {ends}."


@styled
def mixing_by_composition(
    tuned: BenchmarkDoc | None,
    foundation: BenchmarkDoc | None,
    elements: Sequence[str],
    geometry: Geometry,
) -> Figure:
    """Draw mixing energies of binaries against composition, and by number of components.

    Either benchmark may be missing; reference energies are those of the first given. Pairs are
    named in the order of the elements.
    """
    given = [b for b in (tuned, foundation) if b is not None]
    points = given[0].points(geometry) if given else []
    pairs = [p for p in combinations(elements, 2) if _of_pair(points, p, elements)]
    columns = min(5, len(pairs)) or 1
    lines = max(1, -(-len(pairs) // columns))
    figure = new_figure(10, max(4.4, 1.2 + 1.7 * lines), energy_note(given, geometry))
    halves: Any = figure.subfigures(1, 2, width_ratios=(0.9 + 0.28 * columns, 1))
    panels = halves[0].subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    pools = (points, *(b.points(geometry) if b else [] for b in (foundation, tuned)))
    for axes, pair in zip(panels.flat, pairs, strict=False):
        _binary(axes, pair, [_of_pair(pool, pair, elements) for pool in pools])
    for axes in panels.flat[len(pairs) :]:
        axes.set_axis_off()
    if pairs:
        halves[0].supylabel("mixing energy (meV/unit)", fontsize=9.5)
        halves[0].supxlabel("fraction of the second element", fontsize=9.5)
        marks = [
            Line2D([], [], ls="none", label=text, **style)
            for pool, (text, style) in zip(pools, _MARKS.items(), strict=True)
            if pool
        ]
        halves[0].legend(
            handles=marks,
            loc="outside upper left",
            ncols=3,
            title="a  Binaries",
            title_fontproperties={"weight": "bold"},
            alignment="left",
        )
    else:
        say_empty(panels[0, 0], "no binary structures in this benchmark")
    _by_components(halves[1].subplots(), points, pools[2])
    return figure


def _of_pair(
    pool: list[ParityPoint], pair: tuple[str, str], elements: Sequence[str]
) -> list[tuple[float, ParityPoint]]:
    """Return the binaries of one pair with the fraction of its second element."""
    rows = [(fractions(p.formula, elements), p) for p in pool]
    return [(x[pair[1]], p) for x, p in rows if set(x) == set(pair)]


def _binary(
    axes: Axes, pair: tuple[str, str], pools: list[list[tuple[float, ParityPoint]]]
) -> None:
    """Draw one pair: the reference with a line through its means, and both models."""
    reference, foundation, tuned = pools
    groups: dict[float, list[float]] = {}
    for x, p in reference:
        groups.setdefault(round(x, 9), []).append(p.reference_mixing_mev)
    xs = sorted(groups)
    axes.axhline(0, color="#888888", lw=0.8)
    axes.plot([0, *xs, 1], [0, *(float(np.mean(groups[x])) for x in xs), 0], color="#aaaaaa", lw=1)
    rows = (
        [(x, p.reference_mixing_mev) for x, p in reference],
        [(x, p.model_mixing_mev) for x, p in foundation],
        [(x, p.model_mixing_mev) for x, p in tuned],
    )
    for values, style in zip(rows, _MARKS.values(), strict=True):
        axes.plot(*np.array(values, dtype=float).reshape(-1, 2).T, ls="none", **style)
    axes.set(xlim=(-0.04, 1.04), xticks=(0, 0.5, 1), xticklabels=("0", "½", "1"))
    axes.set_title(f"{pair[0]}–{pair[1]}", fontsize=9, fontweight="normal", pad=3)


def _by_components(axes: Axes, points: list[ParityPoint], tuned: list[ParityPoint]) -> None:
    numbers = sorted({p.n_components for p in points if p.n_components > 1})
    if not numbers:
        say_empty(axes, "no alloyed structures in this benchmark")
        return
    rng = np.random.default_rng(0)  # places the dots beside each other, means nothing
    for at, n in enumerate(numbers):
        values = np.array([p.reference_mixing_mev for p in points if p.n_components == n])
        values = values[np.isfinite(values)]
        if len(values) >= 5 and np.ptp(values) > 0:
            violin(axes, values, at, width=0.7, alpha=0.6, median={"ms": 4, "color": "white"})
        axes.plot(
            at - 0.2 + rng.uniform(-0.06, 0.06, len(values)),
            values,
            "o",
            ms=3.2,
            color=REFERENCE,
            alpha=0.55,
            mew=0,
        )
        model = [p.model_mixing_mev for p in tuned if p.n_components == n]
        axes.plot(
            at + 0.26 + rng.uniform(-0.06, 0.06, len(model)), model, "x", ms=4, color=TUNED, mew=1
        )
    handles = [Line2D([], [], ls="none", marker="o", color=REFERENCE, label="reference")]
    if tuned:
        handles.append(Line2D([], [], ls="none", marker="x", color=TUNED, label="fine-tuned"))
    axes.axhline(0, color="#888888", lw=0.8)
    axes.set(
        title="b  By number of elements",
        xlabel="alloyed elements in the structure",
        ylabel="mixing energy (meV/unit)",
        xticks=range(len(numbers)),
        xticklabels=[str(n) for n in numbers],
        xlim=(-0.6, len(numbers) - 0.4),
    )
    axes.legend(handles=handles, loc="best")


@styled
def parity(
    foundation: BenchmarkDoc | None, tuned: BenchmarkDoc | None, geometry: Geometry
) -> Figure:
    """Draw model against reference energies, total and mixing, foundation beside fine-tuned.

    The points' total energies carry the per-element offsets already. End points are left out, as
    in the benchmark's tables, so that the MAEs in the legends are those of the tables.
    """
    given = [b for b in (foundation, tuned) if b is not None]
    figure = new_figure(
        10, 9.0, energy_note(given, geometry) + " Total energies: per-element offsets removed."
    )
    panels = figure.subplots(2, 2, squeeze=False)
    quantities: tuple[tuple[str, str, Callable[[ParityPoint], tuple[float, float]], float], ...] = (
        ("Total energy", "eV/unit", lambda p: (p.reference_energy, p.model_energy), 1000.0),
        ("Mixing energy", "meV/unit", lambda p: (p.reference_mixing_mev, p.model_mixing_mev), 1.0),
    )
    models = ((foundation, "foundation"), (tuned, "fine-tuned"))
    for row, (title, unit, pick, to_mev) in zip(panels, quantities, strict=True):
        for axes, (bench, who) in zip(row, models, strict=True):
            points = [p for p in bench.points(geometry) if p.n_components > 1] if bench else []
            axes.set_title(f"{title}, {who} model")
            if not points:
                say_empty(axes, f"no {geometry} energies of the {who} model")
                continue
            for j, name in enumerate(dict.fromkeys(p.test_set for p in points)):
                marker, face, edge = _TEST_SET_MARKS[j % len(_TEST_SET_MARKS)]
                pairs = [pick(p) for p in points if p.test_set == name]
                xy = np.array(pairs, dtype=float).reshape(-1, 2)
                xy = xy[np.isfinite(xy).all(axis=1)]
                if len(xy):
                    error = float(np.abs(xy[:, 1] - xy[:, 0]).mean()) * to_mev
                    axes.plot(
                        *xy.T,
                        ls="none",
                        marker=marker,
                        mfc=face,
                        mec=edge,
                        ms=6,
                        mew=0.9,
                        label=f"{plain(name)}, n = {len(xy)}: MAE {error:.3g} meV/unit",
                    )
            axes.set(xlabel=f"reference ({unit})", ylabel=f"model ({unit})")
            axes.legend(loc="upper left")
        _same_limits([axes for axes in row if axes.axison])
    return figure


def _same_limits(row: list[Axes]) -> None:
    if not row:
        return
    values = [v for a in row for v in (*a.get_xlim(), *a.get_ylim())]
    ends = (min(values), max(values))
    for axes in row:
        axes.plot(ends, ends, color="#888888", lw=0.8, zorder=0)
        axes.set(xlim=ends, ylim=ends, aspect="equal")


@styled
def learning_curve(documents: Sequence[TrainingDoc]) -> Figure:
    """Draw validation errors of energy and forces against the epoch, a line per model."""
    figure = new_figure(
        10,
        4.0,
        "Energies: total, of the validation frames, per-element offsets "
        "removed. Errors are root mean squares.",
    )
    left, right = figure.subplots(1, 2)
    for i, doc in enumerate(documents):
        colour = PALETTE[i % len(PALETTE)]
        epochs = [e.epoch for e in doc.curve]
        for axes, values in (
            (left, [e.validation_energy_mev for e in doc.curve]),
            (right, [e.validation_forces_mev for e in doc.curve]),
        ):
            shown = [v if np.isfinite(v) and v > 0 else np.nan for v in values]
            axes.plot(
                epochs,
                shown,
                color=colour,
                marker="o",
                ms=3,
                label=plain(f"{doc.model.title}, seed {doc.settings.seed}"),
            )
            kept = [(e, v) for e, v in zip(epochs, shown, strict=True) if e == doc.best_epoch]
            axes.plot(
                *np.array(kept, dtype=float).reshape(-1, 2).T,
                ls="none",
                marker="o",
                ms=9,
                mfc="none",
                color=colour,
            )
    for axes, title, unit in ((left, "a  Energy", "meV/atom"), (right, "b  Forces", "meV/Å")):
        if not any(
            np.isfinite(np.asarray(line.get_ydata(), dtype=float)).any()
            for line in axes.get_lines()
        ):
            say_empty(axes, "no learning curve")
            continue
        axes.set(title=title, xlabel="epoch", ylabel=f"validation RMSE ({unit})", yscale="log")
        for which, subs in (
            (axes.yaxis.set_major_locator, (1.0,)),
            (axes.yaxis.set_minor_locator, (2.0, 5.0)),
        ):
            which(LogLocator(subs=subs))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
        axes.yaxis.set_minor_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
        axes.xaxis.get_major_locator().set_params(integer=True)
    if left.axison:
        left.legend(loc="upper right")
    return figure
