"""Whether this process has the packages that a job comes from.

monty leaves an object as it is stored, a dict with `@module` and `@class`, if its module cannot be
imported. A job that is given one fails somewhere inside; so nobody gives it to the job.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import import_module

from monty.json import MSONable


def missing_package(data: object) -> str | None:
    """Return what stored data needs and this process lacks, for example "emt.Maker of package emt".

    Parameters
    ----------
    data
        Stored data: a Firework's spec, a job's output.
    """
    for module, name in _objects(data):
        if absent := _absent(module, name):
            return absent
    return None


def _objects(data: object) -> Iterator[tuple[str, str]]:
    """Iterate over module and name of all objects within, outer ones first."""
    if isinstance(data, dict):
        name = data.get("@class") or data.get("@callable")
        if isinstance(module := data.get("@module"), str) and isinstance(name, str):
            moved = MSONable.REDIRECT.get(module, {}).get(name)
            yield (moved["@module"], moved["@class"]) if moved else (module, name)
    if isinstance(data, dict | list | tuple):
        for part in data.values() if isinstance(data, dict) else data:
            if isinstance(part, dict | list | tuple):  # most are numbers
                yield from _objects(part)


@cache
def _absent(module: str, name: str) -> str | None:
    package = module.partition(".")[0]
    try:
        found: object = import_module(module)
    except ImportError as error:
        missing = (error.name or module).partition(".")[0]
        return f"{module}.{name} of the package {missing!r}"
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            return f"{module}.{name} of another version of the package {package!r}"
    return None
