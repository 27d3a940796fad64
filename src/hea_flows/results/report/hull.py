"""The convex hull of labelled mixing energies: its table, and the figure of its binaries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hea_flows.alloy.thermodynamics import Hull, composition_matrix, convex_hull, mixing_energies
from hea_flows.results.figures import (
    REFERENCE,
    TUNED,
    new_figure,
    plain,
    say_empty,
    styled,
    subscripts,
)
from hea_flows.results.report.table import Table, number
from hea_flows.schemas import AlloySpec, LabelDoc, StructuresDoc

Calculation = Literal["relax", "static"]
_WORDS: dict[Calculation, str] = {
    "relax": "relaxed, end members too",
    "static": "at fixed geometry, end members too",
}


@dataclass(frozen=True)
class LabelledHull:
    """Labels of one host, one reference and one kind of calculation, and their hull.

    Parameters
    ----------
    labels
        The entries: usable labels, end members included.
    elements
        Elements that have an end member, in the order of the hull's columns.
    hull
        Of their mixing energies (eV/unit).
    left_out
        Structure id to why a label of this kind is no entry.
    """

    labels: list[LabelDoc]
    elements: tuple[str, ...]
    hull: Hull
    left_out: dict[str, str]

    @property
    def reference(self) -> str:
        """Engine, settings and geometry of the energies, and what they are relative to."""
        first = self.labels[0]
        return (
            f"{first.engine}, settings {first.settings_id}; {_WORDS[first.calculation]}; mixing "
            "energies count from the end members of the primitive cell"
        )


def labelled_hull(
    labels: Sequence[LabelDoc],
    structures: Sequence[StructuresDoc],
    *,
    settings_id: str | None = None,
    calculation: Calculation = "relax",
) -> LabelledHull:
    """Return the hull of labels, newest label of each structure.

    Parameters
    ----------
    labels
        Label documents, oldest first; of one campaign, or of the whole store.
    structures
        The sets that they belong to, which name the host.
    settings_id
        The settings to take where there are several.
    calculation
        Relaxed and static energies are never compared, so it is the one or the other.

    Raises
    ------
    ValueError
        If there is no such label, settings or hosts are mixed, or an end member is missing.
    """
    pool = [d for d in labels if d.calculation == calculation and d.energy is not None]
    kinds = sorted({f"{d.settings_id} ({d.engine})" for d in pool})
    if settings_id is not None:
        pool = [d for d in pool if d.settings_id == settings_id]
    if not pool:
        kind = f"{calculation} label" + (f" of settings {settings_id}" if settings_id else "")
        msg = f"no {kind} with an energy; settings there are: {', '.join(kinds) or 'none'}"
        raise ValueError(msg)
    if len({d.settings_id for d in pool}) > 1:
        msg = f"labels of different settings never share a hull; found {', '.join(kinds)}: name one"
        raise ValueError(msg)
    _require_one_host(pool, structures)
    newest = {d.structure.structure_id: d for d in pool}
    left_out = {k: why for k, d in newest.items() if (why := _unusable(d))}
    used = [d for k, d in newest.items() if k not in left_out]
    pure = {d.structure.species[0]: d for d in used if d.structure.is_end_point}
    present = dict.fromkeys(e for d in used for e in d.structure.counts)
    if missing := [e for e in present if e not in pure]:
        msg = (
            f"no usable {calculation} label of the end member of {', '.join(missing)}; mixing "
            "energies need all of them, label the end points too"
        )
        raise ValueError(msg)
    counts = [d.structure.counts for d in used]
    energies = [_energy(d) for d in used]
    mixing = mixing_energies(energies, counts, {e: _energy(d) for e, d in pure.items()})
    order = list(dict.fromkeys([*(e for d in structures for e in d.alloy.elements), *present]))
    elements = tuple(sorted(present, key=order.index))
    return LabelledHull(
        used, elements, convex_hull(composition_matrix(counts, elements), mixing), left_out
    )


def _energy(label: LabelDoc) -> float:
    assert label.energy is not None  # the pool holds no others
    return label.energy


def _unusable(label: LabelDoc) -> str | None:
    if label.state != "converged":
        return label.reason or label.state
    return f"it left its phase: {'; '.join(label.flags)}" if label.flags else None


def _require_one_host(pool: Sequence[LabelDoc], structures: Sequence[StructuresDoc]) -> None:
    """Refuse labels of several prototypes or anions."""
    ids = {d.structure.structure_id for d in pool}
    hosts = {
        _host(doc.alloy) for doc in structures if any(e.structure_id in ids for e in doc.structures)
    }
    if len(hosts) > 1:
        names = ", ".join(sorted(hosts))
        msg = f"labels of different hosts never share a hull; found {names}: name one's campaign"
        raise ValueError(msg)


def _host(alloy: AlloySpec) -> str:
    name = alloy.to_alloy().host.name
    return f"{name} with {alloy.anion}" if alloy.anion else name


def hull_table(hull: LabelledHull, *, all_entries: bool = False) -> Table:
    """Return the entries on the hull, or all by their distance to it with their decomposition."""
    vertices, above = set(hull.hull.vertices), hull.hull.above
    chosen = [i for i in range(len(hull.labels)) if all_entries or i in vertices]
    rows = []
    for i in sorted(chosen, key=lambda i: (above[i], len(hull.labels[i].structure.counts))):
        entry = hull.labels[i].structure
        rest = "" if i in vertices else _mixture(hull, i)
        rows.append(
            [
                subscripts(entry.formula),
                entry.structure_id,
                number(1e3 * hull.hull.energies[i]),
                number(1e3 * above[i]),
                rest,
            ]
        )
    return Table(
        f"{len(vertices)} of {len(hull.labels)} labelled structures are on the convex hull. "
        f"Energies: {hull.reference}."
        + (
            f" Left out, not converged or not in their phase: {len(hull.left_out)}."
            if hull.left_out
            else ""
        ),
        ["structure", "id", "mixing energy (meV/unit)", "above hull (meV/unit)", "decomposes to"],
        rows,
        {0, 1, 4},
    )


def _mixture(hull: LabelledHull, i: int) -> str:
    parts = []
    for phase in hull.hull.decomposition(hull.hull.fractions[i]):
        assert phase.entry is not None  # every end member is an entry
        formula = subscripts(hull.labels[phase.entry].structure.formula)
        parts.append(f"{phase.amount:.3f} {formula}")
    return " + ".join(parts)


@styled
def binary_hulls(hull: LabelledHull) -> Figure:
    """Draw mixing energy against composition and the hull of every pair of elements."""
    counts = [d.structure.counts for d in hull.labels]
    pairs = [p for p in combinations(hull.elements, 2) if any(set(c) == set(p) for c in counts)]
    columns = min(4, len(pairs)) or 1
    lines = max(1, -(-len(pairs) // columns))
    figure = new_figure(max(4.5, 2.7 * columns), 0.9 + 2.5 * lines, f"Energies: {hull.reference}.")
    panels = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    if not pairs:
        say_empty(panels[0, 0], "no binary structures")
        return figure
    for axes, pair in zip(panels.flat, pairs, strict=False):
        _binary(axes, hull, pair)
    for axes in panels.flat[len(pairs) :]:
        axes.set_axis_off()
    figure.supylabel("mixing energy (meV/unit)", fontsize=9.5)
    return figure


def _binary(axes: Axes, hull: LabelledHull, pair: tuple[str, str]) -> None:
    own = [i for i, d in enumerate(hull.labels) if set(d.structure.counts) <= set(pair)]
    columns = [hull.elements.index(e) for e in pair]
    x = hull.hull.fractions[own][:, columns]
    energies = hull.hull.energies[own]
    alone = convex_hull(x, energies)
    corners = sorted(alone.vertices, key=lambda i: float(x[i, 1]))
    axes.axhline(0, color="#888888", lw=0.8)
    axes.plot(x[:, 1], 1e3 * energies, "o", ms=4, color=REFERENCE, alpha=0.5, mew=0)
    axes.plot(x[corners, 1], 1e3 * energies[corners], "-o", ms=5.5, color=TUNED)
    axes.set(xlim=(-0.04, 1.04), xlabel=plain(f"fraction of {pair[1]}"))
    axes.set_title(f"{pair[0]}–{pair[1]}", fontsize=9, fontweight="normal", pad=3)
    axes.set_xticks(np.linspace(0, 1, 3), ["0", "½", "1"])
