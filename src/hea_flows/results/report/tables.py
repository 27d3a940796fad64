"""The tables of a report on models, their errors, what went wrong and where documents come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table as RichTable

from hea_flows.results.figures import subscripts
from hea_flows.results.report.summary import HEADLINES, problems
from hea_flows.results.report.table import NONE, Table, number
from hea_flows.results.store import CampaignDocuments, count_states
from hea_flows.schemas import Document, LabelDoc


def summary_table(summary: Mapping[str, Any]) -> RichTable:
    """Return the headline numbers of `hea_flows.results.report.summary` for a terminal.

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


def benchmark_table(documents: CampaignDocuments) -> Table:
    """Return the errors of every model, geometry and test set."""
    components = sorted(
        {n for b in documents.benchmarks for t in b.tables for n in t.by_components}, key=int
    )
    rows = []
    for bench in documents.benchmarks:
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
    ends = {t.geometry: t.reference for b in documents.benchmarks for t in b.tables}
    references = "".join(f" Mixing energies, {g}: {text}." for g, text in ends.items())
    return Table(
        "Mean absolute errors against the reference labels (meV/unit). Mixing energies of all n "
        "structures, of those not trained on, and by number of elements; total energies after "
        "per-element offsets. End points are not counted. Relaxed and fixed energies are not to be "
        "compared with each other. Reference labels: "
        f"{', '.join(dict.fromkeys(b.engine for b in documents.benchmarks))}.{references}",
        [
            "model",
            "kind",
            "energies",
            "test set",
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


def committee_table(documents: CampaignDocuments) -> Table:
    """Return what the spread over seeds tells of the error, per model and test set."""
    rows = []
    for doc in documents.committees:
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
    levels = ", ".join(dict.fromkeys(f"{d.alarm_mev:g}" for d in documents.committees))
    return Table(
        "Committees over seeds: mixing energies (meV/unit). Error: MAE of the members' mean. "
        "Rank correlation of spread and error with its 95 % interval. Scale: what the spread must "
        "be multiplied with to fit the errors (1 is calibrated). Area between observed and "
        "nominal coverage (0 is calibrated). Alarm: how well the spread finds errors above "
        f"{levels} meV/unit (1 always, 0.5 by chance).",
        [
            "model",
            "energies",
            "test set",
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


def training_table(documents: CampaignDocuments) -> Table:
    """Return the errors of every trained model on its own splits."""
    rows = []
    for doc in documents.trainings:
        parent = doc.parent.title if doc.parent else "from scratch"
        for split, e in doc.errors.items():
            rows.append(
                [
                    doc.model.title,
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


def problem_table(documents: CampaignDocuments) -> Table:
    """Return the structures and models that are missing, failed or left out, with the reason."""
    rows = [
        [subscripts(formula) or NONE, key or NONE, where, reason or "no reason given"]
        for key, formula, where, reason in problems(documents)
    ]
    return Table(
        "What is missing, failed, not converged or left out.",
        ["structure", "id", "where", "reason"],
        rows,
        {0, 1, 2, 3},
    )


def provenance_tables(documents: CampaignDocuments) -> list[Table]:
    """Return what every document is and was made with; labels on demand."""
    columns, wide = ["document", "name", "uuid", "made (UTC)", "facts"], {0, 1, 2, 3, 4}

    def row(doc: Document) -> list[str]:
        made = f"{doc.created_at:%Y-%m-%d %H:%M}"
        return [doc.kind, doc.heading, doc.uuid or NONE, made, _facts(doc.described())]

    rows = [row(doc) for doc in documents.all if not isinstance(doc, LabelDoc)]
    caption = "Every document of this report: uuid, versions, checksums, seeds, settings."
    tables = [Table(caption, columns, rows, wide)]
    if labels := documents.labels:
        facts = {
            "settings id": ", ".join(sorted({d.settings_id for d in labels})),
            "engine": ", ".join(sorted({d.engine for d in labels})),
            "state": count_states(labels),
        }
        place = bool(documents.campaign) + len(documents.structures)
        rows.insert(place, ["label", f"{len(labels)} documents", "see below", "", _facts(facts)])
        every = f"All {len(labels)} label documents."
        tables.append(Table(every, columns, [row(d) for d in labels], wide, folded=True))
    return tables


def _facts(facts: Mapping[str, str]) -> str:
    return "; ".join(f"{key}: {value}" for key, value in facts.items())
