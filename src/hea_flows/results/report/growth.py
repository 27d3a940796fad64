"""A growing training set: its table, its figure, and the decision in words."""

from __future__ import annotations

from matplotlib.figure import Figure

from hea_flows.alloy.sets import set_name
from hea_flows.results.figures import PALETTE, TUNED, new_figure, plain, styled
from hea_flows.results.report.table import NONE, Table, interval, number
from hea_flows.schemas import GrowthDoc, GrowthStep


def growth_table(doc: GrowthDoc) -> Table:
    """Return a row per step: the set, its error, the change, the hours of its labels."""
    rows = [
        {
            "step": f"{i}: {_added(step, i)}",
            "new structures": str(step.n_new),
            "trained on": str(step.n_structures),
            "frames": number(step.n_frames, 0),
            "n": f"{step.n_compared}" + (f" ({step.n_failed} failed)" if step.n_failed else ""),
            "error": number(step.mae_mev),
            "95 % interval": interval(step.mae_interval_mev),
            "change": number(step.change_mev),
            "its interval": interval(step.change_interval_mev),
            "p": number(step.p_value, 4),
            "better": NONE if i == 1 else "yes" if step.improved else "no",
            "label hours": number(step.label_hours),
            "timed": f"{step.n_timed} of {step.n_new}",
        }
        for i, step in enumerate(doc.steps, 1)
    ]
    return Table.from_rows(
        f"Mean absolute error of the mixing energy on {doc.name}, {doc.geometry} (meV/unit), of "
        f"structures that were not trained on: mean over the training seeds "
        f"{', '.join(map(str, doc.seeds))}, 95 % intervals over seeds and structures. The change "
        "is that to the step before, on structures that neither was trained on. Hours are what the "
        "labels of the new structures took, whenever they were made, of those that were timed.",
        rows,
        {"step", "better"},
    )


def growth_verdict(doc: GrowthDoc) -> str:
    """Return the decision and the cost of the next set, as sentences."""
    chosen = doc.steps[doc.recommended]
    name = _added(chosen, doc.recommended + 1)
    text = (
        f"Still growing after {len(doc.steps)} steps."
        if doc.stopped_because is None
        else f"Stopped after {len(doc.steps)} steps: {doc.stopped_because}."
    )
    text += (
        f" Recommended is step {doc.recommended + 1} ({name}), {number(chosen.mae_mev)} meV/unit "
        f"({interval(chosen.mae_interval_mev)}) with {chosen.n_structures} structures."
    )
    point = doc.next_point
    if point is None:
        return text + " No set is left to be tried."
    text += f" The next set, {set_name(point.expression)}, has {point.n_structures} more structures"
    if point.hours is None:
        return text + f"; what their labels cost is not known: {point.basis}."
    between = f" ({interval(point.hours_interval)})" if point.hours_interval else ""
    return text + f", whose labels would take {number(point.hours)} hours{between}; {point.basis}."


@styled
def growth_curve(doc: GrowthDoc) -> Figure:
    """Draw the error of every step with its interval, every seed, and the recommended step."""
    note = (
        f"Mixing energies of {doc.name}, {doc.geometry}, structures not trained on. Bars: 95 %, "
        f"over seeds and structures. Stopped: {doc.stopped_because or 'not yet'}."
    )
    figure = new_figure(6.4, 3.6, note)
    axes = figure.subplots()
    x = [step.n_structures for step in doc.steps]
    y = [step.mae_mev for step in doc.steps]
    low = [max(0.0, step.mae_mev - step.mae_interval_mev[0]) for step in doc.steps]
    high = [max(0.0, step.mae_interval_mev[1] - step.mae_mev) for step in doc.steps]
    axes.errorbar(x, y, [low, high], color=TUNED, marker="o", capsize=4, label="mean of the seeds")
    for step in doc.steps:
        n = len(step.mae_by_seed_mev)
        axes.plot([step.n_structures] * n, step.mae_by_seed_mev, "_", color="#777777", ms=9)
    chosen = doc.recommended
    axes.plot(
        x[chosen], y[chosen], "o", ms=13, mfc="none", mec=PALETTE[1], mew=1.8, label="recommended"
    )
    for i, step in enumerate(doc.steps, 1):
        axes.annotate(
            plain(f"{i}: {_added(step, i)}"),
            (step.n_structures, step.mae_mev + high[i - 1]),
            xytext=(0, 5),
            textcoords="offset points",
            fontsize=8,
            color="#444444",
            ha="left" if i == 1 and len(x) > 1 else "right" if i == len(x) > 1 else "center",
        )
    axes.set_xlabel("structures trained on")
    axes.set_ylabel("MAE (meV/unit)")
    axes.set_ylim(bottom=0)
    axes.margins(y=0.15)
    axes.legend()
    return figure


def _added(step: GrowthStep, place: int) -> str:
    return f"{'+ ' if place > 1 else ''}{set_name(step.expression)}"
