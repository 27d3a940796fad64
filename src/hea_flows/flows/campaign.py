"""The whole campaign: structures, labels, datasets, models, sampling, report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from jobflow import Flow, Job, Maker

from hea_flows.config import Campaign, campaign_sha256
from hea_flows.flows.composition import Composition
from hea_flows.flows.entries import (
    COMMITTEE,
    BinaryPhases,
    Collection,
    Foundation,
    GrowingSet,
    JoinedModels,
    LabelledSet,
    ModelCommittee,
    Parts,
    PhaseStability,
    Sampling,
    TrainedModel,
    UsableModel,
)
from hea_flows.jobs.campaign import CampaignFileMaker
from hea_flows.jobs.report import ReportMaker
from hea_flows.jobs.routing import CPU, JobLike, route, run_despite_missing_inputs


@dataclass
class CampaignMaker(Maker):
    """Compose the entries of a campaign.

    Parameters
    ----------
    name
        Flow name; `from_campaign` sets the campaign's.
    campaign_file
        Stores the file.
    sets
        Sets that are labelled, in this order.
    datasets
        What models are trained on.
    test_sets
        What models are compared with.
    models
        Models that are trained.
    foundations
        Models that are compared as they are.
    joined
        Committees that predict together.
    committees
        Models whose spread is judged: of several seeds, and members of committees.
    growth
        A training set that grows.
    monte_carlo
        Monte Carlo with one of the models.
    thermodynamics
        Phase stability with one of the models.
    phase_diagrams
        Phase diagrams of binaries with one of the models.
    report
        Writes the page.
    """

    name: str = "campaign"
    campaign_file: CampaignFileMaker = field(default_factory=CampaignFileMaker)
    sets: list[LabelledSet] = field(default_factory=list)
    datasets: list[Collection] = field(default_factory=list)
    test_sets: list[Collection] = field(default_factory=list)
    models: list[TrainedModel] = field(default_factory=list)
    foundations: list[Foundation] = field(default_factory=list)
    joined: list[JoinedModels] = field(default_factory=list)
    committees: list[ModelCommittee] = field(default_factory=list)
    growth: GrowingSet | None = None
    monte_carlo: Sampling | None = None
    thermodynamics: PhaseStability | None = None
    phase_diagrams: list[BinaryPhases] = field(default_factory=list)
    report: ReportMaker = field(default_factory=ReportMaker)

    @classmethod
    def from_campaign(cls, campaign: Campaign, *, reuse: bool = True) -> CampaignMaker:
        """Return the Maker that a campaign file describes.

        What can be known to fail is told now, before anything runs.

        Parameters
        ----------
        campaign
            The campaign.
        reuse
            Whether labels, models, benchmarks and chains that are in the store are taken from
            there.

        Raises
        ------
        ValueError, FileNotFoundError, ModuleNotFoundError
            For an unknown engine, option or model family, a training method that the family does
            not have, a dataset, checkpoint or replay file that is missing or has another checksum,
            or a package that is not installed.
        """
        entries = Composition(campaign, reuse=reuse)
        return cls(
            name=campaign.name,
            sets=entries.sets(),
            datasets=entries.datasets(),
            test_sets=entries.test_sets(),
            models=entries.models(),
            foundations=entries.foundations(),
            joined=entries.joined(),
            committees=entries.committees(),
            growth=entries.growth(),
            monte_carlo=entries.monte_carlo(),
            thermodynamics=entries.thermodynamics(),
            phase_diagrams=entries.phase_diagrams(),
        )

    def make(self, campaign: Campaign, text: str) -> Flow:
        """Return the flow of a campaign.

        Parameters
        ----------
        campaign
            The campaign that the Makers were made for.
        text
            The file as the user wrote it, kept as provenance.
        """
        alloy = campaign.alloy
        file = route(self.campaign_file.make(campaign.name, text), CPU)
        labelled: dict[str, JobLike] = {}
        for entry in self.sets:
            priority = len(self.sets) - len(labelled)
            labelled[entry.name] = entry.make(alloy, file.output, labelled, priority=priority)
        test_sets = {entry.name: entry.make(alloy, labelled) for entry in self.test_sets}
        datasets = {entry.name: entry.make(alloy, labelled) for entry in self.datasets}
        models = {entry.name: entry.make(datasets, test_sets) for entry in self.models}
        foundations = {entry.name: entry.make(test_sets) for entry in self.foundations}
        joined = {entry.name: entry.make(models, datasets, test_sets) for entry in self.joined}
        committees = [entry.make(models) for entry in self.committees]
        parts: list[JobLike] = [
            file,
            *labelled.values(),
            *test_sets.values(),
            *datasets.values(),
            *models.values(),
            *foundations.values(),
            *joined.values(),
            *committees,
        ]
        learned = [flow.output for flow in models.values()]
        outputs = [flow.output for flow in (*models.values(), *joined.values())]
        benchmarks = [output["benchmark"] for output in outputs if output["benchmark"] is not None]
        results: dict[str, object] = {
            "models": {name: [job.uuid] for name, job in foundations.items()}
            | {
                name: [x.uuid for x in flow.output.values() if x is not None]
                for name, flow in (models | joined).items()
            },
            "datasets": [job.output for job in datasets.values()],
            "test_sets": [job.output for job in test_sets.values()],
            "trainings": [output["training"] for output in learned],
            "committee_models": [flow.output["training"] for flow in joined.values()],
            "benchmarks": [*benchmarks, *(job.output for job in foundations.values())],
            "committees": [job.output for job in committees],
        }
        if self.growth is not None:
            grown = self.growth.make(alloy, file.output, labelled, test_sets)
            parts.append(grown)
            results["grown"] = grown.output
        usable = self._usable(models | joined, datasets, test_sets, foundations)
        if (chains := self.monte_carlo) is not None:
            job = chains.make(alloy, usable)
            parts.append(job)
            results["montecarlo"] = job.output
        if (phases := self.thermodynamics) is not None:
            sqs = phases.sqs.make(alloy, labelled) if phases.sqs is not None else None
            job = phases.make(alloy, usable, labelled, sqs)
            parts += [job] if sqs is None else [sqs, job]
            results["thermodynamics"] = job.output
            if sqs is not None:
                results["test_sets"] = [*(x.output for x in test_sets.values()), sqs.output]
        binaries = [entry.make(alloy, usable) for entry in self.phase_diagrams]
        parts += binaries
        results["phase_diagrams"] = [job.output for job in binaries]
        report = run_despite_missing_inputs(
            self.report.make(
                file.output,
                [flow.output["structures"] for flow in labelled.values()],
                [flow.output["labels"] for flow in labelled.values()],
                **results,
            )
        )
        whole = Flow([*parts, report], output=report.output, name=self.name)
        whole.update_metadata(campaign_metadata(campaign))
        return whole

    def _usable(
        self,
        models: Mapping[str, Flow],
        datasets: Parts,
        test_sets: Parts,
        foundations: Mapping[str, Job],
    ) -> dict[str, UsableModel]:
        """Return the models that Monte Carlo and thermodynamics may take, by name."""
        own = {one.name: (one.dataset, one.family) for one in self.models}
        own |= {one.name: (one.datasets[0], COMMITTEE) for one in self.joined}
        usable = {
            name: UsableModel(
                models[name].output["training"],
                datasets[dataset].output,
                models[name].output["benchmark"],
                category,
            )
            for name, (dataset, category) in own.items()
        }
        for entry in self.foundations:
            labels = next(iter(test_sets.values())).output
            compared = foundations[entry.name].output
            usable[entry.name] = UsableModel(entry.model, labels, compared, entry.model.family)
        return usable


def campaign_metadata(campaign: Campaign) -> dict[str, str]:
    """Return the metadata by which jobs and workflows of a campaign are found again."""
    return {"campaign": campaign.name, "campaign_sha256": campaign_sha256(campaign)}
