"""Figures of Monte Carlo and thermodynamics: order parameters, Gibbs energies, random energies."""

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
from hea_flows.results.report.inputs import solid_solution
from hea_flows.results.report.order_tables import separation_words, shell_name
from hea_flows.results.report.style import (
    PALETTE,
    anion_tail,
    element_colours,
    new_figure,
    pair_marker,
    phase_name,
    plain,
    say_empty,
    styled,
)
from hea_flows.schemas import (
    AlloySpec,
    MonteCarloDoc,
    ThermodynamicsDoc,
)


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
        f"Energy of the chains: {doc.mode}, {doc.model.label}, reference a = "
        f"{doc.lattice_constant:.4g} Å. CV of {shell_name(shell)}; 0 is random. "
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
    found = doc.separation
    if found.temperature is not None:
        axes.axvline(found.temperature, color="#888888", lw=0.9, ls=(0, (2, 2)), zorder=0)
        if found.interval is not None:
            axes.axvspan(*found.interval, color="#888888", alpha=0.12, lw=0, zorder=0)
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
    sites = atoms.positions[:: alloy.atoms_per_unit, :2]
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


@styled
def gibbs_energy(doc: ThermodynamicsDoc, alloy: AlloySpec | None = None) -> Figure:
    """Draw G against T of the solid solution and of every decomposition stable somewhere."""
    note = (
        f"Energies: {doc.mode}, {doc.model.label}. Reference: end members, {doc.mode} "
        "with the same model. Entropy: ideal mixing on the alloyed sublattice."
    )
    if u := doc.uncertainty:
        note += (
            f" Band: {100 * u.level:.0f} % interval of the decomposition temperature, from an "
            f"error of {u.sigma_mev:.2f} meV/unit ({u.sigma_from})."
        )
    figure = new_figure(10, 4.4, note)
    if not doc.decompositions:
        say_empty(figure.subplots(), "no decompositions")
        return figure
    tail = anion_tail(alloy)
    left, right = figure.subplots(1, 2)
    crossings = [t for t, _ in doc.transitions if t > 0 and np.isfinite(t)]
    last = max(crossings, default=0.0)
    if doc.uncertainty:
        last = max(last, doc.uncertainty.high / 1.3)
    t = np.linspace(0, max(600.0, 1.5 * last), 601)
    table = 1e3 * np.array([d.gibbs(t) for d in doc.decompositions])
    solution = next((i for i, d in enumerate(doc.decompositions) if len(d.phases) == 1), None)
    lowest = np.argmin(table, axis=0)
    shown = list(dict.fromkeys(([] if solution is None else [solution]) + lowest.tolist()))
    for order, i in enumerate(shown):
        name = " + ".join(phase_name("-".join(p), tail) for p in doc.decompositions[i].phases)
        style = {
            "color": PALETTE[order % len(PALETTE)],
            "lw": 2.2 if i == solution else 1.6,
            "ls": ("-", "--", "-.", ":")[order % 4],
            "label": plain(name),
        }
        left.plot(t, table[i], **style)
        right.plot(t, table[i] - table[shown[0]], **style)
    left.axhline(0, color="#bbbbbb", lw=0.8)
    for axes in (left, right):
        if doc.uncertainty and doc.uncertainty.high > 0:
            band = (doc.uncertainty.low, doc.uncertainty.high)
            axes.axvspan(*band, color="#888888", alpha=0.15, lw=0, zorder=0)
        for at in crossings:
            axes.axvline(at, color="#888888", lw=0.9, ls=(0, (2, 2)), zorder=0)
    for at in crossings:
        right.annotate(
            f"{at:.0f} K",
            (at, 0.98),
            xycoords=("data", "axes fraction"),
            rotation=90,
            ha="right",
            va="top",
            fontsize=8.5,
            color="#444444",
        )
    zero = "solid solution" if solution is not None else "ground state"
    spread = float(np.ptp(table[shown] - table[shown[0]])) or 1.0
    below = float((table[shown] - table[shown[0]]).min())
    right.set_ylim(below - 0.1 * spread - 0.5, min(spread, 4 * abs(below) + 5) + 0.05 * spread)
    left.set(
        title="a  Gibbs energy",
        xlabel="temperature (K)",
        ylabel="G relative to the end members (meV/unit)",
    )
    right.set(
        title=f"b  Counted from the {zero}",
        xlabel="temperature (K)",
        ylabel=f"G − G({zero}) (meV/unit)",
    )
    left.legend(loc="lower left")
    return figure


@styled
def random_energies(doc: ThermodynamicsDoc) -> Figure:
    """Draw the histogram of random mixing energies with the SQS marked and DEED in the title."""
    note = (
        f"Energies: {doc.mode}, {doc.model.label}. Reference: end members, {doc.mode} "
        "with the same model."
    )
    if doc.reference:
        note += f" SQS of {doc.reference.engine}: relaxed, relative to its own end members."
    figure = new_figure(10, 4.2, note)
    axes = figure.subplots()
    values = np.array([v for v in doc.random_mixing_mev if np.isfinite(v)])
    if not len(values):
        say_empty(axes, "no random structures")
        return figure
    axes.hist(
        values,
        bins="auto" if np.ptp(values) > 0 else 1,
        color="#9db8d0",
        edgecolor="white",
        label=f"{len(values)} random structures",
    )
    low, high = doc.h_ave_mev - doc.sigma_mev, doc.h_ave_mev + doc.sigma_mev
    axes.axvspan(low, high, color="#0072B2", alpha=0.08, lw=0, zorder=0)
    axes.axvline(
        doc.h_ave_mev,
        color="#0072B2",
        label=f"mean {doc.h_ave_mev:.1f}, σ {doc.sigma_mev:.2f} meV/unit",
    )
    phase = solid_solution(doc)
    if phase is not None:
        who = "SQS, model" if doc.reference else "SQS"
        axes.axvline(
            doc.sqs_mixing_mev[phase],
            color="#D55E00",
            ls="--",
            label=f"{who} {doc.sqs_mixing_mev[phase]:.1f} meV/unit",
        )
        if doc.reference and phase in doc.reference.sqs_mixing_mev:
            value = doc.reference.sqs_mixing_mev[phase]
            axes.axvline(
                value,
                color="#009E73",
                ls="-.",
                label=f"SQS, {doc.reference.engine} {value:.1f} meV/unit",
            )
    if doc.deed_per_unit is None or doc.deed_per_atom is None:
        title = "DEED is not defined here"
    else:
        title = f"DEED {doc.deed_per_unit:.1f} (eV/unit)⁻¹ = {doc.deed_per_atom:.0f} (eV/atom)⁻¹"
    axes.set(title=title, xlabel="mixing energy (meV/unit)", ylabel="number of structures")
    axes.legend(loc="best")
    return figure
