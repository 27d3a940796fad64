"""Thermodynamics: SQS enthalpies, decompositions, random structures and DEED."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from jobflow import Maker, Response

from hea_flows.alloy import stream
from hea_flows.alloy.lattice import Alloy, Ordering, mean_lattice_constant
from hea_flows.alloy.sets import (
    exactly,
    parse,
    random_orderings,
    sqs_objective,
    supercell_matrix,
)
from hea_flows.alloy.thermodynamics import (
    Disorder,
    PhasePool,
    competing_decompositions,
    decomposition_temperature,
    decomposition_temperature_interval,
    hull_depth,
    mixing_energies,
    transition_temperatures,
)
from hea_flows.config import ThermodynamicsSpec
from hea_flows.jobs.failures import result_job
from hea_flows.jobs.learning import local_model, mixing_error
from hea_flows.jobs.reuse import load_document
from hea_flows.jobs.thermodynamics.cell_energies import cell_energies
from hea_flows.jobs.thermodynamics.reference_phases import reference_phases
from hea_flows.jobs.thermodynamics.vibrations import phase_vibrations
from hea_flows.potentials import family
from hea_flows.provenance import provenance
from hea_flows.runtime import OutOfTimeError
from hea_flows.runtime.continuation import continue_later
from hea_flows.schemas import (
    AlloySpec,
    BenchmarkDoc,
    DatasetDoc,
    LabelledDoc,
    ModelDoc,
    ModelSpec,
    ModelUncertainty,
    StructuresDoc,
    TestSetDoc,
    ThermodynamicsDoc,
)
from hea_flows.settings import get_settings

Phase = tuple[str, ...]
#: Draws of the enthalpies within their error: of equal parts; of others, which take longer.
N_DRAWS, N_MIXTURES = 20_000, 1000


@dataclass
class ThermodynamicsMaker(Maker):
    """Decomposition free energies and the DEED descriptor of the alloy at its composition.

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
        model: ModelDoc | ModelSpec | str,
        labels: DatasetDoc | TestSetDoc | str,
        alloy: AlloySpec,
        benchmark: BenchmarkDoc | str | None = None,
        cells: StructuresDoc | str | None = None,
        reference: TestSetDoc | str | None = None,
    ) -> ThermodynamicsDoc | Response[ThermodynamicsDoc]:
        """Compute everything with a model.

        A job that is stopped by a time limit adds itself again. Documents are given, or by the
        uuid of the job that made them.

        Parameters
        ----------
        model
            A model that was trained, a committee, or a foundation as it is.
        labels
            Labels of the end points, from which the constant of a fixed lattice comes.
        alloy
            The host.
        benchmark
            Gives the error of the model, and with it the interval of the decomposition temperature,
            unless `thermodynamics.uncertainty_mev` does.
        cells
            The SQS, of `ThermodynamicsSpec.sqs_set`; default built here, the same ones.
        reference
            Labels of these cells by the reference engine, and of the end members.
        """
        inputs = _Inputs(
            model if isinstance(model, ModelSpec) else load_document(ModelDoc, model),
            load_document(LabelledDoc, labels),
            None if benchmark is None else load_document(BenchmarkDoc, benchmark),
            None if cells is None else load_document(StructuresDoc, cells),
            None if reference is None else load_document(TestSetDoc, reference),
        )
        try:
            return self._document(inputs, alloy)
        except OutOfTimeError:
            uuids = [d and d.uuid for d in (inputs.benchmark, inputs.cells, inputs.reference)]
            again = inputs.model if isinstance(inputs.model, ModelSpec) else inputs.model.uuid
            return continue_later(self, again, inputs.labels.uuid, alloy, *uuids)

    def _document(self, inputs: _Inputs, alloy: AlloySpec) -> ThermodynamicsDoc:
        spec, host = self.thermodynamics, alloy.to_alloy()
        orderings = (
            [entry.to_ordering(host) for entry in inputs.cells.structures]
            if inputs.cells is not None
            else parse(spec.sqs_set(len(host.elements))).build(host, self.seed, most=None)
        )
        phases = {tuple(e for e in host.elements if e in o.counts): o for o in orderings}
        ends = {e: Ordering.end_point(host, e) for e in host.elements}
        cell = supercell_matrix(host, spec.random_supercell)
        random_counts = host.counts(host.n_sites(cell))
        drawn = random_orderings(
            host,
            cell,
            spec.n_random,
            host.elements,
            stream(self.seed, "random structures"),
            ranges=exactly(random_counts),
        )
        model = local_model(inputs.model)
        training = None if isinstance(inputs.model, ModelSpec) else inputs.model
        if spec.vibrations is not None and not family(model.family).relaxes:
            msg = f"vibrations need forces, which a {model.family} has not; leave them out"
            raise ValueError(msg)
        fixed = spec.mode == "fixed lattice"
        energies = cell_energies(
            model,
            [*ends.values(), *phases.values(), *drawn],
            mode=spec.mode,
            lattice_constant=mean_lattice_constant(host, inputs.labels.end_point_cells)
            if fixed
            else None,
            fmax=spec.fmax,
            max_steps=spec.max_steps,
        )
        pure, failed = {}, {}
        for element, ordering in ends.items():
            value = energies[ordering.id]
            if not isinstance(value, float):
                msg = f"the end member of {element} has no energy: {value}"
                raise RuntimeError(msg)  # noqa: TRY004  it is no matter of types
            pure[element] = value

        def mixing(name: str, ordering: Ordering) -> float | None:
            value = energies[ordering.id]
            if isinstance(value, str):
                failed[name] = value
                return None
            return float(mixing_energies([value], [ordering.counts], pure)[0])

        of_phases = {phase: mixing(_name(phase), ordering) for phase, ordering in phases.items()}
        enthalpies = {phase: value for phase, value in of_phases.items() if value is not None}
        complete = not failed
        random = [v for o in drawn if (v := mixing(o.id, o)) is not None]
        if len(random) < 2:
            msg = f"only {len(random)} of {spec.n_random} random structures relaxed; see fmax"
            raise RuntimeError(msg)
        counts = {phase: ordering.counts for phase, ordering in phases.items()}
        pool = competing_decompositions(host, counts, enthalpies)
        depth, mixtures = hull_depth(pool), None
        if host.composition:  # random cells may hold another one than the SQS
            depth = PhasePool.of(host.elements, counts, enthalpies, random_counts).depth
            mixtures = PhasePool.of(host.elements, counts, enthalpies, counts[host.elements])
        disorder = Disorder.of(random, depth)
        return ThermodynamicsDoc(
            **provenance(
                "torch",
                training=training,
                dataset=inputs.labels,
                benchmark=inputs.benchmark,
                structures=inputs.cells,
                reference=inputs.reference,
            ),
            model=model.model_copy(update={"path": None} if training else {}),
            mode=spec.mode,
            elements=list(host.elements),
            composition=host.shares(),
            sqs_counts={_name(k): v for k, v in counts.items()},
            random_counts=random_counts,
            sqs_mixing_mev={_name(k): 1e3 * v for k, v in enthalpies.items()},
            sqs_objective={_name(k): sqs_objective(o) for k, o in phases.items()},
            decompositions=pool,
            transitions=[(t, d.name) for t, d in transition_temperatures(pool)],
            decomposition_temperature=decomposition_temperature(pool),
            random_mixing_mev=[1e3 * v for v in random],
            random_seed=self.seed,
            h_ave_mev=1e3 * disorder.mean,
            sigma_mev=1e3 * disorder.sigma,
            h_hull_mev=1e3 * disorder.depth,
            deed_per_unit=disorder.deed(),
            deed_per_atom=disorder.deed(atoms_per_unit=host.atoms_per_unit),
            uncertainty=self._uncertainty(host, enthalpies, mixtures, inputs.benchmark)
            if complete
            else None,
            reference=None
            if inputs.reference is None
            else reference_phases(host, phases, inputs.reference),
            vibrations=None
            if spec.vibrations is None
            else phase_vibrations(
                {p: o for p, o in phases.items() if p in enthalpies}
                | {(e,): o for e, o in ends.items()},
                mixtures or pool,
                family(model.family).calculator(model, device=get_settings().device),
                spec.vibrations,
            ),
            failed=failed,
        )

    def _uncertainty(
        self,
        host: Alloy,
        enthalpies: Mapping[Phase, float],
        mixtures: PhasePool | None,
        benchmark: BenchmarkDoc | None,
    ) -> ModelUncertainty | None:
        """Return the decomposition temperature within the error of the model, if it has one."""
        error = mixing_error(benchmark, self.thermodynamics.mode)
        if (given := self.thermodynamics.uncertainty_mev) is not None:
            error = given, "given by the campaign"
        if error is None:
            return None
        sigma, source = error
        rng = stream(self.seed, "interval")
        if mixtures is not None:
            interval = mixtures.interval(1e-3 * sigma, rng, N_MIXTURES)
        else:
            interval = decomposition_temperature_interval(
                host.elements, enthalpies, 1e-3 * sigma, rng, N_DRAWS
            )
        return ModelUncertainty(
            **interval.model_dump(), sigma_mev=sigma, sigma_from=source, seed=self.seed
        )


@dataclass(frozen=True)
class _Inputs:
    """Documents that the job was given."""

    model: ModelDoc | ModelSpec
    labels: LabelledDoc
    benchmark: BenchmarkDoc | None
    cells: StructuresDoc | None
    reference: TestSetDoc | None


def _name(phase: Phase) -> str:
    return "-".join(phase)
