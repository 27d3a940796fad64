"""Functions and classes of other packages that people name, and the files these are given."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, cast


def load_named(target: str, what: str) -> Callable[..., Any]:
    """Return what ``module:attribute`` stands for; what Python itself brings is never it.

    Parameters
    ----------
    target
        Module and attribute.
    what
        What people call it, for messages.

    Raises
    ------
    ModuleNotFoundError
        If its package is not installed.
    ValueError
        If there is no such function or class, or it is a part of Python.
    """
    module, _, attribute = target.partition(":")
    if not (module and attribute):
        msg = f"{what} {target!r}: write module:name, for example ase.calculators.emt:EMT"
        raise ValueError(msg)
    if module.partition(".")[0] in sys.stdlib_module_names | {"builtins"}:
        msg = f"{what} {target!r}: {module} is a part of Python; name one of another package"
        raise ValueError(msg)
    try:
        found: Any = import_module(module)
    except ModuleNotFoundError as error:
        msg = f"{what} {target!r}: there is no module {error.name!r}; install its package"
        raise ModuleNotFoundError(msg, name=error.name) from None
    for part in attribute.split("."):
        found = getattr(found, part, None)
    own = str(getattr(found, "__module__", None) or module).partition(".")[0]
    if not callable(found) or own in sys.stdlib_module_names:
        msg = f"{what} {target!r}: {module} has no function or class {attribute!r}"
        raise ValueError(msg)
    return cast("Callable[..., Any]", found)


def named_files(arguments: object) -> Iterator[Path]:
    """Yield the files that are named anywhere among arguments."""
    if isinstance(arguments, dict):
        for key in sorted(arguments, key=str):
            yield from named_files(arguments[key])
    elif isinstance(arguments, list | tuple):
        for item in arguments:
            yield from named_files(item)
    elif isinstance(arguments, str) and len(arguments) < 4096 and Path(arguments).is_file():
        yield Path(arguments)


def promised_files(
    arguments: object, promised: str | None, target: str, place: str
) -> dict[str, str]:
    """Return the sha256 of each file among arguments, after comparing with what is promised.

    Parameters
    ----------
    arguments
        What a function or class is given. A file among it may run code.
    promised
        The sha256 of the file, or of several the sha256 of their checksums in order, joined.
    target, place
        What is given them, and where a promise is written; for messages.

    Raises
    ------
    ValueError
        If nothing is promised, or something else.
    """
    files = {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in named_files(arguments)}
    if not files:
        return {}
    checksums = list(files.values())
    joined = hashlib.sha256("".join(checksums).encode()).hexdigest()
    actual = checksums[0] if len(checksums) == 1 else joined
    names = ", ".join(files)
    if promised is None:
        msg = (
            f"{target} is given {names}, which may run code: if you trust where it comes from, "
            f"add sha256: {actual} to {place}"
        )
        raise ValueError(msg)
    if promised.lower() != actual:
        msg = f"{names}: sha256 is {actual}, {promised} was expected; not loaded"
        raise ValueError(msg)
    return files
