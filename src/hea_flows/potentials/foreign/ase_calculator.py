"""Any ASE calculator as a model: a function or a class, by its name, and what it is given."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any, cast

from ase.calculators.calculator import BaseCalculator, Calculator

from hea_flows.potentials import model_files
from hea_flows.potentials.base import Family
from hea_flows.schemas import Measured, ModelSpec, Promised


class ASEFamily(Family):
    """Models that another package offers as an ASE calculator.

    They are evaluated one structure after the other, as their calculators do it. What such a model
    is follows from its callable, what it is given, the version of its package and the files among
    what it is given. These files may run code, so they need a promised checksum: that of the file,
    or of several the sha256 of their checksums in order, joined.
    """

    name = "ase"
    no_training = (
        "calculators can be evaluated, not trained: train with the model's own program, or export "
        "the dataset for it (hea-flows export dataset)"
    )

    def check(self, spec: ModelSpec) -> None:
        """Raise if there is no such callable, it is no calculator's, or its files are others."""
        self.resolve(spec)

    def resolve(self, spec: ModelSpec) -> ModelSpec:
        """Return `spec` with a checksum of all that its predictions depend on.

        Raises
        ------
        ModuleNotFoundError
            If the callable's package is not installed.
        ValueError
            If there is no such callable, or files among its arguments are not promised.
        """
        _target(spec)
        files = _checked_files(spec)
        module = str(spec.callable).partition(":")[0]
        versions = {
            name: version(name)
            for name in sorted(packages_distributions().get(module.partition(".")[0], ()))
        }
        content = json.dumps(
            [spec.callable, spec.kwargs, files, versions], sort_keys=True, default=str
        )
        measured = Measured(hashlib.sha256(content.encode()).hexdigest())
        return spec.model_copy(update={"measured": measured})

    def calculator(self, spec: ModelSpec, device: str = "cpu") -> Calculator:
        """Return the calculator; its device is what it is given, or its own choice."""
        del device
        target = _target(spec)
        _checked_files(spec)
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # what packages say when they load
                calculator = target(**spec.kwargs)
        except Exception as error:  # whatever another package raises
            msg = f"{spec.callable} could not be called: {model_files.first_line(error)}"
            raise ValueError(msg) from error
        if not isinstance(calculator, BaseCalculator):
            msg = f"{spec.callable} returned {type(calculator).__name__}, not an ASE calculator"
            raise ValueError(msg)  # noqa: TRY004  a wrong value of the file
        return cast("Calculator", calculator)


def _target(spec: ModelSpec) -> Callable[..., object]:
    """Import the callable; what Python itself brings is never one."""
    module, _, attribute = str(spec.callable).partition(":")
    if module.partition(".")[0] in sys.stdlib_module_names | {"builtins"}:
        msg = f"callable {spec.callable!r}: {module} is a part of Python, and makes no calculator"
        raise ValueError(msg)
    try:
        target: Any = import_module(module)
    except ModuleNotFoundError as error:
        msg = f"callable {spec.callable!r}: there is no module {error.name!r}; install its package"
        raise ModuleNotFoundError(msg, name=error.name) from None
    for part in attribute.split("."):
        target = getattr(target, part, None)
    own = str(getattr(target, "__module__", None) or module).partition(".")[0]
    if not callable(target) or own in sys.stdlib_module_names:
        msg = f"callable {spec.callable!r}: {module} has no function or class {attribute!r}"
        raise ValueError(msg)
    return cast("Callable[..., object]", target)


def _files(value: object) -> Iterator[Path]:
    """Yield the files that are named anywhere among arguments."""
    if isinstance(value, dict):
        for key in sorted(value, key=str):
            yield from _files(value[key])
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _files(item)
    elif isinstance(value, str) and len(value) < 4096 and Path(value).is_file():
        yield Path(value)


def _checked_files(spec: ModelSpec) -> list[str]:
    """Return the checksums of the files among the arguments, compared with what is promised."""
    files = list(_files(spec.kwargs))
    checksums = [str(model_files.verify(path, None)) for path in files]
    if not files:
        return []
    joined = hashlib.sha256("".join(checksums).encode()).hexdigest()
    actual = checksums[0] if len(files) == 1 else joined
    names = ", ".join(map(str, files))
    promised: Promised | None = spec.sha256
    if promised is None:
        msg = (
            f"{spec.callable} is given {names}, which may run code: if you trust where it comes "
            f"from, add sha256: {actual} to the model"
        )
        raise model_files.ModelFileError(msg)
    if promised.lower() != actual:
        msg = f"{names}: sha256 is {actual}, {promised} was expected; not loaded"
        raise model_files.ModelFileError(msg)
    return checksums
