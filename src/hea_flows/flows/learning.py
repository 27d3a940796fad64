"""Dataset to a trained model and its errors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jobflow import Flow, Maker

from hea_flows.jobs.learning.benchmark import BenchmarkMaker
from hea_flows.jobs.learning.train import TrainMaker
from hea_flows.jobs.routing import or_fails
from hea_flows.schemas import DatasetDoc, TestSetDoc


@dataclass
class LearningMaker(Maker):
    """Train a model and compare it with test sets.

    Parameters
    ----------
    name
        Flow name.
    finetune
        Trains.
    benchmark
        Compares with the reference.
    """

    name: str = "learning"
    train: TrainMaker = field(default_factory=TrainMaker)
    benchmark: BenchmarkMaker = field(default_factory=BenchmarkMaker)

    def make(self, dataset: DatasetDoc, test_sets: list[TestSetDoc]) -> Flow:
        """Return the flow; its output holds the fine-tuning and the benchmark document."""
        trained: Any = self.train.make(dataset)
        jobs = [trained]
        compared: Any = None
        if test_sets:
            compared = self.benchmark.make(test_sets, training=trained.output, dataset=dataset)
            jobs.append(compared)
        called = self.train.title
        for one in jobs:
            if called:
                one.append_name(f" {called}", dynamic=False)
            or_fails(one, self.train.model.family)
        return Flow(
            jobs,
            output={"training": trained.output, "benchmark": compared and compared.output},
            name=self.name,
        )
