"""One line for each error that a user can correct."""

from __future__ import annotations

import re

#: Characters of a message.
LONGEST_LINE = 700
_CORRECTABLE = (ValueError, FileNotFoundError, PermissionError, ModuleNotFoundError)


def describe(error: Exception) -> tuple[str, int] | None:
    """Return the line and the exit code of an error, or None if it is a fault of the program."""
    if hasattr(error, "format_message"):  # typer's own, which older versions take from click
        code = int(getattr(error, "exit_code", 1))
        if type(error).__name__ == "NoArgsIsHelpError":
            return "", code  # the help was shown
        return _line(f"{error.format_message().rstrip('. ')}; try `hea-flows --help`"), code
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        from hea_flows.config import validation_line

        return _line(validation_line(error)), 1
    ours = type(error).__module__.partition(".")[0] == "hea_flows"
    if isinstance(error, _CORRECTABLE) or ours:
        return _line(str(error) or type(error).__name__), 1
    return None


def _line(text: str) -> str:
    """Make it one line of readable length without a password."""
    from hea_flows.inputs import cut

    safe = re.sub(r"(mongodb(?:\+srv)?://)\S*@", r"\1***@", " ".join(text.split()))
    return cut(safe, LONGEST_LINE)
