"""Which workers may take a job: the FireWorks category that it carries."""

from __future__ import annotations

from typing import Any

from jobflow import OnMissing

from hea_flows.services.progress import RESULT

#: Category of jobs that neither label nor load a potential. The others carry the name of their
#: reference engine (``vasp``, ``gpaw``) or of their model family (``mace``, ``chgnet``).
CPU = "cpu"

#: Of jobs that do not wait once those before them are over, even if some of those have failed.
#: FireWorks would copy every failed one, whole, into the job's own document, of 16 MB at most,
#: unless it finds a copy there.
_NOT_WAITING: dict[str, Any] = {"_allow_fizzled_parents": True, "_fizzled_parents": []}
#: Of jobs that make a campaign's results.
_RESULT: dict[str, Any] = {**_NOT_WAITING, RESULT: True}


def route(job: Any, category: str, **manager_config: Any) -> Any:  # noqa: ANN401  Job is untyped
    """Give a job its category, and return it.

    A worker of FireWorks takes only jobs of its own categories, or of all if it has none.

    Parameters
    ----------
    job
        A job; what it already says to its manager is kept.
    category
        `CPU`, a reference engine or a model family.
    manager_config
        More keys of the Firework's spec, for example ``_priority``.
    """
    job.config.manager_config = {
        **job.config.manager_config,
        **manager_config,
        "_category": category,
    }
    return job


def despite_missing(job: Any) -> Any:  # noqa: ANN401  Job is untyped
    """Route a job that takes what there is, and return it: what a failed job was to give is None.

    FireWorks starts it when all jobs before it are done or have failed.
    """
    job.config.on_missing_references = OnMissing.NONE
    return route(job, CPU, **_RESULT)


def or_fails(job: Any, category: str) -> Any:  # noqa: ANN401  Job is untyped
    """Route a job of a result that needs everything it takes, and return it.

    Where a job before it failed it fails too, before it does anything: it would wait for ever
    otherwise, and with it the report.
    """
    return route(job, category, **_RESULT)


def label_or_fails(job: Any, category: str, **manager_config: Any) -> Any:  # noqa: ANN401
    """Route a job of labels as `or_fails` does; what it would have given is no result."""
    return route(job, category, **_NOT_WAITING, **manager_config)


def passed_on(job: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return what a job tells its manager and the jobs that it makes should tell too."""
    own = {"_category", *_RESULT}
    return {k: v for k, v in job.config.manager_config.items() if k not in own}


def never_waiting(part: Any) -> Any:  # noqa: ANN401  Job or Flow
    """Let every job of a flow, routed already, fail where one before it did; return the flow."""
    if hasattr(part, "jobs"):
        for one in part.jobs:
            never_waiting(one)
    else:
        part.config.manager_config = {**part.config.manager_config, **_RESULT}
    return part
