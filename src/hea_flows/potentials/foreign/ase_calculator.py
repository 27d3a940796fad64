"""Any ASE calculator as a model: a function or a class, by its name, and what it is given."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from collections.abc import Callable
from importlib.metadata import packages_distributions, version
from typing import cast

from ase.calculators.calculator import BaseCalculator, Calculator

from hea_flows.inputs import load_named, promised_files
from hea_flows.potentials import model_files
from hea_flows.potentials.base import Family
from hea_flows.schemas import Measured, ModelSpec


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
    return load_named(str(spec.callable), "callable")


def _checked_files(spec: ModelSpec) -> list[str]:
    """Return the checksums of the files among the arguments, compared with what is promised."""
    files = promised_files(spec.kwargs, spec.sha256, str(spec.callable), "the model")
    return list(files.values())
