"""Jobs that go on in another batch job."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from jobflow import CURRENT_JOB, Maker, Response


def continue_later(maker: Maker, *args: object, **kwargs: object) -> Response[Any]:
    """Return the response that replaces the current job by the same job, to go on with its work.

    The new job has the name, the uuid and the manager's configuration of the current one, and runs
    when a worker next takes it.

    Parameters
    ----------
    maker
        The Maker of the current job.
    args, kwargs
        Arguments of its ``make``. They may not hold references to jobs outside the new one: give
        documents, or the uuids under which the job finds them in the store.
    """
    again: Any = maker.make(*args, **kwargs)
    if (current := CURRENT_JOB.job) is not None:
        again.config = deepcopy(current.config)
        # jobflow would append to a name that has been appended to.
        again.name, again.name_updates = current.name, current.name_updates
        current.name_updates = []
    return Response(replace=again)
