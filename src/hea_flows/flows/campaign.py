"""The whole campaign: structures, labels, datasets, models, sampling, report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from jobflow import Flow, Maker

from hea_flows.alloy.thermodynamics import require_phonopy
from hea_flows.config import (
    Campaign,
    CampaignPlan,
    ModelPlan,
    SetPlan,
    TestSetPlan,
    plan_campaign,
    text_sha256,
)
from hea_flows.flows.entries import (
    Collection,
    Foundation,
    GrowingSet,
    LabelledSet,
    ModelCommittee,
    PhaseStability,
    Sampling,
    TrainedModel,
)
from hea_flows.flows.growth import GrowthDecisionMaker, GrowthMaker
from hea_flows.flows.growth_step import GrowthStepMaker
from hea_flows.flows.labelling import LabellingMaker
from hea_flows.flows.learning import LearningMaker
from hea_flows.jobs.campaign import CampaignFileMaker
from hea_flows.jobs.learning.benchmark import BenchmarkMaker
from hea_flows.jobs.learning.committee import CommitteeMaker
from hea_flows.jobs.learning.dataset import DatasetMaker
from hea_flows.jobs.learning.test_set import TestSetMaker
from hea_flows.jobs.learning.train import TrainMaker
from hea_flows.jobs.report import ReportMaker
from hea_flows.jobs.routing import CPU, JobLike, route, run_despite_missing_inputs
from hea_flows.jobs.sampling.montecarlo import MonteCarloMaker
from hea_flows.jobs.thermodynamics.maker import ThermodynamicsMaker
from hea_flows.potentials.base import family
from hea_flows.potentials.training import methods
from hea_flows.schemas import ModelSpec, TrainingSettings


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
    committees
        Models of several seeds.
    growth
        A training set that grows.
    monte_carlo
        Monte Carlo with one of the models.
    thermodynamics
        Phase stability with one of the models.
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
    committees: list[ModelCommittee] = field(default_factory=list)
    growth: GrowingSet | None = None
    monte_carlo: Sampling | None = None
    thermodynamics: PhaseStability | None = None
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
        seed, plan = campaign.seed, plan_campaign(campaign)
        benchmark = BenchmarkMaker(benchmark=campaign.benchmark, seed=seed, reuse=reuse)
        dataset = DatasetMaker(dataset=campaign.dataset, seed=seed)
        datasets = {_joined(model.sets): model.sets for model in plan.models}
        if not datasets and plan.training_sets:  # without a model, one of all training sets
            datasets = {_joined(plan.training_sets): plan.training_sets}
        for model in plan.foundations.values():
            _checked(model)
        seeds: dict[str, list[ModelPlan]] = {}
        for one in plan.models:
            seeds.setdefault(one.name, []).append(one)
        return cls(
            name=campaign.name,
            sets=[_labelled_set(one, plan, campaign, reuse=reuse) for one in plan.sets],
            datasets=[
                Collection(name, _names(sets), _names(plan.label_sources(sets)), dataset)
                for name, sets in datasets.items()
            ],
            test_sets=[_test_set(one, plan) for one in plan.test_sets],
            models=[
                TrainedModel(
                    one.label,
                    _joined(one.sets),
                    LearningMaker(
                        train=_train_maker(one.model, one.settings, title=one.name, reuse=reuse),
                        benchmark=benchmark,
                    ),
                )
                for one in plan.models
            ],
            foundations=[
                Foundation(name, model, replace(benchmark, title=name))
                for name, model in plan.foundations.items()
            ],
            committees=[
                ModelCommittee(name, [one.label for one in several], CommitteeMaker(seed=seed))
                for name, several in seeds.items()
                if len(several) > 1 and plan.test_sets
            ],
            growth=_growing_set(plan, campaign, dataset, benchmark, reuse=reuse),
            monte_carlo=_sampling(plan, campaign, reuse=reuse),
            thermodynamics=_phase_stability(plan, campaign),
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
        committees = [entry.make(models) for entry in self.committees]
        parts: list[JobLike] = [
            file,
            *labelled.values(),
            *test_sets.values(),
            *datasets.values(),
            *models.values(),
            *foundations.values(),
            *committees,
        ]
        learned = [flow.output for flow in models.values()]
        benchmarks = [output["benchmark"] for output in learned if output["benchmark"] is not None]
        results: dict[str, object] = {
            "models": {name: [job.uuid] for name, job in foundations.items()}
            | {name: [x.uuid for x in flow.output.values() if x] for name, flow in models.items()},
            "datasets": [job.output for job in datasets.values()],
            "test_sets": [job.output for job in test_sets.values()],
            "trainings": [output["training"] for output in learned],
            "benchmarks": [*benchmarks, *(job.output for job in foundations.values())],
            "committees": [job.output for job in committees],
        }
        if self.growth is not None:
            grown = self.growth.make(alloy, file.output, labelled, test_sets)
            parts.append(grown)
            results["grown"] = grown.output
        entries = {entry.name: entry for entry in self.models}
        if (sampling := self.monte_carlo) is not None:
            job = sampling.make(alloy, entries[sampling.model], models, datasets)
            parts.append(job)
            results["montecarlo"] = job.output
        if (phases := self.thermodynamics) is not None:
            sqs = phases.sqs.make(alloy, labelled) if phases.sqs is not None else None
            job = phases.make(alloy, entries[phases.model], models, datasets, labelled, sqs)
            parts += [job] if sqs is None else [sqs, job]
            results["thermodynamics"] = job.output
            if sqs is not None:
                results["test_sets"] = [*(x.output for x in test_sets.values()), sqs.output]
        report = run_despite_missing_inputs(
            self.report.make(
                file.output,
                [flow.output["structures"] for flow in labelled.values()],
                [flow.output["labels"] for flow in labelled.values()],
                **results,
            )
        )
        whole = Flow([*parts, report], output=report.output, name=self.name)
        whole.update_metadata(campaign_metadata(campaign.name, text))
        return whole


def _labelled_set(
    one: SetPlan, plan: CampaignPlan, campaign: Campaign, *, reuse: bool
) -> LabelledSet:
    """Return the entry of a set after making sure that its engine can label it."""
    maker = LabellingMaker.from_spec(one.labels, campaign.seed, reuse=reuse)
    if check := getattr(maker.labels.engine(), "check", None):  # an engine may have none
        check(campaign.alloy)
    return LabelledSet(one.name, one.expression, _names(plan.labelled_before(one)), maker)


def _test_set(one: TestSetPlan, plan: CampaignPlan) -> Collection:
    labels = plan.label_sources(one.sets, end_points=True)
    maker = TestSetMaker(test_set=one.name, relaxed=one.relaxed)
    return Collection(one.name, _names(one.sets), _names(labels), maker)


def _growing_set(
    plan: CampaignPlan,
    campaign: Campaign,
    dataset: DatasetMaker,
    benchmark: BenchmarkMaker,
    *,
    reuse: bool,
) -> GrowingSet | None:
    if (growth := plan.growth) is None:
        return None
    learning = [
        LearningMaker(train=_train_maker(growth.model, settings, reuse=reuse), benchmark=benchmark)
        for settings in growth.trainings
    ]
    labelling = LabellingMaker.from_spec(growth.first.labels, campaign.seed, reuse=reuse)
    step = GrowthStepMaker(labelling=labelling, dataset=dataset, learning=learning)
    decision = GrowthDecisionMaker(growth=growth.spec, step=step, seed=campaign.seed)
    return GrowingSet(
        growth.first.name,
        _names(growth.beside),
        growth.test_set.name,
        GrowthMaker(decision=decision),
    )


def _sampling(plan: CampaignPlan, campaign: Campaign, *, reuse: bool) -> Sampling | None:
    if (spec := campaign.monte_carlo) is None:
        return None
    spec.cell(campaign.alloy.to_alloy())
    maker = MonteCarloMaker(monte_carlo=spec, seed=campaign.seed, reuse=reuse)
    return Sampling(plan.model(spec.model).label, maker)


def _phase_stability(plan: CampaignPlan, campaign: Campaign) -> PhaseStability | None:
    if (spec := campaign.thermodynamics) is None:
        return None
    if spec.vibrations:
        require_phonopy()
    sqs = None
    if plan.sqs is not None:
        sqs = _test_set(TestSetPlan("SQS", (plan.sqs,), relaxed=False), plan)
    maker = ThermodynamicsMaker(thermodynamics=spec, seed=campaign.seed)
    return PhaseStability(plan.model(spec.model).label, maker, sqs)


def _names(sets: Iterable[SetPlan]) -> list[str]:
    return [one.name for one in sets]


def _joined(sets: Iterable[SetPlan]) -> str:
    """Return the name of a dataset: models that share their sets share it."""
    return ", ".join(_names(sets))


def _train_maker(
    model: ModelSpec, settings: TrainingSettings, *, title: str = "", reuse: bool
) -> TrainMaker:
    """Return the Maker of a training after making sure that its method is one of the family's."""
    model = _checked(model)
    methods.check(family(model.family), model if model.pretrained else None, settings)
    settings = methods.resolve(settings)
    return TrainMaker(model=model, training=settings, title=title, reuse=reuse)


def _checked(model: ModelSpec) -> ModelSpec:
    """Return a model after making sure that its family, and its file if one is given, are there."""
    engine = family(model.family)
    return engine.resolve(model) if model.path is not None else model


def campaign_metadata(name: str, text: str) -> dict[str, str]:
    """Return the metadata by which jobs and workflows of a campaign are found again."""
    return {"campaign": name, "campaign_sha256": text_sha256(text)}
