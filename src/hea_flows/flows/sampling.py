"""A trained model to order parameters and thermodynamics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jobflow import Flow, Maker

from hea_flows.config import MonteCarloSpec
from hea_flows.jobs.montecarlo import MonteCarloMaker
from hea_flows.jobs.routing import route
from hea_flows.jobs.thermodynamics import ThermodynamicsMaker
from hea_flows.schemas import (
    AlloySpec,
    BenchmarkDoc,
    DatabaseDoc,
    DatasetDoc,
    FineTuneDoc,
    StructuresDoc,
)


@dataclass
class SamplingMaker(Maker):
    """Monte Carlo at every temperature, and thermodynamics, each job its own unit of retry.

    Parameters
    ----------
    name
        Flow name.
    monte_carlo
        Temperatures, runs and trials; None leaves Monte Carlo out.
    thermodynamics
        None leaves it out.
    seed
        Chains take seeds seed + 1, seed + 2, … in order of temperature and run.
    """

    name: str = "sampling"
    monte_carlo: MonteCarloSpec | None = None
    thermodynamics: ThermodynamicsMaker | None = None
    seed: int = 0

    def make(
        self,
        finetune: FineTuneDoc,
        dataset: DatasetDoc,
        alloy: AlloySpec,
        category: str,
        benchmark: BenchmarkDoc | None = None,
        cells: StructuresDoc | None = None,
        reference: DatabaseDoc | None = None,
    ) -> Flow:
        """Return the flow; its output holds the chains and the thermodynamics document.

        Parameters
        ----------
        finetune, dataset, alloy
            The model, what it was trained on, and the host.
        category
            The model's family: workers of that category take the jobs.
        benchmark, cells, reference
            As `ThermodynamicsMaker` takes them.
        """
        chains: list[Any] = []
        if self.monte_carlo is not None:
            spec = self.monte_carlo
            for temperature in spec.temperatures:
                for run in range(spec.runs):
                    maker = MonteCarloMaker(monte_carlo=spec, seed=self.seed + 1 + len(chains))
                    chain = maker.make(finetune, dataset, alloy, temperature)
                    chain.append_name(f" {temperature:g} K run {run + 1}")
                    chains.append(route(chain, category))
        phases: Any = None
        if self.thermodynamics is not None:
            phases = self.thermodynamics.make(finetune, dataset, alloy, benchmark, cells, reference)
            route(phases, category)
        return Flow(
            [*chains, *([phases] if phases else [])],
            output={
                "montecarlo": [c.output for c in chains],
                "thermodynamics": phases.output if phases else None,
            },
            name=self.name,
        )
