"""One line for every error: what to correct, or where the traceback is."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

from hea_flows.inputs import cut
from hea_flows.runtime import atomic_write, redact

#: Exit codes: a command line that is wrong; what can be corrected, and checks that fail; a fault
#: of the program (EX_SOFTWARE of sysexits.h); Ctrl-C.
USAGE, FAILED, FAULT, INTERRUPTED = 2, 1, 70, 130
#: Characters of a message.
LONGEST_LINE = 700


def report(error: BaseException) -> int:
    """Print an error in one line; return the exit code.

    What was not foreseen also goes, as a traceback without secrets, into a log that the line names.
    """
    line, code = describe(error)
    if code == FAULT:
        line = f"{line}; this was not foreseen, see {write_log(error)}"
    if line:
        sys.stderr.write(f"error: {line}\n")
    return code


def describe(error: BaseException) -> tuple[str, int]:
    """Return the line of an error and the exit code, `FAULT` for what was not foreseen."""
    if hasattr(error, "format_message"):  # typer's own, which older versions take from click
        code = int(getattr(error, "exit_code", USAGE))
        if type(error).__name__ == "NoArgsIsHelpError":
            return "", code  # the help was shown
        return _line(f"{error.format_message().rstrip('. ')}; try `hea-flows --help`"), code
    if isinstance(error, KeyboardInterrupt) or type(error).__name__ == "Abort":
        return "interrupted", INTERRUPTED
    if isinstance(error, OSError) and error.strerror:
        names = [str(name) for name in (error.filename, error.filename2) if name is not None]
        return _line(": ".join([*names, error.strerror])), FAILED
    if isinstance(error, UnicodeEncodeError):  # bytes of a command line that are no text
        return _line(f"{error.object!a} is not text in UTF-8"), FAILED
    if line := _of_database(error):
        return _line(line), FAILED
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        from hea_flows.config import validation_line

        return _line(validation_line(error)), FAILED
    if _foreseen(error):
        return _line(str(error) or type(error).__name__), FAILED
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return _line(text), FAULT


def write_log(error: BaseException) -> Path:
    """Write the traceback of an error, without secrets, to a file of its own; return its path.

    It lies in the data folder, or in the temporary folder if that cannot be written.
    """
    from importlib.metadata import version

    now = datetime.now(UTC)
    parts = [
        f"hea-flows {version('hea-flows')}, Python {platform.python_version()}, {now.isoformat()}",
        f"command: {' '.join(sys.argv)}",
        "".join(traceback.format_exception(error)),
    ]
    name = f"{now:%Y-%m-%d-%H-%M-%S-%f}-{os.getpid()}.log"
    content = redact("\n".join(parts))
    try:
        from hea_flows.settings import get_settings

        path = get_settings().data_dir / "errors" / name
        atomic_write(path, content, private=True)
    except (OSError, ValueError):
        path = Path(tempfile.gettempdir()) / f"hea-flows-{name}"
        atomic_write(path, content, private=True)
    return path


def _foreseen(error: BaseException) -> bool:
    """Return whether this package raised an error in order to be read.

    A class of its own is; so is a `ValueError` and the like that its own code raised, whereas
    another package's may mean anything.
    """
    if type(error).__module__.partition(".")[0] == "hea_flows":
        return True
    if not isinstance(error, ValueError | OSError | ModuleNotFoundError):
        return False
    innermost = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        innermost = frame
    name = "" if innermost is None else str(innermost.f_globals.get("__name__"))
    return name.partition(".")[0] == "hea_flows"


def _of_database(error: BaseException) -> str | None:
    """Return what to say of a database that refuses or does not answer; None for other errors."""
    if "pymongo" not in sys.modules:
        return None
    from pymongo.errors import ConnectionFailure, OperationFailure, WTimeoutError

    if isinstance(error, OperationFailure) and not isinstance(error, WTimeoutError):
        return f"MongoDB refuses: {(error.details or {}).get('errmsg', error)}"
    if isinstance(error, ConnectionFailure | WTimeoutError):
        return f"MongoDB does not answer ({type(error).__name__}); is the server running?"
    return None


def _line(text: str) -> str:
    """Make it one line without secrets, of a length that can be read."""
    return cut(redact(" ".join(text.split())), LONGEST_LINE)
