"""Committees: several models that predict together, in one file."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from numpy.typing import NDArray

from hea_flows.alloy.sampling import DecorationEnergies
from hea_flows.potentials import foundations, model_files
from hea_flows.potentials.base import Evaluate, Family, LatticeEnergies, Prediction, family
from hea_flows.potentials.model_files import Checkpoint, ModelFile, ModelFileError
from hea_flows.schemas import ModelSpec, Promised


@dataclass(frozen=True)
class Member:
    """A member of a committee, its file on this machine, and its weight."""

    model: ModelSpec
    weight: float


class CommitteeFamily(Family):
    """Committees, which predict the weighted mean of their members' predictions.

    Members may be of different families; their packages have to be in one environment. A model is
    a file that `join` wrote; it holds the files of its members, which are plain data too.
    """

    name = "committee"
    packages = ("torch",)
    no_training = "its members are trained, each by its own family; join the trained models"

    def check(self, spec: ModelSpec) -> None:
        """Raise `ValueError` without a path: there are no names."""
        _file(spec)

    def resolve(self, spec: ModelSpec) -> ModelSpec:
        """Return `spec` with the checksum of its file; see `Family.resolve`."""
        file = _file(spec)
        _read(file)
        return file.resolved()

    def calculator(self, spec: ModelSpec, device: str = "cpu") -> Calculator:
        """Return an ASE calculator of means, and of spreads; see `CommitteeCalculator`."""
        with tempfile.TemporaryDirectory() as folder:
            members = split(spec, Path(folder))
            calculators = [family(m.model.family).calculator(m.model, device) for m in members]
        return CommitteeCalculator(calculators, [m.weight for m in members])

    def evaluate(
        self,
        spec: ModelSpec,
        atoms_list: Sequence[Atoms],
        *,
        batch_size: int = 16,
        device: str = "cpu",
    ) -> list[Prediction]:
        """Predict structures in their order, by each member as it is quickest."""
        with tempfile.TemporaryDirectory() as folder:
            members = split(spec, Path(folder))
            predictions = [
                family(m.model.family).evaluate(
                    m.model, atoms_list, batch_size=batch_size, device=device
                )
                for m in members
            ]
        return _means(predictions, [m.weight for m in members])

    def evaluator(
        self, spec: ModelSpec, *, device: str = "cpu", max_atoms: int | None = None
    ) -> Evaluate:
        """Load every member once; see `Family.evaluator`."""
        with tempfile.TemporaryDirectory() as folder:
            members = split(spec, Path(folder))
            each = [
                family(m.model.family).evaluator(m.model, device=device, max_atoms=max_atoms)
                for m in members
            ]
        weights = [m.weight for m in members]
        return lambda atoms_list: _means([evaluate(atoms_list) for evaluate in each], weights)

    def lattice_energies(self, spec: ModelSpec, *, device: str = "cpu") -> LatticeEnergies:
        """Return what gives the mean energies of decorations, each member in its quickest way."""
        with tempfile.TemporaryDirectory() as folder:
            members = split(spec, Path(folder))
            each = [
                family(m.model.family).lattice_energies(m.model, device=device) for m in members
            ]
        weights = [m.weight for m in members]
        return lambda alloy, supercell, a: _MeanEnergies(
            [energies(alloy, supercell, a) for energies in each], weights
        )


class CommitteeCalculator(Calculator):
    """ASE calculator of the weighted means of several calculators.

    Beside energy, forces and stress its `results` hold ``energy_std`` (eV) and ``forces_std``
    (eV/Å, shape (N, 3)): standard deviations over the members (ddof = 1), weights not counted.

    Parameters
    ----------
    members
        The calculators.
    weights
        Their weights, which add up to 1.
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012

    def __init__(self, members: Sequence[Calculator], weights: Sequence[float]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.members, self.weights = list(members), list(weights)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy", "forces", "stress"),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Compute everything; called by ASE."""
        super().calculate(  # type: ignore[no-untyped-call]
            atoms, list(properties), list(system_changes)
        )
        current = cast("Atoms", self.atoms)
        values = {
            key: np.array([m.get_property(key, current) for m in self.members])
            for key in ("forces", "stress", "energy")
        }
        self.results = {k: np.tensordot(self.weights, v, axes=1) for k, v in values.items()}
        self.results["energy"] = self.results["free_energy"] = float(self.results["energy"])
        self.results["energy_std"] = float(values["energy"].std(ddof=1))
        self.results["forces_std"] = values["forces"].std(axis=0, ddof=1)


class _MeanEnergies:
    """Mean energies of decorations."""

    def __init__(self, each: Sequence[DecorationEnergies], weights: Sequence[float]) -> None:
        self.name = each[0].name
        self._each, self._weights = each, np.array(weights)

    def energies(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the energies (eV per cell) of decorations (B, n_sites)."""
        mean: NDArray[np.float64] = self._weights @ [one.energies(codes) for one in self._each]
        return mean


def join(members: Sequence[Member], path: Path) -> ModelSpec:
    """Write a committee of trained models to one file.

    Parameters
    ----------
    members
        Two models or more, each a file of this package; weights add up to 1.
    path
        File to write.

    Raises
    ------
    ValueError
        For fewer than two members, or weights that do not add up to 1.
    ModelFileError
        If a member is no model file of this package.
    """
    if len(members) < 2 or not np.isclose(sum(m.weight for m in members), 1.0):
        msg = (
            "a committee has two members or more, and weights that add up to 1; got "
            f"{[m.weight for m in members]}"
        )
        raise ValueError(msg)
    state, entries = {}, []
    for k, member in enumerate(members):
        model = member.model
        raw = model_files.read_bytes(model.path or "", model.checksum)
        model_files.load(model.path or "", model.family, model.checksum)
        state[str(k)] = torch.frombuffer(bytearray(raw), dtype=torch.uint8)
        entries.append(
            {"family": model.family, "dtype": model.dtype, "sha256": str(model.checksum)}
        )
    config = {"members": entries, "weights": [m.weight for m in members]}
    sha256 = model_files.save(path, Checkpoint(CommitteeFamily.name, config, state))
    return ModelSpec(family=CommitteeFamily.name, path=str(path), sha256=sha256)


def split(spec: ModelSpec, folder: Path) -> list[Member]:
    """Write the members of a committee to files of a folder, verified, and return them.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If it is another one, or no committee.
    """
    file = _file(spec)
    checkpoint = _read(file)
    members = []
    for k, (entry, weight) in enumerate(
        zip(checkpoint.config["members"], checkpoint.config["weights"], strict=True)
    ):
        raw = checkpoint.state[str(k)].numpy().tobytes()
        path = folder / f"{k}.pt"
        path.write_bytes(raw)
        # The committee's file stands for what it holds.
        model_files.verify(path, entry["sha256"])
        sha256 = Promised(entry["sha256"])
        model = ModelSpec(
            family=entry["family"], path=str(path), sha256=sha256, dtype=entry["dtype"]
        )
        members.append(Member(model, float(weight)))
    return members


def _file(spec: ModelSpec) -> ModelFile:
    if spec.path is None:
        raise foundations.unknown(CommitteeFamily.name, spec.name, ())
    return ModelFile(spec, Path(spec.path), spec.sha256)


def _read(file: ModelFile) -> Checkpoint:
    checkpoint = model_files.load(file.path, CommitteeFamily.name, file.expected)
    if not {"members", "weights"} <= checkpoint.config.keys():
        msg = f"{file.path} names no members of a committee"
        raise ModelFileError(msg)
    return checkpoint


def _means(each: Sequence[Sequence[Prediction]], weights: Sequence[float]) -> list[Prediction]:
    """Return the mean of the members' predictions, structure by structure."""
    return [
        Prediction(
            float(np.dot(weights, [p.energy for p in of_one])),
            np.tensordot(weights, [p.forces for p in of_one], axes=1),
            np.tensordot(weights, [p.stress for p in of_one], axes=1),
        )
        for of_one in zip(*each, strict=True)
    ]
