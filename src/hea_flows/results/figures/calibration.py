"""Figure of a committee's calibration: error against spread, and reliability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray
from scipy.stats import t

from hea_flows.alloy.errors import Committee, reliability
from hea_flows.results.figures.style import PALETTE, new_figure, plain, styled

_MOST_BINS, _PER_BIN = 8, 8
_BAND = 0.9


def binned_rms(
    spread: NDArray[np.float64], error: NDArray[np.float64], n_bins: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return root mean squares of spread and error in bins of equally many structures.

    Parameters
    ----------
    spread, error
        Shape (n,).
    n_bins
        Number of bins, filled in the order of the spread; at most n.

    Returns
    -------
    spreads, errors
        Shapes (n_bins,); equal where the spread is the width of the error.

    Raises
    ------
    ValueError
        If there are more bins than structures, or none.
    """
    if not 1 <= n_bins <= len(spread):
        msg = f"{len(spread)} structures fill 1 to {len(spread)} bins, not {n_bins}"
        raise ValueError(msg)
    bins = np.array_split(np.argsort(spread, kind="stable"), n_bins)
    rms = [np.sqrt([np.mean(x[i] ** 2) for i in bins]) for x in (spread, error)]
    return rms[0], rms[1]


@styled
def calibration_figure(
    committees: Mapping[str, Committee],
    note: str,
    *,
    scale: float = 1.0,
    unit: str = "meV/unit",
) -> Figure:
    """Draw |error| against spread (a) and observed against nominal coverage (b).

    The spread of few members is small by chance too: the squares of a calibrated committee lie
    above the ideal line at its lower end and below it at its upper end.

    Parameters
    ----------
    committees
        Name, for example of a test set, to the committee on its structures; members must not agree
        exactly on one.
    note
        The line under the figure: which members, which energies.
    scale
        Factor of the spread that is drawn as the ideal line and, where it is not 1, as a second
        curve of each name in (b); see `hea_flows.alloy.errors.calibration.scale_factor`.
    unit
        Of the values.

    Raises
    ------
    ValueError
        If there are no committees, or members agree exactly on a structure.
    """
    if not committees:
        msg = "no committees given; this figure needs one at least"
        raise ValueError(msg)
    members = sorted({int(m) for c in committees.values() for m in c.members})
    dropped = sum(c.n_dropped for c in committees.values())
    note += (
        f" Spread: standard deviation of {_range(members)} members. Squares: root mean squares of "
        f"bins of equally many structures. Band: {100 * _BAND:.0f} % of errors at a scale of "
        f"{scale:.3g} (Student's t, {members[-1]} members). Bars: 95 % (Clopper–Pearson)."
    )
    if dropped:
        note += f" Left out, without two members: {dropped}."
    figure = new_figure(10, 4.9, note)
    left, right = figure.subplots(1, 2)
    _curves(right, committees, scale)  # refuses members that agree exactly
    _scatter(left, committees, scale, members[-1], unit)
    return figure


def _range(numbers: Sequence[int]) -> str:
    return f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"


def _scatter(
    axes: Axes, committees: Mapping[str, Committee], scale: float, members: int, unit: str
) -> None:
    spreads = np.concatenate([c.spread for c in committees.values()])
    errors = np.abs(np.concatenate([c.error for c in committees.values()]))
    ends = np.array([spreads.min() / 1.3, spreads.max() * 1.3])
    # An error of 0 has no place on a logarithmic axis: it stands at the lower edge.
    seen = errors[errors > 0]
    floor = max(min(seen.min(initial=ends[0]), ends[0]), 1e-3 * ends[0])
    axes.fill_between(
        ends, floor / 2, scale * ends * t.ppf((1 + _BAND) / 2, members - 1), color="#eeeeee", lw=0
    )
    axes.plot(ends, scale * ends, color="#666666", lw=1, ls="--")
    for i, c in enumerate(committees.values()):
        colour = PALETTE[i % len(PALETTE)]
        shown = np.maximum(np.abs(c.error), floor)
        axes.plot(c.spread, shown, "o", ms=3.5, color=colour, alpha=0.45, mew=0)
        n_bins = min(_MOST_BINS, max(1, len(c.spread) // _PER_BIN))
        axes.plot(
            *binned_rms(c.spread, c.error, n_bins), "s-", color=colour, mec="white", mew=0.8, ms=7
        )
    axes.set(
        title="a  Error and spread",
        xlabel=f"spread of the committee ({unit})",
        ylabel=f"|error| of its mean ({unit})",
        xscale="log",
        yscale="log",
        xlim=ends,
        ylim=(floor / 1.3, 1.5 * max(errors.max(), scale * ends[1])),
    )
    for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        # With few powers of ten, 2 and 5 have ticks too.
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 300 * low else (1.0,)))
        axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        axis.set_minor_formatter(NullFormatter())
    ideal = "ideal" if scale == 1 else f"ideal, scale {scale:.3g}"
    handles = [
        Line2D([], [], marker="s", mec="white", color=PALETTE[i % len(PALETTE)], label=plain(name))
        for i, name in enumerate(committees)
    ]
    handles.append(Line2D([], [], color="#666666", lw=1, ls="--", label=ideal))
    axes.legend(handles=handles, loc="lower right", frameon=True, framealpha=0.85, edgecolor="none")


def _curves(axes: Axes, committees: Mapping[str, Committee], scale: float) -> None:
    axes.plot([0, 1], [0, 1], color="#666666", lw=1, ls="--")
    for i, (name, c) in enumerate(committees.items()):
        colour = PALETTE[i % len(PALETTE)]
        for factor, face in ((1.0, colour), (scale, "white")):
            if face == "white" and scale == 1:
                continue
            r = reliability(c, scale=factor)
            axes.errorbar(
                r.nominal,
                r.observed,
                yerr=np.clip([r.observed - r.low, r.high - r.observed], 0, None),
                color=colour,
                mfc=face,
                marker="o",
                ms=4.5,
                lw=1.3,
                elinewidth=0.8,
                ls="-" if face == colour else ":",
                label=f"{plain(name)}, n = {r.n}"
                + (f", scale {factor:.3g}" if scale != 1 else "")
                + f": area {r.area:.2f}",
            )
    axes.set(
        title="b  Reliability",
        xlabel="coverage that the spread promises",
        ylabel="share of errors within",
        xlim=(0, 1),
        ylim=(0, 1),
        aspect="equal",
    )
    axes.text(0.97, 0.05, "too sure", ha="right", color="#777777", fontsize=8.5)
    axes.text(0.03, 0.6, "too careful", ha="left", color="#777777", fontsize=8.5)
    axes.legend(loc="upper left", fontsize=7.5, frameon=True, framealpha=0.85, edgecolor="none")
