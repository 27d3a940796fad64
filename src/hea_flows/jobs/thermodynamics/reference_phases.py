"""The phases of an alloy by the reference engine."""

from __future__ import annotations

from collections.abc import Mapping

from hea_flows.alloy.lattice import Alloy, Ordering
from hea_flows.alloy.thermodynamics import (
    competing_decompositions,
    decomposition_temperature,
    hull_depth,
    mixing_energies,
    transition_temperatures,
)
from hea_flows.schemas import ReferencePhases, TestSetDoc

Phase = tuple[str, ...]


def reference_phases(
    host: Alloy, phases: Mapping[Phase, Ordering], labels: TestSetDoc
) -> ReferencePhases:
    """Return SQS enthalpies and transitions by the reference engine.

    Phases without a relaxed label are named with the reason.

    Parameters
    ----------
    host
        The alloy.
    phases
        The SQS of each phase.
    labels
        Its labels, and those of the end members.
    """
    why: dict[str, str] = dict(labels.excluded)
    for key in labels.trajectories:
        if labels.calculations.get(key) != "relax":
            why[key] = "its label is no relaxation"
        elif not labels.converged[key]:
            why[key] = "its relaxation did not converge"
    used = {k: t.energies[-1] for k, t in labels.trajectories.items() if k not in why}
    pure = {e: used[k] for e, k in labels.end_points.items() if k in used}
    enthalpies, missing = {}, {}
    for phase, ordering in phases.items():
        lost = [e for e in phase if e not in pure]
        if ordering.id in used and not lost:
            [value] = mixing_energies([used[ordering.id]], [ordering.counts], pure)
            enthalpies[phase] = float(value)
        elif lost:
            key = labels.end_points[lost[0]]
            missing["-".join(phase)] = f"end member of {lost[0]}: {why[key]}"
        else:
            missing["-".join(phase)] = why.get(ordering.id, "no label of this cell")
    counts = {phase: ordering.counts for phase, ordering in phases.items()}
    pool = [] if missing else competing_decompositions(host, counts, enthalpies)
    return ReferencePhases(
        engine=labels.engine,
        settings_id=labels.settings_id,
        sqs_mixing_mev={"-".join(k): 1e3 * v for k, v in enthalpies.items()},
        missing=missing,
        transitions=[(t, d.name) for t, d in transition_temperatures(pool)] if pool else [],
        decomposition_temperature=decomposition_temperature(pool) if pool else None,
        h_hull_mev=1e3 * hull_depth(pool) if pool else None,
    )
