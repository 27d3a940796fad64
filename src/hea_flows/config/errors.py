"""What is wrong with a campaign file, or with settings, in one line."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from hea_flows.inputs import cut, shown


def validation_line(error: ValidationError) -> str:
    """Return the first line of `validation_lines`, and how many more there are."""
    first, *others = validation_lines(error)
    return first + (f" (and {len(others)} more)" if others else "")


def validation_lines(error: ValidationError) -> list[str]:
    """Return a line for every wrong key: what was given and what is accepted."""
    return [_line(details, error.title) for details in error.errors(include_url=False)]


def _line(details: ErrorDetails, title: str) -> str:
    key = cut(".".join(str(part) for part in details["loc"])) or title
    given: Any = details["input"]
    message = details["msg"].removeprefix("Value error, ")
    if details["type"] == "missing":
        return f"{key} is missing"
    if details["type"] == "extra_forbidden":
        return f"{key} is no key of {title}"
    if (
        details["type"] == "value_error"
        or isinstance(given, dict | SecretStr | BaseModel)
        or "uri" in key
    ):
        return f"{key}: {message}"
    return f"{key} is {shown(given)}; {message[:1].lower()}{message[1:]}"
