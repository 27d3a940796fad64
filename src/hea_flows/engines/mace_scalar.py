"""MACE with scalar messages, evaluated for training: the same numbers, fewer and cheaper steps.

For models whose hidden features are scalars (`MACE-MP-0 small`, `0b2 small`, those from scratch).
It reads the weights of MACE's own module, so what is trained, saved and loaded is that module.
What is cheaper than in MACE:

- The radial network runs once per bond, not once per direction.
- Sums over neighbours are one matrix product per atom and angular momentum, so that products of
  radial and angular functions are never written out per edge.
- The contraction keeps only products of features that it contains (`mace_contraction`).
- Derivatives by positions are derivatives by weight-free features of bonds, times slopes that are
  known beforehand (`mace_bonds`); the second backward pass stops there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ase import Atoms

from hea_flows.engines import mace_bonds, mace_contraction, mace_weights
from hea_flows.engines.gathering import Slots, expand, spread
from hea_flows.engines.mace_bonds import Bonds, Features
from hea_flows.engines.mace_contraction import Polynomials
from hea_flows.engines.model_files import Checkpoint
from hea_flows.engines.potential import Batch, Output

_BLOCKS = {
    "RealAgnosticInteractionBlock",
    "RealAgnosticResidualInteractionBlock",
    "RealAgnosticDensityInteractionBlock",
    "RealAgnosticDensityResidualInteractionBlock",
}
_READOUTS = {"LinearReadoutBlock", "NonLinearReadoutBlock"}


def supported(module: Any) -> bool:  # noqa: ANN401
    """Say whether a MACE module has scalar messages and only parts that are known here."""
    frozen_parts = [module.radial_embedding, module.spherical_harmonics, module.atomic_energies_fn]
    if hasattr(module, "pair_repulsion"):
        frozen_parts.append(module.pair_repulsion_fn)
    return (
        type(module).__name__ == "ScaleShiftMACE"
        and len(module.heads) == 1
        and not hasattr(module, "joint_embedding")
        and all(type(b).__name__ in _BLOCKS for b in module.interactions)
        and all(type(r).__name__ in _READOUTS for r in module.readouts)
        and all(_is_scalar(b.node_feats_irreps, b.hidden_irreps) for b in module.interactions)
        and all(_is_plain(p.symmetric_contractions) for p in module.products)
        and not any(list(part.parameters()) for part in (*frozen_parts, module.scale_shift))
    )


def _is_scalar(*irreps: Any) -> bool:  # noqa: ANN401
    return all(str(i).endswith("x0e") and "+" not in str(i) for i in irreps)


def _is_plain(contractions: Any) -> bool:  # noqa: ANN401
    return type(contractions).__name__ == "SymmetricContraction"


@dataclass(frozen=True)
class Graph:
    """One frame; what no weight changes is summed in `constant_*` (eV, eV/Å, eV)."""

    species: Any
    volume: float
    positions: Any
    bonds: Bonds
    features: Features
    constant_energy: Any
    constant_forces: Any
    constant_virial: Any


@dataclass(frozen=True)
class _Inputs:
    owners: Any
    present: Any
    species: Any
    slots: Slots
    features: Features
    constant_energy: Any
    constant_forces: Any
    constant_virial: Any


class ScalarMACE:
    """A MACE for training; see `hea_flows.engines.potential.Potential`.

    Parameters
    ----------
    start
        A loaded `hea_flows.engines.mace.MACEPotential` that is `supported`; its module is shared.
    """

    def __init__(self, start: Any) -> None:  # noqa: ANN401
        self.start = start
        self.module = start.module
        self.polynomials = [
            Polynomials.of(product.symmetric_contractions.contractions[0])
            for product in self.module.products
        ]
        self.couplings = [mace_weights.couplings(block.conv_tp) for block in self.module.interactions]

    def prepare(self, frames: Sequence[Atoms]) -> list[Graph]:
        """Return the graph of each frame, with the features of its bonds."""
        return [self._graph(frame) for frame in frames]

    def _graph(self, frame: Atoms) -> Graph:
        graph = self.start.prepare([frame])[0]
        attributes = graph["node_attrs"].to(self.start.device)
        bonds = Bonds.of(
            graph["edge_index"].numpy(),
            graph["unit_shifts"].numpy(),
            frame.positions,
            frame.cell.array,
        )
        vectors = torch.from_numpy(bonds.vectors).to(attributes)
        ends = torch.from_numpy(np.stack([bonds.sender[bonds.first], bonds.receiver[bonds.first]]))
        ends = ends.to(attributes.device)
        energy, forces, virial = _constant(self.module, vectors, attributes, ends)
        return Graph(
            species=attributes.argmax(1),
            volume=graph["volume"],
            positions=graph["positions"].to(attributes),
            bonds=bonds,
            features=mace_bonds.features(self.module, vectors, attributes, ends),
            constant_energy=energy,
            constant_forces=forces,
            constant_virial=virial,
        )

    def collate(self, graphs: Sequence[Graph]) -> Batch:
        """Join graphs into one."""
        counts = [len(g.species) for g in graphs]
        positions = torch.cat([g.positions for g in graphs])
        n_atoms = torch.tensor(counts, device=positions.device)
        present, species = torch.unique(
            torch.cat([g.species for g in graphs]), return_inverse=True
        )
        inputs = _Inputs(
            owners=torch.repeat_interleave(n_atoms),
            present=present,
            species=species,
            slots=mace_bonds.slots([g.bonds for g in graphs], counts, positions),
            features=Features.join([g.features for g in graphs]),
            constant_energy=torch.stack([g.constant_energy for g in graphs]),
            constant_forces=torch.cat([g.constant_forces for g in graphs]),
            constant_virial=torch.stack([g.constant_virial for g in graphs]),
        )
        volumes = positions.new_tensor([g.volume for g in graphs])
        return Batch(positions, n_atoms, volumes, inputs)

    def derivatives(
        self, batch: Batch, *, forces: bool, stress: bool, create_graph: bool
    ) -> Output:
        """Return energies, forces and stresses; see `hea_flows.engines.potential.predict`."""
        x: _Inputs = batch.inputs
        wanted = forces or stress
        radial, angular = x.features.radial, x.features.angular
        if wanted:
            radial = radial.detach().requires_grad_()
            angular = angular.detach().requires_grad_()
        with torch.set_grad_enabled(create_graph or wanted):
            energies = self._energies(x, len(batch.n_atoms), radial, angular)
        if not wanted:
            return Output(energies, batch.n_atoms)
        by_radial, by_angular = torch.autograd.grad(
            energies.sum(), [radial, angular], create_graph=create_graph, materialize_grads=True
        )
        with torch.set_grad_enabled(create_graph):
            force, virial = self._pulls(x, by_radial, by_angular)
        strained = torch.zeros_like(x.constant_virial).index_add(0, x.owners, virial)
        strained = strained + x.constant_virial
        return Output(
            energies if create_graph else energies.detach(),
            batch.n_atoms,
            force + x.constant_forces if forces else None,
            strained / batch.volumes[:, None, None] if stress else None,
        )

    def _pulls(self, x: _Inputs, by_radial: Any, by_angular: Any) -> tuple[Any, Any]:  # noqa: ANN401
        """Return forces (N, 3) and what each atom adds to the virial (N, 3, 3)."""
        known = x.features
        along = (by_radial * known.radial_slope).sum(1, keepdim=True)
        vectors = known.vectors
        directions = vectors / torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
        bond = along * directions + torch.bmm(known.angular_slope, by_angular[:, :, None])[:, :, 0]
        ends = (expand(bond, x.slots) * x.slots.sign).view(-1, x.slots.width, 3)
        reach = (expand(vectors, x.slots) * x.slots.sign).view(-1, x.slots.width, 3)
        virial = 0.5 * torch.bmm(reach.transpose(1, 2), ends)
        return -ends.sum(1), 0.5 * (virial + virial.transpose(1, 2))

    def _energies(self, x: _Inputs, n: int, radial: Any, angular: Any) -> Any:  # noqa: ANN401
        """Return energies (n,) from the features of bonds."""
        module = self.module
        parity = angular.new_tensor([c.parity for c in self.couplings[0] for _ in range(c.size)])
        sides = torch.where(x.slots.sign < 0, parity, x.slots.sign.abs())
        harmonics = (expand(angular, x.slots) * sides).view(len(x.owners), x.slots.width, -1)
        embedding = mace_weights.linear(module.node_embedding.linear)[0]
        nodes = embedding.index_select(0, x.present).index_select(0, x.species)
        kept = []
        for i, (block, product) in enumerate(
            zip(module.interactions, module.products, strict=True)
        ):
            messages, residual = self._interact(i, block, x, nodes, radial, harmonics)
            nodes = self._contract(i, product, x, messages, residual)
            kept.append(nodes)
        if len(module.readouts) == 1:
            kept = kept[-1:]
        atoms = sum(r(k)[:, 0] for r, k in zip(module.readouts, kept, strict=True))
        scaled = torch.atleast_1d(module.scale_shift.scale)[0] * atoms
        return x.constant_energy.index_add(0, x.owners, scaled)

    def _interact(
        self,
        i: int,
        block: Any,  # noqa: ANN401
        x: _Inputs,
        nodes: Any,  # noqa: ANN401
        radial: Any,  # noqa: ANN401
        harmonics: Any,  # noqa: ANN401
    ) -> tuple[Any, Any]:
        """Return messages (M, N, C), and what passes the contraction by (N, C) or None."""
        envelope = None
        if self.module.radial_embedding.apply_cutoff is False:
            radial, envelope = radial[:, :-1], radial[:, -1:]
        paths = block.conv_tp_weights(radial)
        if envelope is not None:
            paths = paths * envelope
        sent = nodes @ mace_weights.linear(block.linear_up)[0]
        n_slots, channels = x.slots.width, sent.shape[1]
        sent = spread(sent, x.slots).view(len(nodes), n_slots, 1, channels)
        paths = expand(paths, x.slots).view(len(nodes), n_slots, -1, channels) * sent
        messages, start = [], 0
        for coupling, matrix in zip(self.couplings[i], mace_weights.linear(block.linear), strict=True):
            end = start + coupling.size
            mixed = torch.bmm(harmonics[:, :, start:end].transpose(1, 2), paths[:, :, len(messages)])
            messages.append((mixed.transpose(0, 1) @ (coupling.factor * matrix)))
            start = end
        received = torch.cat(messages)
        if hasattr(block, "density_fn"):
            dense = torch.tanh(block.density_fn(radial) ** 2)
            if envelope is not None:
                dense = dense * envelope
            dense = expand(dense, x.slots) * x.slots.sign.abs()
            received = received / (dense.view(-1, n_slots).sum(1) + 1.0)[:, None]
        else:
            received = received / block.avg_num_neighbors
        if "Residual" in type(block).__name__:
            return received, _by_species(block.skip_tp, [nodes[None]], x)[0][0]
        parts = received.split([c.size for c in self.couplings[i]])
        return torch.cat(_by_species(block.skip_tp, parts, x)), None

    def _contract(
        self,
        i: int,
        product: Any,  # noqa: ANN401
        x: _Inputs,
        messages: Any,  # noqa: ANN401
        residual: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        contraction = product.symmetric_contractions.contractions[0]
        weights = mace_contraction.weights(contraction).transpose(0, 1)
        if product.use_agnostic_product:
            chosen = weights
        else:
            chosen = weights.index_select(1, x.present).index_select(1, x.species)
        m, n, channels = messages.shape
        values = self.polynomials[i](messages.reshape(m, n * channels)).view(-1, n, channels)
        nodes = (values * chosen).sum(0) @ mace_weights.linear(product.linear)[0]
        return nodes if residual is None or not product.use_sc else nodes + residual

    def energies(self, batch: Batch, positions: Any, strains: Any) -> Any:  # noqa: ANN401
        """Not used: derivatives come from the features of bonds, see `derivatives`."""
        raise NotImplementedError

    def checkpoint(self, **meta: Any) -> Checkpoint:  # noqa: ANN401
        """Return the model as a file holds it."""
        checkpoint: Checkpoint = self.start.checkpoint(**meta)
        return checkpoint


def _by_species(skip: Any, parts: Sequence[Any], x: _Inputs) -> list[Any]:  # noqa: ANN401
    """Multiply features (m, N, in) with the matrix of each atom's species; (m, N, out) each."""
    out = []
    atoms = torch.arange(len(x.species), device=x.species.device)
    for part, tensor in zip(parts, mace_weights.by_species(skip), strict=True):
        chosen = tensor.index_select(1, x.present)
        all_of_them = part @ chosen.reshape(len(chosen), -1)
        split = all_of_them.view(*part.shape[:2], len(x.present), -1)
        out.append(split[:, atoms, x.species])
    return out


def _constant(
    module: Any,  # noqa: ANN401
    vectors: Any,  # noqa: ANN401
    attributes: Any,  # noqa: ANN401
    ends: Any,  # noqa: ANN401
) -> tuple[Any, Any, Any]:
    """Return energy (eV), forces (eV/Å) and virial (eV) that no weight changes."""
    scale, shift = module.scale_shift.scale, module.scale_shift.shift
    energy = module.atomic_energies_fn(attributes).sum() + torch.atleast_1d(shift)[0] * len(
        attributes
    )
    forces = torch.zeros((len(attributes), 3), dtype=vectors.dtype, device=vectors.device)
    virial = torch.zeros((3, 3), dtype=vectors.dtype, device=vectors.device)
    if hasattr(module, "pair_repulsion"):
        leaf = vectors.detach().clone().requires_grad_()
        lengths = torch.linalg.vector_norm(leaf, dim=1, keepdim=True)
        with torch.enable_grad():  # each direction of a bond counts half
            pair = 2 * module.pair_repulsion_fn(
                lengths, attributes, ends, module.atomic_numbers
            ).sum()
        pair = torch.atleast_1d(scale)[0] * pair
        (pull,) = torch.autograd.grad(pair, leaf)
        energy = energy + pair.detach()
        forces = forces.index_add(0, ends[1], -pull).index_add(0, ends[0], pull)
        outer = vectors.T @ pull
        virial = 0.5 * (outer + outer.T)
    return energy.detach().to(vectors.dtype), forces, virial
