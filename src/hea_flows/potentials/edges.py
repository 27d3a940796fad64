"""Potentials whose graph is atoms and the edges between them; their module gives the energies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ase import Atoms
from matscipy.neighbours import neighbour_list
from numpy.typing import NDArray
from torch import Tensor

from hea_flows.potentials.potential import Batch, Potential, periodic, species_index


@dataclass(frozen=True)
class Edges:
    """The graph of N atoms and E edges.

    Parameters
    ----------
    positions
        Å, (N, 3).
    volume
        Å³.
    species
        Places in the model's atomic numbers, (N,).
    ends
        Centre and neighbour of each edge, (2, E).
    shifts
        Lattice vectors added to the neighbour (Å), (E, 3).
    """

    positions: Tensor
    volume: float
    species: Tensor
    ends: Tensor
    shifts: Tensor


@dataclass(frozen=True)
class _Inputs:
    species: Tensor
    centres: Tensor
    neighbours: Tensor
    shifts: Tensor
    owners: Tensor


class EdgePotential(Potential):
    """A potential of atoms and the edges within a cutoff.

    ``module(vectors, species, centres, neighbours)`` returns the energy of each atom (eV), (N,),
    from the vectors (Å) of edges, (E, 3), from centre to neighbour; places of the species in
    ``config["atomic_numbers"]``, (N,); and the two atoms of each edge, (E,). ``config["cutoff"]``
    is in Å. See `Potential` for the parameters.
    """

    def __init__(
        self, module: torch.nn.Module, config: Mapping[str, Any], dtype: str, device: str
    ) -> None:
        super().__init__(module, config, dtype, device)
        self.numbers = [int(z) for z in config["atomic_numbers"]]
        self.cutoff = float(config["cutoff"])

    def graph(self, frame: Atoms) -> Edges:
        """Return the graph of a frame."""
        atoms = periodic(frame, self.cutoff)
        centres, others, crossed = neighbours(atoms, self.cutoff)
        return Edges(
            torch.tensor(atoms.positions, dtype=self.dtype),
            float(abs(atoms.cell.volume)),
            self._species(atoms.numbers),
            torch.tensor(np.stack([centres, others]), dtype=torch.int64),
            torch.tensor(crossed @ atoms.cell.array, dtype=self.dtype),
        )

    def with_species(self, graph: Edges, numbers: NDArray[np.int64]) -> Edges:
        """Return the graph with other atomic numbers on the same sites."""
        species = self._species(numbers)
        return Edges(graph.positions, graph.volume, species, graph.ends, graph.shifts)

    def _species(self, numbers: NDArray[np.int64]) -> Tensor:
        return species_index(numbers, self.numbers, self.family)

    def collate(self, graphs: Sequence[Edges]) -> Batch:
        """Join graphs into one."""
        counts = [len(g.species) for g in graphs]
        starts = np.cumsum([0, *counts]).tolist()
        n_atoms = torch.tensor(counts, device=self.device)
        ends = [g.ends + start for g, start in zip(graphs, starts, strict=False)]
        centres, neighbours = torch.cat(ends, dim=1).to(self.device)
        inputs = _Inputs(
            torch.cat([g.species for g in graphs]).to(self.device),
            centres,
            neighbours,
            torch.cat([g.shifts for g in graphs]).to(self.device),
            torch.repeat_interleave(n_atoms),
        )
        positions = torch.cat([g.positions for g in graphs]).to(self.device)
        volumes = torch.tensor([g.volume for g in graphs], dtype=self.dtype, device=self.device)
        return Batch(positions, n_atoms, volumes, inputs)

    def energies(self, batch: Batch, positions: Tensor, strains: Tensor) -> Tensor:
        """Return energies (B,) in eV per cell."""
        x: _Inputs = batch.inputs
        vectors = positions[x.neighbours] - positions[x.centres] + x.shifts
        stretch = strains[x.owners[x.centres]]
        vectors = vectors + torch.einsum("ei,eij->ej", vectors, stretch)
        atoms = self.module(vectors, x.species, x.centres, x.neighbours)
        return atoms.new_zeros(len(batch.n_atoms)).index_add(0, x.owners, atoms)


def neighbours(
    atoms: Atoms, cutoff: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return centres (E,), neighbours (E,) and the cell vectors that each edge crosses (E, 3).

    Parameters
    ----------
    atoms
        Periodic in all directions.
    cutoff
        Longest edge (Å).
    """
    centres, others, crossed = neighbour_list(
        "ijS", positions=atoms.positions, cell=atoms.cell.array, pbc=atoms.pbc, cutoff=cutoff
    )
    return centres, others, crossed
