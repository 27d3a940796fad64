"""Errors of the services: one line each, without passwords."""

from __future__ import annotations

import re


class DatabaseUnreachableError(RuntimeError):
    """The database does not answer, or refuses the user."""


class MongodError(RuntimeError):
    """The local mongod could not be found, started or stopped."""


def redact(text: str) -> str:
    """Remove users and passwords from the MongoDB URIs in a text."""
    return re.sub(r"(mongodb(?:\+srv)?://)\S*@", r"\1***@", text)
