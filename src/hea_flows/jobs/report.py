"""Report: all results of a campaign on one page."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from jobflow import CURRENT_JOB, Maker

from hea_flows.jobs.failures import stored_failures
from hea_flows.jobs.inputs import reading_job, unreadable_inputs
from hea_flows.provenance import provenance
from hea_flows.results.report import build_page, summary
from hea_flows.results.store import CampaignDocuments
from hea_flows.schemas import (
    BenchmarkDoc,
    CampaignDoc,
    CommitteeDoc,
    CommitteeModelDoc,
    DatasetDoc,
    LabelDoc,
    MonteCarloDoc,
    PhaseDiagramDoc,
    ReportDoc,
    StoredFile,
    StructuresDoc,
    TestSetDoc,
    ThermodynamicsDoc,
    TrainingDoc,
)
from hea_flows.services import FailedJob
from hea_flows.services.workflows import failed_results

_UNKNOWN = "its job failed; `hea-flows status` tells why"
_NOT_RUN = "not run, because a job that it needs failed"


@dataclass
class ReportMaker(Maker):
    """Write the report of a campaign, one self-contained HTML page."""

    name: str = "report"

    @partial(reading_job, data=ReportDoc.in_store(), output_schema=ReportDoc)
    def make(
        self,
        campaign: CampaignDoc,
        structures: list[StructuresDoc],
        labels: list[list[LabelDoc | None]],
        datasets: list[DatasetDoc | None] | None = None,
        test_sets: list[TestSetDoc | None] | None = None,
        trainings: list[TrainingDoc | None] | None = None,
        benchmarks: list[BenchmarkDoc | None] | None = None,
        committee_models: list[CommitteeModelDoc | None] | None = None,
        committees: list[CommitteeDoc | None] | None = None,
        montecarlo: MonteCarloDoc | None = None,
        thermodynamics: ThermodynamicsDoc | None = None,
        phase_diagrams: list[PhaseDiagramDoc | None] | None = None,
        grown: dict[str, list[Any]] | None = None,
        models: dict[str, list[str]] | None = None,
    ) -> ReportDoc:
        """Write the report from the documents of a campaign; a job that failed left None.

        Documents of a training set that grew come in `grown`, by role. `models` holds, by
        name, the uuids of the jobs of every model that was asked for, in their order: those without
        a result are named.
        """
        documents: dict[str, list[Any]] = {
            "structures": list(structures),
            "labels": [label for group in labels for label in group or ()],
            "datasets": list(datasets or []),
            "test_sets": list(test_sets or []),
            "trainings": list(trainings or []),
            "benchmarks": list(benchmarks or []),
            "committee_models": list(committee_models or []),
            "committees": list(committees or []),
            "montecarlo": [montecarlo],
            "thermodynamics": [thermodynamics],
            "phase_diagrams": list(phase_diagrams or []),
            "growth": [],
        }
        for role, more in (grown or {}).items():
            documents[role] += [d for group in more for d in group] if role == "labels" else more
        documents = {role: _each_once(group) for role, group in documents.items()}
        everything = [d for group in documents.values() for d in group]
        missing = _missing(models or {}, {d.uuid for d in everything})
        inputs = replace(
            CampaignDocuments.from_documents([campaign, *everything]),
            missing=missing,
            unreadable=unreadable_inputs(),
        )
        html = StoredFile.from_bytes(f"{campaign.name}.html", build_page(inputs).encode())
        return ReportDoc(
            **provenance(campaign=campaign, **documents),
            title=campaign.name,
            summary=summary(inputs),
            missing=missing,
            html=html,
        )


def _missing(models: dict[str, list[str]], done: set[str]) -> dict[str, str]:
    """Return the models, and the other results, that have none, with the reason."""
    failed = _failed_jobs()
    unknown = _NOT_RUN if failed else _UNKNOWN
    missing: dict[str, str] = {}
    for name, uuids in models.items():
        if lost := [uuid for uuid in uuids if uuid in failed or uuid not in done]:
            missing[name] = failed[lost[0]].error if lost[0] in failed else unknown
    others = failed.keys() - {uuid for uuids in models.values() for uuid in uuids}
    return missing | {
        failed[u].name: failed[u].error for u in sorted(others) if not failed[u].skipped
    }


def _failed_jobs() -> dict[str, FailedJob]:
    """Return the failed jobs of this workflow that were to give a result, by uuid."""
    current = CURRENT_JOB.job
    fw_id = current.metadata.get("fw_id") if current else None
    failed = failed_results(fw_id) if fw_id is not None else None
    return stored_failures() if failed is None else failed


def _each_once(documents: list[Any]) -> list[Any]:
    """Return documents without those that are missing or there already."""
    by_uuid: dict[str, Any] = {}
    for document in documents:
        if document is not None:
            by_uuid.setdefault(document.uuid or f"{len(by_uuid)}", document)
    return list(by_uuid.values())
