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
        labels: list[list[LabelDoc | None]],
        dataset: DatasetDoc,
        finetune: FineTuneDoc | None = None,
        benchmarks: list[BenchmarkDoc | None] | None = None,
        montecarlo: list[MonteCarloDoc | None] | None = None,
        thermodynamics: ThermodynamicsDoc | None = None,
    ) -> ReportDoc:
        """Write the report from the documents of a campaign; a job that failed left None."""
        every_label = [label for group in labels for label in group if label is not None]
        chains = [chain for chain in montecarlo or [] if chain is not None]
        models = [document for document in benchmarks or [] if document is not None]
        inputs = ReportInputs.from_documents(
            [
                campaign,
                *structures,
                *every_label,
                dataset,
                *models,
                *chains,
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
                benchmarks=models,
                montecarlo=chains,
                thermodynamics=thermodynamics,
            ),
            title=campaign.name,
            summary=summary(inputs),
            html=html,
        )
