"""Which workers may take a job: the FireWorks category that it carries."""

from __future__ import annotations

from typing import Any

from jobflow import OnMissing

#: Category of jobs that neither label nor load a potential. The others carry the name of their
#: reference engine (``vasp``, ``gpaw``) or of their model family (``mace``, ``chgnet``).
CPU = "cpu"

#: Of jobs that make a campaign's results: once those before them are over, they do not wait, even
#: if some of those have failed. FireWorks would copy every failed one, whole, into the job's own
#: document, of 16 MB at most, unless it finds a copy there.
_RESULT: dict[str, Any] = {"_allow_fizzled_parents": True, "_fizzled_parents": []}


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
    """Route a job that needs everything it takes, and return it.

    Where a job before it failed it fails too, before it does anything: it would wait for ever
    otherwise, and with it the report.
    """
    return route(job, category, **_RESULT)


def never_waiting(part: Any) -> Any:  # noqa: ANN401  Job or Flow
    """Let every job of a flow, routed already, fail where one before it did; return the flow."""
    if hasattr(part, "jobs"):
        for one in part.jobs:
            never_waiting(one)
    else:
        part.config.manager_config = {**part.config.manager_config, **_RESULT}
    return part
