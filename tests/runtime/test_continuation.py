from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jobflow import JobConfig, JobStore, Maker, Response, job, run_locally
from maggma.stores import MemoryStore

from hea_flows.runtime.continuation import continue_later


@dataclass
class CountMaker(Maker):
    """Counts to three, one job at a time."""

    name: str = "count"
    step: int = 1

    @job
    def make(self, reached: int = 0) -> int | Response[Any]:
        reached += self.step
        return reached if reached >= 3 else continue_later(self, reached=reached)


def test_the_job_that_goes_on_is_the_same_job() -> None:
    count: Any = CountMaker().make()
    count.append_name(" to three")
    count.append_name(" slowly", dynamic=False)
    count.update_metadata({"campaign": "x"})
    count.config = JobConfig(
        manager_config={"_category": "cpu"}, expose_store=True, pass_manager_config=False
    )
    outputs = run_locally(count, store=JobStore(MemoryStore()), log=False)[count.uuid]
    assert sorted(outputs) == [1, 2, 3]
    assert outputs[3].output == 3
    for index in (1, 2):
        [again] = outputs[index].replace.jobs
        assert (again.uuid, again.index) == (count.uuid, index + 1)
        assert again.name == again.maker.name == "count to three slowly"
        assert again.metadata == {"campaign": "x"}
        assert again.config == count.config


def test_outside_of_a_job_it_is_a_new_one() -> None:
    response = CountMaker.make.original(CountMaker(step=2))
    assert response.replace.name == "count"
    assert response.replace.function_kwargs == {"reached": 2}
