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
MODULES = ("campaign", "labels", "results", "figures", "hull", "alloy", "workers", "database")

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

    What a user can correct becomes one line on the standard error and exit code 1 (2 for a wrong
    command line). With HEA_FLOWS_DEBUG=1 the traceback is shown.
    """
    try:
        code = app(
            args=None if arguments is None else list(arguments),
            prog_name="hea-flows",
            standalone_mode=False,
        )
    except typer.Abort:
        return _fail("aborted", 130)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except BrokenPipeError:
        # The reader left (`| head`); nothing more can be written, at exit neither.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if os.environ.get("HEA_FLOWS_DEBUG") not in {None, "", "0"}:
            raise
        from hea_flows.cli.errors import describe

        described = describe(error)
        if described is None:
            raise
        return _fail(*described)
    return code if isinstance(code, int) else 0


def _fail(message: str, code: int) -> int:
    if message:
        sys.stderr.write(f"error: {message}\n")
    return code
