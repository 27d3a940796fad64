"""Errors of the services: one line each, without passwords."""

from __future__ import annotations


class DatabaseUnreachableError(RuntimeError):
    """The database does not answer, or refuses the user."""


class MongodError(RuntimeError):
    """The local mongod could not be found, started or stopped."""
