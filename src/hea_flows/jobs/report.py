"""Report: everything a campaign found, on one page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jobflow import Maker, job

from hea_flows.results.page import build_page
from hea_flows.results.report import ReportInputs, summary
from hea_flows.schemas import (
    BenchmarkDoc,
    CampaignDoc,
    CommitteeDoc,
    DatabaseDoc,
    DatasetDoc,
    FineTuneDoc,
    LabelDoc,
    MonteCarloDoc,
    ReportDoc,
    StoredFile,
    StructuresDoc,
    ThermodynamicsDoc,
)
from hea_flows.stamp import stamp


@dataclass
class ReportMaker(Maker):
    """Write the report of a campaign, one self-contained HTML page."""

    name: str = "report"

    @job(data=["html"], output_schema=ReportDoc)
    def make(
        self,
        campaign: CampaignDoc,
        structures: list[StructuresDoc],
        labels: list[list[LabelDoc | None]],
        datasets: list[DatasetDoc | None] | None = None,
        databases: list[DatabaseDoc | None] | None = None,
        finetunes: list[FineTuneDoc | None] | None = None,
        benchmarks: list[BenchmarkDoc | None] | None = None,
        committees: list[CommitteeDoc | None] | None = None,
        montecarlo: MonteCarloDoc | None = None,
        thermodynamics: ThermodynamicsDoc | None = None,
        grown: dict[str, list[Any]] | None = None,
    ) -> ReportDoc:
        """Write the report from the documents of a campaign; a job that failed left None.

        Documents of a training set that grew come in `grown`, by role.
        """
        made: dict[str, list[Any]] = {
            "structures": list(structures),
            "labels": [label for group in labels for label in group],
            "datasets": list(datasets or []),
            "databases": list(databases or []),
            "finetunes": list(finetunes or []),
            "benchmarks": list(benchmarks or []),
            "committees": list(committees or []),
            "montecarlo": [montecarlo],
            "thermodynamics": [thermodynamics],
            "growth": [],
        }
        for role, more in (grown or {}).items():
            made[role] += [d for group in more for d in group] if role == "labels" else more
        made = {role: _each_once(found) for role, found in made.items()}
        inputs = ReportInputs.from_documents([campaign, *(d for f in made.values() for d in f)])
        html = StoredFile.from_bytes(f"{campaign.name}.html", build_page(inputs).encode())
        return ReportDoc(
            **stamp(campaign=campaign, **made),
            title=campaign.name,
            summary=summary(inputs),
            html=html,
        )


def _each_once(documents: list[Any]) -> list[Any]:
    """Return documents without those that are missing or there already."""
    known: dict[str, Any] = {}
    for document in documents:
        if document is not None:
            known.setdefault(document.uuid or f"{len(known)}", document)
    return list(known.values())
