"""Where tables are printed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer
from rich.console import Console

if TYPE_CHECKING:
    from hea_flows.schemas import UnreadableDocumentError

#: Columns where the output is a file or a pipe, which have no width of their own.
FILE_COLUMNS = 130


def console() -> Console:
    """Return a console as wide as the terminal, or as tables need in a file."""
    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=FILE_COLUMNS)


def tell(unreadable: Sequence[UnreadableDocumentError]) -> None:
    """Say on standard error which documents were left out, why, and how many."""
    for error in unreadable:
        typer.echo(str(error), err=True)
    for kind, n in Counter(error.kind for error in unreadable).items():
        typer.echo(f"{n} {kind} document{'s' * (n > 1)} left out", err=True)
