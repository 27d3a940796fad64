"""Tables of binary phase diagrams."""

from __future__ import annotations

from collections.abc import Sequence

from hea_flows.alloy.phases import SectionPoint
from hea_flows.results.report.table import NONE, Table, number, with_error
from hea_flows.schemas import PhaseDiagramDoc


def phase_tables(docs: Sequence[PhaseDiagramDoc]) -> list[Table]:
    """Return a table of all binaries, and the phases that coexist in each."""
    rows = []
    for doc in docs:
        temperatures = [p.temperature for p in doc.points]
        samples = min(p.effective_samples for p in doc.points)
        rows.append(
            [
                "-".join(doc.pair),
                _critical(doc),
                _limits(doc, doc.points[0]),
                _limits(doc, doc.points[-1]),
                number(min(temperatures), 0),
                number(max(temperatures), 0),
                number(doc.fit_rmse_mev),
                number(100 * doc.cells[-1].acceptance, 0),
                number(samples, 0),
            ]
        )
    return [
        Table(
            "Binaries: where two phases become one, ± standard error, and the shares of the second "
            "element between which two phases coexist at the lowest and the highest temperature.",
            [
                "binary",
                "critical (K)",
                "gap, lowest",
                "gap, highest",
                "from (K)",
                "to (K)",
                "fit (meV/unit)",
                "acceptance (%)",
                "effective samples",
            ],
            rows,
        ),
        *_failures(docs),
        *(_gaps(doc) for doc in docs if any(doc.gaps(p) for p in doc.points)),
    ]


def _failures(docs: Sequence[PhaseDiagramDoc]) -> list[Table]:
    rows = [
        ["-".join(doc.pair), f"{cell.n_sites} sites, {temperature}", reason]
        for doc in docs
        for cell in doc.cells
        for temperature, reason in cell.failed.items()
    ]
    caption = "Temperatures that are left out."
    return [Table(caption, ["binary", "cell", "reason"], rows, wide={2})] if rows else []


def _critical(doc: PhaseDiagramDoc) -> str:
    if doc.critical is not None:
        return with_error(doc.critical.temperature, doc.critical.error, 0)
    return f"above {number(doc.points[-1].temperature, 0)}" if doc.points[-1].gaps else NONE


def _limits(doc: PhaseDiagramDoc, point: SectionPoint) -> str:
    return (
        ", ".join(f"{number(g.low, 3)} to {number(g.high, 3)}" for g in doc.gaps(point))
        or "one phase"
    )


def _gaps(doc: PhaseDiagramDoc) -> Table:
    return Table(
        f"{'-'.join(doc.pair)}: phases that coexist, as shares of {doc.pair[1]}, ± standard error "
        f"({doc.mode}, {doc.cells[-1].n_sites} sites)."
        + (f" {relaxation.words()}" if (relaxation := doc.cells[-1].relaxation) else ""),
        ["T (K)", "poor", "rich", "Δμ (meV)", "barrier (k_B T)", "certain (%)"],
        [
            [
                number(point.temperature, 0),
                with_error(gap.low, gap.low_error, 3),
                with_error(gap.high, gap.high_error, 3),
                with_error(1e3 * gap.potential, 1e3 * gap.potential_error, 1),
                number(gap.barrier, 1),
                number(100 * point.gap_share, 0),
            ]
            for point in doc.points
            for gap in doc.gaps(point)
        ],
        folded=True,
    )
