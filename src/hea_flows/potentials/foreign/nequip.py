"""NequIP and Allegro: models that nequip's own programs trained, packaged or compiled.

pip cannot install nequip beside mace-torch (e3nn): it has an environment and workers of its own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import torch
from ase import Atoms
from ase.calculators.calculator import Calculator
from nequip.integrations.ase import NequIPCalculator

from hea_flows.potentials import foundations, model_files
from hea_flows.potentials.base import Family
from hea_flows.potentials.model_files import ModelFile, ModelFileError
from hea_flows.potentials.potential import periodic
from hea_flows.schemas import ModelSpec, Promised

_COMPILED, _PACKAGED = (".nequip.pth", ".nequip.pt2"), ".nequip.zip"


class NequIPFamily(Family):
    """Models of the NequIP framework, NequIP's and Allegro's: to evaluate, not to train.

    Their precision is their own: the ``dtype`` of a `ModelSpec` is not used.
    """

    name = "nequip"
    no_training = (
        "its models are trained by nequip-train, not here: export the dataset (hea-flows export "
        "dataset), train, and give the packaged model's path"
    )

    def check(self, spec: ModelSpec) -> None:
        """Raise `ValueError` without a path: there are no names."""
        _file(spec)

    def resolve(self, spec: ModelSpec) -> ModelSpec:
        """Return `spec` after comparing the promised checksum with the file's."""
        file = _file(spec)
        file.promise()
        return file.resolved()

    def calculator(self, spec: ModelSpec, device: str = "cpu") -> Calculator:
        """Return an ASE calculator of energy (eV), forces (eV/Å) and stress (eV/Å³).

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ModelFileError
            Without a promised checksum, which these files need since they bring code along, or
            with another one; or if the file is not what its name says.
        """
        file = _file(spec)
        return _Periodic(_opened(file.path, file.promise(), device))


class _Periodic(Calculator):
    """NequIP's calculator, for layers as they are elsewhere; see `potential.periodic`."""

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012

    def __init__(self, theirs: NequIPCalculator) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.theirs = theirs
        self.cutoff = max(float(t.r_max) for t in theirs.transforms if hasattr(t, "r_max"))

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = (),
    ) -> None:
        """Compute everything; called by ASE."""
        super().calculate(  # type: ignore[no-untyped-call]
            atoms, list(properties), list(system_changes)
        )
        whole = periodic(cast("Atoms", self.atoms), self.cutoff)
        with torch.enable_grad(), _their_default():
            self.theirs.calculate(whole, ["energy", "forces", "stress"])
        self.results = {key: self.theirs.results[key] for key in self.implemented_properties}
        self.results["energy"] = self.results["free_energy"] = float(self.results["energy"])


@contextmanager
def _their_default() -> Iterator[None]:
    """Let float64 be torch's default, as nequip wants it, for as long as nequip runs only."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _opened(path: Path, promised: Promised, device: str) -> NequIPCalculator:
    """Return NequIP's own calculator of a file, which runs the code that the file holds."""
    raw = model_files.read_bytes(path, promised)
    ending = next((e for e in (*_COMPILED, _PACKAGED) if path.name.endswith(e)), None)
    if ending is None:
        msg = f"{path} is no NequIP model: its name must end with {', '.join(_COMPILED)} or "
        raise ModelFileError(msg + _PACKAGED)
    saved = NequIPCalculator._from_saved_model  # noqa: SLF001
    compiled = NequIPCalculator.from_compiled_model
    load = compiled if ending in _COMPILED else saved
    with tempfile.TemporaryDirectory() as folder:  # what was compared is what is loaded
        copy = Path(folder) / f"model{ending}"
        copy.write_bytes(raw)
        try:
            with _their_default():
                theirs = load(copy, device=device)
        except Exception as error:  # noqa: BLE001  # whatever code it brings along may raise
            msg = f"{path} could not be loaded: {model_files.first_line(error)}"
            raise ModelFileError(msg) from None
    return theirs


def _file(spec: ModelSpec) -> ModelFile:
    if spec.path is None:
        raise foundations.unknown(NequIPFamily.name, spec.name, ())
    return ModelFile(spec, Path(spec.path), spec.sha256)
