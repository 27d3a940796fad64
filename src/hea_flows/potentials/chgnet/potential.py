"""A loaded CHGNet: whole batches as one graph, and quick energies on one geometry."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from ase import Atoms
from chgnet.model.model import BatchedGraph
from numpy.typing import NDArray
from pymatgen.core import Structure
from torch import Tensor

from hea_flows.potentials.chgnet import layers
from hea_flows.potentials.chgnet.layers import Expansions, Wiring
from hea_flows.potentials.model_files import ModelFileError
from hea_flows.potentials.potential import Batch, Potential, periodic

_MAX_Z = 94


class CHGNetPotential(Potential):
    """A loaded CHGNet; see `hea_flows.potentials.potential.Potential`.

    CHGNet's own forward pass takes the graphs of a batch one by one and two backward passes per
    step. Here the whole batch is one graph and forces and stress share one pass: the same numbers
    (tested against CHGNet's calculator) in about 0.6 of the time.
    """

    family = "chgnet"

    def __init__(
        self, module: torch.nn.Module, config: Mapping[str, Any], dtype: str, device: str
    ) -> None:
        if not module.is_intensive:
            msg = "only CHGNet models with energies per atom (is_intensive) can be used"
            raise ModelFileError(msg)
        super().__init__(module, config, dtype, device)
        module.graph_converter.set_isolated_atom_response("ignore")  # as other families
        self.quick = layers.supported(module)

    def graph(self, frame: Atoms) -> dict[str, Any]:
        """Return the graph of a frame."""
        converter = self.module.graph_converter
        atoms = periodic(frame, converter.atom_graph_cutoff)
        cell = atoms.cell.array
        structure = Structure(
            cell, atoms.numbers.tolist(), atoms.positions, coords_are_cartesian=True
        )
        graph = converter(structure)
        return {
            "positions": torch.tensor(atoms.positions, dtype=self.dtype),
            "volume": float(abs(atoms.cell.volume)),
            "numbers": _species(atoms.numbers),
            "edges": graph.atom_graph.reshape(-1, 2).long(),
            "shifts": torch.tensor(graph.neighbor_image.numpy() @ cell, dtype=self.dtype),
            "to_undirected": graph.directed2undirected.long(),
            "to_directed": graph.undirected2directed.long(),
            "angles": graph.bond_graph.reshape(-1, 5).long(),
        }

    def with_species(self, graph: dict[str, Any], numbers: NDArray[np.int64]) -> dict[str, Any]:
        """Return the graph with other atomic numbers on the same sites."""
        return graph | {"numbers": _species(numbers)}

    def collate(self, graphs: Sequence[dict[str, Any]]) -> Batch:
        """Join graphs into one."""
        atoms = _starts([len(g["numbers"]) for g in graphs])
        directed = _starts([len(g["edges"]) for g in graphs])
        undirected = _starts([len(g["to_directed"]) for g in graphs])
        n_atoms = torch.tensor([len(g["numbers"]) for g in graphs], device=self.device)

        def join(key: str, offsets: Sequence[int] | Sequence[Sequence[int]]) -> Tensor:
            parts = [g[key] + torch.as_tensor(o) for g, o in zip(graphs, offsets, strict=True)]
            return torch.cat(parts).to(self.device)

        angle_offsets = [
            [a, u, d, u, d] for a, u, d in zip(atoms, undirected, directed, strict=True)
        ]
        zeros = [0] * len(graphs)
        inputs = {
            "numbers": join("numbers", zeros),
            "owners": torch.repeat_interleave(n_atoms),
            "edges": join("edges", atoms),
            "shifts": join("shifts", zeros),
            "to_undirected": join("to_undirected", undirected),
            "to_directed": join("to_directed", directed),
            "angles": join("angles", angle_offsets),
        }
        volumes = torch.tensor([g["volume"] for g in graphs], dtype=self.dtype, device=self.device)
        return Batch(join("positions", zeros), n_atoms, volumes, inputs)

    def energies(self, batch: Batch, positions: Tensor, strains: Tensor) -> Tensor:
        """Return energies (B,) in eV per cell."""
        module, inputs = self.module, batch.inputs
        edges, angles = inputs["edges"], inputs["angles"]
        functions = self.expansions(batch, positions, strains)
        if self.quick:
            energies = layers.energies(module, Wiring.of(inputs), functions)
        else:
            graph = BatchedGraph(
                atomic_numbers=inputs["numbers"],
                bond_bases_ag=functions.bonds_of_atoms,
                bond_bases_bg=functions.bonds_of_bonds,
                angle_bases=functions.angles,
                batched_atom_graph=edges,
                batched_bond_graph=angles[:, [0, 1, 3]],
                atom_owners=inputs["owners"],
                directed2undirected=inputs["to_undirected"],
                atom_positions=[positions],
                strains=[strains],
                volumes=batch.volumes,
            )
            energies = module._compute(graph)["e"] * batch.n_atoms  # noqa: SLF001
        if module.composition_model is not None:
            reference = module.composition_model.fc.weight[0, inputs["numbers"] - 1]
            energies = energies.index_add(0, inputs["owners"], reference)
        return energies

    def expansions(self, batch: Batch, positions: Tensor, strains: Tensor) -> Expansions:
        """Return the basis functions of bonds and angles at given positions, then strained."""
        module, inputs = self.module, batch.inputs
        edges, angles = inputs["edges"], inputs["angles"]
        bonds = positions[edges[:, 0]] - positions[edges[:, 1]] - inputs["shifts"]
        stretch = strains[inputs["owners"][edges[:, 0]]]
        bonds = bonds + torch.einsum("ei,eij->ej", bonds, stretch)
        lengths = torch.linalg.vector_norm(bonds, dim=1)
        directions = bonds / lengths[:, None]
        undirected = lengths[inputs["to_directed"]]
        basis = module.bond_basis_expansion
        return Expansions(
            basis.rbf_expansion_ag(undirected),
            basis.rbf_expansion_bg(undirected),
            module.angle_basis_expansion(directions[angles[:, 2]], directions[angles[:, 4]]),
        )

    def energies_of_species(
        self, graph: dict[str, Any]
    ) -> Callable[[NDArray[np.int64]], NDArray[np.float64]]:
        """Return the energies for atomic numbers (B, N), with functions of bonds made once."""
        if self.quick:
            return _OnLattice(self, graph).energies
        return super().energies_of_species(graph)


class _OnLattice:
    """Energies of structures that share their geometry.

    Parameters
    ----------
    potential
        A loaded model that is `quick`.
    graph
        The graph of one of them, as `potential` prepares it.
    """

    def __init__(self, potential: CHGNetPotential, graph: dict[str, Any]) -> None:
        self.potential, self.graph = potential, graph
        self.module = potential.module.requires_grad_(requires_grad=False).eval()
        composition = potential.module.composition_model
        self._own = None if composition is None else composition.fc.weight[0].double()
        self._geometry = lru_cache(maxsize=2)(self._batch)  # of whole batches, and of the last one

    def _batch(self, size: int) -> tuple[Wiring, Expansions]:
        batch = self.potential.collate([self.graph] * size)
        strains = batch.positions.new_zeros((size, 3, 3))
        with torch.no_grad():
            functions = self.potential.expansions(batch, batch.positions, strains)
        return Wiring.of(batch.inputs), functions

    def energies(self, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the energies (eV per cell) for atomic numbers (B, N), summed in float64."""
        wiring, functions = self._geometry(len(numbers))
        species = torch.from_numpy(numbers.ravel() - 1).to(wiring.species)
        with torch.no_grad():
            atoms = layers.atom_energies(self.module, replace(wiring, species=species), functions)[
                :, 0
            ].double()
            if self._own is not None:
                atoms = atoms + self._own[species]
        energies: NDArray[np.float64] = atoms.view(len(numbers), -1).sum(1).cpu().numpy()
        return energies


def _species(numbers: NDArray[np.int64]) -> Tensor:
    if numbers.max() > _MAX_Z:
        msg = f"CHGNet knows the elements up to Z = {_MAX_Z}, not Z = {numbers.max()}"
        raise ValueError(msg)
    return torch.tensor(numbers, dtype=torch.int64)


def _starts(counts: Sequence[int]) -> list[int]:
    starts: list[int] = np.cumsum([0, *counts[:-1]]).tolist()
    return starts
