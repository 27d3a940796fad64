"""Thermodynamics: SQS enthalpies, decompositions, random structures and DEED."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from jobflow import Maker, job

from hea_flows.alloy.energy_models import AseEnergyModel
from hea_flows.alloy.mixing import mixing_energies
from hea_flows.alloy.ordering import Ordering
from hea_flows.alloy.random_structures import random_orderings
from hea_flows.alloy.sqs import special_quasirandom
from hea_flows.alloy.thermodynamics import (
    Decomposition,
    decomposition_temperature,
    decompositions,
    deed,
    hull_depth,
    transition_temperatures,
)
from hea_flows.config import ThermodynamicsSpec
from hea_flows.engines.registry import family
from hea_flows.jobs.finetune import local_model
from hea_flows.jobs.montecarlo import mean_lattice_constant
from hea_flows.schemas import AlloySpec, DatasetDoc, FineTuneDoc, PhaseSet, ThermodynamicsDoc
from hea_flows.settings import get_settings
from hea_flows.stamp import stamp


@dataclass
class ThermodynamicsMaker(Maker):
    """Decomposition free energies and the DEED descriptor of the equimolar alloy.

    Parameters
    ----------
    name
        Job name.
    thermodynamics
        Supercells, number of random structures, mode.
    seed
        Seed of the SQS and of the random structures.
    """

    name: str = "thermodynamics"
    thermodynamics: ThermodynamicsSpec = field(default_factory=ThermodynamicsSpec)
    seed: int = 0

    @job(output_schema=ThermodynamicsDoc)
    def make(
        self, finetune: FineTuneDoc, dataset: DatasetDoc, alloy: AlloySpec
    ) -> ThermodynamicsDoc:
        """Compute everything with the model of a fine-tuning document."""
        spec, host = self.thermodynamics, alloy.to_alloy()
        model = local_model(finetune)
        calculator = family(model.family).calculator(model, device=get_settings().device)
        failed: dict[str, str] = {}

        def energy(ordering: Ordering) -> float:
            a = (
                mean_lattice_constant(dataset)
                if spec.mode == "fixed lattice"
                else ordering.lattice_constant()
            )
            evaluate = AseEnergyModel(
                host,
                ordering.supercell,
                a,
                calculator,
                mode=spec.mode,
                fmax=spec.fmax,
                max_steps=spec.max_steps,
            )
            return evaluate.energy(ordering.species)

        identity = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
        pure = {e: energy(Ordering(host, identity, (e,))) for e in host.elements}

        def mixing(ordering: Ordering) -> float:
            [value] = mixing_energies([energy(ordering)], [ordering.counts], pure)
            return float(value)

        enthalpies: dict[tuple[str, ...], float] = {}
        objectives: dict[str, float] = {}
        for size in range(2, len(host.elements) + 1):
            for phase in combinations(host.elements, size):
                ordering, objective = special_quasirandom(
                    host,
                    spec.sqs[size],
                    phase,
                    np.random.default_rng([self.seed, size]),
                    n_steps=spec.sqs_steps,
                )
                enthalpies[phase] = mixing(ordering)
                objectives["-".join(phase)] = objective
        phases = decompositions(host.elements, enthalpies)
        values = []
        for ordering in random_orderings(
            host,
            spec.random_supercell,
            spec.n_random,
            host.elements,
            np.random.default_rng([self.seed, 0]),
            composition="equimolar",
        ):
            try:
                values.append(mixing(ordering))
            except (RuntimeError, ArithmeticError) as error:
                failed[ordering.id] = str(error)
        if len(values) < 2:
            msg = f"only {len(values)} of {spec.n_random} random structures relaxed; see fmax"
            raise RuntimeError(msg)
        mean, sigma, depth = (
            float(np.mean(values)),
            float(np.std(values, ddof=1)),
            hull_depth(phases),
        )
        defined = sigma > 0 and mean + depth > 0
        return ThermodynamicsDoc(
            **stamp("torch", finetune=finetune, dataset=dataset),
            model=model.model_copy(update={"path": None}),
            mode=spec.mode,
            elements=list(host.elements),
            sqs_mixing_mev={"-".join(k): 1e3 * v for k, v in enthalpies.items()},
            sqs_objective=objectives,
            decompositions=[_phase_set(d) for d in phases],
            transitions=[(t, d.name) for t, d in transition_temperatures(phases)],
            decomposition_temperature=decomposition_temperature(phases),
            random_mixing_mev=[1e3 * v for v in values],
            random_seed=self.seed,
            h_ave_mev=1e3 * mean,
            sigma_mev=1e3 * sigma,
            h_hull_mev=1e3 * depth,
            deed_per_unit=deed(sigma, mean, depth) if defined else None,
            deed_per_atom=deed(sigma, mean, depth, atoms_per_unit=host.atoms_per_unit)
            if defined
            else None,
            failed=failed,
        )


def _phase_set(decomposition: Decomposition) -> PhaseSet:
    return PhaseSet(
        phases=["-".join(p) for p in decomposition.phases],
        enthalpy_mev=1e3 * decomposition.enthalpy,
        entropy_mev_per_k=1e3 * decomposition.entropy,
    )
