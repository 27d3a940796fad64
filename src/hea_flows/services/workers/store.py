"""The job store of a worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from jobflow import JobStore

from hea_flows.services.errors import MissingPackageError, is_outage
from hea_flows.services.workers.packages import missing_package


class WorkerJobStore(JobStore):
    """A job store that keeps results while the database is away, and gives whole objects only."""

    #: Waits until the database answers; returns False if it does not.
    outlast: Callable[[], bool] = staticmethod(lambda: False)

    @classmethod
    def of(cls, store: Any, outlast: Callable[[], bool]) -> Self:  # noqa: ANN401  JobStore
        """Return a job store with the contents of another."""
        own = cls(store.docs_store, store.additional_stores, save=store.save, load=store.load)
        own.outlast = outlast
        return own

    def update(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  as JobStore.update
        """Store outputs, as `JobStore.update` does, once the database answers."""
        while True:
            try:
                super().update(*args, **kwargs)
            except Exception as error:
                if not (is_outage(error) and self.outlast()):
                    raise
            else:
                return

    def get_output(self, uuid: str, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  as there
        """Return a job's output, as `JobStore.get_output` does.

        Raises
        ------
        MissingPackageError
            If this process cannot import what the output consists of.
        """
        output = super().get_output(uuid, *args, **kwargs)
        if need := missing_package(output):
            raise MissingPackageError(need)
        return output
