"""What a report says in numbers: the documents it reads, headline numbers, what went wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Literal

from hea_flows.schemas import (
    AlloySpec,
    BenchmarkDoc,
    BenchmarkTable,
    CampaignDoc,
    CommitteeDoc,
    DatasetDoc,
    Document,
    GrowthDoc,
    LabelDoc,
    ModelSpec,
    MonteCarloDoc,
    StructuresDoc,
    TestSetDoc,
    ThermodynamicsDoc,
    TrainingDoc,
)

Geometry = Literal["relaxed", "fixed"]

#: Key of `summary` to the words and the unit a table shows; keys that are not here are details.
HEADLINES: dict[str, tuple[str, str]] = {
    "labels": ("labelled structures", ""),
    "frames": ("labelled frames", ""),
    "not_converged": ("structures not converged, failed or missing", ""),
    "mixing_mae_before_mev": ("mixing-energy MAE, foundation model, held-out labels", "meV/unit"),
    "mixing_mae_after_mev": ("mixing-energy MAE, fine-tuned model, held-out labels", "meV/unit"),
    "mixing_factor": ("foundation MAE divided by fine-tuned MAE", ""),
    "validation_energy_mev": ("validation RMSE of the energy", "meV/atom"),
    "validation_forces_mev": ("validation RMSE of the forces", "meV/Å"),
    "decomposition_temperature_k": ("decomposition temperature", "K"),
    "deed_per_unit": ("DEED", "(eV/unit)⁻¹"),
    "deed_per_atom": ("DEED", "(eV/atom)⁻¹"),
}


@dataclass(frozen=True)
class ReportInputs:
    """The documents of one campaign; any may be missing, some by name and for a known reason.

    Where several documents of a kind are given, figures show the newest one that fits and tables
    show all.
    """

    campaign: CampaignDoc | None = None
    structures: list[StructuresDoc] = field(default_factory=list)
    labels: list[LabelDoc] = field(default_factory=list)
    datasets: list[DatasetDoc] = field(default_factory=list)
    test_sets: list[TestSetDoc] = field(default_factory=list)
    trainings: list[TrainingDoc] = field(default_factory=list)
    benchmarks: list[BenchmarkDoc] = field(default_factory=list)
    committees: list[CommitteeDoc] = field(default_factory=list)
    growth: list[GrowthDoc] = field(default_factory=list)
    montecarlo: list[MonteCarloDoc] = field(default_factory=list)
    thermodynamics: list[ThermodynamicsDoc] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_documents(cls, documents: Iterable[Document]) -> ReportInputs:
        """Sort documents by kind, oldest first; kinds a report does not read are left out."""
        pool = sorted(documents, key=lambda d: (d.created_at, d.uuid))
        campaigns = [d for d in pool if isinstance(d, CampaignDoc)]
        return cls(
            campaign=campaigns[-1] if campaigns else None,
            structures=[d for d in pool if isinstance(d, StructuresDoc)],
            labels=[d for d in pool if isinstance(d, LabelDoc)],
            datasets=[d for d in pool if isinstance(d, DatasetDoc)],
            test_sets=[d for d in pool if isinstance(d, TestSetDoc)],
            trainings=[d for d in pool if isinstance(d, TrainingDoc)],
            benchmarks=[d for d in pool if isinstance(d, BenchmarkDoc)],
            committees=[d for d in pool if isinstance(d, CommitteeDoc)],
            growth=[d for d in pool if isinstance(d, GrowthDoc)],
            montecarlo=[d for d in pool if isinstance(d, MonteCarloDoc)],
            thermodynamics=[d for d in pool if isinstance(d, ThermodynamicsDoc)],
        )

    @property
    def documents(self) -> list[Document]:
        """All documents, in the order of the work."""
        return [
            *([self.campaign] if self.campaign else []),
            *self.structures,
            *self.labels,
            *self.datasets,
            *self.test_sets,
            *self.trainings,
            *self.benchmarks,
            *self.committees,
            *self.growth,
            *self.montecarlo,
            *self.thermodynamics,
        ]

    @property
    def alloy(self) -> AlloySpec | None:
        """The alloy of the newest dataset, test set or structure set."""
        for documents in (self.datasets, self.test_sets, self.structures):
            if documents:
                return documents[-1].alloy
        return None

    def benchmark(self, role: Literal["foundation", "fine-tuned"]) -> BenchmarkDoc | None:
        """Return the newest benchmark of a role; the foundation is the fine-tuned one's parent.

        A model from scratch counts as fine-tuned where there is no other.

        Where the fine-tuned model's parent or settings id are known, a foundation benchmark of
        another model or another reference is not taken for it.
        """
        found = [b for b in self.benchmarks if b.role == role]
        if role == "fine-tuned" and not found:
            found = [b for b in self.benchmarks if b.role == "from scratch"]
        if role == "foundation" and (tuned := self.benchmark("fine-tuned")):
            found = [b for b in found if b.settings_id == tuned.settings_id]
            if parent := self.parent_of(tuned.model):
                found = [b for b in found if _same_model(b.model, parent)]
        return found[-1] if found else None

    def parent_of(self, model: ModelSpec) -> ModelSpec | None:
        """Return the foundation that a model was fine-tuned from, if its document is here."""
        for doc in reversed(self.trainings):
            digest = doc.model.sha256 or doc.model_file.sha256
            if _same_model(doc.model.model_copy(update={"sha256": digest}), model):
                return doc.parent
        return None


def _same_model(a: ModelSpec, b: ModelSpec) -> bool:
    if a.sha256 and b.sha256:
        return a.sha256 == b.sha256
    return (a.family, a.name, a.path) == (b.family, b.name, b.path)


def held_out(benchmark: BenchmarkDoc | None, geometry: Geometry) -> BenchmarkTable | None:
    """Return the row at one geometry of the test set that headlines speak of, if it has an error.

    It is the first test set that is not only what a model was trained on.
    """
    for table in benchmark.tables if benchmark else []:
        if table.geometry == geometry and table.test_set != "training" and table.n > 0:
            return table if isfinite(table.mixing_mae_mev) else None
    return None


def headline_geometry(inputs: ReportInputs) -> Geometry | None:
    """Return the geometry at which both models have held-out errors; relaxed comes first.

    One model alone decides if the other has no benchmark.
    """
    pair = [b for role in ("foundation", "fine-tuned") if (b := inputs.benchmark(role))]
    for geometry in ("relaxed", "fixed"):
        if pair and all(held_out(b, geometry) for b in pair):
            return geometry
    return None


def headline_thermodynamics(inputs: ReportInputs) -> ThermodynamicsDoc | None:
    """Return the newest thermodynamics of relaxed energies, else the newest of any."""
    documents = inputs.thermodynamics
    relaxed = [t for t in documents if t.mode == "relaxed"]
    return (relaxed or documents or [None])[-1]  # type: ignore[list-item]


def solid_solution(doc: ThermodynamicsDoc) -> str | None:
    """Return the name of the phase that holds all elements, as the SQS table spells it."""
    for phase in doc.sqs_mixing_mev:
        if set(phase.split("-")) == set(doc.elements):
            return phase
    return None


def problems(inputs: ReportInputs) -> list[tuple[str, str, str, str]]:
    """Return structures that are not as planned: (structure id, formula, where, reason).

    Models and other results that are missing come first, without a structure.
    """
    formulas = {label.structure.structure_id: label.structure.formula for label in inputs.labels}
    tables = [d.structures for d in inputs.datasets] + [d.structures for d in inputs.test_sets]
    formulas |= {key: entry.formula for table in tables for key, entry in table.items()}
    rows = [("", "", f"no result of {name}", why) for name, why in inputs.missing.items()]
    rows += [
        (x.structure.structure_id, x.structure.formula, f"label: {x.state}", x.reason or "")
        for x in inputs.labels
        if x.state != "converged"
    ]
    for dataset in inputs.datasets:
        rows += [
            (k, formulas.get(k, ""), "not in the dataset", v) for k, v in dataset.excluded.items()
        ]
    for test_set in inputs.test_sets:
        rows += [
            (k, formulas.get(k, ""), f"not in the test set {test_set.name}", v)
            for k, v in test_set.excluded.items()
        ]
    for bench in inputs.benchmarks:
        rows += [
            (k, formulas.get(k, ""), f"relaxation with the {bench.role} model {bench.name}", v)
            for k, v in bench.failed.items()
        ]
    for thermo in inputs.thermodynamics:
        rows += [(k, "", f"thermodynamics, {thermo.mode}", v) for k, v in thermo.failed.items()]
    return rows


def summary(inputs: ReportInputs) -> dict[str, Any]:
    """Return the headline numbers; None where a document is missing.

    Returns
    -------
    numbers
        Flat, with `HEADLINES` as the keys a table shows and details beside them. Energies in
        meV/unit, temperature in K, DEED in (eV/unit)⁻¹ and (eV/atom)⁻¹.
    """
    geometry = headline_geometry(inputs)
    before = held_out(inputs.benchmark("foundation"), geometry) if geometry else None
    after = held_out(inputs.benchmark("fine-tuned"), geometry) if geometry else None
    table = after or before
    tuned = inputs.trainings[-1] if inputs.trainings else None
    validation = tuned.errors.get("validation") if tuned else None
    thermo = headline_thermodynamics(inputs)
    phase = solid_solution(thermo) if thermo else None
    interval = thermo.uncertainty if thermo else None
    reference = thermo.reference if thermo else None
    factor = None
    if before and after and after.mixing_mae_mev > 0:
        factor = before.mixing_mae_mev / after.mixing_mae_mev
    return {
        "campaign": inputs.campaign.name if inputs.campaign else None,
        "labels": sum(label.n_frames > 0 for label in inputs.labels),
        "frames": sum(label.n_frames for label in inputs.labels),
        "not_converged": sum(label.state != "converged" for label in inputs.labels),
        "dataset_frames": len(inputs.datasets[-1].frames) if inputs.datasets else None,
        "mixing_geometry": geometry,
        "mixing_reference": table.reference if table else None,
        "mixing_mae_before_mev": before.mixing_mae_mev if before else None,
        "mixing_mae_after_mev": after.mixing_mae_mev if after else None,
        "mixing_interval_before_mev": before.mixing_mae_interval_mev if before else None,
        "mixing_interval_after_mev": after.mixing_mae_interval_mev if after else None,
        "mixing_n_before": before.n if before else None,
        "mixing_n_after": after.n if after else None,
        "mixing_factor": factor,
        "validation_energy_mev": validation.energy_mev if validation else None,
        "validation_forces_mev": validation.forces_mev if validation else None,
        "thermodynamics_mode": thermo.mode if thermo else None,
        "decomposition_temperature_k": thermo.decomposition_temperature if thermo else None,
        "decomposition_interval_k": (interval.low, interval.high) if interval else None,
        "decomposition_sigma_mev": interval.sigma_mev if interval else None,
        "decomposition_reference_k": reference.decomposition_temperature if reference else None,
        "ground_state": thermo.transitions[0][1] if thermo and thermo.transitions else None,
        "sqs_mixing_mev": thermo.sqs_mixing_mev[phase] if thermo and phase else None,
        "random_mean_mev": thermo.h_ave_mev if thermo else None,
        "random_sigma_mev": thermo.sigma_mev if thermo else None,
        "deed_per_unit": thermo.deed_per_unit if thermo else None,
        "deed_per_atom": thermo.deed_per_atom if thermo else None,
        "montecarlo_chains": sum(len(d.chains) for d in inputs.montecarlo),
    }
