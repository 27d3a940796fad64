"""Mixing energies of the labels: binaries against concentration (1b), violins (1c)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hea_flows.alloy.thermodynamics import mixing_energies
from hea_flows.results.figures import (
    REFERENCE,
    element_colours,
    new_figure,
    pair_marker,
    say_empty,
    styled,
    violin,
)
from hea_flows.schemas import LabelDoc, StructureEntry


@dataclass(frozen=True)
class LabelledMixing:
    """An alloyed structure and the mixing energy of its label (meV/unit)."""

    structure: StructureEntry
    mixing_mev: float


def label_mixing(labels: Sequence[LabelDoc]) -> list[LabelledMixing]:
    """Return the mixing energies of alloyed structures by their labels.

    End points are the labels of one primitive cell of one element. Left out are labels without
    an energy, not converged, or whose relaxation left the phase; of several labels of one
    structure the last counts.

    Raises
    ------
    ValueError
        If settings or kinds of calculation are mixed, or an end point has no such label.
    """
    usable = [x for x in labels if x.energy is not None and x.state == "converged" and not x.flags]
    kinds = sorted({f"{x.settings_id} ({x.engine}, {x.calculation})" for x in usable})
    if len(kinds) > 1:
        msg = f"mixing energies take labels of one kind and settings; found {', '.join(kinds)}"
        raise ValueError(msg)
    last = {x.structure.structure_id: x for x in usable}
    ends = {
        x.structure.species[0]: x.energy
        for x in last.values()
        if x.structure.is_end_point and x.energy is not None
    }
    alloyed = [x for x in last.values() if len(x.structure.counts) > 1]
    if missing := sorted({el for x in alloyed for el in x.structure.counts} - set(ends)):
        msg = (
            f"no converged label of the end point of {', '.join(missing)}; label the end points too"
        )
        raise ValueError(msg)
    energies = [x.energy for x in alloyed if x.energy is not None]
    values = mixing_energies(energies, [x.structure.counts for x in alloyed], ends)
    return [
        LabelledMixing(x.structure, 1e3 * float(v)) for x, v in zip(alloyed, values, strict=True)
    ]


def _note(labels: Sequence[LabelDoc]) -> str:
    """Return which labels a figure shows; sets, engine, settings, relaxed or not."""
    pool = [x for x in labels if x.energy is not None]
    if not pool:
        return "No labels."
    words = {"relax": "relaxed", "static": "fixed geometry"}
    kinds = ", ".join(dict.fromkeys(words[x.calculation] for x in pool))
    engines = ", ".join(dict.fromkeys(x.engine for x in pool))
    ids = ", ".join(dict.fromkeys(x.settings_id for x in pool))
    sets = dict.fromkeys(x.structure.origin for x in pool if len(x.structure.counts) > 1)
    return (
        f"Energies: labels of {engines}, settings {ids}, {kinds}. Reference: end points of the "
        f"primitive cell, {kinds}. Sets: {', '.join(s for s in sets if s) or 'not named'}."
    )


@styled
def binary_mixing(labels: Sequence[LabelDoc], elements: Sequence[str]) -> Figure:
    """Draw the mixing energy of all binaries against concentration, a line through means (1b).

    A pair, in the order of `elements`, counts the fraction of its second one.

    Raises
    ------
    ValueError
        As `label_mixing`.
    """
    pool = [x for x in label_mixing(labels) if len(x.structure.counts) == 2]
    figure = new_figure(7.2, 4.6, _note([x for x in labels if len(x.structure.counts) == 2]))
    axes = figure.subplots()
    if not pool:
        say_empty(axes, "no labelled binaries")
        return figure
    colours = element_colours(elements)
    handles = []
    axes.axhline(0, color="#888888", lw=0.8)
    for a, b in combinations(elements, 2):
        groups: dict[float, list[float]] = {}
        for row in pool:
            counts = row.structure.counts
            if set(counts) == {a, b}:
                x = round(counts[b] / sum(counts.values()), 9)
                groups.setdefault(x, []).append(row.mixing_mev)
        if not groups:
            continue
        xs = sorted(groups)
        means = [float(np.mean(groups[x])) for x in xs]
        points = np.array([(x, v) for x in xs for v in groups[x]])
        marker: dict[str, Any] = pair_marker(a, b, colours, 6)
        # Both elements' colours in turn, so that the line shows its pair too.
        line: dict[str, Any] = {"color": colours[a], "gapcolor": colours[b], "ls": (0, (5, 5))}
        axes.plot([0, *xs, 1], [0, *means, 0], lw=1.3, zorder=2, **line)
        axes.plot(*points.T, ls="none", zorder=3, **marker)
        handles.append(Line2D([], [], lw=1.3, label=f"{a}–{b}", **line, **marker))
    axes.set(
        xlim=(-0.03, 1.03),
        xlabel="fraction of the second element",
        ylabel="mixing energy (meV/unit)",
    )
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0), handlelength=2.4)
    return figure


@styled
def component_violins(labels: Sequence[LabelDoc]) -> Figure:
    """Draw violins of the mixing energy by number of elements (1c).

    White dot: median; diamonds: outliers; thick bar: interquartile range; thin line: whiskers,
    to the last value within 1.5 of it.

    Raises
    ------
    ValueError
        As `label_mixing`.
    """
    pool = label_mixing(labels)
    numbers = sorted({len(x.structure.counts) for x in pool})
    figure = new_figure(6.0, 4.4, _note([x for x in labels if len(x.structure.counts) > 1]))
    axes = figure.subplots()
    if not numbers:
        say_empty(axes, "no labelled alloys")
        return figure
    ticks = []
    axes.axhline(0, color="#888888", lw=0.8)
    for at, n in enumerate(numbers):
        values = np.array([x.mixing_mev for x in pool if len(x.structure.counts) == n])
        ticks.append(f"{n}\n({len(values)})")
        dot = {"ms": 4.5, "mfc": "white", "mec": REFERENCE, "mew": 0.6}
        violin(axes, values, at, width=0.75, alpha=0.7, median=dot)
    axes.set(
        xlabel="alloyed elements (number of structures)",
        ylabel="mixing energy (meV/unit)",
        xlim=(-0.6, len(numbers) - 0.4),
    )
    axes.set_xticks(range(len(numbers)), ticks)
    axes.grid(visible=False, axis="x")
    return figure
