"""Dataset to a trained model and its errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from jobflow import Flow, Job, Maker, OutputReference

from hea_flows.jobs.learning import BenchmarkMaker, TrainMaker
from hea_flows.jobs.routing import JobLike, route_result
from hea_flows.schemas import DatasetDoc, TestSetDoc


@dataclass
class LearningMaker(Maker):
    """Train a model and compare it with test sets.

    Parameters
    ----------
    name
        Flow name.
    train
        Trains.
    benchmark
        Compares with the reference.
    """

    name: str = "learning"
    train: TrainMaker = field(default_factory=TrainMaker)
    benchmark: BenchmarkMaker = field(default_factory=BenchmarkMaker)

    def make(
        self,
        dataset: DatasetDoc | OutputReference,
        test_sets: Sequence[TestSetDoc | OutputReference],
    ) -> Flow:
        """Return the flow; its output holds the training and the benchmark document.

        Without test sets there is no benchmark, and None stands for it.
        """
        trained = self.train.make(dataset)
        jobs: list[JobLike] = [trained]
        compared: Job | None = None
        if test_sets:
            compared = self.benchmark.make(
                list(test_sets), training=trained.output, datasets=[dataset]
            )
            jobs.append(compared)
        for job in jobs:
            if self.train.title:
                job.append_name(f" {self.train.title}", dynamic=False)
            route_result(job, self.train.model.family)
        return Flow(
            jobs,
            output={"training": trained.output, "benchmark": compared and compared.output},
            name=self.name,
        )
