"""Datasets, test sets, training, benchmarks, committees."""

from __future__ import annotations

from hea_flows.jobs.learning.benchmark import BenchmarkMaker
from hea_flows.jobs.learning.committee import CommitteeMaker
from hea_flows.jobs.learning.committee_model import CommitteeModelMaker
from hea_flows.jobs.learning.dataset import DatasetMaker
from hea_flows.jobs.learning.model_error import mixing_error
from hea_flows.jobs.learning.test_set import TestSetMaker
from hea_flows.jobs.learning.train import TrainMaker, local_model

__all__ = [
    "BenchmarkMaker",
    "CommitteeMaker",
    "CommitteeModelMaker",
    "DatasetMaker",
    "TestSetMaker",
    "TrainMaker",
    "local_model",
    "mixing_error",
]
