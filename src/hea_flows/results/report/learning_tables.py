"""The tables of a report on models, their errors, what went wrong and where documents come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table as RichTable

from hea_flows.results.figures import subscripts
from hea_flows.results.report.summary import HEADLINES, problems
from hea_flows.results.report.table import NONE, Table, interval, number
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
        if key.startswith("decomposition") and (ends := summary.get("decomposition_interval_k")):
            which += f", 95 % interval {interval(ends, 0)}"
        digits = 0 if isinstance(value, int) or key.startswith("decomposition") else 2
        table.add_row(words + which, number(value, digits), unit)
    if count := summary.get("unreadable"):
        table.add_row("documents left out because they cannot be read", str(count), "")
    return table


def benchmark_table(documents: CampaignDocuments) -> Table:
    """Return the errors of every model, geometry and test set."""
    benchmarks = documents.benchmarks
    components = sorted({n for b in benchmarks for t in b.tables for n in t.by_components}, key=int)
    rows = [
        {
            "model": bench.name if bench.seed is None else f"{bench.name}, seed {bench.seed}",
            "kind": bench.role,
            "energies": t.geometry,
            "test set": t.test_set,
            "n": f"{t.n} ({t.n_failed} failed)" if t.n_failed else str(t.n),
            "mixing": number(t.mixing_mae_mev),
            "95 % interval": interval(t.mixing_mae_interval_mev),
            "trained on": str(t.n_trained),
            "not trained on": number(t.new_mixing_mae_mev),
            "total": number(t.total_mae_mev),
            "bias": number(t.mixing_bias_mev),
            "its interval": interval(t.mixing_bias_interval_mev),
            "training (s)": number(bench.training_seconds, 0),
            **{f"{n} elements": number(t.by_components.get(n)) for n in components},
        }
        for bench in benchmarks
        for t in bench.tables
    ]
    ends = {t.geometry: t.reference for b in benchmarks for t in b.tables}
    references = "".join(f" Mixing energies, {g}: {text}." for g, text in ends.items())
    return Table.from_rows(
        "Mean absolute errors against the reference labels (meV/unit). Mixing energies of all n "
        "structures, their bias (mean of model minus reference), of those not trained on, and by "
        "number of elements; total energies after "
        "per-element offsets. End points are not counted. Relaxed and fixed energies are not to be "
        "compared with each other. Reference labels: "
        f"{', '.join(dict.fromkeys(b.engine for b in benchmarks))}.{references}",
        rows,
        {"model", "kind", "energies", "test set"},
    )


def committee_table(documents: CampaignDocuments) -> Table:
    """Return how well the spread over seeds predicts the error, per model and test set."""
    rows = [
        {
            "model": f"{doc.name}, {len(doc.seeds)} seeds",
            "energies": t.geometry,
            "test set": t.test_set,
            "n": str(t.n),
            "error": number(t.mixing_mae_mev),
            "spread": number(t.spread_mev),
            "correlation": number(t.spearman),
            "interval": interval(t.spearman_interval),
            "scale": number(t.scale),
            "area": number(t.miscalibration_area),
            "alarm": number(t.alarm_auc),
        }
        for doc in documents.committees
        for t in doc.tables
    ]
    levels = ", ".join(dict.fromkeys(f"{d.alarm_mev:g}" for d in documents.committees))
    return Table.from_rows(
        "Committees over seeds: mixing energies (meV/unit). Error: MAE of the members' mean. "
        "Rank correlation of spread and error with its 95 % interval. Scale: what the spread must "
        "be multiplied with to fit the errors (1 is calibrated). Area between observed and "
        "nominal coverage (0 is calibrated). Alarm: how well the spread finds errors above "
        f"{levels} meV/unit (1 always, 0.5 by chance).",
        rows,
        {"model", "energies", "test set"},
    )


def forgetting_table(documents: CampaignDocuments) -> Table:
    """Return the errors of every model on frames of the foundation's own kind."""
    rows = [
        {
            "model": bench.name if bench.seed is None else f"{bench.name}, seed {bench.seed}",
            "kind": bench.role,
            "frames": f"{t.n_frames} ({t.n_left_out} left out)"
            if t.n_left_out
            else str(t.n_frames),
            "energy": number(t.energy_mev),
            "offsets": "fitted" if t.offsets_fitted else "none",
            "forces": number(t.forces_mev),
        }
        for bench in documents.benchmarks
        if (t := bench.forgetting) is not None
    ]
    files = {b.forgetting.file for b in documents.benchmarks if b.forgetting is not None}
    return Table.from_rows(
        f"What is forgotten: mean absolute errors on the frames of {', '.join(sorted(files))}; "
        "energy (meV/atom), of models that do not keep the foundation's zero after per-element "
        "offsets fitted to these frames, and forces (meV/Å).",
        rows,
        {"model", "kind", "offsets"},
    )


def stability_table(documents: CampaignDocuments) -> Table:
    """Return how a structure fared in dynamics with every model."""
    rows = [
        {
            "model": bench.name if bench.seed is None else f"{bench.name}, seed {bench.seed}",
            "cell": subscripts(row.formula),
            "T (K)": number(row.temperature, 0),
            "mean T (K)": number(row.mean_temperature, 0),
            "ps": number(row.picoseconds, 1),
            "drift": number(row.drift_mev, 3),
            "farthest": number(row.shift),
            "ended": row.reason or "whole",
        }
        for bench in documents.benchmarks
        for row in bench.stability
    ]
    return Table.from_rows(
        "Dynamics at constant temperature: mean temperature of the second half, drift of the "
        "conserved energy (meV/atom/ps), and farthest of an atom from where it started (Å).",
        rows,
        {"model", "cell", "ended"},
    )


def training_table(documents: CampaignDocuments) -> Table:
    """Return the errors of every trained model on its own splits."""
    rows = [
        {
            "model": doc.model.title,
            "parent": doc.parent.title if doc.parent else "from scratch",
            "seed": str(doc.settings.seed),
            "best epoch": str(doc.best_epoch),
            "split": split,
            "frames": str(e.n_frames),
            "energy": number(e.energy_mev),
            "forces": number(e.forces_mev),
            "stress": number(e.stress, 5),
            "training (s)": number(doc.seconds, 0),
        }
        for doc in documents.trainings
        for split, e in doc.errors.items()
    ]
    return Table.from_rows(
        "Root mean square errors of the trained models, offsets removed: energy (meV/atom), "
        "forces (meV/Å), stress (eV/Å³).",
        rows,
        {"model", "parent", "split"},
    )


def problem_table(documents: CampaignDocuments) -> Table:
    """Return the structures and models that are missing, failed or left out, with the reason."""
    rows = [
        {
            "structure": subscripts(formula) or NONE,
            "id": key or NONE,
            "where": where,
            "reason": reason or "no reason given",
        }
        for key, formula, where, reason in problems(documents)
    ]
    caption = "What is missing, failed, not converged or left out."
    return Table.from_rows(caption, rows, {"structure", "id", "where", "reason"})


def provenance_tables(documents: CampaignDocuments) -> list[Table]:
    """Return what every document is and was made with; labels on demand."""
    columns, wide = ["document", "name", "uuid", "made (UTC)", "details"], {0, 1, 2, 3, 4}

    def row(doc: Document) -> list[str]:
        made = f"{doc.created_at:%Y-%m-%d %H:%M}"
        return [doc.kind, doc.heading, doc.uuid or NONE, made, _details(doc.described())]

    rows = [row(doc) for doc in documents.all if not isinstance(doc, LabelDoc)]
    caption = "Every document of this report: uuid, versions, checksums, seeds, settings."
    tables = [Table(caption, columns, rows, wide)]
    if labels := documents.labels:
        every = f"All {len(labels)} label documents."
        tables.append(Table(every, columns, [row(d) for d in labels], wide, folded=True))
        about = {
            "settings id": ", ".join(sorted({d.settings_id for d in labels})),
            "engine": ", ".join(sorted({d.engine for d in labels})),
            "state": count_states(labels),
        }
        summary = ["label", f"{len(labels)} documents", "see below", "", _details(about)]
        rows.insert(bool(documents.campaign) + len(documents.structures), summary)
    return tables


def _details(texts: Mapping[str, str]) -> str:
    return "; ".join(f"{key}: {text}" for key, text in texts.items())
