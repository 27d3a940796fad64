"""What is wrong with a campaign file, or with settings, in one line."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr, ValidationError

from hea_flows.inputs import cut, shown


def validation_line(error: ValidationError) -> str:
    """Return the first wrong key, what was given and what is accepted."""
    errors = error.errors(include_url=False)
    first = errors[0]
    key = cut(".".join(str(part) for part in first["loc"])) or error.title
    given: Any = first["input"]
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        line = f"{key} is missing"
    elif first["type"] == "extra_forbidden":
        line = f"{key} is no key of {error.title}"
    elif first["type"] == "value_error" or isinstance(given, dict | SecretStr) or "uri" in key:
        line = f"{key}: {message}"
    else:
        line = f"{key} is {shown(given)}; {message[:1].lower()}{message[1:]}"
    others = len(errors) - 1
    return line + (f" (and {others} more)" if others else "")
