"""Figure of Monte Carlo: order parameters against temperature, and snapshots."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from hea_flows.alloy.lattice import Ordering
from hea_flows.alloy.sampling import ChainSummary
from hea_flows.results.figures.style import element_colours, new_figure, pair_marker, styled
from hea_flows.schemas import MonteCarloDoc


def shell_name(shell: int) -> str:
    """Return the name of a neighbour shell."""
    return "nearest neighbours" if shell == 1 else f"neighbours of shell {shell}"


def separation_words(doc: MonteCarloDoc) -> str:
    """Return what is known of the temperature at which the alloy separates, in one sentence."""
    separation = doc.separation
    if not separation.probabilities:
        return f"No temperature of separation: {separation.reason}."
    likely = max(separation.probabilities, key=lambda p: separation.probabilities[p])
    share, at = 100 * separation.probabilities[likely], separation.passed.get(likely)
    words = f"On cooling {likely} is the first like pair whose CV passes "
    words += f"{separation.levels[likely]:.3g}"
    words += f", at {at:.0f} K" if at is not None else ""
    words += f" (probability {share:.0f} %); it rises most steeply "
    if separation.temperature is None:
        return f"{words}nowhere: {separation.reason}."
    words += f"at {separation.temperature:.0f} K"
    if separation.interval is not None:
        low, high = separation.interval
        words += f" (68 %: {low:.0f} to {high:.0f} K)"
    return words + "."


def snapshot_chains(doc: MonteCarloDoc, number: int = 3) -> list[ChainSummary]:
    """Return one chain each of up to `number` temperatures from the coldest to the hottest."""
    first = [c for c in doc.chains if c.run == doc.chains[0].run]
    picks = np.unique(np.linspace(0, len(first) - 1, number).round().astype(int))
    return [first[i] for i in picks] if first else []


@styled
def order_parameters(doc: MonteCarloDoc, shell: int = 1) -> Figure:
    """Draw the order parameter of every pair against temperature, and snapshots of the sublattice.

    Errors are standard errors over all runs of a temperature; the temperature of separation is
    marked with its interval. Snapshots are drawn of layers only.
    """
    alloy = doc.alloy.to_alloy()
    shots = snapshot_chains(doc) if alloy.host.layer else []
    note = (
        f"Energy of the chains: {doc.mode}, {doc.model.title}, reference a = "
        f"{doc.lattice_constant:.4g} Å. CV of {shell_name(shell)}, less that of random "
        f"decorations of the cell: 0 is no order. "
        f"{separation_words(doc)}"
    )
    figure = new_figure(10, 6.4 if shots else 4.2, note)
    halves: Any = figure.subfigures(2, 1, height_ratios=(1.45, 1)) if shots else (figure,)
    unlike, like = halves[0].subplots(1, 2)
    colours = element_colours(alloy.elements)
    for panel, same in ((unlike, False), (like, True)):
        pairs = [p for p in doc.averages[0].order_parameters[str(shell)] if _is_like(p) == same]
        _order_panel(panel, doc, str(shell), pairs, colours)
    unlike.set_title("a  Unlike pairs (positive: like neighbours prevail)")
    like.set_title("b  Like pairs")
    if shots:
        bottom = halves[1]
        axes = bottom.subplots(1, 3, squeeze=False)[0]
        for panel, chain in zip(axes, shots, strict=False):
            _snapshot(panel, doc, chain, colours)
        for panel in axes[len(shots) :]:
            panel.set_axis_off()
        handles = [
            Line2D([], [], ls="none", marker="o", ms=9, color=c, label=e)
            for e, c in colours.items()
        ]
        bottom.legend(handles=handles, loc="outside right center", title="site")
    return figure


def _is_like(pair: str) -> bool:
    first, _, second = pair.partition("-")
    return first == second


def _order_panel(
    axes: Axes, doc: MonteCarloDoc, shell: str, pairs: list[str], colours: dict[str, str]
) -> None:
    axes.axhline(0, color="#888888", lw=0.8)
    separation = doc.separation
    if separation.temperature is not None:
        axes.axvline(separation.temperature, color="#888888", lw=0.9, ls=(0, (2, 2)), zorder=0)
        if separation.interval is not None:
            axes.axvspan(*separation.interval, color="#888888", alpha=0.12, lw=0, zorder=0)
    t = np.array([r.temperature for r in doc.averages])
    handles = []
    for pair in pairs:
        a, _, b = pair.partition("-")
        values = np.array([r.order_parameters[shell][pair] for r in doc.averages])
        errors = np.array([r.order_errors[shell][pair] for r in doc.averages])
        marker = pair_marker(a, b, colours)
        axes.errorbar(
            t,
            values,
            yerr=np.nan_to_num(errors),
            color=colours[a],
            lw=1,
            alpha=0.6,
            capsize=2.5,
            elinewidth=1,
            ecolor="#555555",
            zorder=2,
        )
        axes.plot(t, values, ls="none", zorder=3, **marker)
        strength = float(np.nan_to_num(values[0]))
        handles.append((strength, Line2D([], [], ls="none", label=f"{a}–{b}", **marker)))
    axes.set(xlabel="temperature (K)", ylabel="order parameter CV (dimensionless)")
    axes.margins(x=0.06)
    ordered = [h for _, h in sorted(handles, key=lambda x: -x[0])]  # as the curves start, top down
    axes.legend(handles=ordered, loc="upper left", bbox_to_anchor=(1.0, 1.0), handletextpad=0.1)


def _snapshot(axes: Axes, doc: MonteCarloDoc, chain: ChainSummary, colours: dict[str, str]) -> None:
    """Draw the last decoration of a chain from above, a circle per alloyed site."""
    alloy = doc.alloy.to_alloy()
    ordering = Ordering(alloy, doc.supercell, tuple(chain.final_species))
    atoms = ordering.to_atoms(doc.lattice_constant)
    sites = atoms.positions[ordering.alloyed_atoms, :2]
    circles = PatchCollection(
        [Circle((x, y), 0.47 * doc.lattice_constant) for x, y in sites],
        facecolors=[colours[s] for s in ordering.species],
        edgecolors="none",
    )
    axes.add_collection(circles)
    v, w = atoms.cell.array[0, :2], atoms.cell.array[1, :2]
    outline = np.array([(0 * v), v, v + w, w, (0 * v)]) - 0.5 * (v + w) / np.sqrt(len(sites))
    axes.plot(*outline.T, color="#bbbbbb", lw=0.8, zorder=0)
    axes.set_title(
        f"{chain.temperature:g} K, after {chain.trials} trials",
        fontsize=9,
        loc="center",
        fontweight="normal",
    )
    axes.set_aspect("equal")
    axes.autoscale_view()
    axes.set_axis_off()
