"""One step of a training set that grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NotRequired, TypedDict

from jobflow import Flow, Job, Maker, OutputReference

from hea_flows.alloy.sets import set_name
from hea_flows.flows.labelling import LabellingMaker
from hea_flows.flows.learning import LearningMaker
from hea_flows.jobs.learning import DatasetMaker
from hea_flows.jobs.reuse import stored_documents
from hea_flows.jobs.routing import CPU, JobLike, route, run_despite_missing_inputs
from hea_flows.schemas import AlloySpec, Document, GrowthInputs, GrowthSources


class LearnedOutput(TypedDict):
    """References to what a step learned: its dataset, and one model and benchmark per seed."""

    dataset: OutputReference
    trainings: list[OutputReference]
    benchmarks: list[OutputReference]


class StepOutput(TypedDict):
    """References to the documents of a step.

    `structures` are the sets of all steps so far; `labels` are those of sets beside them, then
    theirs; `previous` are the benchmarks of the step before.
    """

    structures: list[OutputReference]
    labels: list[OutputReference]
    learned: LearnedOutput
    previous: NotRequired[list[OutputReference]]


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
    learning: list[LearningMaker] = field(default_factory=lambda: [LearningMaker()])

    @property
    def seeds(self) -> list[int]:
        """Seeds of the trainings."""
        return [maker.train.training.seed for maker in self.learning]

    def make(self, expression: str, inputs: GrowthInputs, steps: Sequence[GrowthSources]) -> Flow:
        """Return the flow of a step after the first, which is made while the campaign runs.

        Such a flow may refer to none but its own jobs, so that some of them stand for what is in
        the store. Its output is a `StepOutput`.

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
        sets = _stored("sets", [s.structures for s in steps])
        labels = _stored("labels", [*beside, *(s.labels for s in steps)])
        test_set = _stored("test set", [inputs.test_set])
        previous = _stored("benchmarks", steps[-1].benchmarks)
        jobs: list[JobLike] = [sets[0], labels[0], test_set[0], previous[0]]
        earlier = list(sets[1])
        if inputs.beside:
            others = _stored("other sets", [structures for structures, _ in inputs.beside])
            jobs.append(others[0])
            earlier += others[1]
        source = Document(kind="campaign", uuid=inputs.campaign_file)
        labelled = self.labelling.make(expression, inputs.alloy, source, earlier=earlier)
        structures = [*sets[1], labelled.output["structures"]]
        all_labels = [*labels[1], labelled.output["labels"]]
        number = len(steps) + 1
        learned = self.learn(
            expression, number, inputs.alloy, structures, all_labels, test_set[1][0]
        )
        output: StepOutput = {
            "structures": structures,
            "labels": all_labels,
            "learned": learned.output,
            "previous": previous[1],
        }
        return Flow([*jobs, labelled, learned], output=output, name=f"{self.name} {number}")

    def learn(
        self,
        expression: str,
        number: int,
        alloy: AlloySpec,
        structures: list[OutputReference],
        labels: list[OutputReference],
        test_set: OutputReference,
    ) -> Flow:
        """Return the flow from labels to errors; its output is a `LearnedOutput`."""
        dataset = self.dataset.make(alloy, labels, structures)
        dataset.append_name(f" step {number}", dynamic=False)
        jobs: list[JobLike] = [run_despite_missing_inputs(dataset)]
        title = f"step {number}: {'+ ' if number > 1 else ''}{set_name(expression)}"
        learned = []
        for maker in self.learning:
            named = replace(maker, train=replace(maker.train, title=title))
            flow = named.make(dataset.output, [test_set])
            jobs.append(flow)
            learned.append(flow.output)
        output: LearnedOutput = {
            "dataset": dataset.output,
            "trainings": [x["training"] for x in learned],
            "benchmarks": [x["benchmark"] for x in learned],
        }
        return Flow(jobs, output=output, name=f"{self.name} {number}")


def _stored(what: str, uuids: Sequence[str]) -> tuple[Job, list[OutputReference]]:
    """Return a job that stands for stored documents, and a reference to each."""
    one = route(stored_documents(list(uuids)), CPU)
    one.name = f"stored {what}"
    return one, [one.output[i] for i in range(len(uuids))]
