"""Report: everything a campaign found, on one page."""

from __future__ import annotations

from dataclasses import dataclass

from jobflow import Maker, job

from hea_flows.results.page import build_page
from hea_flows.results.report import ReportInputs, summary
from hea_flows.schemas import (
    BenchmarkDoc,
    CampaignDoc,
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
        labels: list[list[LabelDoc]],
        dataset: DatasetDoc,
        finetune: FineTuneDoc | None = None,
        benchmarks: list[BenchmarkDoc] | None = None,
        montecarlo: list[MonteCarloDoc] | None = None,
        thermodynamics: ThermodynamicsDoc | None = None,
    ) -> ReportDoc:
        """Write the report from the documents of a campaign."""
        every_label = [label for group in labels for label in group]
        inputs = ReportInputs.from_documents(
            [
                campaign,
                *structures,
                *every_label,
                dataset,
                *(benchmarks or []),
                *(montecarlo or []),
                *(d for d in (finetune, thermodynamics) if d is not None),
            ]
        )
        html = StoredFile.from_bytes(f"{campaign.name}.html", build_page(inputs).encode())
        return ReportDoc(
            **stamp(
                campaign=campaign,
                structures=structures,
                labels=every_label,
                dataset=dataset,
                finetune=finetune,
                benchmarks=benchmarks or [],
                montecarlo=montecarlo or [],
                thermodynamics=thermodynamics,
            ),
            title=campaign.name,
            summary=summary(inputs),
            html=html,
        )
