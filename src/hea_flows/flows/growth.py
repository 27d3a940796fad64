"""Training sets that are tried in their order until they do not help any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jobflow import Flow, Maker

from hea_flows.alloy.sets import set_name
from hea_flows.config import GrowthSpec, LabelSpec
from hea_flows.flows.labelling import LabellingMaker
from hea_flows.flows.learning import LearningMaker
from hea_flows.jobs.growth import GrowthDecisionMaker, grown_documents
from hea_flows.jobs.identity import stored_documents
from hea_flows.jobs.learning.benchmark import BenchmarkMaker
from hea_flows.jobs.learning.dataset import DatasetMaker
from hea_flows.jobs.learning.train import TrainMaker
from hea_flows.jobs.routing import CPU, despite_missing, or_fails, route
from hea_flows.schemas import (
    AlloySpec,
    Document,
    GrowthInputs,
    GrowthSources,
)


@dataclass
class GrowthStepMaker(Maker):
    """Label a set, train on it and all before it, and compare the models with a test set.

    Parameters
    ----------
    name
        Flow name.
    labelling
        Builds and labels the set.
    dataset
        Collects all sets so far.
    learning
        One Maker per seed.
    """

    name: str = "growth step"
    labelling: LabellingMaker = field(default_factory=LabellingMaker)
    dataset: DatasetMaker = field(default_factory=DatasetMaker)
    learning: list[LearningMaker] = field(default_factory=list)

    def make(self, expression: str, inputs: GrowthInputs, steps: list[GrowthSources]) -> Flow:
        """Return the flow of a step after the first, which is made while the campaign runs.

        Such a flow may refer to none but its own jobs, so that some of them stand for what is in
        the store. Its output is what `hea_flows.jobs.growth.GrowthDecisionMaker.follow` takes.

        Parameters
        ----------
        expression
            The set that is added.
        inputs
            What all steps need.
        steps
            Documents of the steps before.
        """
        beside = [labels for _, labels in inputs.beside]
        sets = _stand_in("sets", [s.structures for s in steps])
        labels = _stand_in("labels", [*beside, *(s.labels for s in steps)])
        test_set = _stand_in("test_set", [inputs.test_set])
        previous = _stand_in("benchmarks", steps[-1].benchmarks)
        jobs: list[Any] = [sets[0], labels[0], test_set[0], previous[0]]
        earlier = list(sets[1])
        if inputs.beside:
            others = _stand_in("other sets", [structures for structures, _ in inputs.beside])
            jobs.append(others[0])
            earlier += others[1]
        source = Document(kind="campaign", uuid=inputs.campaign_file)
        labelled: Any = self.labelling.make(expression, inputs.alloy, source, earlier=earlier)
        structures = [*sets[1], labelled.output["structures"]]
        every = [*labels[1], labelled.output["labels"]]
        learned: Any = self.learn(
            expression, len(steps) + 1, inputs.alloy, structures, every, test_set[1][0]
        )
        return Flow(
            [*jobs, labelled, learned],
            output=learned.output
            | {"structures": structures, "labels": every, "previous": previous[1]},
            name=f"{self.name} {len(steps) + 1}",
        )

    def learn(
        self,
        expression: str,
        number: int,
        alloy: AlloySpec,
        structures: Sequence[Any],
        labels: Sequence[Any],
        test_set: Any,  # noqa: ANN401
    ) -> Flow:
        """Return the flow from labels to errors; its output holds dataset, models, benchmarks."""
        dataset: Any = self.dataset.make(alloy, list(labels), list(structures))
        dataset.append_name(f" step {number}", dynamic=False)
        jobs: list[Any] = [despite_missing(dataset)]
        title = f"step {number}: {'+ ' if number > 1 else ''}{set_name(expression)}"
        learned = []
        for maker in self.learning:
            named = replace(maker, train=replace(maker.train, title=title))
            flow: Any = named.make(dataset.output, [test_set])
            jobs.append(flow)
            learned.append(flow.output)
        return Flow(
            jobs,
            output={
                "dataset": dataset.output,
                "trainings": [x["training"] for x in learned],
                "benchmarks": [x["benchmark"] for x in learned],
            },
            name=f"{self.name} {number}",
        )


@dataclass
class GrowthMaker(Maker):
    """Let a training set grow until the error stops falling by more than its own error.

    Parameters
    ----------
    name
        Flow name.
    decision
        Decides after each step, and holds the Maker of a step.
    """

    name: str = "growth"
    decision: GrowthDecisionMaker = field(
        default_factory=lambda: GrowthDecisionMaker(
            step=GrowthStepMaker(learning=[LearningMaker()])
        )
    )

    @classmethod
    def from_spec(
        cls,
        growth: GrowthSpec,
        *,
        labels: LabelSpec,
        dataset: DatasetMaker,
        train: TrainMaker,
        benchmark: BenchmarkMaker,
        seed: int,
    ) -> GrowthMaker:
        """Return the Maker that a section of a campaign file describes."""
        learning = [
            LearningMaker(
                train=replace(train, training=train.training.model_copy(update={"seed": s})),
                benchmark=benchmark,
            )
            for s in growth.seeds
        ]
        step = GrowthStepMaker(
            labelling=LabellingMaker.from_spec(growth.labels or labels, seed, reuse=train.reuse),
            dataset=dataset,
            learning=learning,
        )
        return cls(decision=GrowthDecisionMaker(growth=growth, step=step, seed=seed))

    def make(
        self,
        alloy: AlloySpec,
        source: Any,  # noqa: ANN401
        structures: Any,  # noqa: ANN401
        labels: Any,  # noqa: ANN401
        test_set: Any,  # noqa: ANN401
        beside: Sequence[tuple[Any, Any]] = (),
    ) -> Flow:
        """Return the flow of the first step; the decision after it adds the others.

        Its output holds lists of documents of all steps, by role; the document is in ``growth``.

        Parameters
        ----------
        alloy
            The host.
        source, structures, labels, test_set
            References to the campaign file, the first set, its list of labels and the test set.
        beside
            Structures and labels of other sets that are labelled in the same way.
        """
        inputs = GrowthInputs(
            alloy=alloy,
            campaign_file=source.uuid,
            test_set=test_set.uuid,
            beside=[(a.uuid, b.uuid) for a, b in beside],
        )
        every = [*(b for _, b in beside), labels]
        expression = self.decision.growth.sets[0]
        first: Any = self.decision.step.learn(expression, 1, alloy, [structures], every, test_set)
        made = first.output | {"structures": [structures], "labels": every}
        decided = self.decision.follow(made, inputs)
        everything: Any = or_fails(grown_documents(decided.output), CPU)
        return Flow([first, decided, everything], output=everything.output, name=self.name)


def _stand_in(what: str, uuids: Sequence[str]) -> tuple[Any, list[Any]]:
    """Return a job that stands for stored documents, and a reference to each."""
    one: Any = route(stored_documents(list(uuids)), CPU)
    one.name = f"known {what}"
    return one, [one.output[i] for i in range(len(uuids))]
