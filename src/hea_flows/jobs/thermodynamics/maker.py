"""Thermodynamics: SQS enthalpies, decompositions, random structures and DEED."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jobflow import Maker

from hea_flows.alloy.lattice import Alloy, Ordering
from hea_flows.alloy.sets import parse, random_orderings, sqs_objective
from hea_flows.alloy.thermodynamics import (
    Decomposition,
    decomposition_temperature,
    decomposition_temperature_interval,
    decompositions,
    deed,
    hull_depth,
    mixing_energies,
    transition_temperatures,
)
from hea_flows.config import ThermodynamicsSpec
from hea_flows.jobs.failures import result_job
from hea_flows.jobs.learning.model_error import mixing_error
from hea_flows.jobs.learning.train import local_model
from hea_flows.jobs.sampling.cell_energies import CellEnergies
from hea_flows.jobs.sampling.montecarlo import mean_lattice_constant
from hea_flows.jobs.thermodynamics.reference_phases import reference_phases
from hea_flows.jobs.thermodynamics.vibrations import phase_vibrations
from hea_flows.potentials.base import family
from hea_flows.provenance import provenance
from hea_flows.schemas import (
    AlloySpec,
    BenchmarkDoc,
    DatasetDoc,
    PhaseSet,
    StructuresDoc,
    TestSetDoc,
    ThermodynamicsDoc,
    TrainingDoc,
    TransitionInterval,
)
from hea_flows.settings import get_settings

Phase = tuple[str, ...]
#: Draws of the enthalpies within their error.
N_DRAWS = 20_000


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
        Seed of the SQS, of the random structures and of the draws of the interval.
    """

    name: str = "thermodynamics"
    thermodynamics: ThermodynamicsSpec = field(default_factory=ThermodynamicsSpec)
    seed: int = 0

    @result_job(output_schema=ThermodynamicsDoc)
    def make(
        self,
        training: TrainingDoc,
        dataset: DatasetDoc,
        alloy: AlloySpec,
        benchmark: BenchmarkDoc | None = None,
        cells: StructuresDoc | None = None,
        reference: TestSetDoc | None = None,
    ) -> ThermodynamicsDoc:
        """Compute everything with the model of a fine-tuning document.

        Parameters
        ----------
        training, dataset, alloy
            The model, what it was trained on, and the host.
        benchmark
            Tells the error of the model, from which the interval of the decomposition temperature
            follows; `thermodynamics.uncertainty_mev` comes before it.
        cells
            The SQS, of `ThermodynamicsSpec.sqs_set`; default built here, the same ones.
        reference
            Labels of these cells by the reference engine, and of the end members.
        """
        spec, host = self.thermodynamics, alloy.to_alloy()
        orderings = (
            [entry.to_ordering(host) for entry in cells.structures]
            if cells is not None
            else parse(spec.sqs_set(len(host.elements))).build(host, self.seed)
        )
        phases = {tuple(e for e in host.elements if e in o.counts): o for o in orderings}
        model = local_model(training)
        energies = CellEnergies(
            model,
            spec.mode,
            mean_lattice_constant(dataset) if spec.mode == "fixed lattice" else None,
            spec.fmax,
            spec.max_steps,
        )
        identity = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
        ends = {e: Ordering(host, identity, (e,)) for e in host.elements}
        drawn = random_orderings(
            host,
            spec.random_supercell,
            spec.n_random,
            host.elements,
            np.random.default_rng([self.seed, 0]),
            composition="equimolar",
        )
        known = energies([*ends.values(), *phases.values(), *drawn])
        pure, failed = {}, {}
        for element, ordering in ends.items():
            value = known[ordering.id]
            if not isinstance(value, float):
                msg = f"the end member of {element} has no energy: {value}"
                raise RuntimeError(msg)  # noqa: TRY004  it is no matter of types
            pure[element] = value

        def mixing(name: str, ordering: Ordering) -> float | None:
            value = known[ordering.id]
            if isinstance(value, str):
                failed[name] = value
                return None
            return float(mixing_energies([value], [ordering.counts], pure)[0])

        found = {phase: mixing(_name(phase), ordering) for phase, ordering in phases.items()}
        enthalpies = {phase: value for phase, value in found.items() if value is not None}
        lost = len(failed)
        values = [v for o in drawn if (v := mixing(o.id, o)) is not None]
        if len(values) < 2:
            msg = f"only {len(values)} of {spec.n_random} random structures relaxed; see fmax"
            raise RuntimeError(msg)
        pool = decompositions(host.elements, enthalpies, partial=True)
        mean, sigma = float(np.mean(values)), float(np.std(values, ddof=1))
        depth = hull_depth(pool)
        defined = sigma > 0 and mean + depth > 0
        return ThermodynamicsDoc(
            **provenance(
                "torch",
                training=training,
                dataset=dataset,
                benchmark=benchmark,
                structures=cells,
                reference=reference,
            ),
            model=model.model_copy(update={"path": None}),
            mode=spec.mode,
            elements=list(host.elements),
            sqs_mixing_mev={_name(k): 1e3 * v for k, v in enthalpies.items()},
            sqs_objective={_name(k): sqs_objective(o) for k, o in phases.items()},
            decompositions=[_phase_set(d) for d in pool],
            transitions=[(t, d.name) for t, d in transition_temperatures(pool)],
            decomposition_temperature=decomposition_temperature(pool),
            random_mixing_mev=[1e3 * v for v in values],
            random_seed=self.seed,
            h_ave_mev=1e3 * mean,
            sigma_mev=1e3 * sigma,
            h_hull_mev=1e3 * depth,
            deed_per_unit=deed(sigma, mean, depth) if defined else None,
            deed_per_atom=deed(sigma, mean, depth, atoms_per_unit=host.atoms_per_unit)
            if defined
            else None,
            uncertainty=None if lost else self._interval(host, enthalpies, benchmark),
            reference=None if reference is None else reference_phases(host, phases, reference),
            vibrations=None
            if spec.vibrations is None
            else phase_vibrations(
                {p: o for p, o in phases.items() if p in enthalpies}
                | {(e,): o for e, o in ends.items()},
                pool,
                family(model.family).calculator(model, device=get_settings().device),
                spec.vibrations,
            ),
            failed=failed,
        )

    def _interval(
        self, host: Alloy, enthalpies: Mapping[Phase, float], benchmark: BenchmarkDoc | None
    ) -> TransitionInterval | None:
        """Return the decomposition temperature within the error of the model, if that is known."""
        known = mixing_error(benchmark, self.thermodynamics.mode)
        if (given := self.thermodynamics.uncertainty_mev) is not None:
            known = given, "given by the campaign"
        if known is None:
            return None
        sigma, source = known
        rng = np.random.default_rng([self.seed, 1])
        found = decomposition_temperature_interval(
            host.elements, enthalpies, 1e-3 * sigma, rng, N_DRAWS
        )
        return TransitionInterval(
            sigma_mev=sigma,
            sigma_from=source,
            level=found.level,
            low=found.low,
            median=found.median,
            high=found.high,
            share_none=found.share_none,
            below=[(share, name) for name, share in found.below.items()],
            n_draws=N_DRAWS,
            seed=self.seed,
        )


def _name(phase: Phase) -> str:
    return "-".join(phase)


def _phase_set(decomposition: Decomposition) -> PhaseSet:
    return PhaseSet(
        phases=[_name(p) for p in decomposition.phases],
        enthalpy_mev=1e3 * decomposition.enthalpy,
        entropy_mev_per_k=1e3 * decomposition.entropy,
    )
