"""The report of a campaign: headline numbers, tables, and the page that holds them all."""

from __future__ import annotations

from hea_flows.results.report.equilibrium_table import equilibrium_table, parse_composition
from hea_flows.results.report.growth import growth_curve, growth_table, growth_verdict
from hea_flows.results.report.hull import LabelledHull, binary_hulls, hull_table, labelled_hull
from hea_flows.results.report.learning_tables import (
    benchmark_table,
    committee_table,
    forgetting_table,
    stability_table,
    summary_table,
)
from hea_flows.results.report.montecarlo_tables import montecarlo_tables
from hea_flows.results.report.page import build_page
from hea_flows.results.report.summary import HEADLINES, summary
from hea_flows.results.report.table import Table

__all__ = [
    "HEADLINES",
    "LabelledHull",
    "Table",
    "benchmark_table",
    "binary_hulls",
    "build_page",
    "committee_table",
    "equilibrium_table",
    "forgetting_table",
    "growth_curve",
    "growth_table",
    "growth_verdict",
    "hull_table",
    "labelled_hull",
    "montecarlo_tables",
    "parse_composition",
    "stability_table",
    "summary",
    "summary_table",
]
