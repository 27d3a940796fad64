"""Dataset to models and their errors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jobflow import Flow, Maker

from hea_flows.jobs.benchmark import BenchmarkMaker
from hea_flows.jobs.finetune import FineTuneMaker
from hea_flows.jobs.routing import route
from hea_flows.schemas import DatasetDoc


@dataclass
class LearningMaker(Maker):
    """Fine-tune a model and benchmark it beside its foundation.

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

    def make(self, dataset: DatasetDoc) -> Flow:
        """Return the flow; its output holds the fine-tuning document and the benchmarks."""
        jobs: list[Any] = [self.finetune.make(dataset)]
        tuned = self.benchmark.make(dataset, finetune=jobs[0].output)
        tuned.append_name(" fine-tuned")
        jobs.append(tuned)
        if self.finetune.model.is_foundation:
            before = self.benchmark.make(dataset, foundation=self.finetune.model)
            before.append_name(" foundation")
            jobs.append(before)
        for one in jobs:
            route(one, self.finetune.model.family)
        return Flow(
            jobs,
            output={"finetune": jobs[0].output, "benchmarks": [j.output for j in jobs[1:]]},
            name=self.name,
        )
