"""A trained model to order parameters and thermodynamics."""

from __future__ import annotations

from dataclasses import dataclass

from jobflow import Flow, Maker

from hea_flows.jobs.montecarlo import MonteCarloMaker
from hea_flows.jobs.routing import route
from hea_flows.jobs.thermodynamics import ThermodynamicsMaker
from hea_flows.schemas import AlloySpec, DatasetDoc, FineTuneDoc


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
        self, finetune: FineTuneDoc, dataset: DatasetDoc, alloy: AlloySpec, category: str
    ) -> Flow:
        """Return the flow; its output holds the Monte Carlo and the thermodynamics document.

        Parameters
        ----------
        finetune, dataset, alloy
            The model, what it was trained on, and the host.
        category
            The model's family: workers of that category take the jobs.
        """
        made = {
            name: route(maker.make(finetune, dataset, alloy), category)
            for name, maker in (
                ("montecarlo", self.monte_carlo),
                ("thermodynamics", self.thermodynamics),
            )
            if maker is not None
        }
        return Flow(
            list(made.values()),
            output={
                name: made[name].output if name in made else None
                for name in ("montecarlo", "thermodynamics")
            },
            name=self.name,
        )
