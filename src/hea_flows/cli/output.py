"""Where the command line writes: tables, files, and what it says of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from hea_flows.runtime import check_writable, open_descriptor

if TYPE_CHECKING:
    from rich.console import Console

    from hea_flows.schemas import UnreadableDocumentError

#: Columns where the output is a file or a pipe, which have no width of their own.
FILE_COLUMNS = 130


def console() -> Console:
    """Return a console as wide as the terminal, or as tables need in a file."""
    from rich.console import Console

    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=FILE_COLUMNS)


def tell_left_out(unreadable: Sequence[UnreadableDocumentError]) -> None:
    """Say on standard error which documents were left out, why, and how many."""
    for error in unreadable:
        typer.echo(str(error), err=True)
    for kind, n in Counter(error.kind for error in unreadable).items():
        typer.echo(f"{n} {kind} document{'s' * (n > 1)} left out", err=True)


def output_file(path: Path | None) -> Path | None:
    """Return the file that an option names, after making sure that it can be written.

    ``-`` is the standard output. This is the callback of every such option, so that nothing is
    computed for a file that cannot be written.
    """
    if path is None:
        return None
    path = Path("/dev/stdout") if str(path) == "-" else path
    check_writable(path)
    return path


def output_folder(path: Path) -> Path:
    """Return the folder that an option names, after making sure that files can be put there."""
    try:
        check_writable(path / "file")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    return path


def tell(text: str, output: Path | None) -> None:
    """Say something beside an output; on the standard error if that is the standard output."""
    typer.echo(text, err=output is not None and open_descriptor(output) == 1)
