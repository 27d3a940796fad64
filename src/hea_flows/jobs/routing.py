"""Which workers may take a job, and what becomes of it where a job before it failed."""

from __future__ import annotations

from typing import Any, TypeVar

from jobflow import Flow, Job, OnMissing

from hea_flows.services import RESULT

JobLike = Job | Flow
J = TypeVar("J", bound=JobLike)

#: Category of jobs that neither label nor load a potential. The others carry the name of their
#: reference engine (``vasp``, ``gpaw``) or of their model family (``mace``, ``chgnet``).
CPU = "cpu"

#: Of jobs that do not wait once those before them are over, even if some of those have failed.
#: FireWorks would copy every failed one, whole, into the job's own document, of 16 MB at most,
#: unless it finds a copy there.
_NOT_WAITING: dict[str, Any] = {"_allow_fizzled_parents": True, "_fizzled_parents": []}
#: Of jobs that make a campaign's results.
_RESULT: dict[str, Any] = {**_NOT_WAITING, RESULT: True}


def route(part: J, category: str, **manager_config: object) -> J:
    """Give a job, or each job of a flow, its category, and return it.

    A worker of FireWorks takes only jobs of its own categories, or of all if it has none.

    Parameters
    ----------
    part
        A job or a flow; what its jobs already say to their manager is kept.
    category
        `CPU`, a reference engine or a model family.
    manager_config
        More keys of the Firework's spec, for example ``_priority``.
    """
    if isinstance(part, Flow):
        for inner in part.jobs:
            route(inner, category, **manager_config)
    else:
        part.config.manager_config = {
            **part.config.manager_config,
            **manager_config,
            "_category": category,
        }
    return part


def route_result(part: J, category: str) -> J:
    """Route a job of a campaign's results.

    Where a job before it failed it fails too, before it does anything: it would wait for ever
    otherwise, and with it the report.
    """
    return route(part, category, **_RESULT)


def route_label(part: J, category: str, **manager_config: object) -> J:
    """Route a job of labels; as `route_result`, but a missing label is no missing result."""
    return route(part, category, **_NOT_WAITING, **manager_config)


def run_despite_missing_inputs(job: Job) -> Job:
    """Route a job that takes what there is: what a failed job was to give is None.

    FireWorks starts it when all jobs before it are done or have failed.
    """
    job.config.on_missing_references = OnMissing.NONE
    return route_result(job, CPU)


def inherited_config(job: Job) -> dict[str, Any]:
    """Return what a job tells its manager and the jobs that it makes should tell too."""
    own = {"_category", *_RESULT}
    return {k: v for k, v in job.config.manager_config.items() if k not in own}
