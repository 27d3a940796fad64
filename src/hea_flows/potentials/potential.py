"""A loaded torch model: batches, energies and their derivatives, an ASE calculator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.data import chemical_symbols
from ase.stress import full_3x3_to_voigt_6_stress
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from hea_flows.alloy.lattice import Alloy
from hea_flows.alloy.sampling import DecorationEnergies
from hea_flows.potentials.base import Prediction
from hea_flows.potentials.lattice_energies import DecoratedLattice, LatticeDecorations
from hea_flows.potentials.model_files import Checkpoint

_GEOMETRY = {"positions", "cell", "pbc"}

#: What a potential makes of one frame; each potential's own.
Graph = Any


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

    positions: Tensor
    n_atoms: Tensor
    volumes: Tensor
    inputs: Any


@dataclass(frozen=True)
class Output:
    """Energies (B,) in eV per cell, forces (N, 3) in eV/Å, stresses (B, 3, 3) in eV/Å³."""

    energies: Tensor
    n_atoms: Tensor
    forces: Tensor | None = None
    stresses: Tensor | None = None


class Potential(ABC):
    """A loaded model.

    A subclass knows graphs and energies; derivatives are taken here. One that has a shorter way to
    them, or to energies on a fixed geometry, replaces `predict` or `energies_of_species`.

    Parameters
    ----------
    module
        The model.
    config
        What rebuilds the module: plain data, as the model file holds it.
    dtype
        ``"float32"`` or ``"float64"``.
    device
        Where it runs.
    """

    #: Row of the registry.
    family: ClassVar[str]

    def __init__(
        self, module: torch.nn.Module, config: Mapping[str, Any], dtype: str, device: str
    ) -> None:
        self.dtype = getattr(torch, dtype)
        self.device = torch.device(device)
        self.module = module.to(dtype=self.dtype, device=self.device)
        self.config = dict(config)

    @abstractmethod
    def graph(self, frame: Atoms) -> Graph:
        """Return the graph of a frame, periodic in all directions (`periodic`)."""

    def prepare(self, frames: Sequence[Atoms]) -> list[Graph]:
        """Return the graph of each frame; built once, used in every epoch."""
        return [self.graph(frame) for frame in frames]

    @abstractmethod
    def collate(self, graphs: Sequence[Graph]) -> Batch:
        """Join graphs into one batch, on the model's device and in its precision."""

    @abstractmethod
    def with_species(self, graph: Graph, numbers: NDArray[np.int64]) -> Graph:
        """Return the graph with other atomic numbers (N,) on the same sites."""

    def energies(self, batch: Batch, positions: Tensor, strains: Tensor) -> Tensor:
        """Return energies (B,) in eV per cell at positions (N, 3), then strained by (B, 3, 3)."""
        raise NotImplementedError

    def predict(
        self, batch: Batch, *, forces: bool = True, stress: bool = True, create_graph: bool = False
    ) -> Output:
        """Return energies and their derivatives; both derivatives come from one backward pass.

        Parameters
        ----------
        batch
            The structures.
        forces, stress
            Whether each is needed.
        create_graph
            Keep the graph of the derivatives, for a loss on them.
        """
        positions = batch.positions.detach().clone().requires_grad_(forces)
        n = len(batch.n_atoms)
        strains = torch.zeros((n, 3, 3), dtype=positions.dtype, device=positions.device)
        strains.requires_grad_(stress)
        wanted = [t for t, needed in ((positions, forces), (strains, stress)) if needed]
        with torch.set_grad_enabled(create_graph or bool(wanted)):
            energies = self.energies(batch, positions, strains)
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
        return Output(energies if create_graph else energies.detach(), batch.n_atoms, force, tensor)

    def freeze(self) -> None:
        """Fix the weights: the model only predicts from now on."""
        self.module.requires_grad_(requires_grad=False).eval()

    def evaluate(self, frames: Sequence[Atoms], batch_size: int = 16) -> list[Prediction]:
        """Predict frames in batches, in their order."""
        self.module.eval()
        predictions = []
        for start in range(0, len(frames), batch_size):
            output = self.predict(self.collate(self.prepare(frames[start : start + batch_size])))
            assert output.stresses is not None
            forces = torch.split(output.forces, output.n_atoms.tolist())
            for energy, force, stress in zip(output.energies, forces, output.stresses, strict=True):
                predictions.append(Prediction(float(energy), _numpy(force), _voigt(stress)))
        return predictions

    def energies_of_species(
        self, graph: Graph
    ) -> Callable[[NDArray[np.int64]], NDArray[np.float64]]:
        """Return a function: energies (eV per cell) for atomic numbers (B, N) on one graph."""

        def energies(numbers: NDArray[np.int64]) -> NDArray[np.float64]:
            batch = self.collate([self.with_species(graph, row) for row in numbers])
            return _numpy(self.predict(batch, forces=False, stress=False).energies)

        return energies

    def lattice_energies(self, alloy: Alloy, supercell: ArrayLike, a: float) -> DecorationEnergies:
        """Return the energies of decorations of an ideal lattice, in the quickest way there is.

        Parameters
        ----------
        alloy, supercell
            The host and its supercell, shape (3, 3).
        a
            Lattice constant (Å).
        """
        self.freeze()
        lattice = DecoratedLattice(alloy, supercell, a)
        energies = self.energies_of_species(self.graph(lattice.reference))
        # on a CPU large batches leave its caches and are slower
        return LatticeDecorations(lattice, energies, 128 if self.device.type == "cpu" else 8192)

    def checkpoint(self, **meta: object) -> Checkpoint:
        """Return the model as a file holds it."""
        return Checkpoint(self.family, self.config, self.module.state_dict(), meta)


class PotentialCalculator(Calculator):
    """ASE calculator of a potential.

    Derivatives are left out where only the energy is asked, and the graph is kept while nothing
    but species change, as in a Monte Carlo chain on a fixed lattice.
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012

    def __init__(self, potential: Potential) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.potential = potential
        self._graph: Graph | None = None
        potential.freeze()

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
            [self._graph] = self.potential.prepare([current])
        elif "numbers" in system_changes:
            self._graph = self.potential.with_species(self._graph, current.numbers)
        batch = self.potential.collate([self._graph])
        output = self.potential.predict(batch, forces=derivatives, stress=derivatives)
        energy = float(output.energies[0])
        self.results.update(energy=energy, free_energy=energy)
        if output.stresses is not None:
            self.results.update(forces=_numpy(output.forces), stress=_voigt(output.stresses[0]))


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
        If a position or the cell is not finite, the cell has no volume, or the gap along a
        direction without periodicity is smaller than the cutoff.
    """
    name = atoms.get_chemical_formula()
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        msg = f"{name}: a position or cell vector is not a finite number"
        raise ValueError(msg)
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


def species_index(numbers: NDArray[np.int64], known: Sequence[int], family: str) -> Tensor:
    """Return the place of each atomic number (N,) among those that a model knows.

    Raises
    ------
    ValueError
        For an element that it does not know.
    """
    unknown = sorted(set(numbers.tolist()) - set(known))
    if unknown:
        names = ", ".join(chemical_symbols[z] for z in known)
        msg = f"this {family} model knows {names}, not {chemical_symbols[unknown[0]]}"
        raise ValueError(msg)
    return torch.tensor([known.index(int(z)) for z in numbers])


def _numpy(tensor: Tensor) -> NDArray[np.float64]:
    array: NDArray[np.float64] = tensor.detach().cpu().numpy().astype(np.float64)
    return array


def _voigt(tensor: Tensor) -> NDArray[np.float64]:
    voigt: NDArray[np.float64] = full_3x3_to_voigt_6_stress(_numpy(tensor))
    return voigt
