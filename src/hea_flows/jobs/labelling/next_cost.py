"""What the next training set would cost: from labels that were timed, else as engines estimate."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from hea_flows.alloy.errors import predict_label_time
from hea_flows.alloy.lattice import Ordering
from hea_flows.alloy.sets import parse
from hea_flows.jobs.labelling.estimate import label_costs
from hea_flows.jobs.labelling.labels import LabelsMaker
from hea_flows.schemas import AlloySpec, LabelDoc, NextPoint, StructuresDoc

Labels = Sequence[Sequence[LabelDoc | None]]


def hours_of(labels: Labels, structures: Collection[str]) -> tuple[float | None, int]:
    """Return the wall time of structures' labels (h), and how many labels tell it."""
    times = [seconds for key, (_, seconds) in _times(labels).items() if key in structures]
    return (sum(times) / 3600 if times else None), len(times)


def next_point(
    expression: str,
    alloy: AlloySpec,
    labelling: LabelsMaker,
    structures: Sequence[StructuresDoc],
    labels: Labels,
    rng: np.random.Generator,
) -> NextPoint:
    """Return what the labels of a set would cost.

    Parameters
    ----------
    expression
        The set.
    alloy
        Its host.
    labelling
        Labels it.
    structures
        Sets that are labelled already.
    labels
        Their labels, and of other sets that are labelled in the same way.
    rng
        Source of resamples.
    """
    orderings = parse(expression).build(alloy.to_alloy(), labelling.seed, most=None)
    labelled = {e.structure_id for doc in structures for e in doc.structures}
    labelled |= {x.structure.structure_id for group in labels for x in group if x is not None}
    left = [o for o in orderings if o.id not in labelled]
    if not left:
        text = "every structure of it is labelled already"
        return NextPoint(expression=expression, n_structures=0, hours=0.0, basis=text)
    times = list(_times(labels).values())
    planned = [o.n_atoms for o in left]
    why = "no label tells its time"
    if times:
        try:
            cost = predict_label_time([n for n, _ in times], [t for _, t in times], planned, rng)
        except ValueError as error:
            why = str(error)
        else:
            return NextPoint(
                expression=expression,
                n_structures=len(left),
                hours=cost.seconds / 3600,
                hours_interval=(cost.low / 3600, cost.high / 3600),
                basis=_measured(cost.n, cost.sizes, cost.exponent, planned),
            )
    hours, basis = _estimated(labelling, left)
    return NextPoint(
        expression=expression, n_structures=len(left), hours=hours, basis=f"{basis}; {why}"
    )


def _times(labels: Labels) -> dict[str, tuple[int, float]]:
    """Return atoms and wall time (s) of each structure whose label tells it."""
    times: dict[str, tuple[int, float]] = {}
    for label in (x for group in labels for x in group if x is not None):
        trajectory = label.trajectory
        if trajectory is not None and trajectory.seconds and sum(trajectory.seconds) > 0:
            key = label.structure.structure_id
            times.setdefault(key, (len(trajectory.symbols), sum(trajectory.seconds)))
    return times


def _measured(
    n: int, sizes: tuple[int, int], exponent: float | None, planned: Sequence[int]
) -> str:
    span = f"{sizes[0]} to {sizes[1]}" if exponent is not None else str(sizes[0])
    text = f"measured: {n} labels of {span} atoms"
    if exponent is not None:
        text += f", time ∝ atoms^{exponent:.2f}"
    beyond = sorted({x for x in planned if not sizes[0] <= x <= sizes[1]})
    return text + (f", extrapolated to {', '.join(map(str, beyond))} atoms" if beyond else "")


def _estimated(maker: LabelsMaker, orderings: list[Ordering]) -> tuple[float | None, str]:
    """Return the engine's estimate (h), or None and why there is none."""
    engine = maker.labels.engine
    try:
        costs = label_costs(maker, orderings)
    except ModuleNotFoundError as error:
        return None, f"{engine} cannot estimate here ({error})"
    if costs is None:
        return None, f"{engine} offers no estimate"
    return sum(cost.seconds for cost in costs) / 3600, f"estimate of {engine}, hours of one core"
