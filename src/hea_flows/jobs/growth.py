"""A training set that grows: how good a step is, whether it was worth it, what there is so far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jobflow import OutputReference, job

from hea_flows.alloy.errors import decide, recommended, step_error
from hea_flows.config import GrowthSpec
from hea_flows.jobs.labelling.next_cost import hours_of
from hea_flows.provenance import provenance
from hea_flows.schemas import (
    BenchmarkDoc,
    GrowthDoc,
    GrowthInputs,
    GrowthSources,
    GrowthStep,
    LabelDoc,
    NextPoint,
    Stopped,
    StructuresDoc,
)


def measured_step(
    growth: GrowthSpec,
    sources: GrowthSources,
    structures: Sequence[StructuresDoc],
    labels: Sequence[Sequence[LabelDoc | None]],
    n_frames: dict[str, int],
    benchmarks: Sequence[BenchmarkDoc],
    previous: Sequence[BenchmarkDoc] | None,
    rng: np.random.Generator,
) -> GrowthStep:
    """Return how good the models of a step are, and how much better than those before.

    Parameters
    ----------
    growth
        The test set, which errors decide, what counts as an improvement.
    sources
        The step's documents.
    structures
        Sets of all steps so far.
    labels
        Their labels, and of sets that share structures with them.
    n_frames
        Of the dataset, by structure.
    benchmarks, previous
        Of the step's models and of those before.
    rng
        Source of resamples.

    Raises
    ------
    ValueError
        If no structure of the test set is left that neither step was trained on.
    """
    errors = _errors(growth, benchmarks)
    error = step_error(errors, rng)
    decision = None
    if previous is not None:
        decision = decide(_errors(growth, previous), errors, rng, tolerance=growth.tolerance)
    change = decision.change if decision else None
    earlier = {e.structure_id for doc in structures[:-1] for e in doc.structures}
    new = {e.structure_id for e in structures[-1].structures} - earlier
    hours, n_timed = hours_of(labels, new)
    failed = {key for bench in benchmarks for key in bench.failed}
    return GrowthStep(
        expression=structures[-1].expression,
        sources=sources,
        n_new=len(new),
        n_structures=len(n_frames),
        n_frames=sum(n_frames.values()),
        n_compared=error.n,
        n_failed=0 if growth.geometry == "fixed" else len(failed),
        mae_mev=error.mae,
        mae_interval_mev=(error.low, error.high),
        mae_by_seed_mev=list(error.by_seed),
        change_mev=change.value if change else None,
        change_interval_mev=(change.low, change.high) if change else None,
        p_value=change.p_value if change else None,
        improved=decision is not None and decision.improved,
        label_hours=hours,
        n_timed=n_timed,
    )


def _errors(growth: GrowthSpec, benchmarks: Sequence[BenchmarkDoc]) -> list[dict[str, float]]:
    """Return of each seed the errors of alloyed structures that it was not trained on."""
    errors = [
        {
            p.structure_id: p.model_mixing_mev - p.reference_mixing_mev
            for p in bench.points(growth.geometry)
            if p.test_set == growth.test_set and p.n_components > 1 and not p.trained
        }
        for bench in benchmarks
    ]
    if not all(errors):
        msg = (
            f"growth: {growth.test_set!r} has no structure, {growth.geometry}, that the model was "
            "not trained on; choose a test set of other structures"
        )
        raise ValueError(msg)
    return errors


def growth_document(
    growth: GrowthSpec,
    seeds: list[int],
    steps: list[GrowthStep],
    inputs: GrowthInputs,
    next_point: NextPoint | None,
    bootstrap_seed: int,
) -> GrowthDoc:
    """Return the document of a growth after a step; it says whether and why it stopped."""
    stopped: Stopped | None = None
    if len(steps) > 1 and not steps[-1].improved:
        stopped = "no improvement beyond its error"
    elif len(steps) == len(growth.sets):
        stopped = "sets exhausted"
    sources = [step.sources for step in steps]
    return GrowthDoc(
        **provenance()
        | {
            "sources": {
                "benchmarks": [uuid for one in sources for uuid in one.benchmarks],
                "datasets": [one.dataset for one in sources],
                "structures": [one.structures for one in sources],
                "test_set": [inputs.test_set],
                "campaign": [inputs.campaign_file],
            }
        },
        name=growth.test_set,
        geometry=growth.geometry,
        seeds=seeds,
        tolerance_mev=growth.tolerance,
        steps=steps,
        stopped_because=stopped,
        recommended=recommended([step.improved for step in steps]),
        next_point=next_point,
        bootstrap_seed=bootstrap_seed,
    )


@job
def grown_documents(growth: GrowthDoc) -> dict[str, list[OutputReference]]:
    """Return references to everything that a growth made, by role, as a report takes it."""
    sources = [step.sources for step in growth.steps]

    def references(uuids: list[str]) -> list[OutputReference]:
        return [OutputReference(uuid) for uuid in uuids]

    return {
        "growth": references([growth.uuid]),
        "structures": references([one.structures for one in sources]),
        "labels": references([one.labels for one in sources]),
        "datasets": references([one.dataset for one in sources]),
        "trainings": references([uuid for one in sources for uuid in one.trainings]),
        "benchmarks": references([uuid for one in sources for uuid in one.benchmarks]),
    }
