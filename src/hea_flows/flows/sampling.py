"""A trained model to order parameters and thermodynamics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jobflow import Flow, Maker

from hea_flows.jobs.routing import route
from hea_flows.jobs.sampling.montecarlo import MonteCarloMaker
from hea_flows.jobs.thermodynamics.maker import ThermodynamicsMaker
from hea_flows.schemas import (
    AlloySpec,
    BenchmarkDoc,
    DatasetDoc,
    StructuresDoc,
    TestSetDoc,
    TrainingDoc,
)


@dataclass
class SamplingMaker(Maker):
    """Monte Carlo and thermodynamics, each job its own unit of retry.

    Parameters
    ----------
    name
        Flow name.
    monte_carlo
        None leaves Monte Carlo out.
    thermodynamics
        None leaves it out.
    """

    name: str = "sampling"
    monte_carlo: MonteCarloMaker | None = None
    thermodynamics: ThermodynamicsMaker | None = None

    def make(
        self,
        training: TrainingDoc,
        dataset: DatasetDoc,
        alloy: AlloySpec,
        category: str,
        benchmark: BenchmarkDoc | None = None,
        cells: StructuresDoc | None = None,
        reference: TestSetDoc | None = None,
    ) -> Flow:
        """Return the flow; its output holds the Monte Carlo and the thermodynamics document.

        Parameters
        ----------
        finetune, dataset, alloy
            The model, what it was trained on, and the host.
        category
            The model's family: workers of that category take the jobs.
        benchmark, cells, reference
            As `ThermodynamicsMaker` takes them.
        """
        made: dict[str, Any] = {}
        if self.monte_carlo is not None:
            made["montecarlo"] = self.monte_carlo.make(training, dataset, alloy)
        if self.thermodynamics is not None:
            made["thermodynamics"] = self.thermodynamics.make(
                training, dataset, alloy, benchmark, cells, reference
            )
        for job in made.values():
            route(job, category)
        return Flow(
            list(made.values()),
            output={
                name: made[name].output if name in made else None
                for name in ("montecarlo", "thermodynamics")
            },
            name=self.name,
        )
