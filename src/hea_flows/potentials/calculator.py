"""A model file as an ASE calculator, outside any campaign."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from hea_flows.potentials.base import family as model_family
from hea_flows.schemas import ModelSpec, Promised

if TYPE_CHECKING:
    from hea_flows.potentials.model_files import Checkpoint


def load_calculator(
    path: Path | str,
    *,
    sha256: str | None = None,
    family: str | None = None,
    offsets: Mapping[str, float] | None = None,
    device: str = "cpu",
    dtype: Literal["float32", "float64"] | None = None,
) -> Calculator:
    """Open a model file as an ASE calculator of energy (eV), forces (eV/Å) and stress (eV/Å³).

    A checkpoint of hea-flows says itself which family it is, its precision, and the offsets of its
    labels if it was exported with them. It is plain data: no code is run.

    Parameters
    ----------
    path
        The file.
    sha256
        Checksum that it must have. A file that may run code is opened only with one.
    family
        Family of a file that is no checkpoint of hea-flows; a checkpoint must be of this family.
    offsets
        Energies per element (eV/atom) added to the model's, elements without one as they are. By
        default those in the file, which move energies to the zero of the labels; ``{}`` is the
        model's own zero.
    device
        Where the model runs.
    dtype
        Its precision; default that of the checkpoint, else float32. Small displacements and tight
        relaxations need float64.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file has another checksum, is damaged, or is not what it should be.
    ModuleNotFoundError
        If the family's package is not installed; the message says how to install it.
    """
    promised = None if sha256 is None else Promised(sha256)
    checkpoint = _checkpoint(path, promised, family)
    if checkpoint is None:
        spec = ModelSpec(family=str(family), path=str(path), sha256=promised)
        noted: dict[str, float] = {}
    else:
        spec = ModelSpec(
            family=checkpoint.family, path=str(path), sha256=promised, dtype=checkpoint.dtype
        )
        noted = _noted(checkpoint, path)
    if dtype is not None:
        spec = spec.model_copy(update={"dtype": dtype})
    calculator = model_family(spec.family).calculator(spec, device)
    energies = noted if offsets is None else dict(offsets)
    return OffsetCalculator(calculator, energies) if energies else calculator


class OffsetCalculator(Calculator):
    """Another calculator with energies per element (eV/atom) added; elements without stay."""

    def __init__(self, theirs: Calculator, offsets: Mapping[str, float]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.theirs, self.offsets = theirs, dict(offsets)
        self.implemented_properties = list(theirs.implemented_properties)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Compute what is asked for; called by ASE."""
        super().calculate(  # type: ignore[no-untyped-call]
            atoms, list(properties), list(system_changes)
        )
        current = cast("Atoms", self.atoms)
        for name in properties:
            self.theirs.get_property(name, current)
        added = np.array([self.offsets.get(x, 0.0) for x in current.get_chemical_symbols()])
        moved = {"energy": float(added.sum()), "free_energy": float(added.sum()), "energies": added}
        self.results = {
            key: value + moved[key] if key in moved else value
            for key, value in self.theirs.results.items()
        }


def _checkpoint(path: Path | str, sha256: Promised | None, family: str | None) -> Checkpoint | None:
    """Return what a checkpoint of hea-flows holds; None for another file of a given family."""
    from hea_flows.potentials import model_files

    try:
        content = model_files.load_plain(path, sha256)
    except model_files.ModelFileError:
        if family is None:
            raise
        return None
    if model_files.is_checkpoint(content):
        return model_files.as_checkpoint(content, family or str(content.get("family")), path)
    if family is None:
        msg = f"{path} is no checkpoint of hea-flows: give its family"
        raise model_files.ModelFileError(msg)
    return None


def _noted(checkpoint: Checkpoint, path: Path | str) -> dict[str, float]:
    try:
        return {str(k): float(v) for k, v in dict(checkpoint.meta.get("offsets", {})).items()}
    except (TypeError, ValueError):
        msg = f"{path}: its offsets are no energies per element"
        raise ValueError(msg) from None
