"""The tables of a report, as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from math import isfinite
from textwrap import fill
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markup import escape
from rich.table import Table as RichTable

from hea_flows.results.report.inputs import HEADLINES, ReportInputs, problems
from hea_flows.results.report.style import subscripts
from hea_flows.results.store.facts import counted, facts, name_of
from hea_flows.schemas import LabelDoc

NONE = "–"
#: Longer words are folded.
_LONG = 24


@dataclass(frozen=True)
class Table:
    """A table of texts; columns named in `wide` hold words, the others numbers.

    Parameters
    ----------
    caption
        What it shows, with units that the columns do not name.
    columns
        Headings.
    rows
        Cells, as many per row as there are headings.
    wide
        Positions of the columns that are set flush left.
    folded
        True if it is shown on demand only.
    """

    caption: str
    columns: list[str]
    rows: list[list[str]]
    wide: set[int] = field(default_factory=lambda: {0})
    folded: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Print the table, its caption above; the last columns are left out where there is no room.

        Words fold, numbers stay whole.
        """
        needed = [self._width(i) for i in range(len(self.columns))]
        ends = accumulate(width + 2 for width in needed)  # two between columns
        shown = max(1, sum(end <= options.max_width for end in ends))
        caption = self.caption
        if left_out := self.columns[shown:]:
            caption += f" No room here for: {', '.join(left_out)}."
        table = RichTable(
            title=escape(caption),
            title_justify="left",
            box=SIMPLE_HEAD,
            collapse_padding=True,
            pad_edge=False,
        )
        for i, column in enumerate(self.columns[:shown]):
            if i in self.wide:
                table.add_column(escape(column), overflow="fold")
            else:
                heading = fill(column, needed[i])
                table.add_column(escape(heading), justify="right", no_wrap=True)
        for row in self.rows:
            table.add_row(*map(escape, row[:shown]))
        yield table

    def _width(self, i: int) -> int:
        """Return the least width of a column: its longest number, or word that is not folded."""
        cells = [row[i] for row in self.rows]
        words = (w[:_LONG] for w in " ".join(cells).split()) if i in self.wide else cells
        return max(map(len, [*self.columns[i].split(), *words]))


def number(value: float | None, digits: int = 2) -> str:
    """Return a number with fixed digits and a true minus sign; a dash for None, nan and inf."""
    if value is None or not isfinite(value):
        return NONE
    text = f"{value:,.{digits}f}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−").replace(",", " ")


def with_error(value: float, error: float, digits: int = 2) -> str:
    """Return ``value ± error``; the value alone where the error is unknown."""
    return number(value, digits) + (f" ± {number(error, digits)}" if isfinite(error) else "")


def summary_table(summary: Mapping[str, Any]) -> RichTable:
    """Return the headline numbers of `hea_flows.results.report.inputs.summary` for a terminal.

    Each line says which energies it speaks of: the geometry of the benchmark, or the mode of the
    thermodynamics.
    """
    name = summary.get("campaign") or "without a name"
    table = RichTable(title=escape(f"Campaign {name}"), title_justify="left")
    table.add_column("what")
    table.add_column("value", justify="right")
    table.add_column("unit")
    for key, (words, unit) in HEADLINES.items():
        value = summary.get(key)
        which = ""
        if key.startswith("mixing"):
            which = f", {summary.get('mixing_geometry') or 'no benchmark'}"
        if key.startswith(("decomposition", "deed")):
            which = f", {summary.get('thermodynamics_mode') or 'no thermodynamics'}"
        if key.startswith("decomposition") and (
            interval := summary.get("decomposition_interval_k")
        ):
            which += f", 95 % interval {number(interval[0], 0)} to {number(interval[1], 0)}"
        digits = 0 if isinstance(value, int) or key.startswith("decomposition") else 2
        table.add_row(words + which, number(value, digits), unit)
    return table


def benchmark_table(inputs: ReportInputs) -> Table:
    """Return the errors of every model, geometry and test set."""
    components = sorted(
        {n for b in inputs.benchmarks for t in b.tables for n in t.by_components}, key=int
    )
    rows = []
    for bench in inputs.benchmarks:
        for t in bench.tables:
            low, high = t.mixing_mae_interval_mev
            rows.append(
                [
                    bench.name if bench.seed is None else f"{bench.name}, seed {bench.seed}",
                    bench.role,
                    t.geometry,
                    t.test_set,
                    f"{t.n} ({t.n_failed} failed)" if t.n_failed else str(t.n),
                    number(t.mixing_mae_mev),
                    f"{number(low)} to {number(high)}",
                    str(t.n_trained),
                    number(t.new_mixing_mae_mev),
                    number(t.total_mae_mev),
                    *(number(t.by_components.get(n)) for n in components),
                ]
            )
    ends = {t.geometry: t.reference for b in inputs.benchmarks for t in b.tables}
    references = "".join(f" Mixing energies, {g}: {text}." for g, text in ends.items())
    return Table(
        "Mean absolute errors against the reference labels (meV/unit). Mixing energies of all n "
        "structures, of those not trained on, and by number of elements; total energies after "
        "per-element offsets. End points are not counted. Relaxed and fixed energies are not to be "
        "compared with each other. Reference labels: "
        f"{', '.join(dict.fromkeys(b.engine for b in inputs.benchmarks))}.{references}",
        [
            "model",
            "kind",
            "energies",
            "test_set",
            "n",
            "mixing",
            "95 % interval",
            "trained on",
            "not trained on",
            "total",
            *(f"{n} elements" for n in components),
        ],
        rows,
        {0, 1, 2, 3},
    )


def committee_table(inputs: ReportInputs) -> Table:
    """Return what the spread over seeds tells of the error, per model and test set."""
    rows = []
    for doc in inputs.committees:
        for t in doc.tables:
            low, high = t.spearman_interval or (None, None)
            rows.append(
                [
                    f"{doc.name}, {len(doc.seeds)} seeds",
                    t.geometry,
                    t.test_set,
                    str(t.n),
                    number(t.mixing_mae_mev),
                    number(t.spread_mev),
                    number(t.spearman),
                    f"{number(low)} to {number(high)}",
                    number(t.scale),
                    number(t.miscalibration_area),
                    number(t.alarm_auc),
                ]
            )
    levels = ", ".join(dict.fromkeys(f"{d.alarm_mev:g}" for d in inputs.committees))
    return Table(
        "Committees over seeds: mixing energies (meV/unit). Error: MAE of the members' mean. "
        "Rank correlation of spread and error with its 95 % interval. Scale: what the spread must "
        "be multiplied with to fit the errors (1 is calibrated). Area between observed and "
        "nominal coverage (0 is calibrated). Alarm: how well the spread finds errors above "
        f"{levels} meV/unit (1 always, 0.5 by chance).",
        [
            "model",
            "energies",
            "test_set",
            "n",
            "error",
            "spread",
            "correlation",
            "interval",
            "scale",
            "area",
            "alarm",
        ],
        rows,
        {0, 1, 2},
    )


def training_table(inputs: ReportInputs) -> Table:
    """Return the errors of every trained model on its own splits."""
    rows = []
    for doc in inputs.trainings:
        parent = doc.parent.label if doc.parent else "from scratch"
        for split, e in doc.errors.items():
            rows.append(
                [
                    doc.model.label,
                    parent,
                    str(doc.settings.seed),
                    f"{doc.best_epoch}",
                    split,
                    str(e.n_frames),
                    number(e.energy_mev),
                    number(e.forces_mev),
                    number(e.stress, 5),
                    number(doc.seconds, 0),
                ]
            )
    return Table(
        "Root mean square errors of the trained models, offsets removed: energy (meV/atom), "
        "forces (meV/Å), stress (eV/Å³).",
        [
            "model",
            "parent",
            "seed",
            "best epoch",
            "split",
            "frames",
            "energy",
            "forces",
            "stress",
            "training (s)",
        ],
        rows,
        {0, 1, 4},
    )


def problem_table(inputs: ReportInputs) -> Table:
    """Return the structures and models that are missing, failed or left out, with the reason."""
    rows = [
        [subscripts(formula) or NONE, key or NONE, where, reason or "no reason given"]
        for key, formula, where, reason in problems(inputs)
    ]
    return Table(
        "What is missing, failed, not converged or left out.",
        ["structure", "id", "where", "reason"],
        rows,
        {0, 1, 2, 3},
    )


def provenance_tables(inputs: ReportInputs) -> list[Table]:
    """Return what every document is and was made with; labels on demand."""
    columns = ["document", "name", "uuid", "made (UTC)", "facts"]

    def row(kind: str, name: str, uuid: str, made: str, about: dict[str, str]) -> list[str]:
        return [kind, name, uuid or NONE, made, "; ".join(f"{k}: {v}" for k, v in about.items())]

    rows: list[list[str]] = []
    labels: list[list[str]] = []
    for doc in inputs.documents:
        made = f"{doc.created_at:%Y-%m-%d %H:%M}"
        target = labels if isinstance(doc, LabelDoc) else rows
        target.append(row(doc.kind, name_of(doc), doc.uuid, made, facts(doc)))
    if inputs.labels:
        ids = ", ".join(sorted({d.settings_id for d in inputs.labels}))
        engines = ", ".join(sorted({d.engine for d in inputs.labels}))
        place = 1 if inputs.campaign else 0
        about = {"settings id": ids, "engine": engines, "state": counted(inputs.labels)}
        rows.insert(
            place + len(inputs.structures),
            row("label", f"{len(labels)} documents", "see below", "", about),
        )
    tables = [
        Table(
            "Every document of this report: uuid, versions, checksums, seeds, settings.",
            columns,
            rows,
            {0, 1, 2, 3, 4},
        )
    ]
    if labels:
        tables.append(
            Table(
                f"All {len(labels)} label documents.", columns, labels, {0, 1, 2, 3, 4}, folded=True
            )
        )
    return tables
