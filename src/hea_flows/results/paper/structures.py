"""Structures and sets: a cell seen from above and aside (1a), tables of sets (1d, 4b)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from hea_flows.alloy.lattice import Ordering
from hea_flows.results.figures import (
    element_colours,
    new_figure,
    plain,
    say_empty,
    styled,
    subscripts,
)
from hea_flows.schemas import StructureEntry, StructuresDoc

_ANION = "#f6e58d"
_DIAGONAL, _PLAIN = "#dbe9f4", "white"
_NONE = "–"


@styled
def cell_views(ordering: Ordering, lattice_constant: float | None = None) -> Figure:
    """Draw the ideal structure of an ordering from above and aside (1a).

    The lattice constant (Å) is Vegard's by default.
    """
    alloy = ordering.alloy
    a = ordering.lattice_constant() if lattice_constant is None else lattice_constant
    atoms = ordering.to_atoms(a)
    positions = atoms.get_positions()
    colours = element_colours(alloy.elements)
    fills = [colours.get(s, _ANION) for s in atoms.get_chemical_symbols()]
    radii = np.array([(0.36 if s in colours else 0.24) * a for s in atoms.get_chemical_symbols()])
    note = (
        f"{subscripts(ordering.formula)}, {ordering.n_sites} alloyed sites, ideal {alloy.host.name}"
        f" positions, a = {a:.4g} Å."
    )
    wide, deep, tall = np.ptp(positions, axis=0)
    figure = new_figure(6.6, min(10.0, 1.9 + 4.6 * (deep + tall + 3 * a) / (wide + a)), note)
    ratio = ((deep + a) / (wide + a), (tall + a) / (wide + a))
    top, side = figure.subplots(2, 1, height_ratios=ratio, squeeze=True)
    _atoms(top, positions[:, [0, 1]], positions[:, 2], radii, fills)
    _atoms(side, positions[:, [0, 2]], -positions[:, 1], radii, fills)
    top.set(title="top", ylabel="y (Å)")
    side.set(title="side", xlabel="x (Å)", ylabel="z (Å)")
    shown = {e: colours[e] for e in alloy.elements if e in ordering.counts}
    shown |= dict.fromkeys(alloy.fixed_elements, _ANION)
    handles = [
        Line2D([], [], ls="none", marker="o", ms=8, mfc=c, mec="#666666", mew=0.4, label=e)
        for e, c in shown.items()
    ]
    figure.legend(handles=handles, loc="outside right upper")
    return figure


def _atoms(
    axes: Axes,
    flat: NDArray[np.float64],
    height: NDArray[np.float64],
    radii: NDArray[np.float64],
    fills: Sequence[str],
) -> None:
    """Draw atoms as circles, those that are nearer to the eye over the others."""
    order = np.argsort(height, kind="stable")
    circles = PatchCollection(
        [Circle((flat[i, 0], flat[i, 1]), radii[i]) for i in order],
        facecolors=[fills[i] for i in order],
        edgecolors="#666666",
        linewidths=0.4,
    )
    axes.add_collection(circles)
    axes.set_aspect("equal")
    axes.autoscale_view()
    axes.grid(visible=False)


def counts_per_combination(
    entries: Sequence[StructureEntry], elements: Sequence[str]
) -> dict[tuple[int, int], tuple[int, int]]:
    """Return how many structures each element combination has.

    Parameters
    ----------
    entries
        Structures of a set.
    elements
        Elements of the alloy; every combination of them counts, those without structures as 0.

    Returns
    -------
    counts
        (number of elements, alloyed sites) to the least and the greatest number of structures of
        a combination.
    """
    numbers = Counter((len(e.species), frozenset(e.counts)) for e in entries)
    cells = sorted({(len(e.counts), len(e.species)) for e in entries})
    table = {}
    for n, size in cells:
        every = [numbers[size, frozenset(c)] for c in combinations(elements, n)]
        table[n, size] = (min(every), max(every))
    return table


@styled
def enumeration_table(document: StructuresDoc) -> Figure:
    """Draw the table of structures per element combination, elements by cell size (1d).

    Cells where the number of elements is that of the sites are tinted.
    """
    elements = document.alloy.elements
    table = counts_per_combination(document.structures, elements)
    totals = Counter(len(e.counts) for e in document.structures)
    sizes = sorted({size for _, size in table})
    note = (
        f"Structures per combination of {', '.join(elements)} and cell size (alloyed sites; tinted "
        f"where it is the number of elements). Set {document.expression}, "
        f"{document.n_structures} structures."
    )
    rows, tints = [], []
    for n in sorted(totals):
        ranges = [table.get((n, size)) for size in sizes]
        texts = [_NONE if r is None else _range(*r) for r in ranges]
        rows.append([f"{n}", str(comb(len(elements), n)), *texts, str(totals[n])])
        tints.append([_PLAIN, _PLAIN, *(_DIAGONAL if s == n else _PLAIN for s in sizes), _PLAIN])
    heads = ["elements", "combinations", *(f"size {s}" for s in sizes), "in all"]
    return _table_figure(heads, rows, tints, note, {})


def _range(low: int, high: int) -> str:
    return str(low) if low == high else f"{low} to {high}"


@styled
def sets_table(sets: Mapping[str, StructuresDoc]) -> Figure:
    """Draw the table of sets, by name, with their number of structures by elements (4b)."""
    pools = {name: Counter(len(e.counts) for e in d.structures) for name, d in sets.items()}
    numbers = sorted({n for pool in pools.values() for n in pool})
    rows = [
        [
            name,
            d.expression,
            *(str(pools[name][n] or _NONE) for n in numbers),
            str(len(d.structures)),
            str(sum(len(e.species) for e in d.structures)),
        ]
        for name, d in sets.items()
    ]
    heads = ["set", "expression", *(f"{n} el." for n in numbers), "structures", "sites"]
    alloys = "; ".join(dict.fromkeys(", ".join(d.alloy.elements) for d in sets.values()))
    note = f"Structures by number of elements; sites: alloyed sites in all. Alloy: {alloys}."
    return _table_figure(heads, rows, None, note, {0: "left", 1: "left"})


def _table_figure(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    tints: Sequence[Sequence[str]] | None,
    note: str,
    align: Mapping[int, str],
) -> Figure:
    """Draw a table, its columns as wide as their texts."""
    widths = np.array([max(map(len, column)) for column in zip(heads, *rows, strict=True)]) + 3.0
    figure = new_figure(max(4.5, 0.085 * float(widths.sum())), 0.9 + 0.3 * (len(rows) + 1), note)
    axes = figure.subplots()
    if not rows:
        say_empty(axes, "no structures")
        return figure
    axes.set_axis_off()
    table: Any = axes.table(
        cellText=[[plain(x) for x in row] for row in rows],
        colLabels=list(heads),
        colColours=["#eeeeee"] * len(heads),
        cellColours=tints,
        colWidths=(widths / widths.sum()).tolist(),
        cellLoc="center",
        bbox=Bbox.unit(),
    )
    table.auto_set_font_size(False)  # noqa: FBT003  (matplotlib takes it by position)
    table.set_fontsize(9)
    for (row, column), cell in table.get_celld().items():
        cell.set(edgecolor="#cccccc", linewidth=0.6)
        cell.get_text().set_horizontalalignment(align.get(column, "center") if row else "center")
    return figure
