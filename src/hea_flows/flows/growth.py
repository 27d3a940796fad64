"""Training sets that are tried in their order until they do not help any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from jobflow import CURRENT_JOB, Flow, Job, Maker, OutputReference, Response

from hea_flows.alloy import stream
from hea_flows.config import GrowthSpec
from hea_flows.flows.growth_step import GrowthStepMaker, StepOutput
from hea_flows.jobs.added import name_all_added
from hea_flows.jobs.failures import result_job
from hea_flows.jobs.growth import grown_documents, growth_document, measured_step
from hea_flows.jobs.labelling.next_cost import next_point
from hea_flows.jobs.routing import CPU, route_result, run_despite_missing_inputs
from hea_flows.schemas import (
    AlloySpec,
    BenchmarkDoc,
    GrowthDoc,
    GrowthInputs,
    GrowthSources,
    GrowthStep,
    LabelDoc,
    StructuresDoc,
)

#: What a Maker without a campaign holds, as every field of a Maker has a default.
_DEFAULT = GrowthSpec(sets=["1(1)+2(2)", "3(3)"], test_set="held-out")


@dataclass
class GrowthDecisionMaker(Maker):
    """Compare a step with the one before it; stop, or add the jobs of the next one.

    Every decision of a growth is the same job, run again: its document tells how far the growth
    has come, and is whole when it says why it stopped.

    Parameters
    ----------
    name
        Job name.
    growth
        The sets, the test set, what counts as an improvement.
    step
        Makes a step.
    seed
        Seed of the bootstrap.
    """

    name: str = "growth"
    growth: GrowthSpec = field(default_factory=lambda: _DEFAULT.model_copy(deep=True))
    step: GrowthStepMaker = field(default_factory=GrowthStepMaker)
    seed: int = 0

    def follow(
        self, output: StepOutput, inputs: GrowthInputs, steps: Sequence[GrowthStep] = ()
    ) -> Job:
        """Return the job that decides after a step.

        Parameters
        ----------
        output
            The step's documents.
        inputs
            What all steps need.
        steps
            The steps before.
        """
        learned = output["learned"]
        sources = GrowthSources(
            structures=output["structures"][-1].uuid,
            labels=output["labels"][-1].uuid,
            dataset=learned["dataset"].uuid,
            trainings=[x.uuid for x in learned["trainings"]],
            benchmarks=[x.uuid for x in learned["benchmarks"]],
        )
        bare = replace(self, name=type(self).name)  # jobflow adds to it what it added to this job's
        following = bare.make(
            inputs,
            sources,
            list(steps),
            output["structures"],
            output["labels"],
            learned["dataset"].n_frames,
            learned["benchmarks"],
            output.get("previous"),
        )
        following.append_name(f" step {len(steps) + 1}", dynamic=False)
        run_despite_missing_inputs(following)
        following.config.pass_manager_config = False  # the jobs it adds have their own categories
        return following

    @result_job(output_schema=GrowthDoc)
    def make(
        self,
        inputs: GrowthInputs,
        sources: GrowthSources,
        steps: list[GrowthStep],
        structures: list[StructuresDoc],
        labels: list[list[LabelDoc | None]],
        n_frames: dict[str, int],
        benchmarks: list[BenchmarkDoc | None],
        previous: list[BenchmarkDoc] | None = None,
    ) -> Response[GrowthDoc]:
        """Decide after a step.

        Parameters
        ----------
        inputs
            What all steps need.
        sources
            The step's documents.
        steps
            The steps before.
        structures
            Sets of all steps so far.
        labels
            Their labels, and of sets that share structures with them.
        n_frames
            Of the dataset, by structure.
        benchmarks, previous
            Of the step's models and of those before.

        Raises
        ------
        ValueError
            If a model of the step is missing, or no structure of the test set is left that neither
            step was trained on.
        """
        complete = [bench for bench in benchmarks if bench is not None]
        seeds = {bench.seed for bench in complete}
        if missing := [str(seed) for seed in self.step.seeds if seed not in seeds]:
            msg = (
                f"growth, step {len(steps) + 1}: no result of the model of seed "
                f"{', '.join(missing)}, whose job failed; run again to go on"
            )
            raise ValueError(msg)
        rng = stream(self.seed, "growth", len(steps))
        step = measured_step(
            self.growth, sources, structures, labels, n_frames, complete, previous, rng
        )
        steps = [*steps, step]
        following = None
        if len(steps) < len(self.growth.sets):
            following = next_point(
                self.growth.sets[len(steps)],
                inputs.alloy,
                self.step.labelling.labels,
                structures,
                labels,
                stream(self.seed, "growth", len(steps), "label time"),
            )
        document = growth_document(
            self.growth, self.step.seeds, steps, inputs, following, self.seed
        )
        if document.stopped_because is not None:
            return Response(output=document)
        return Response(output=document, replace=self._next(inputs, steps))

    def _next(self, inputs: GrowthInputs, steps: list[GrowthStep]) -> Flow:
        """Return the next step and, as this job run again, the decision after it."""
        flow = self.step.make(self.growth.sets[len(steps)], inputs, [s.sources for s in steps])
        following = self.follow(flow.output, inputs, steps)
        current = CURRENT_JOB.job
        following.set_uuid(current.uuid)
        following.index = current.index + 1
        return name_all_added(Flow([flow, following], name=f"{self.name} step {len(steps) + 1}"))


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
    decision: GrowthDecisionMaker = field(default_factory=GrowthDecisionMaker)

    def make(
        self,
        alloy: AlloySpec,
        source: OutputReference,
        structures: OutputReference,
        labels: OutputReference,
        test_set: OutputReference,
        beside: Sequence[tuple[OutputReference, OutputReference]] = (),
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
        all_labels = [*(b for _, b in beside), labels]
        expression = self.decision.growth.sets[0]
        first = self.decision.step.learn(expression, 1, alloy, [structures], all_labels, test_set)
        output: StepOutput = {
            "structures": [structures],
            "labels": all_labels,
            "learned": first.output,
        }
        decided = self.decision.follow(output, inputs)
        grown = route_result(grown_documents(decided.output), CPU)
        return Flow([first, decided, grown], output=grown.output, name=self.name)
