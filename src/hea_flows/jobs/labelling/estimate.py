"""What the labels of a campaign cost, before it is submitted."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import psutil

from hea_flows.alloy.lattice import Ordering
from hea_flows.alloy.sets import parse
from hea_flows.config import Campaign, LabelSpec, plan_campaign
from hea_flows.jobs.labelling.labels import LabelsMaker
from hea_flows.reference import LabelCost
from hea_flows.settings import get_settings

#: Gigabytes that a worker takes beside an engine in its process; and with a potential loaded.
_WORKER, _POTENTIAL = 0.15, 0.25


@dataclass(frozen=True)
class SetEstimate:
    """What the labels of one set cost.

    Parameters
    ----------
    expression, use, engine
        The set, what it is for, and the reference engine that labels it.
    atoms
        Atoms of each structure.
    costs
        Cost of each label on one core; None where the engine offers no estimate.
    gigabytes
        Memory of a process that labels the largest structure (GB), the worker's own included where
        the engine runs inside it; None where the engine offers no estimate.
    """

    expression: str
    use: str
    engine: str
    atoms: list[int]
    costs: list[LabelCost] | None
    gigabytes: float | None


def estimate(campaign: Campaign) -> list[SetEstimate]:
    """Return what the labels of each set of a campaign cost, in the order of the file.

    Last come the sets of a growth, which are labelled only if their turn comes.

    `ReferenceMaker.estimate` says what a label costs.

    Raises
    ------
    ValueError, ModuleNotFoundError
        For an unknown engine or option, or an engine that is not installed.
    """
    alloy = campaign.alloy.to_alloy()
    estimates = []
    labelled: list[tuple[LabelSpec, set[str]]] = []
    plan = plan_campaign(campaign)
    for spec in (*plan.sets, *(plan.growth.steps[1:] if plan.growth else ())):
        labels = spec.labels
        maker = LabelsMaker(labels=labels, seed=campaign.seed)
        earlier = {key for other, ids in labelled if other == labels for key in ids}
        orderings = parse(spec.expression).build(alloy, campaign.seed, most=None)
        orderings = [ordering for ordering in orderings if ordering.id not in earlier]
        labelled.append((labels, set(spec.ids)))
        costs, gigabytes = label_costs(maker, orderings), None
        if costs is not None:
            gigabytes = max((cost.gigabytes for cost in costs), default=0.0)
            if get_settings().gpaw_command is None:
                gigabytes += _WORKER + (_POTENTIAL if labels.start is not None else 0.0)
        atoms = [ordering.n_atoms for ordering in orderings]
        estimates.append(
            SetEstimate(
                spec.expression, ", ".join(spec.uses), labels.engine, atoms, costs, gigabytes
            )
        )
    return estimates


def label_costs(maker: LabelsMaker, orderings: Iterable[Ordering]) -> list[LabelCost] | None:
    """Return what a Maker's labels of structures cost; None where its engine offers no estimate.

    Raises
    ------
    ModuleNotFoundError
        If the engine is not installed.
    """
    start, costs = maker.labels.start, []
    symmetric = start is None or not start.rattle
    for ordering in orderings:
        if (cost := maker.reference.estimate(ordering, symmetric=symmetric)) is None:
            return None
        costs.append(cost)
    return costs


def hours(costs: Iterable[LabelCost], workers: int) -> float:
    """Return the hours until so many workers have labelled structures, taken in their order."""
    busy = [0.0] * workers
    for cost in costs:
        heapq.heapreplace(busy, busy[0] + cost.seconds)
    return max(busy) / 3600


def memory_warning(estimates: Sequence[SetEstimate], workers: int) -> str | None:
    """Return what to say if so many workers need more memory than this machine has."""
    largest = max((e.gigabytes for e in estimates if e.gigabytes is not None), default=0.0)
    available = psutil.virtual_memory().total / 1e9
    if largest * workers <= available:
        return None
    return (
        f"{workers} workers with labels of {largest:.1f} GB each need {largest * workers:.1f} GB, "
        f"this machine has {available:.1f} GB; {int(available / largest)} fit"
    )
