"""The entries of a campaign: each names what it takes, and holds the Maker of its jobs.

Entries refer to each other by name. `hea_flows.flows.campaign.CampaignMaker` holds them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jobflow import Flow, Job, OutputReference
from monty.json import MSONable

from hea_flows.flows.growth import GrowthMaker
from hea_flows.flows.labelling import LabellingMaker
from hea_flows.flows.learning import LearningMaker
from hea_flows.jobs.learning import (
    BenchmarkMaker,
    CommitteeMaker,
    CommitteeModelMaker,
    DatasetMaker,
    TestSetMaker,
)
from hea_flows.jobs.phases import PhaseDiagramMaker
from hea_flows.jobs.routing import JobLike, route_result, run_despite_missing_inputs
from hea_flows.jobs.sampling import MonteCarloMaker
from hea_flows.jobs.thermodynamics import ThermodynamicsMaker
from hea_flows.schemas import AlloySpec, ModelSpec

#: Jobs and flows of entries, by the names of the entries.
Parts = Mapping[str, JobLike]
#: Category of jobs that load a committee: workers that have the packages of all its members.
COMMITTEE = "committee"


@dataclass
class LabelledSet(MSONable):
    """A set of structures, built and labelled once.

    Parameters
    ----------
    name
        What other entries call it.
    expression
        The set.
    earlier
        Sets labelled in the same way before; the structures they hold are not labelled again.
    maker
        Builds and labels it.
    """

    name: str
    expression: str
    earlier: list[str]
    maker: LabellingMaker

    def make(
        self, alloy: AlloySpec, source: OutputReference, labelled: Parts, *, priority: int
    ) -> Flow:
        """Return the flow; `labelled` holds those of the sets before."""
        earlier = [labelled[name].output["structures"] for name in self.earlier]
        return self.maker.make(self.expression, alloy, source, priority, earlier)


@dataclass
class Collection(MSONable):
    """Labels that are collected: a dataset to train on, or a test set.

    Parameters
    ----------
    name
        What other entries call it.
    sets
        The sets that it holds.
    labels
        The sets whose labels it needs, those of shared structures and end points included.
    maker
        Collects them.
    """

    name: str
    sets: list[str]
    labels: list[str]
    maker: DatasetMaker | TestSetMaker

    def make(self, alloy: AlloySpec, labelled: Parts) -> Job:
        """Return the job; a label that is missing is named in its document."""
        labels = [labelled[name].output["labels"] for name in self.labels]
        structures = [labelled[name].output["structures"] for name in self.sets]
        job = run_despite_missing_inputs(self.maker.make(alloy, labels, structures))
        if isinstance(self.maker, TestSetMaker):
            job.append_name(f" {self.name}", dynamic=False)
        return job


@dataclass
class TrainedModel(MSONable):
    """A model that is trained and compared.

    Parameters
    ----------
    name
        What the report and other entries call it.
    dataset
        What it is trained on.
    maker
        Trains and compares it.
    """

    name: str
    dataset: str
    maker: LearningMaker

    @property
    def family(self) -> str:
        """The model family."""
        return self.maker.train.model.family

    def make(self, datasets: Parts, test_sets: Parts) -> Flow:
        """Return the flow."""
        return self.maker.make(datasets[self.dataset].output, _outputs(test_sets.values()))


@dataclass
class Foundation(MSONable):
    """A pretrained model that is compared as it is.

    Parameters
    ----------
    name
        What the report calls it.
    model
        The model.
    maker
        Compares it.
    """

    name: str
    model: ModelSpec
    maker: BenchmarkMaker

    def make(self, test_sets: Parts) -> Job:
        """Return the job."""
        job = self.maker.make(_outputs(test_sets.values()), foundation=self.model)
        job.append_name(f" {self.name}", dynamic=False)
        return route_result(job, self.model.family)


@dataclass
class JoinedModels(MSONable):
    """A committee of trained models, joined to one model and compared.

    Parameters
    ----------
    name
        What the report and other entries call it.
    models
        The members.
    datasets
        What they are trained on, each once.
    maker
        Joins them.
    benchmark
        Compares the committee.
    """

    name: str
    models: list[str]
    datasets: list[str]
    maker: CommitteeModelMaker
    benchmark: BenchmarkMaker

    def make(self, models: Parts, datasets: Parts, test_sets: Parts) -> Flow:
        """Return the flow; its output holds the model and the benchmark document."""
        trainings = [models[name].output["training"] for name in self.models]
        own = [datasets[name].output for name in self.datasets]
        joined = self.maker.make(trainings, own[0] if len(own) == 1 else None)
        compared = self.benchmark.make(
            _outputs(test_sets.values()), training=joined.output, datasets=own
        )
        for job in (joined, compared):
            job.append_name(f" {self.name}", dynamic=False)
            route_result(job, COMMITTEE)
        return Flow(
            [joined, compared],
            output={"training": joined.output, "benchmark": compared.output},
            name="committee",
        )


@dataclass
class ModelCommittee(MSONable):
    """Models whose spread is compared with the error of their mean.

    Parameters
    ----------
    name
        Their common name.
    models
        The models.
    maker
        Judges them.
    """

    name: str
    models: list[str]
    maker: CommitteeMaker

    def make(self, models: Parts) -> Job:
        """Return the job; a model that failed is left out."""
        job = self.maker.make([models[name].output["benchmark"] for name in self.models])
        job.append_name(f" {self.name}", dynamic=False)
        return run_despite_missing_inputs(job)


@dataclass
class GrowingSet(MSONable):
    """A training set that grows step by step.

    Parameters
    ----------
    first
        The set of the first step.
    beside
        Other sets that are labelled in the same way and share structures with one of its sets.
    test_set
        The test set that decides.
    maker
        Makes the steps.
    """

    first: str
    beside: list[str]
    test_set: str
    maker: GrowthMaker

    def make(
        self, alloy: AlloySpec, source: OutputReference, labelled: Parts, test_sets: Parts
    ) -> Flow:
        """Return the flow of the first step, which adds the others."""
        beside = [labelled[name].output for name in self.beside]
        first = labelled[self.first].output
        return self.maker.make(
            alloy,
            source,
            first["structures"],
            first["labels"],
            test_sets[self.test_set].output,
            [(one["structures"], one["labels"]) for one in beside],
        )


@dataclass(frozen=True)
class UsableModel:
    """A model as Monte Carlo and thermodynamics take it.

    Parameters
    ----------
    model
        Its document, or a foundation.
    labels
        Labels that hold the end points.
    benchmark
        Its errors; None if it is not compared.
    category
        Which workers load it.
    """

    model: ModelSpec | OutputReference
    labels: OutputReference
    benchmark: OutputReference | None
    category: str


@dataclass
class Sampling(MSONable):
    """Monte Carlo with one of the models.

    Parameters
    ----------
    model
        The model.
    maker
        Samples with it.
    """

    model: str
    maker: MonteCarloMaker

    def make(self, alloy: AlloySpec, models: Mapping[str, UsableModel]) -> Job:
        """Return the job."""
        own = models[self.model]
        return route_result(self.maker.make(own.model, own.labels, alloy), own.category)


@dataclass
class BinaryPhases(MSONable):
    """The phase diagram of a binary with one of the models.

    Parameters
    ----------
    model
        The model.
    maker
        Samples the binary with it.
    """

    model: str
    maker: PhaseDiagramMaker

    def make(self, alloy: AlloySpec, models: Mapping[str, UsableModel]) -> Job:
        """Return the job."""
        own = models[self.model]
        job = self.maker.make(own.model, own.labels, alloy)
        job.append_name(f" {'-'.join(self.maker.pair)}", dynamic=False)
        return route_result(job, own.category)


@dataclass
class PhaseStability(MSONable):
    """Thermodynamics with one of the models.

    Parameters
    ----------
    model
        The model.
    maker
        Computes decompositions and the rest.
    sqs
        Labels of the quasirandom structures; None where the reference does not label them.
    """

    model: str
    maker: ThermodynamicsMaker
    sqs: Collection | None = None

    def make(
        self,
        alloy: AlloySpec,
        models: Mapping[str, UsableModel],
        labelled: Parts,
        sqs_labels: Job | None,
    ) -> Job:
        """Return the job; `sqs_labels` collects what `sqs` says."""
        own = models[self.model]
        cells = reference = None
        if self.sqs is not None and sqs_labels is not None:
            [name] = self.sqs.sets
            cells, reference = labelled[name].output["structures"], sqs_labels.output
        job = self.maker.make(own.model, own.labels, alloy, own.benchmark, cells, reference)
        return route_result(job, own.category)


def _outputs(parts: Iterable[JobLike]) -> list[OutputReference]:
    return [part.output for part in parts]
