"""The whole campaign: structures, labels, datasets, models, sampling, report."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from jobflow import Flow, Maker

from hea_flows.alloy.thermodynamics import require_phonopy
from hea_flows.config import Campaign, Plan, plan, text_sha256
from hea_flows.flows.growth import GrowthMaker
from hea_flows.flows.labelling import LabellingMaker
from hea_flows.flows.learning import LearningMaker
from hea_flows.flows.sampling import SamplingMaker
from hea_flows.jobs.campaign import CampaignFileMaker
from hea_flows.jobs.learning.benchmark import BenchmarkMaker
from hea_flows.jobs.learning.committee import CommitteeMaker
from hea_flows.jobs.learning.dataset import DatasetMaker
from hea_flows.jobs.learning.test_set import TestSetMaker
from hea_flows.jobs.learning.train import TrainMaker
from hea_flows.jobs.report import ReportMaker
from hea_flows.jobs.routing import CPU, despite_missing, never_waiting, or_fails, route
from hea_flows.jobs.sampling.montecarlo import MonteCarloMaker
from hea_flows.jobs.thermodynamics.maker import ThermodynamicsMaker
from hea_flows.potentials.base import family
from hea_flows.potentials.training import methods
from hea_flows.schemas import ModelSpec, TrainingSettings


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
        One Maker per set of structures, in the order of `hea_flows.config.Plan.sets`.
    dataset
        Collects the labels that a model is trained on.
    test_sets
        Collect the labels that models are compared with.
    learning
        One Maker per model; none stops after the labels.
    foundations
        Models that are compared as they are, and what compares them.
    committee
        Judges models of which there are several seeds.
    growth
        Lets a training set grow; None leaves it out.
    sampling
        With the first model; None leaves sampling out.
    sqs
        Collects the labels of the quasirandom structures, where the campaign asks for them.
    report
        Writes the page.
    """

    name: str = "campaign"
    campaign_file: CampaignFileMaker = field(default_factory=CampaignFileMaker)
    labelling: list[LabellingMaker] = field(default_factory=list)
    dataset: DatasetMaker = field(default_factory=DatasetMaker)
    test_sets: list[TestSetMaker] = field(default_factory=list)
    learning: list[LearningMaker] = field(default_factory=list)
    foundations: list[BenchmarkMaker] = field(default_factory=list)
    committee: CommitteeMaker = field(default_factory=CommitteeMaker)
    growth: GrowthMaker | None = None
    sampling: SamplingMaker | None = None
    sqs: TestSetMaker = field(default_factory=lambda: TestSetMaker(test_set="SQS", relaxed=False))
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
        seed, work = campaign.seed, plan(campaign)
        labelling = [LabellingMaker.from_spec(s.labels, seed, reuse=reuse) for s in work.sets]
        for maker in labelling:
            maker.labels.reference.check(campaign.alloy)
        for model in work.foundations.values():
            _checked(model)
        benchmark = BenchmarkMaker(benchmark=campaign.benchmark, seed=seed, reuse=reuse)
        dataset = DatasetMaker(dataset=campaign.dataset, seed=seed)
        growth = sampling = None
        if campaign.grow is not None and campaign.model is not None:
            growth = GrowthMaker.from_spec(
                campaign.grow,
                labels=campaign.labels,
                dataset=dataset,
                train=_train_maker(campaign.model, campaign.training, reuse=reuse),
                benchmark=benchmark,
                seed=seed,
            )
        if campaign.monte_carlo or campaign.thermodynamics:
            chains, phases = campaign.monte_carlo, campaign.thermodynamics
            if chains:
                chains.cell(campaign.alloy.to_alloy())
            if phases and phases.vibrations:
                require_phonopy()
            sampling = SamplingMaker(
                monte_carlo=MonteCarloMaker(monte_carlo=chains, seed=seed, reuse=reuse)
                if chains
                else None,
                thermodynamics=ThermodynamicsMaker(thermodynamics=phases, seed=seed)
                if phases
                else None,
            )
        return cls(
            name=campaign.name,
            labelling=labelling,
            dataset=dataset,
            test_sets=[TestSetMaker(test_set=d.name, relaxed=d.relaxed) for d in work.test_sets],
            learning=[
                LearningMaker(
                    train=_train_maker(t.model, t.settings, title=t.name, reuse=reuse),
                    benchmark=benchmark,
                )
                for t in work.trainings
            ],
            committee=CommitteeMaker(seed=seed),
            foundations=[replace(benchmark, title=name) for name in work.foundations],
            growth=growth,
            sampling=sampling,
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
        file: Any = route(self.campaign_file.make(campaign.name, text), CPU)
        made = _Made(plan(campaign), campaign, [file])
        made.label(self.labelling, file.output)
        test_sets = made.test_sets(self.test_sets)
        learned = made.learn(self.learning, self.dataset, test_sets)
        compared = made.compare(self.foundations, test_sets)
        found: dict[str, Any] = {
            "models": made.models(learned, compared),
            "datasets": made.datasets(self.dataset),
            "test_sets": test_sets,
            "trainings": [x["training"] for x in learned],
            "benchmarks": [x["benchmark"] for x in learned if x["benchmark"]] + compared,
            "committees": made.judge(self.committee, learned),
        }
        if self.growth is not None:
            found["grown"] = made.grow(self.growth, file.output, test_sets)
        if self.sampling is not None:
            family_name = self.learning[0].train.model.family
            cells, labels = made.quasirandom(self.sqs)
            sampling = self.sampling.make(
                learned[0]["training"],
                found["datasets"][0],
                campaign.alloy,
                category=family_name,
                benchmark=learned[0]["benchmark"],
                cells=cells,
                reference=labels,
            )
            made.parts.append(never_waiting(sampling))
            found["test_sets"] = [*test_sets, *([labels] if labels else [])]
            found |= sampling.output
        report: Any = self.report.make(file.output, made.structures, made.labels, **found)
        despite_missing(report)
        made.parts.append(report)
        whole = Flow(made.parts, output=report.output, name=self.name)
        whole.update_metadata(campaign_metadata(campaign.name, text))
        return whole


@dataclass
class _Made:
    """The flow of a campaign while it is put together."""

    plan: Plan
    campaign: Campaign
    parts: list[Any]
    structures: list[Any] = field(default_factory=list)
    labels: list[Any] = field(default_factory=list)
    _datasets: dict[tuple[int, ...], Any] = field(default_factory=dict)

    def label(self, makers: list[LabellingMaker], source: Any) -> None:  # noqa: ANN401
        """Build and label every set, in the order of the file; shared structures once."""
        for i, (spec, maker) in enumerate(zip(self.plan.sets, makers, strict=True)):
            flow: Any = maker.make(
                spec.expression,
                self.campaign.alloy,
                source,
                priority=len(self.plan.sets) - i,
                earlier=[self.structures[k] for k in self.plan.earlier(i)],
            )
            self.parts.append(flow)
            self.structures.append(flow.output["structures"])
            self.labels.append(flow.output["labels"])

    def _collect(self, maker: Any, sets: tuple[int, ...], *, end_points: bool = False) -> Any:  # noqa: ANN401
        labels = [self.labels[k] for k in self.plan.providers(sets, end_points=end_points)]
        job = maker.make(self.campaign.alloy, labels, [self.structures[k] for k in sets])
        despite_missing(job)
        self.parts.append(job)
        return job

    def test_sets(self, makers: list[TestSetMaker]) -> list[Any]:
        """Collect what models are compared with."""
        found = []
        for spec, maker in zip(self.plan.test_sets, makers, strict=True):
            job = self._collect(maker, spec.sets, end_points=True)
            job.append_name(f" {spec.name}", dynamic=False)
            found.append(job.output)
        return found

    def quasirandom(self, maker: TestSetMaker) -> tuple[Any, Any]:
        """Return the SQS and their labels; None and None where they are not labelled."""
        if self.plan.sqs is None:
            return None, None
        job = self._collect(maker, (self.plan.sqs,), end_points=True)
        job.append_name(" SQS", dynamic=False)
        return self.structures[self.plan.sqs], job.output

    def dataset(self, maker: DatasetMaker, sets: tuple[int, ...]) -> Any:  # noqa: ANN401
        """Collect what a model is trained on; models that share their sets share it."""
        if sets not in self._datasets:
            self._datasets[sets] = self._collect(maker, sets).output
        return self._datasets[sets]

    def datasets(self, maker: DatasetMaker) -> list[Any]:
        """Return the datasets; without a model, one of all training sets."""
        if not self._datasets and (own := self.plan.training_sets):
            self.dataset(maker, own)
        return list(self._datasets.values())

    def learn(
        self, makers: list[LearningMaker], dataset: DatasetMaker, test_sets: list[Any]
    ) -> list[Any]:
        """Train and compare every model."""
        found = []
        for spec, maker in zip(self.plan.trainings, makers, strict=True):
            flow: Any = maker.make(self.dataset(dataset, spec.sets), test_sets)
            self.parts.append(flow)
            found.append(flow.output)
        return found

    def judge(self, maker: CommitteeMaker, learned: list[Any]) -> list[Any]:
        """Judge the committees of models with several seeds."""
        named: dict[str, list[Any]] = {}
        for spec, output in zip(self.plan.trainings, learned, strict=True):
            named.setdefault(spec.name, []).append(output["benchmark"])
        found = []
        for name, benchmarks in named.items():
            if len(benchmarks) > 1 and self.plan.test_sets:
                job: Any = maker.make(benchmarks)
                job.append_name(f" {name}", dynamic=False)
                self.parts.append(despite_missing(job))
                found.append(job.output)
        return found

    def compare(self, makers: list[BenchmarkMaker], test_sets: list[Any]) -> list[Any]:
        """Compare foundations as they are."""
        found = []
        for (name, model), maker in zip(self.plan.foundations.items(), makers, strict=True):
            job: Any = maker.make(test_sets, foundation=model)
            job.append_name(f" {name}", dynamic=False)
            self.parts.append(or_fails(job, model.family))
            found.append(job.output)
        return found

    def models(self, learned: list[Any], compared: list[Any]) -> dict[str, list[str]]:
        """Return the jobs of every model, in their order, by its name in the report."""
        names = [spec.name for spec in self.plan.trainings]
        found = dict(zip(self.plan.foundations, ([x.uuid] for x in compared), strict=True))
        for spec, output in zip(self.plan.trainings, learned, strict=True):
            seed = f", seed {spec.settings.seed}" if names.count(spec.name) > 1 else ""
            jobs = [output["training"], output["benchmark"]]
            found[f"{spec.name}{seed}"] = [x.uuid for x in jobs if x is not None]
        return found

    def grow(self, maker: GrowthMaker, source: Any, test_sets: list[Any]) -> Any:  # noqa: ANN401
        """Let a training set grow; return everything that its steps make, by role."""
        spec = self.plan.growth
        assert spec is not None  # a Maker of a campaign with such a section
        flow: Any = maker.make(
            self.campaign.alloy,
            source,
            self.structures[spec.first],
            self.labels[spec.first],
            test_sets[spec.test_set],
            [(self.structures[i], self.labels[i]) for i in spec.beside],
        )
        self.parts.append(flow)
        return flow.output


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
