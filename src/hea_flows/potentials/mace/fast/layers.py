"""The layers of a MACE with scalar messages, as fewer and cheaper steps than MACE takes.

It reads the weights of MACE's own module (arXiv:2206.07697). What is cheaper:

- Radial networks run once per bond, not once per direction, and their slopes in the same pass.
- A sum over neighbours is one matrix product per atom and angular momentum, so that products of
  radial and angular functions are never written out for each edge.
- The contraction keeps only the products of features that it contains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hea_flows.potentials.mace.fast import radial, weights
from hea_flows.potentials.mace.fast.contraction import Polynomials
from hea_flows.potentials.mace.fast.slots import Slots, expand, spread

_BLOCKS = {
    "RealAgnosticInteractionBlock",
    "RealAgnosticResidualInteractionBlock",
    "RealAgnosticDensityInteractionBlock",
    "RealAgnosticDensityResidualInteractionBlock",
}
_READOUTS = {"LinearReadoutBlock", "NonLinearReadoutBlock"}


def supported(module: nn.Module) -> bool:
    """Return whether a MACE module has scalar messages and only parts that these layers have."""
    fixed = [module.radial_embedding, module.spherical_harmonics, module.atomic_energies_fn]
    if hasattr(module, "pair_repulsion"):
        fixed.append(module.pair_repulsion_fn)
    return (
        type(module).__name__ == "ScaleShiftMACE"
        and len(module.heads) == 1
        and not hasattr(module, "joint_embedding")
        and all(_is_supported(block) for block in module.interactions)
        and all(type(readout).__name__ in _READOUTS for readout in module.readouts)
        and all(
            type(product.symmetric_contractions).__name__ == "SymmetricContraction"
            for product in module.products
        )
        and not any(list(part.parameters()) for part in (*fixed, module.scale_shift))
    )


def _is_supported(block: nn.Module) -> bool:
    networks = [block.conv_tp_weights, *([block.density_fn] if _is_dense(block) else [])]
    scalars = (block.node_feats_irreps, block.hidden_irreps, block.edge_irreps)
    return (
        type(block).__name__ in _BLOCKS
        and all(str(i).endswith("x0e") and "+" not in str(i) for i in scalars)
        and all(radial.is_supported(network) for network in networks)
    )


def _is_dense(block: nn.Module) -> bool:
    return hasattr(block, "density_fn")


@dataclass(frozen=True)
class Atoms:
    """Species of N atoms: which occur, (S,), and which of those each atom is, (N,)."""

    present: Tensor
    species: Tensor


@dataclass(frozen=True)
class Radial:
    """A layer's functions of the length of U bonds, with derivatives by it.

    Parameters
    ----------
    paths, path_slopes
        Weight of each path and channel, (U, paths times channels).
    density, density_slopes
        What a bond adds to the density of its atoms, (U, 1), or None.
    """

    paths: Tensor
    path_slopes: Tensor
    density: Tensor | None = None
    density_slopes: Tensor | None = None


class Layers:
    """Energies of atoms from functions of bonds.

    Parameters
    ----------
    module
        A MACE that is `supported`.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.couplings = [weights.couplings(block.conv_tp) for block in module.interactions]
        self.polynomials = [
            Polynomials.of(product.symmetric_contractions.contractions[0])
            for product in module.products
        ]

    @property
    def parities(self) -> list[float]:
        """Parity of each spherical harmonic under inversion."""
        return [c.parity for c in self.couplings[0] for _ in range(c.size)]

    def radial(self, basis: Tensor, slopes: Tensor) -> list[Radial]:
        """Evaluate the radial networks of each layer on a basis (U, F) and its slopes.

        The envelope is in the basis, or is its last column.
        """
        apart = self.module.radial_embedding.apply_cutoff is False
        envelope = (basis[:, -1:], slopes[:, -1:])
        if apart:
            basis, slopes = basis[:, :-1], slopes[:, :-1]

        def enveloped(value: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
            if not apart:
                return value, slope
            return value * envelope[0], slope * envelope[0] + value * envelope[1]

        functions = []
        for block in self.module.interactions:
            paths = radial.with_slopes(block.conv_tp_weights, basis, slopes)
            density: tuple[Tensor, ...] = ()
            if _is_dense(block):
                value, slope = radial.with_slopes(block.density_fn, basis, slopes)
                dense = torch.tanh(value**2)
                density = enveloped(dense, (1.0 - dense**2) * 2.0 * value * slope)
            functions.append(Radial(*enveloped(*paths), *density))
        return functions

    def energies(
        self, atoms: Atoms, slots: Slots, radial: Sequence[Radial], angular: Tensor
    ) -> Tensor:
        """Return what each atom adds to the energy (eV), (N,), the shift left out.

        Parameters
        ----------
        atoms
            N atoms.
        slots
            Their K slots each.
        radial
            Of each layer.
        angular
            Spherical harmonics of the bonds, (U, M).
        """
        module = self.module
        sides = torch.where(slots.sign < 0, angular.new_tensor(self.parities), slots.sign.abs())
        harmonics = (expand(angular, slots) * sides).view(-1, slots.width, angular.shape[1])
        embedding = weights.linear(module.node_embedding.linear)[0]
        nodes = embedding.index_select(0, atoms.present).index_select(0, atoms.species)
        layers = []
        for i, functions in enumerate(radial):
            messages, residual = self._interact(i, atoms, slots, nodes, functions, harmonics)
            nodes = self._contract(i, atoms, messages, residual)
            layers.append(nodes)
        if len(module.readouts) == 1:
            layers = layers[-1:]
        added = [read(n)[:, 0] for read, n in zip(module.readouts, layers, strict=True)]
        return torch.atleast_1d(module.scale_shift.scale)[0] * torch.stack(added).sum(0)

    def _interact(
        self, i: int, atoms: Atoms, slots: Slots, nodes: Tensor, radial: Radial, harmonics: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return messages (M, N, C), and what passes the contraction by, (N, C) or None."""
        block, couplings = self.module.interactions[i], self.couplings[i]
        sent = nodes @ weights.linear(block.linear_up)[0]
        shape = (len(nodes), slots.width, -1, sent.shape[1])
        paths = expand(radial.paths, slots).view(shape) * spread(sent, slots).view(shape)
        angles = harmonics.split([c.size for c in couplings], dim=2)
        matrices = weights.linear(block.linear)
        messages = [
            torch.bmm(angle.transpose(1, 2), path).transpose(0, 1) @ (c.factor * matrix)
            for angle, path, c, matrix in zip(
                angles, paths.unbind(2), couplings, matrices, strict=True
            )
        ]
        if _is_dense(block):
            dense = expand(radial.density, slots) * slots.sign.abs()
            scale = 1.0 / (dense.view(-1, slots.width).sum(1, keepdim=True) + 1.0)
        else:
            scale = 1.0 / block.avg_num_neighbors
        if "Residual" in type(block).__name__:
            return torch.cat(messages) * scale, _skip(block.skip_tp, [nodes[None]], atoms)[0][0]
        return torch.cat(_skip(block.skip_tp, messages, atoms)) * scale, None

    def _contract(self, i: int, atoms: Atoms, messages: Tensor, residual: Tensor) -> Tensor:
        """Return the next features of the atoms, (N, C)."""
        product, polynomials = self.module.products[i], self.polynomials[i]
        factors = polynomials.weights(product.symmetric_contractions.contractions[0])
        if not product.use_agnostic_product:
            factors = factors.index_select(1, atoms.present).index_select(1, atoms.species)
        values = polynomials(messages.flatten(1)).view(-1, *messages.shape[1:])
        nodes = (values * factors).sum(0) @ weights.linear(product.linear)[0]
        return nodes + residual if product.use_sc and residual is not None else nodes


def _skip(product: nn.Module, parts: Sequence[Tensor], atoms: Atoms) -> list[Tensor]:
    """Multiply features (m, N, in) with the matrices of the atoms' species: (m, N, out)."""
    out = []
    each = torch.arange(len(atoms.species), device=atoms.species.device)
    for part, tensor in zip(parts, weights.of_species(product), strict=True):
        chosen = tensor.index_select(1, atoms.present)
        products = part @ chosen.flatten(1)
        out.append(products.unflatten(2, chosen.shape[1:])[:, each, atoms.species])
    return out
