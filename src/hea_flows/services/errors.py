"""What can go wrong with a service, said in one line and without a password."""

from __future__ import annotations

import re


class DatabaseUnreachableError(RuntimeError):
    """The database does not answer, or refuses the user."""


class MongodError(RuntimeError):
    """The local mongod could not be found, started or stopped."""


def redact(text: str) -> str:
    """Return a text without the users and passwords of the MongoDB URIs in it."""
    return re.sub(r"(mongodb(?:\+srv)?://)\S*@", r"\1***@", text)
