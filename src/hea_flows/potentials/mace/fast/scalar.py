"""MACE with scalar messages, evaluated for training and prediction: MACE's numbers in less time.

For models whose hidden features are scalars: MACE-MP-0 small, 0b2 small, and those that are
trained from scratch here. MACE's own module holds the weights, so what is trained, saved and loaded
is that module; the layers are in `layers`, what no weight changes in `bonds`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import ase
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from hea_flows.alloy.lattice import Alloy
from hea_flows.alloy.sampling import DecorationEnergies
from hea_flows.potentials.mace.fast import lattice_layers
from hea_flows.potentials.mace.fast.bonds import Bonds, Features, bond_features, bond_slots
from hea_flows.potentials.mace.fast.lattice import LatticeMACE
from hea_flows.potentials.mace.fast.layers import Atoms, Layers
from hea_flows.potentials.mace.fast.slots import Slots, expand
from hea_flows.potentials.mace.potential import MACEPotential
from hea_flows.potentials.model_files import Checkpoint
from hea_flows.potentials.potential import Batch, Output, Potential

#: Frames whose bonds are evaluated together; it bounds the memory.
_TOGETHER = 64


@dataclass(frozen=True)
class Constant:
    """What no weight changes: energies (B,) in eV, forces (N, 3) in eV/Å, virials (B, 3, 3)."""

    energies: Tensor
    forces: Tensor
    virials: Tensor


@dataclass(frozen=True)
class Graph:
    """One frame."""

    species: Tensor
    positions: Tensor
    volume: float
    bonds: Bonds
    features: Features
    constant: Constant


@dataclass(frozen=True)
class _Inputs:
    owners: Tensor
    atoms: Atoms
    slots: Slots
    features: Features
    constant: Constant


class ScalarMACE(Potential):
    """A quick MACE, which replaces `Potential.predict`.

    Parameters
    ----------
    start
        A loaded model whose module `layers.supported` takes; the module is shared.
    """

    family = "mace"

    def __init__(self, start: MACEPotential) -> None:
        self.start, self.module, self.config = start, start.module, start.config
        self.dtype, self.device = start.dtype, start.device
        self.layers = Layers(start.module)

    def graph(self, frame: ase.Atoms) -> Graph:
        """Return the graph of a frame."""
        return self.prepare([frame])[0]

    def prepare(self, frames: Sequence[ase.Atoms]) -> list[Graph]:
        """Return the graph of each frame, with the features of its bonds."""
        prepared: list[Graph] = []
        for first in range(0, len(frames), _TOGETHER):
            part = frames[first : first + _TOGETHER]
            graphs = self.start.prepare(part)
            bonds = [
                Bonds.of(
                    graph["edge_index"].numpy(),
                    graph["unit_shifts"].numpy(),
                    frame.positions,
                    frame.cell.array,
                )
                for frame, graph in zip(part, graphs, strict=True)
            ]
            attributes = [graph["node_attrs"].to(self.start.device) for graph in graphs]
            features, constants = self._fixed(bonds, attributes)
            prepared += [
                Graph(
                    species=own.argmax(1),
                    positions=graph["positions"].to(own),
                    volume=graph["volume"],
                    bonds=ends,
                    features=values,
                    constant=constant,
                )
                for graph, ends, own, values, constant in zip(
                    graphs, bonds, attributes, features, constants, strict=True
                )
            ]
        return prepared

    def with_species(self, graph: Graph, numbers: NDArray[np.int64]) -> Graph:
        """Return the graph with other atomic numbers (N,) on the same sites."""
        attributes = self.start.species(numbers).to(self.start.device)
        [features], [constant] = self._fixed([graph.bonds], [attributes])
        return replace(graph, species=attributes.argmax(1), features=features, constant=constant)

    def _fixed(
        self, bonds: Sequence[Bonds], attributes: Sequence[Tensor]
    ) -> tuple[list[Features], list[Constant]]:
        """Return what no weight changes in frames with such bonds and one-hot species (N, S)."""
        counts = [len(own) for own in attributes]
        joined = torch.cat(list(attributes))
        vectors = torch.from_numpy(np.concatenate([b.vectors for b in bonds])).to(joined)
        atoms = np.cumsum([0, *counts])
        ends = torch.from_numpy(
            np.concatenate(
                [
                    np.stack([b.sender[b.first], b.receiver[b.first]]) + start
                    for b, start in zip(bonds, atoms, strict=False)
                ],
                axis=1,
            )
        ).to(joined.device)
        features = bond_features(self.module, vectors, joined, ends)
        constant = _constant(self.module, vectors, joined, ends, counts)
        forces = constant.forces.split(counts)
        return features.split([len(b.first) for b in bonds]), [
            Constant(*own) for own in zip(constant.energies, forces, constant.virials, strict=True)
        ]

    def lattice_energies(self, alloy: Alloy, supercell: ArrayLike, a: float) -> DecorationEnergies:
        """Return the energies of decorations of an ideal lattice; see `Potential`."""
        if lattice_layers.supported(self.module):
            return LatticeMACE(self.start, alloy, supercell, a)
        return super().lattice_energies(alloy, supercell, a)

    def collate(self, graphs: Sequence[Graph]) -> Batch:
        """Join graphs into one."""
        counts = [len(g.species) for g in graphs]
        positions = torch.cat([g.positions for g in graphs])
        n_atoms = torch.tensor(counts, device=positions.device)
        species = torch.cat([g.species for g in graphs])
        constants = [g.constant for g in graphs]
        inputs = _Inputs(
            owners=torch.repeat_interleave(n_atoms),
            atoms=Atoms(*torch.unique(species, return_inverse=True)),
            slots=bond_slots([g.bonds for g in graphs], counts, positions),
            features=Features.join([g.features for g in graphs]),
            constant=Constant(
                torch.stack([c.energies for c in constants]),
                torch.cat([c.forces for c in constants]),
                torch.stack([c.virials for c in constants]),
            ),
        )
        volumes = positions.new_tensor([g.volume for g in graphs])
        return Batch(positions, n_atoms, volumes, inputs)

    def predict(
        self, batch: Batch, *, forces: bool = True, stress: bool = True, create_graph: bool = False
    ) -> Output:
        """Return energies, forces and stresses; see `Potential.predict`."""
        x: _Inputs = batch.inputs
        wanted = forces or stress
        with torch.set_grad_enabled(create_graph):
            radial = self.layers.radial(x.features.radial, x.features.radial_slope)
        angular = x.features.angular.detach()
        leaves = [angular, *(r.paths for r in radial)]
        leaves += [r.density for r in radial if r.density is not None]
        for leaf in leaves if wanted else ():
            leaf.requires_grad_()
        with torch.set_grad_enabled(create_graph or wanted):
            atoms = self.layers.energies(x.atoms, x.slots, radial, angular)
            energies = x.constant.energies.index_add(0, x.owners, atoms)
        if not wanted:
            return Output(energies, batch.n_atoms)
        by_angular, *rest = torch.autograd.grad(
            energies.sum(), leaves, create_graph=create_graph, materialize_grads=True
        )
        with torch.set_grad_enabled(create_graph):
            slopes = [r.path_slopes for r in radial]
            slopes += [r.density_slopes for r in radial if r.density is not None]
            along = sum(
                torch.linalg.vecdot(by, slope) for by, slope in zip(rest, slopes, strict=True)
            )
            force, virial = _pulls(x, along, by_angular)
            virials = x.constant.virials.index_add(0, x.owners, virial)
        return Output(
            energies if create_graph else energies.detach(),
            batch.n_atoms,
            force + x.constant.forces if forces else None,
            virials / batch.volumes[:, None, None] if stress else None,
        )

    def checkpoint(self, **meta: object) -> Checkpoint:
        """Return the model as a file holds it."""
        return self.start.checkpoint(**meta)


def _pulls(x: _Inputs, along: Tensor, by_angular: Tensor) -> tuple[Tensor, Tensor]:
    """Return forces (N, 3), and what each atom adds to the virial (N, 3, 3).

    Parameters
    ----------
    x
        The batch.
    along
        Derivative of the energy by the length of each bond (eV/Å), (U,).
    by_angular
        By its spherical harmonics (eV), (U, M).
    """
    features, width = x.features, x.slots.width
    turning = torch.bmm(features.angular_slope, by_angular[:, :, None])[:, :, 0]
    bond = torch.addcmul(turning, along[:, None], features.directions)
    ends = (expand(bond, x.slots) * x.slots.sign).view(-1, width, 3)
    reach = (expand(features.vectors, x.slots) * x.slots.sign).view(-1, width, 3)
    virial = 0.25 * torch.bmm(reach.transpose(1, 2), ends)  # half of a bond to each of its atoms
    return -ends.sum(1), virial + virial.transpose(1, 2)


def _constant(
    module: nn.Module, vectors: Tensor, attributes: Tensor, ends: Tensor, counts: Sequence[int]
) -> Constant:
    """Return what no weight changes: energies of elements, shift, repulsion of pairs.

    Vectors (U, 3), one-hot species (N, S) and ends (2, U) are those of B frames of so many atoms.
    """
    scale, shift = (
        torch.atleast_1d(b)[0] for b in (module.scale_shift.scale, module.scale_shift.shift)
    )
    frames = len(counts)
    owners = torch.repeat_interleave(torch.tensor(counts, device=vectors.device))
    each = module.atomic_energies_fn(attributes).reshape(-1) + shift
    forces, virials = torch.zeros_like(each)[:, None].repeat(1, 3), each.new_zeros(frames, 3, 3)
    if hasattr(module, "pair_repulsion"):
        leaf = vectors.detach().clone().requires_grad_()
        with torch.enable_grad():
            lengths = torch.linalg.vector_norm(leaf, dim=1, keepdim=True)
            pairs = module.pair_repulsion_fn(lengths, attributes, ends, module.atomic_numbers)
            repulsion = 2.0 * scale * pairs  # MACE counts half in each direction
        (pull,) = torch.autograd.grad(repulsion.sum(), leaf)
        each = each + repulsion.detach()
        forces = forces.index_add(0, ends[1], -pull).index_add(0, ends[0], pull)
        outer = vectors[:, :, None] * pull[:, None, :]
        virials = virials.index_add(0, owners[ends[0]], 0.5 * (outer + outer.transpose(1, 2)))
    energies = each.new_zeros(frames).index_add(0, owners, each)
    return Constant(energies.to(vectors), forces.to(vectors), virials.to(vectors))
