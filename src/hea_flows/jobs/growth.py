"""Growth: is the training set large enough? If not, the jobs of the next set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jobflow import CURRENT_JOB, Flow, Maker, OutputReference, Response, job

from hea_flows.alloy.errors import decide, recommended, step_error
from hea_flows.config import GrowthSpec
from hea_flows.jobs.labelling.next_cost import hours_of, next_point
from hea_flows.jobs.routing import despite_missing
from hea_flows.provenance import provenance
from hea_flows.schemas import (
    BenchmarkDoc,
    GrowthDoc,
    GrowthInputs,
    GrowthSources,
    GrowthStep,
    LabelDoc,
    StructuresDoc,
)
from hea_flows.schemas.growth import Stopped

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
        The Maker of a step (`hea_flows.flows.growth.GrowthStepMaker`).
    seed
        Seed of the bootstrap.
    """

    name: str = "growth"
    growth: GrowthSpec = field(default_factory=lambda: _DEFAULT.model_copy(deep=True))
    step: Any = None
    seed: int = 0

    def follow(
        self, made: dict[str, Any], inputs: GrowthInputs, steps: Sequence[GrowthStep] = ()
    ) -> Any:  # noqa: ANN401  Job is untyped
        """Return the job that decides after a step.

        Parameters
        ----------
        made
            References to the step's documents: lists of ``structures`` of every step and of
            ``labels``, those beside first, ``dataset``, ``finetunes`` and ``benchmarks``, and the
            ``previous`` step's benchmarks.
        inputs
            What all steps need.
        steps
            The steps before.
        """
        sources = GrowthSources(
            structures=made["structures"][-1].uuid,
            labels=made["labels"][-1].uuid,
            dataset=made["dataset"].uuid,
            trainings=[x.uuid for x in made["trainings"]],
            benchmarks=[x.uuid for x in made["benchmarks"]],
        )
        bare = replace(self, name=type(self).name)  # jobflow adds to it what it added to this job's
        following: Any = bare.make(
            inputs,
            sources,
            list(steps),
            made["structures"],
            made["labels"],
            made["dataset"].n_frames,
            made["benchmarks"],
            made.get("previous"),
        )
        following.append_name(f" step {len(steps) + 1}", dynamic=False)
        despite_missing(following)
        following.config.pass_manager_config = False  # the jobs it adds have their own categories
        return following

    @job(output_schema=GrowthDoc)
    def make(
        self,
        inputs: GrowthInputs,
        sources: GrowthSources,
        steps: list[GrowthStep],
        structures: list[StructuresDoc],
        labels: list[list[LabelDoc | None]],
        n_frames: dict[str, int],
        benchmarks: list[BenchmarkDoc],
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
        self._check_complete(len(steps) + 1, benchmarks)
        rng = np.random.default_rng([self.seed, len(steps)])
        errors = self._errors(benchmarks)
        own = step_error(errors, rng)
        told: dict[str, Any] = {
            "change_mev": None,
            "change_interval_mev": None,
            "p_value": None,
            "improved": False,
        }
        if previous is not None:
            decision = decide(self._errors(previous), errors, rng, tolerance=self.growth.tolerance)
            change = decision.change
            told = {
                "change_mev": change.value,
                "change_interval_mev": (change.low, change.high),
                "p_value": change.p_value,
                "improved": decision.improved,
            }
        known = {e.structure_id for doc in structures[:-1] for e in doc.structures}
        new = {e.structure_id for e in structures[-1].structures} - known
        hours, n_timed = hours_of(labels, new)
        step = GrowthStep(
            expression=structures[-1].expression,
            sources=sources,
            n_new=len(new),
            n_structures=len(n_frames),
            n_frames=sum(n_frames.values()),
            n_compared=own.n,
            n_failed=self._failed(benchmarks),
            mae_mev=own.mae,
            mae_interval_mev=(own.low, own.high),
            mae_by_seed_mev=list(own.by_seed),
            **told,
            label_hours=hours,
            n_timed=n_timed,
        )
        document = self._document([*steps, step], inputs, structures, labels)
        if document.stopped_because is not None:
            return Response(output=document)
        return Response(output=document, replace=self._next(inputs, document.steps))

    def _check_complete(self, step: int, benchmarks: Sequence[BenchmarkDoc | None]) -> None:
        seeds = zip(self.growth.seeds, benchmarks, strict=True)
        if missing := [str(seed) for seed, benchmark in seeds if benchmark is None]:
            msg = (
                f"growth, step {step}: no result of the model of seed {', '.join(missing)}, whose "
                "job failed; run again to go on"
            )
            raise ValueError(msg)

    def _errors(self, benchmarks: Sequence[BenchmarkDoc]) -> list[dict[str, float]]:
        """Return of each seed the errors of alloyed structures that it was not trained on."""
        found = []
        for bench in benchmarks:
            points = bench.fixed if self.growth.geometry == "fixed" else bench.relaxed
            found.append(
                {
                    p.structure_id: p.model_mixing_mev - p.reference_mixing_mev
                    for p in points
                    if p.test_set == self.growth.test_set and p.n_components > 1 and not p.trained
                }
            )
        if not all(found):
            msg = (
                f"growth: {self.growth.test_set!r} has no structure, {self.growth.geometry}, that "
                "the model was not trained on; choose a test set of other structures"
            )
            raise ValueError(msg)
        return found

    def _failed(self, benchmarks: Sequence[BenchmarkDoc]) -> int:
        if self.growth.geometry == "fixed":
            return 0
        return len({key for bench in benchmarks for key in bench.failed})

    def _document(
        self,
        steps: list[GrowthStep],
        inputs: GrowthInputs,
        structures: Sequence[StructuresDoc],
        labels: Sequence[Sequence[LabelDoc | None]],
    ) -> GrowthDoc:
        stopped: Stopped | None = None
        if len(steps) > 1 and not steps[-1].improved:
            stopped = "no improvement beyond its error"
        elif len(steps) == len(self.growth.sets):
            stopped = "sets exhausted"
        following = None
        if len(steps) < len(self.growth.sets):
            expression = self.growth.sets[len(steps)]
            rng = np.random.default_rng([self.seed, len(steps), 1])
            following = next_point(
                expression, inputs.alloy, self.step.labelling.labels, structures, labels, rng
            )
        made = [step.sources for step in steps]
        return GrowthDoc(
            **provenance()
            | {
                "sources": {
                    "benchmarks": [uuid for one in made for uuid in one.benchmarks],
                    "datasets": [one.dataset for one in made],
                    "structures": [one.structures for one in made],
                    "test_set": [inputs.test_set],
                    "campaign": [inputs.campaign_file],
                }
            },
            name=self.growth.test_set,
            geometry=self.growth.geometry,
            seeds=self.growth.seeds,
            tolerance_mev=self.growth.tolerance,
            steps=steps,
            stopped_because=stopped,
            recommended=recommended([step.improved for step in steps]),
            next_point=following,
            bootstrap_seed=self.seed,
        )

    def _next(self, inputs: GrowthInputs, steps: list[GrowthStep]) -> Flow:
        """Return the next step and, as this job run again, the decision after it."""
        flow: Any = self.step.make(self.growth.sets[len(steps)], inputs, [s.sources for s in steps])
        following = self.follow(flow.output, inputs, steps)
        current = CURRENT_JOB.job
        following.set_uuid(current.uuid)
        following.index = current.index + 1
        return Flow([flow, following], name=f"{self.name} step {len(steps) + 1}")


@job
def grown_documents(growth: GrowthDoc) -> dict[str, list[Any]]:
    """Return references to everything that a growth made, by role, as a report takes it."""
    made = [step.sources for step in growth.steps]

    def references(uuids: list[str]) -> list[OutputReference]:
        return [OutputReference(uuid) for uuid in uuids]

    return {
        "growth": references([growth.uuid]),
        "structures": references([one.structures for one in made]),
        "labels": references([one.labels for one in made]),
        "datasets": references([one.dataset for one in made]),
        "trainings": references([uuid for one in made for uuid in one.trainings]),
        "benchmarks": references([uuid for one in made for uuid in one.benchmarks]),
    }
