"""Which workers may take a job: the FireWorks category that it carries."""

from __future__ import annotations

from typing import Any

from jobflow import OnMissing

#: Category of jobs that neither label nor load a potential. The others carry the name of their
#: reference engine (``vasp``, ``gpaw``) or of their model family (``mace``, ``chgnet``).
CPU = "cpu"


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


def despite_missing_labels(job: Any) -> Any:  # noqa: ANN401  Job is untyped
    """Route a job that takes lists of labels, and return it; a label whose job failed is None."""
    job.config.on_missing_references = OnMissing.NONE
    # What it takes beside labels must be there.
    return route(job, CPU, _allow_fizzled_parents=False)
