"""Figures of thermodynamics: Gibbs energies of decompositions, energies of random structures."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from hea_flows.results.figures.style import (
    PALETTE,
    anion_tail,
    new_figure,
    phase_name,
    plain,
    say_empty,
    styled,
)
from hea_flows.schemas import AlloySpec, ThermodynamicsDoc


@styled
def gibbs_energy(doc: ThermodynamicsDoc, alloy: AlloySpec | None = None) -> Figure:
    """Draw G against T of the solid solution and of every decomposition stable somewhere."""
    note = (
        f"Energies: {doc.mode}, {doc.model.title}. Reference: end members, {doc.mode} "
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
        f"Energies: {doc.mode}, {doc.model.title}. Reference: end members, {doc.mode} "
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
    phase = doc.solid_solution
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
