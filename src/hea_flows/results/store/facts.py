"""What identifies a document: the few facts that a provenance table or tree shows of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from hea_flows.alloy.sampling import ExchangeLadder
from hea_flows.schemas import (
    BenchmarkDoc,
    CampaignDoc,
    CommitteeDoc,
    DatasetDoc,
    Document,
    GrowthDoc,
    LabelDoc,
    ModelSpec,
    MonteCarloDoc,
    ReportDoc,
    StructuresDoc,
    TestSetDoc,
    ThermodynamicsDoc,
    TrainingDoc,
)


def name_of(document: Document) -> str:
    """Return a document's short name, for example a formula or a model's label."""
    match document:
        case CampaignDoc() | CommitteeDoc() | TestSetDoc() | GrowthDoc():
            return document.name
        case StructuresDoc():
            return document.expression
        case LabelDoc():
            return document.structure.formula
        case DatasetDoc():
            first = document.alloy.elements[0]
            tail = document.alloy.to_alloy().unit_formula(first)[len(first) :]
            return f"({','.join(document.alloy.elements)}){tail}"
        case TrainingDoc():
            return f"{document.name}, {document.model.label}"
        case BenchmarkDoc():
            return f"{document.name}, {document.role} {document.model.label}"
        case MonteCarloDoc():
            return f"{document.settings.method}, {document.n_sites} sites, {document.mode}"
        case ThermodynamicsDoc():
            return f"{'-'.join(document.elements)}, {document.mode}"
        case ReportDoc():
            return document.title
    return document.kind


def _model(prefix: str, model: ModelSpec | None) -> dict[str, str]:
    if model is None:
        return {prefix: "from scratch"}
    facts = {prefix: model.label}
    return facts | ({f"{prefix} sha256": model.sha256} if model.sha256 else {})


def _campaign(d: CampaignDoc) -> dict[str, Any]:
    return {"file sha256": d.config_sha256}


def _structures(d: StructuresDoc) -> dict[str, Any]:
    return {"set": d.expression, "seed": d.seed, "structures": d.n_structures}


def _label(d: LabelDoc) -> dict[str, Any]:
    return {
        "structure id": d.structure.structure_id,
        "engine": d.engine,
        "settings id": d.settings_id,
        "calculation": d.calculation,
        "state": d.state,
        "frames": d.n_frames,
        "corrections": "; ".join(d.corrections),
        "codes": _versions(d.code_versions),
        "trajectory sha256": d.trajectory_sha256,
    }


def _dataset(d: DatasetDoc) -> dict[str, Any]:
    return {
        "settings id": d.settings_id,
        "split seed": d.seed,
        "split by": d.split_by,
        "frames": len(d.frames),
        "train": len(d.train),
        "test": len(d.test),
        "validation": len(d.validation),
        "structures": d.n_structures,
        "excluded": len(d.excluded),
        "checksum": d.checksum,
    }


def _test_set(d: TestSetDoc) -> dict[str, Any]:
    return {
        "sets": "; ".join(d.expressions),
        "engine": d.engine,
        "settings id": d.settings_id,
        "structures": len(d.members),
        "excluded": len(d.excluded),
        "checksum": d.checksum,
    }


def _train_maker(d: TrainingDoc) -> dict[str, Any]:
    return {
        **_model("parent", d.parent),
        **_model("model", d.model),
        "seed": d.settings.seed,
        "epochs": len(d.curve),
        "best epoch": d.best_epoch,
        "dataset checksum": d.dataset_checksum,
        "hardware": _versions(d.hardware),
    }


def _benchmark(d: BenchmarkDoc) -> dict[str, Any]:
    return {
        **_model("model", d.model),
        "test_sets": _versions({k: v[:12] for k, v in d.test_sets.items()}),
        "engine": d.engine,
        "settings id": d.settings_id,
        "offsets fitted on": d.offsets_from,
        "bootstrap seed": d.bootstrap_seed,
        "failed": len(d.failed),
    }


def _committee(d: CommitteeDoc) -> dict[str, Any]:
    return {
        "seeds": ", ".join(map(str, d.seeds)),
        "engine": d.engine,
        "settings id": d.settings_id,
        "bootstrap seed": d.bootstrap_seed,
    }


def _growth(d: GrowthDoc) -> dict[str, Any]:
    return {
        "sets": "; ".join(step.expression for step in d.steps),
        "geometry": d.geometry,
        "stopped because": d.stopped_because,
        "recommended step": d.recommended + 1,
        "training seeds": ", ".join(map(str, d.seeds)),
        "tolerance (meV/unit)": d.tolerance_mev,
        "bootstrap seed": d.bootstrap_seed,
    }


def _montecarlo(d: MonteCarloDoc) -> dict[str, Any]:
    return {
        **_model("model", d.model),
        "mode": d.mode,
        "method": d.settings.method,
        "seed": d.seed,
        "sites": d.n_sites,
        "temperatures": len(d.averages),
        **_ladder(d),
        "runs": d.settings.runs,
        "burn-in": d.settings.burn_in,
        "steps": d.settings.steps,
        "trials": sum(c.trials for c in d.chains),
        "evaluations": d.evaluations,
        "forbidden decorations": d.forbidden,
        "series sha256": d.series.sha256,
    }


def _ladder(d: MonteCarloDoc) -> dict[str, Any]:
    asked = d.settings.temperatures
    if d.ladder is None or not isinstance(asked, ExchangeLadder):
        return {}
    return {
        "exchanges asked for": asked.acceptance,
        "evaluations of the pilot": d.ladder.evaluations,
    }


def _thermodynamics(d: ThermodynamicsDoc) -> dict[str, Any]:
    return {
        **_model("model", d.model),
        "mode": d.mode,
        "random seed": d.random_seed,
        "random structures": len(d.random_mixing_mev),
        "error of mixing energies": d.uncertainty and d.uncertainty.sigma_from,
        "reference settings id": d.reference and d.reference.settings_id,
        "failed": len(d.failed),
    }


def _report(d: ReportDoc) -> dict[str, Any]:
    return {"page sha256": d.html.sha256}


_FACTS: dict[type[Document], Callable[[Any], dict[str, Any]]] = {
    CampaignDoc: _campaign,
    StructuresDoc: _structures,
    LabelDoc: _label,
    DatasetDoc: _dataset,
    TestSetDoc: _test_set,
    TrainingDoc: _train_maker,
    BenchmarkDoc: _benchmark,
    CommitteeDoc: _committee,
    GrowthDoc: _growth,
    MonteCarloDoc: _montecarlo,
    ThermodynamicsDoc: _thermodynamics,
    ReportDoc: _report,
}


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{k} {v}" for k, v in versions.items())


def facts(document: Document) -> dict[str, str]:
    """Return checksums, seeds, sizes and versions of a document as text; empty ones left out."""
    found = _FACTS[type(document)](document) if type(document) in _FACTS else {}
    found |= {"versions": _versions(document.versions)}
    return {k: str(v) for k, v in found.items() if v not in (None, "")}


def counted(documents: list[LabelDoc]) -> str:
    """Return how many labels are in which state, such as ``120 converged, 6 failed``."""
    states = Counter(d.state for d in documents)
    return ", ".join(f"{n} {state}" for state, n in states.most_common())
