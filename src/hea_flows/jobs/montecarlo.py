"""Monte Carlo: one canonical chain with a trained model."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jobflow import Maker, job

from hea_flows.alloy.energy_models import AseEnergyModel
from hea_flows.alloy.mixing import mixing_energies
from hea_flows.alloy.montecarlo import run_canonical
from hea_flows.alloy.random_structures import (
    composition_counts,
    random_ordering,
    supercell_matrix,
)
from hea_flows.config import MonteCarloSpec
from hea_flows.engines.registry import family
from hea_flows.jobs.finetune import local_model
from hea_flows.schemas import AlloySpec, DatasetDoc, FineTuneDoc, MonteCarloDoc
from hea_flows.settings import get_settings
from hea_flows.stamp import stamp


@dataclass
class MonteCarloMaker(Maker):
    """Sample the equimolar alloy at one temperature.

    Energies are mixing energies against end points in the chain's own mode: at the same fixed
    lattice, or relaxed.

    Parameters
    ----------
    name
        Job name.
    monte_carlo
        Supercell, trials and mode.
    seed
        Seed of the initial decoration and of the chain.
    """

    name: str = "monte carlo"
    monte_carlo: MonteCarloSpec = field(
        default_factory=lambda: MonteCarloSpec(temperatures=[400.0])
    )
    seed: int = 0

    @job(output_schema=MonteCarloDoc)
    def make(
        self, finetune: FineTuneDoc, dataset: DatasetDoc, alloy: AlloySpec, temperature: float
    ) -> MonteCarloDoc:
        """Run one chain at a temperature (K)."""
        spec, host = self.monte_carlo, alloy.to_alloy()
        model = local_model(finetune)
        supercell = supercell_matrix(host, spec.supercell)
        n_sites = abs(round(np.linalg.det(np.array(supercell))))
        counts = composition_counts(host.elements, n_sites, "equimolar")
        start = random_ordering(host, supercell, counts, np.random.default_rng([self.seed, 0]))
        a = mean_lattice_constant(dataset)
        energies = AseEnergyModel(
            host,
            supercell,
            a,
            family(model.family).calculator(model, device=get_settings().device),
            mode=spec.mode,
        )
        pure = {e: energies.energy([e] * n_sites) / n_sites for e in host.elements}
        chain = run_canonical(
            energies,
            host,
            supercell,
            start.species,
            temperature=temperature,
            trials=spec.trials,
            seed=self.seed,
            average_from=spec.average_from,
        )
        # Composition is fixed, so mixing energies differ from energies by one constant.
        [shift] = mixing_energies([0.0], [counts], pure)
        return MonteCarloDoc(
            **stamp("torch", finetune=finetune, dataset=dataset),
            model=model.model_copy(update={"path": None}),
            mode=spec.mode,
            temperature=temperature,
            supercell=supercell,
            lattice_constant=a,
            seed=self.seed,
            trials=spec.trials,
            averaged_from=spec.average_from,
            acceptance=chain.acceptance,
            energy_mev=1e3 * (chain.energy + float(shift)),
            energy_error_mev=1e3 * chain.energy_error,
            order_parameters=chain.cv,
            order_errors=chain.cv_errors,
            energies_mev=[1e3 * (float(e) + float(shift)) for e in chain.energies],
            initial_species=list(chain.initial),
            final_species=list(chain.final),
        )


def mean_lattice_constant(dataset: DatasetDoc) -> float:
    """Return the mean lattice constant of the reference's relaxed end points (Å).

    For a layer from the area per unit, for bulk from the volume, in proportion to the host's
    tabulated lattice constants; so any cell choice gives the same.
    """
    alloy = dataset.alloy.to_alloy()
    values = []
    for element, key in dataset.end_points.items():
        cell = np.array(dataset.trajectories[key].cells[-1])
        ideal = alloy.primitive(element).cell.array
        size = 2 if alloy.host.layer else 3
        strain = np.linalg.det(cell[:size, :size]) / np.linalg.det(ideal[:size, :size])
        values.append(alloy.lattice_constant(element) * float(strain) ** (1 / size))
    return float(np.mean(values))
