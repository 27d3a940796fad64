"""The command line: `hea-flows VERB`. Starting it imports nothing heavy."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec

import typer

__all__ = ["app", "main"]

#: Modules with verbs; each has `register(app)` and imports what it needs inside its commands.
MODULES = (
    *("campaign", "check", "results", "export", "importing"),
    *("figures", "hull", "phases", "alloy", "workers", "database"),
)

app = typer.Typer(
    name="hea-flows",
    help="Fine-tune interatomic potentials for high-entropy alloys, and use them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _root() -> None:
    """Fine-tune interatomic potentials for high-entropy alloys, and use them."""


for _name in MODULES:
    if find_spec(f"{__name__}.{_name}") is not None:
        import_module(f"{__name__}.{_name}").register(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code.

    Every error is one line on the standard error. The exit code is 2 for a wrong command line, 1
    for whatever else a user can correct (and for checks that fail), 70 for a fault of the program,
    whose traceback is in a log that the line names, and 130 after Ctrl-C. With HEA_FLOWS_DEBUG=1
    the traceback is shown.
    """
    try:
        code = app(
            args=None if arguments is None else list(arguments),
            prog_name="hea-flows",
            standalone_mode=False,
        )
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()  # the reader left (`| head`)
        return 1
    except (Exception, KeyboardInterrupt) as error:
        if os.environ.get("HEA_FLOWS_DEBUG") not in {None, "", "0"}:
            raise
        from hea_flows.cli.errors import report

        code = report(error)
        try:
            sys.stdout.flush()
        except OSError:
            _discard_output()
    return code if isinstance(code, int) else 0


def _discard_output() -> None:
    """Let what was printed go nowhere: nothing more can be written, at exit neither."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
