"""From the plan of a campaign to its entries; what can be known to fail is told here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hea_flows.config import Campaign, SetPlan, TestSetPlan, plan_campaign
from hea_flows.flows.entries import (
    BinaryPhases,
    Collection,
    Foundation,
    GrowingSet,
    JoinedModels,
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
from hea_flows.flows.requirements import (
    check_monte_carlo,
    check_phase_diagram,
    check_thermodynamics,
    checked_labels,
    checked_learning,
    checked_model,
)
from hea_flows.jobs.learning import (
    BenchmarkMaker,
    CommitteeMaker,
    CommitteeModelMaker,
    DatasetMaker,
    TestSetMaker,
    TrainMaker,
)
from hea_flows.jobs.phases import PhaseDiagramMaker
from hea_flows.jobs.sampling import MonteCarloMaker
from hea_flows.jobs.thermodynamics import ThermodynamicsMaker
from hea_flows.potentials import family
from hea_flows.schemas import ModelSpec, TrainingSettings


class Composition:
    """The entries of a campaign.

    Parameters
    ----------
    campaign
        The campaign.
    reuse
        Whether results that are in the store are taken from there.
    """

    def __init__(self, campaign: Campaign, *, reuse: bool) -> None:
        self.campaign, self.reuse = campaign, reuse
        self.plan, self.seed = plan_campaign(campaign), campaign.seed
        self.benchmark = BenchmarkMaker(
            benchmark=campaign.benchmark, seed=campaign.seed, reuse=reuse
        )
        self.dataset = DatasetMaker(dataset=campaign.dataset, seed=campaign.seed)

    def sets(self) -> list[LabelledSet]:
        """Return the sets, after making sure that their engines can label them."""
        entries = []
        for one in self.plan.sets:
            checked_labels(one.labels, self.campaign.alloy)
            maker = LabellingMaker.from_spec(one.labels, self.seed, reuse=self.reuse)
            earlier = _names(self.plan.labelled_before(one))
            entries.append(LabelledSet(one.name, one.expression, earlier, maker))
        return entries

    def datasets(self) -> list[Collection]:
        """Return the datasets of all models; without a model, one of all training sets."""
        sets = {_dataset_name(model.sets): model.sets for model in self.plan.models}
        if not sets and (training := self.plan.training_sets):
            sets = {_dataset_name(training): training}
        return [
            Collection(name, _names(own), _names(self.plan.label_sources(own)), self.dataset)
            for name, own in sets.items()
        ]

    def test_sets(self) -> list[Collection]:
        """Return the test sets."""
        return [self._test_set(one) for one in self.plan.test_sets]

    def _test_set(self, one: TestSetPlan) -> Collection:
        labels = self.plan.label_sources(one.sets, end_points=True)
        maker = TestSetMaker(test_set=one.name, relaxed=one.relaxed)
        return Collection(one.name, _names(one.sets), _names(labels), maker)

    def models(self) -> list[TrainedModel]:
        """Return the models that are trained, one per seed."""
        return [
            TrainedModel(
                one.title,
                _dataset_name(one.sets),
                self._learning(one.model, one.settings, title=one.name),
            )
            for one in self.plan.models
        ]

    def _learning(
        self, model: ModelSpec, settings: TrainingSettings, *, title: str = ""
    ) -> LearningMaker:
        """Return the Maker of a model after making sure that its family has its method."""
        model, settings = checked_learning(model, settings)
        train = TrainMaker(model=model, training=settings, title=title, reuse=self.reuse)
        return LearningMaker(train=train, benchmark=self.benchmark)

    def foundations(self) -> list[Foundation]:
        """Return the models that are compared as they are."""
        return [
            Foundation(name, checked_model(model), replace(self.benchmark, title=name))
            for name, model in self.plan.foundations.items()
        ]

    def joined(self) -> list[JoinedModels]:
        """Return the committees that predict together; their members have forces."""
        for one in self.plan.committees:
            for member in one.models:
                if not family(member.model.family).relaxes:
                    msg = (
                        f"model {one.name!r}: {member.title} has no forces, so it is no member of "
                        "a committee"
                    )
                    raise ValueError(msg)
        return [
            JoinedModels(
                one.name,
                [member.title for member in one.models],
                list(dict.fromkeys(_dataset_name(member.sets) for member in one.models)),
                CommitteeModelMaker(title=one.name, weights=one.weights),
                self.benchmark,
            )
            for one in self.plan.committees
        ]

    def committees(self) -> list[ModelCommittee]:
        """Return whose spread is judged: models of several seeds, and committees."""
        members: dict[str, list[str]] = {}
        for one in self.plan.models:
            members.setdefault(one.name, []).append(one.title)
        for committee in self.plan.committees:
            members[committee.name] = [member.title for member in committee.models]
        return [
            ModelCommittee(name, titles, CommitteeMaker(seed=self.seed, title=name))
            for name, titles in members.items()
            if len(titles) > 1 and self.plan.test_sets
        ]

    def growth(self) -> GrowingSet | None:
        """Return the training set that grows."""
        if (growth := self.plan.growth) is None:
            return None
        step = GrowthStepMaker(
            labelling=LabellingMaker.from_spec(growth.first.labels, self.seed, reuse=self.reuse),
            dataset=self.dataset,
            learning=[self._learning(growth.model, settings) for settings in growth.trainings],
        )
        decision = GrowthDecisionMaker(growth=growth.spec, step=step, seed=self.seed)
        return GrowingSet(
            growth.first.name,
            _names(growth.beside),
            growth.test_set.name,
            GrowthMaker(decision=decision),
        )

    def monte_carlo(self) -> Sampling | None:
        """Return the Monte Carlo, after making sure that the alloy fits its supercell."""
        if (spec := self.campaign.monte_carlo) is None:
            return None
        check_monte_carlo(spec, self.campaign.alloy)
        maker = MonteCarloMaker(monte_carlo=spec, seed=self.seed, reuse=self.reuse)
        return Sampling(self.plan.model(spec.model).title, maker)

    def thermodynamics(self) -> PhaseStability | None:
        """Return the thermodynamics, after making sure of its cells and what it needs."""
        if (spec := self.campaign.thermodynamics) is None:
            return None
        check_thermodynamics(spec, self.campaign)
        sqs = None
        if self.plan.sqs is not None:
            sqs = self._test_set(TestSetPlan("SQS", (self.plan.sqs,), relaxed=False))
        maker = ThermodynamicsMaker(thermodynamics=spec, seed=self.seed)
        return PhaseStability(self.plan.model(spec.model).title, maker, sqs)

    def phase_diagrams(self) -> list[BinaryPhases]:
        """Return the binary phase diagrams, after making sure of their pairs and cells."""
        if (spec := self.campaign.phase_diagram) is None:
            return []
        check_phase_diagram(spec, self.campaign.alloy)
        model = self.plan.model(spec.model).title
        pairs = spec.pairs_of(self.campaign.alloy.to_alloy())
        maker = PhaseDiagramMaker(phase_diagram=spec, seed=self.seed, reuse=self.reuse)
        return [BinaryPhases(model, replace(maker, pair=list(pair))) for pair in pairs]


def _names(sets: Iterable[SetPlan]) -> list[str]:
    return [one.name for one in sets]


def _dataset_name(sets: Iterable[SetPlan]) -> str:
    """Return the name of a dataset: models that share their sets share it."""
    return ", ".join(_names(sets))
