"""What all torch potentials share: forces and stress from the energy, batches, a calculator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress
from numpy.typing import NDArray

from hea_flows.potentials.base import Prediction
from hea_flows.potentials.checkpoints import Checkpoint
from hea_flows.schemas import ModelSpec

_GEOMETRY = {"positions", "cell", "pbc"}


@dataclass(frozen=True)
class Batch:
    """B structures of N atoms in all.

    Parameters
    ----------
    positions
        Å, shape (N, 3).
    n_atoms
        Atoms per structure, shape (B,), integers.
    volumes
        Å³, shape (B,).
    inputs
        What the family adds: species and edges.
    """

    positions: Any
    n_atoms: Any
    volumes: Any
    inputs: Any


@dataclass(frozen=True)
class Output:
    """Energies (B,) in eV per cell, forces (N, 3) in eV/Å, stresses (B, 3, 3) in eV/Å³."""

    energies: Any
    n_atoms: Any
    forces: Any = None
    stresses: Any = None


class _Loaded(Protocol):
    """A loaded model and the graphs it works on."""

    module: Any

    def prepare(self, frames: Sequence[Atoms]) -> list[Any]:
        """Return the graph of each frame; built once, used in every epoch."""
        ...

    def collate(self, graphs: Sequence[Any]) -> Batch:
        """Join graphs into one batch, on the model's device and in its precision."""
        ...

    def with_species(self, graph: Any, numbers: NDArray[np.int64]) -> Any:  # noqa: ANN401
        """Return the graph with other atomic numbers (N,) on the same sites."""
        ...

    def checkpoint(self, **meta: Any) -> Checkpoint:  # noqa: ANN401
        """Return the model as a file holds it."""
        ...


class Potential(_Loaded, Protocol):
    """A loaded model. It knows graphs and energies only; derivatives are taken by `predict`."""

    def energies(self, batch: Batch, positions: Any, strains: Any) -> Any:  # noqa: ANN401
        """Return energies (B,) at given positions (N, 3), then strained by (B, 3, 3)."""
        ...


@runtime_checkable
class SelfDerived(_Loaded, Protocol):
    """A loaded model that knows a shorter way to its derivatives than by positions and strains."""

    def derivatives(
        self, batch: Batch, *, forces: bool, stress: bool, create_graph: bool
    ) -> Output:
        """Return what `predict` does."""
        ...


def predict(
    potential: Potential | SelfDerived,
    batch: Batch,
    *,
    forces: bool = True,
    stress: bool = True,
    create_graph: bool = False,
) -> Output:
    """Return energies and their derivatives; both derivatives come from one backward pass.

    Parameters
    ----------
    potential
        The model.
    batch
        Its structures.
    forces, stress
        Whether each is needed.
    create_graph
        Keep the graph of the derivatives, for a loss on them.
    """
    if isinstance(potential, SelfDerived):
        return potential.derivatives(batch, forces=forces, stress=stress, create_graph=create_graph)
    positions = batch.positions.detach().clone().requires_grad_(forces)
    n = len(batch.n_atoms)
    strains = torch.zeros((n, 3, 3), dtype=positions.dtype, device=positions.device)
    strains.requires_grad_(stress)
    wanted = [t for t, needed in ((positions, forces), (strains, stress)) if needed]
    with torch.set_grad_enabled(create_graph or bool(wanted)):
        energies = potential.energies(batch, positions, strains)
    if not wanted:
        return Output(energies, batch.n_atoms)
    gradients = list(
        torch.autograd.grad(
            energies.sum(),
            wanted,
            create_graph=create_graph,
            allow_unused=True,
            materialize_grads=True,
        )
    )
    force = -gradients.pop(0) if forces else None
    tensor = None
    if stress:
        gradient = gradients.pop(0)
        tensor = 0.5 * (gradient + gradient.transpose(1, 2)) / batch.volumes[:, None, None]
    energies = energies if create_graph else energies.detach()
    return Output(energies, batch.n_atoms, force, tensor)


def evaluate(
    potential: Potential | SelfDerived, atoms_list: Sequence[Atoms], batch_size: int = 16
) -> list[Prediction]:
    """Predict structures in batches, in their order."""
    potential.module.eval()
    predictions = []
    for start in range(0, len(atoms_list), batch_size):
        batch = potential.collate(potential.prepare(atoms_list[start : start + batch_size]))
        output = predict(potential, batch)
        forces = torch.split(output.forces, output.n_atoms.tolist())
        for energy, force, stress in zip(output.energies, forces, output.stresses, strict=True):
            predictions.append(Prediction(float(energy), _numpy(force), _voigt(stress)))
    return predictions


class PotentialCalculator(Calculator):
    """ASE calculator of a potential.

    Derivatives are left out where only the energy is asked, and the graph is kept while nothing
    but species change, as in a Monte Carlo chain on a fixed lattice.
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012

    def __init__(self, potential: Potential | SelfDerived) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.potential = potential
        self._graph: Any = None
        potential.module.eval()
        potential.module.requires_grad_(requires_grad=False)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy", "forces", "stress"),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Compute what is asked for; called by ASE."""
        super().calculate(  # type: ignore[no-untyped-call]
            atoms, list(properties), list(system_changes)
        )
        derivatives = not set(properties) <= {"energy", "free_energy"}
        current = cast("Atoms", self.atoms)
        if self._graph is None or _GEOMETRY & set(system_changes):
            self._graph = None  # should the next line fail
            self._graph = self.potential.prepare([current])[0]
        elif "numbers" in system_changes:
            self._graph = self.potential.with_species(self._graph, current.numbers)
        batch = self.potential.collate([self._graph])
        output = predict(self.potential, batch, forces=derivatives, stress=derivatives)
        energy = float(output.energies[0])
        self.results.update(energy=energy, free_energy=energy)
        if derivatives:
            self.results.update(forces=_numpy(output.forces), stress=_voigt(output.stresses[0]))


class TorchFamily:
    """What every family of torch potentials does with a model that it can load."""

    def load(self, spec: ModelSpec, device: str = "cpu") -> Any:  # noqa: ANN401
        """Return the `Potential` of a spec; each family's own."""
        raise NotImplementedError

    def predictor(self, spec: ModelSpec, device: str = "cpu") -> Any:  # noqa: ANN401
        """Return what predicts with the model of a spec: it, unless there is a quicker way."""
        return self.load(spec, device)

    def calculator(self, spec: ModelSpec, device: str = "cpu") -> Calculator:
        """Return an ASE calculator of energy (eV), forces (eV/Å) and stress (eV/Å³)."""
        return PotentialCalculator(self.predictor(spec, device))

    def evaluate(
        self,
        spec: ModelSpec,
        atoms_list: Sequence[Atoms],
        *,
        batch_size: int = 16,
        device: str = "cpu",
    ) -> list[Prediction]:
        """Predict many structures in batches; one prediction per structure, in their order."""
        loaded = self.predictor(spec, device)
        loaded.module.requires_grad_(requires_grad=False)
        return evaluate(loaded, atoms_list, batch_size)


def periodic(atoms: Atoms, cutoff: float) -> Atoms:
    """Return a copy that is periodic in all directions, as the graphs need it.

    A layer keeps its cell, vacuum included: the stress is per volume of that cell, and images
    must be out of each other's sight.

    Parameters
    ----------
    atoms
        Any structure with three cell vectors.
    cutoff
        Range of the model (Å).

    Raises
    ------
    ValueError
        If the cell has no volume, or the gap along a direction without periodicity is smaller
        than the cutoff.
    """
    name = atoms.get_chemical_formula()
    if abs(atoms.cell.volume) < 1e-6:
        msg = f"{name}: the potentials need three cell vectors (add vacuum), got {atoms.cell}"
        raise ValueError(msg)
    for axis in np.flatnonzero(~np.asarray(atoms.pbc)):
        a, b = np.delete(atoms.cell.array, axis, axis=0)
        normal = np.cross(a, b)
        normal /= np.linalg.norm(normal)
        heights = atoms.positions @ normal
        gap = abs(atoms.cell.array[axis] @ normal) - (heights.max() - heights.min())
        if gap < cutoff:
            msg = (
                f"{name}: {gap:.1f} Å between images along cell vector {axis + 1}, which is not "
                f"periodic; the model sees {cutoff:.1f} Å, so more vacuum is needed"
            )
            raise ValueError(msg)
    return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)


def _numpy(tensor: Any) -> NDArray[np.float64]:  # noqa: ANN401
    array: NDArray[np.float64] = tensor.detach().cpu().numpy().astype(np.float64)
    return array


def _voigt(tensor: Any) -> NDArray[np.float64]:  # noqa: ANN401
    voigt: NDArray[np.float64] = full_3x3_to_voigt_6_stress(_numpy(tensor))
    return voigt
