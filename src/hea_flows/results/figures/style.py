"""The look that all figures share: fonts, colours of elements and pairs, names of phases."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from textwrap import wrap
from typing import Any, ParamSpec

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cbook import boxplot_stats
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hea_flows.schemas import AlloySpec

P = ParamSpec("P")

#: Okabe and Ito's palette and two more, distinct with every common colour vision.
PALETTE = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#E69F00",
    "#56B4E9",
    "#CC79A7",
    "#5D4037",
    "#9E9E9E",
)
_OF_ELEMENT = {
    "Mo": "#0072B2",
    "W": "#56B4E9",
    "Nb": "#E69F00",
    "Ta": "#D55E00",
    "V": "#009E73",
    "Ti": "#CC79A7",
    "Cr": "#5D4037",
    "Zr": "#F0E442",
    "Hf": "#9E9E9E",
    "Re": "#332288",
}
REFERENCE, TUNED, FOUNDATION = "#333333", "#0072B2", "#D55E00"
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.titlesize": 10,
    "axes.labelsize": 9.5,
    "legend.fontsize": 8.5,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.edgecolor": "#555555",
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "lines.linewidth": 1.6,
    "axes.unicode_minus": True,
}
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw a figure in the common style, leaving matplotlib's own settings as they were."""

    @wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with mpl.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return wrapped


def element_colours(elements: Sequence[str]) -> dict[str, str]:
    """Return a colour per element, the same in every figure; distinct for up to ten elements."""
    spare = [c for c in _OF_ELEMENT.values() if c not in {_OF_ELEMENT.get(e) for e in elements}]
    others = [e for e in elements if e not in _OF_ELEMENT]
    extra = {e: spare[i % len(spare)] if spare else "#777777" for i, e in enumerate(others)}
    return {e: _OF_ELEMENT.get(e) or extra[e] for e in elements}


def pair_marker(a: str, b: str, colours: Mapping[str, str], size: float = 7) -> dict[str, Any]:
    """Return the keywords of a round marker, its halves in the colours of two elements."""
    return {
        "marker": "o",
        "markersize": size,
        "markerfacecolor": colours[a],
        "fillstyle": "full" if a == b else "left",
        "markerfacecoloralt": colours[b],
        "markeredgecolor": "white",
        "markeredgewidth": 0.6,
    }


def subscripts(formula: str) -> str:
    """Return a formula with subscript digits."""
    return re.sub(r"(?<=[A-Za-z)])\d+(\.\d+)?", lambda m: m.group().translate(_SUBSCRIPTS), formula)


def plain(text: str) -> str:
    """Return a user's text so that matplotlib does not read formulas into it."""
    return text.replace("$", r"\$")


def anion_tail(alloy: AlloySpec | None) -> str:
    """Return what follows the alloyed elements in a formula unit, such as ``S₂``; may be empty."""
    return "" if alloy is None else subscripts("M" + alloy.to_alloy().fixed_formula(1))[1:]


def phase_name(phase: str, tail: str = "") -> str:
    """Return ``(Mo,W)S₂`` for ``Mo-W`` and ``VS₂`` for ``V``."""
    elements = phase.split("-")
    return (f"({','.join(elements)})" if len(elements) > 1 else phase) + tail


def new_figure(width: float, height: float, note: str) -> Figure:
    """Return an empty figure (inches) with a line under it that says what its energies are."""
    figure = Figure(figsize=(width, height), layout="constrained")
    lines = wrap(plain(note), int(15 * width))
    figure.supxlabel("\n".join(lines), fontsize=8, color="#555555")
    return figure


def say_empty(axes: Axes, text: str) -> None:
    """Write into an empty panel why it is empty."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color="#777777")
    axes.set_axis_off()


def violin(
    axes: Axes,
    values: NDArray[np.float64],
    at: float,
    *,
    width: float,
    alpha: float,
    median: Mapping[str, Any],
) -> None:
    """Draw a violin with its median (dot), quartiles (bar), 1.5 × their range (line) and outliers.

    Parameters
    ----------
    axes, at
        Where.
    values
        All finite, one at least.
    width, alpha
        Of the body, which equal values do not have.
    median
        Look of the dot, as keywords of `Axes.plot`.
    """
    if np.ptp(values) > 0:
        body = axes.violinplot([values], positions=[at], widths=width, showextrema=False)
        for part in body["bodies"]:  # type: ignore[attr-defined]
            part.set(facecolor="#b9cfe0", edgecolor="#7f9db5", alpha=alpha)
    [box] = boxplot_stats(values)
    axes.plot([at, at], [box["whislo"], box["whishi"]], color=REFERENCE, lw=1)
    axes.plot([at, at], [box["q1"], box["q3"]], color=REFERENCE, lw=5, solid_capstyle="butt")
    axes.plot([at] * len(box["fliers"]), box["fliers"], "D", ms=4, color=REFERENCE)
    axes.plot([at], [box["med"]], "o", zorder=5, **median)
