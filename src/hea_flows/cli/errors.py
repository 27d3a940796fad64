"""One line for each error that a user can correct."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError

_SHOWN = 80
_CORRECTABLE = (ValueError, FileNotFoundError, PermissionError, ModuleNotFoundError)


def describe(error: Exception) -> tuple[str, int] | None:
    """Return the line and the exit code of an error, or None if it is a fault of the program."""
    if hasattr(error, "format_message"):  # typer's own, which older versions take from click
        code = int(getattr(error, "exit_code", 1))
        if type(error).__name__ == "NoArgsIsHelpError":
            return "", code  # the help was shown
        return _line(f"{error.format_message().rstrip('. ')}; try `hea-flows --help`"), code
    if hasattr(error, "errors") and hasattr(error, "error_count"):
        return _line(_validation(error)), 1  # type: ignore[arg-type]
    ours = type(error).__module__.partition(".")[0] == "hea_flows"
    if isinstance(error, _CORRECTABLE) or ours:
        return _line(str(error) or type(error).__name__), 1
    return None


def _validation(error: ValidationError) -> str:
    """Name the first wrong key, what was given and what is accepted."""
    from pydantic import SecretStr

    found = error.errors(include_url=False)
    first = found[0]
    key = ".".join(str(part) for part in first["loc"]) or error.title
    given: Any = first["input"]
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        line = f"{key} is missing"
    elif first["type"] == "extra_forbidden":
        line = f"{key} is no key of {error.title}"
    elif first["type"] == "value_error" or isinstance(given, dict | SecretStr) or "uri" in key:
        line = f"{key}: {message}"
    else:
        line = f"{key} is {_short(given)}; {message[:1].lower()}{message[1:]}"
    others = len(found) - 1
    return line + (f" (and {others} more)" if others else "")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _line(text: str) -> str:
    """Make it one line without a password."""
    return re.sub(r"(mongodb(?:\+srv)?://)\S*@", r"\1***@", " ".join(text.split()))
