"""Errors of the services: one line each, without passwords."""

from __future__ import annotations

from pymongo.errors import ConnectionFailure


class DatabaseUnreachableError(RuntimeError):
    """The database does not answer, or refuses the user."""


class MongodError(RuntimeError):
    """The local mongod could not be found, started or stopped."""


class JobInterruptedError(BaseException):
    """A job ends without result or failure, and becomes ready again.

    It is no `Exception`, so that neither the job nor FireWorks takes it for a failure.
    """


class MissingPackageError(JobInterruptedError):
    """What a job takes comes from a package that this process cannot import.

    Parameters
    ----------
    need
        What it is, see `hea_flows.services.workers.packages`.
    """

    def __init__(self, need: str) -> None:
        super().__init__(need)
        self.need = need


def is_outage(error: BaseException | None) -> bool:
    """Return whether an error, or one that it came of, says that the database does not answer."""
    while error is not None:
        if isinstance(error, ConnectionFailure | DatabaseUnreachableError):
            return True
        error = error.__cause__ or error.__context__
    return False
