"""Dataset to a trained model and its errors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jobflow import Flow, Maker

from hea_flows.jobs.benchmark import BenchmarkMaker
from hea_flows.jobs.finetune import FineTuneMaker
from hea_flows.jobs.routing import or_fails
from hea_flows.schemas import DatabaseDoc, DatasetDoc


@dataclass
class LearningMaker(Maker):
    """Train a model and compare it with databases.

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
    finetune: FineTuneMaker = field(default_factory=FineTuneMaker)
    benchmark: BenchmarkMaker = field(default_factory=BenchmarkMaker)

    def make(self, dataset: DatasetDoc, databases: list[DatabaseDoc]) -> Flow:
        """Return the flow; its output holds the fine-tuning and the benchmark document."""
        trained: Any = self.finetune.make(dataset)
        jobs = [trained]
        compared: Any = None
        if databases:
            compared = self.benchmark.make(databases, finetune=trained.output, dataset=dataset)
            jobs.append(compared)
        called = self.finetune.title
        for one in jobs:
            if called:
                one.append_name(f" {called}", dynamic=False)
            or_fails(one, self.finetune.model.family)
        return Flow(
            jobs,
            output={"finetune": trained.output, "benchmark": compared and compared.output},
            name=self.name,
        )
