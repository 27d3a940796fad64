"""The headline numbers of a report, and the list of problems."""

from __future__ import annotations

from math import isfinite
from typing import Any

from hea_flows.results.store import CampaignDocuments
from hea_flows.schemas import BenchmarkDoc, BenchmarkTable, Geometry

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


def held_out(benchmark: BenchmarkDoc | None, geometry: Geometry) -> BenchmarkTable | None:
    """Return the row at one geometry of the test set that headlines speak of, if it has an error.

    It is the first test set that is not only what a model was trained on.
    """
    for table in benchmark.tables if benchmark else []:
        if table.geometry == geometry and table.test_set != "training" and table.n > 0:
            return table if isfinite(table.mixing_mae_mev) else None
    return None


def headline_geometry(documents: CampaignDocuments) -> Geometry | None:
    """Return the geometry at which both models have held-out errors; relaxed comes first.

    One model alone decides if the other has no benchmark.
    """
    pair = [b for role in ("foundation", "fine-tuned") if (b := documents.benchmark(role))]
    for geometry in ("relaxed", "fixed"):
        if pair and all(held_out(b, geometry) for b in pair):
            return geometry
    return None


def problems(documents: CampaignDocuments) -> list[tuple[str, str, str, str]]:
    """Return structures that are not as planned: (structure id, formula, where, reason).

    Models and other results that are missing come first, without a structure.
    """
    formulas = {label.structure.structure_id: label.structure.formula for label in documents.labels}
    tables = [d.structures for d in documents.datasets] + [
        d.structures for d in documents.test_sets
    ]
    formulas |= {key: entry.formula for table in tables for key, entry in table.items()}
    rows = [("", "", f"no result of {name}", why) for name, why in documents.missing.items()]
    for error in documents.unreadable:
        key = error.structure_id or ""
        rows.append((key, formulas.get(key, ""), "left out of the report", str(error)))
    rows += [
        (x.structure.structure_id, x.structure.formula, f"label: {x.state}", x.reason or "")
        for x in documents.labels
        if x.state != "converged"
    ]
    for dataset in documents.datasets:
        rows += [
            (k, formulas.get(k, ""), "not in the dataset", v) for k, v in dataset.excluded.items()
        ]
    for test_set in documents.test_sets:
        rows += [
            (k, formulas.get(k, ""), f"not in the test set {test_set.name}", v)
            for k, v in test_set.excluded.items()
        ]
    for bench in documents.benchmarks:
        rows += [
            (k, formulas.get(k, ""), f"relaxation with the {bench.role} model {bench.name}", v)
            for k, v in bench.failed.items()
        ]
    for thermo in documents.thermodynamics:
        rows += [(k, "", f"thermodynamics, {thermo.mode}", v) for k, v in thermo.failed.items()]
    return rows


def summary(documents: CampaignDocuments) -> dict[str, Any]:
    """Return the headline numbers; None where a document is missing.

    Returns
    -------
    numbers
        Flat, with `HEADLINES` as the keys a table shows and details beside them. Energies in
        meV/unit, temperature in K, DEED in (eV/unit)⁻¹ and (eV/atom)⁻¹.
    """
    geometry = headline_geometry(documents)
    before = held_out(documents.benchmark("foundation"), geometry) if geometry else None
    after = held_out(documents.benchmark("fine-tuned"), geometry) if geometry else None
    table = after or before
    training, dataset = documents.headline_training, documents.headline_dataset
    validation = training.errors.get("validation") if training else None
    thermo = documents.headline_thermodynamics
    phase = thermo.solid_solution if thermo else None
    interval = thermo.uncertainty if thermo else None
    reference = thermo.reference if thermo else None
    factor = None
    if before and after and after.mixing_mae_mev > 0:
        factor = before.mixing_mae_mev / after.mixing_mae_mev
    return {
        "campaign": documents.campaign.name if documents.campaign else None,
        "labels": sum(label.n_frames > 0 for label in documents.labels),
        "frames": sum(label.n_frames for label in documents.labels),
        "not_converged": sum(label.state != "converged" for label in documents.labels),
        "unreadable": len(documents.unreadable),
        "dataset_frames": len(dataset.frames) if dataset else None,
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
        "montecarlo_chains": sum(len(d.chains) for d in documents.montecarlo),
    }
