"""The whole campaign: structures, labels, dataset, learning, sampling, report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jobflow import Flow, Maker, OnMissing

from hea_flows.config import Campaign, text_sha256
from hea_flows.engines.registry import family
from hea_flows.flows.labelling import LabellingMaker
from hea_flows.flows.learning import LearningMaker
from hea_flows.flows.sampling import SamplingMaker
from hea_flows.jobs.benchmark import BenchmarkMaker
from hea_flows.jobs.campaign import CampaignFileMaker
from hea_flows.jobs.dataset import DatasetMaker
from hea_flows.jobs.finetune import FineTuneMaker
from hea_flows.jobs.report import ReportMaker
from hea_flows.jobs.routing import CPU, route
from hea_flows.jobs.thermodynamics import ThermodynamicsMaker


@dataclass
class CampaignMaker(Maker):
    """Compose the Makers of a campaign.

    Parameters
    ----------
    name
        Flow name; `from_campaign` sets the campaign's.
    campaign_file
        Stores the file.
    labelling
        One Maker per set of structures.
    dataset
        Collects the labels.
    learning
        None stops after the dataset: a labelling campaign.
    sampling
        None leaves sampling out.
    report
        Writes the page.
    """

    name: str = "campaign"
    campaign_file: CampaignFileMaker = field(default_factory=CampaignFileMaker)
    labelling: list[LabellingMaker] = field(default_factory=list)
    dataset: DatasetMaker = field(default_factory=DatasetMaker)
    learning: LearningMaker | None = field(default_factory=LearningMaker)
    sampling: SamplingMaker | None = None
    report: ReportMaker = field(default_factory=ReportMaker)

    @classmethod
    def from_campaign(cls, campaign: Campaign) -> CampaignMaker:
        """Return the Maker that a campaign file describes.

        What can be known to fail is told now, before anything runs.

        Raises
        ------
        ValueError, FileNotFoundError, ModuleNotFoundError
            For an unknown engine, option or model family, a dataset or checkpoint that is missing
            or has another checksum, or a package that is not installed.
        """
        seed = campaign.seed
        labelling = [
            LabellingMaker.from_spec(spec.labels or campaign.labels, seed)
            for spec in campaign.structures
        ]
        for maker in labelling:
            if check := getattr(maker.labels.engine(), "check", None):  # an engine may have none
                check(campaign.alloy)
        learning = sampling = None
        if campaign.model is not None:
            model, engine = campaign.model, family(campaign.model.family)
            if model.path is not None:
                model = engine.resolve(model)
            learning = LearningMaker(
                finetune=FineTuneMaker(model=model, training=campaign.training),
                benchmark=BenchmarkMaker(benchmark=campaign.benchmark, seed=seed),
            )
        if campaign.monte_carlo or campaign.thermodynamics:
            spec = campaign.thermodynamics
            sampling = SamplingMaker(
                monte_carlo=campaign.monte_carlo,
                thermodynamics=ThermodynamicsMaker(thermodynamics=spec, seed=seed)
                if spec
                else None,
                seed=seed,
            )
        return cls(
            name=campaign.name,
            labelling=labelling,
            dataset=DatasetMaker(dataset=campaign.dataset, seed=seed),
            learning=learning,
            sampling=sampling,
        )

    def make(self, campaign: Campaign, text: str) -> Flow:
        """Return the flow of a campaign.

        Parameters
        ----------
        campaign
            The campaign; its sets are in the order of `labelling`.
        text
            The file as the user wrote it, kept as provenance.
        """
        alloy = campaign.alloy
        file: Any = route(self.campaign_file.make(campaign.name, text), CPU)
        parts: list[Any] = [file]
        structures: list[Any] = []
        labels: dict[str, list[Any]] = {"training": [], "held-out": []}
        for i, (spec, maker) in enumerate(zip(campaign.structures, self.labelling, strict=True)):
            # Sets are labelled in the order of the file.
            flow: Any = maker.make(spec.set, alloy, file.output, len(campaign.structures) - i)
            parts.append(flow)
            structures.append(flow.output["structures"])
            labels[spec.use].append(flow.output["labels"])
        dataset: Any = self.dataset.make(alloy, labels["training"], labels["held-out"], structures)
        _despite_missing_labels(dataset)
        parts.append(dataset)
        found: dict[str, Any] = {}
        if self.learning is not None:
            learning = self.learning.make(dataset.output)
            parts.append(learning)
            found |= learning.output
            if self.sampling is not None:
                family_name = self.learning.finetune.model.family
                sampling = self.sampling.make(
                    found["finetune"], dataset.output, alloy, category=family_name
                )
                parts.append(sampling)
                found |= sampling.output
        report: Any = self.report.make(
            file.output,
            structures,
            [*labels["training"], *labels["held-out"]],
            dataset.output,
            **found,
        )
        _despite_missing_labels(report)
        parts.append(report)
        whole = Flow(parts, output=report.output, name=self.name)
        whole.update_metadata(campaign_metadata(campaign.name, text))
        return whole


def _despite_missing_labels(job: Any) -> None:  # noqa: ANN401  Job is untyped
    """Route a job that takes lists of labels; one whose job failed is None there."""
    job.config.on_missing_references = OnMissing.NONE
    route(job, CPU, _allow_fizzled_parents=False)  # what it takes beside labels must be there


def campaign_metadata(name: str, text: str) -> dict[str, str]:
    """Return the metadata by which jobs and workflows of a campaign are found again."""
    return {"campaign": name, "campaign_sha256": text_sha256(text)}
