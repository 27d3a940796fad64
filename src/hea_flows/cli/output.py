"""Where tables are printed."""

from __future__ import annotations

from rich.console import Console

#: Columns where the output is a file or a pipe, which have no width of their own.
FILE_COLUMNS = 130


def console() -> Console:
    """Return a console as wide as the terminal, or as tables need in a file."""
    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=FILE_COLUMNS)
