"""CHGNet's message passing with its first matrices applied before atoms and bonds are gathered.

CHGNet joins the features of two atoms and a bond, or of an atom, two bonds and an angle, and then
multiplies: (a | b | c) W. Here it is a A + b B + c C with the parts of the same W, multiplied once
per atom and per bond and gathered afterwards: fewer rows in the products, none joined.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hea_flows.potentials.chgnet.silu import silu, silu_gate

#: Features (n, F), and the row of them that each message takes (m,); None where m = n in order.
Part = tuple[Tensor, Tensor | None]


@dataclass(frozen=True)
class Expansions:
    """Basis functions of U bonds and A angles: for atoms' messages, for bonds' and of angles."""

    bonds_of_atoms: Tensor
    bonds_of_bonds: Tensor
    angles: Tensor


@dataclass(frozen=True)
class Wiring:
    """Who is joined with whom; integers.

    Parameters
    ----------
    species
        Atomic number less one, (N,).
    owners
        Structure of each atom, (N,).
    centers, neighbours, bonds
        The atoms and the bond of each message to an atom, (E,).
    angle_centers, angle_bonds, angle_other_bonds
        The atom of each angle, the bond that it changes and the other one, (A,).
    """

    species: Tensor
    owners: Tensor
    centers: Tensor
    neighbours: Tensor
    bonds: Tensor
    angle_centers: Tensor
    angle_bonds: Tensor
    angle_other_bonds: Tensor

    @classmethod
    def of(cls, inputs: Mapping[str, Any]) -> Wiring:
        """Read the inputs of a batch of `hea_flows.potentials.chgnet.potential.CHGNetPotential`."""
        edges, angles = inputs["edges"], inputs["angles"]
        return cls(
            inputs["numbers"] - 1,
            inputs["owners"],
            edges[:, 0].contiguous(),
            edges[:, 1].contiguous(),
            inputs["to_undirected"],
            angles[:, 0].contiguous(),
            angles[:, 1].contiguous(),
            angles[:, 3].contiguous(),
        )


def supported(module: nn.Module) -> bool:
    """Return whether a CHGNet is built as its published models are, without dropout."""
    return module.mlp_first and not any(
        isinstance(part, nn.Dropout) and part.p > 0 for part in module.modules()
    )


def energies(module: nn.Module, wiring: Wiring, functions: Expansions) -> Tensor:
    """Return the energy of each structure, (B,): eV, CHGNet's energies of elements left out."""
    return module.pooling(atom_energies(module, wiring, functions), wiring.owners).view(-1)


def atom_energies(module: nn.Module, wiring: Wiring, functions: Expansions) -> Tensor:
    """Return what each atom adds to the energy, (N, 1): eV, energies of elements left out."""
    w = wiring
    atoms = module.atom_embedding(w.species)
    bonds = module.bond_embedding(functions.bonds_of_atoms)
    atom_weights = module.bond_weights_ag(functions.bonds_of_atoms).index_select(0, w.bonds)
    with_angles = len(functions.angles) > 0
    if with_angles:
        angles = module.angle_embedding(functions.angles)
        weights = module.bond_weights_bg(functions.bonds_of_bonds)
        bond_weights = weights.index_select(0, w.angle_bonds)
        bond_weights = bond_weights * weights.index_select(0, w.angle_other_bonds)

    def passed(layer: nn.Module) -> Tensor:
        parts = [(atoms, w.centers), (bonds, w.bonds), (atoms, w.neighbours)]
        messages = _gated(layer.twoBody_atom, parts) * atom_weights
        return _updated(layer, atoms, messages, w.centers, layer.atom_norm)

    def joined() -> list[Part]:
        return [
            (bonds, w.angle_bonds),
            (bonds, w.angle_other_bonds),
            (angles, None),
            (atoms, w.angle_centers),
        ]

    for atom_layer, bond_layer, angle_layer in zip(
        module.atom_conv_layers[:-1], module.bond_conv_layers, module.angle_layers, strict=False
    ):
        atoms = passed(atom_layer)
        if with_angles and bond_layer is not None:
            messages = _gated(bond_layer.twoBody_bond, joined()) * bond_weights
            bonds = _updated(bond_layer, bonds, messages, w.angle_bonds, bond_layer.bond_norm)
            if angle_layer is not None:
                turned = _gated(angle_layer.twoBody_bond, joined())
                turned = turned + angles if angle_layer.resnet else turned
                norm = angle_layer.angle_norm
                angles = turned if norm is None else norm(turned)
    atoms = passed(module.atom_conv_layers[-1])
    if module.readout_norm is not None:
        atoms = module.readout_norm(atoms)
    return module.mlp(atoms)


def _updated(
    layer: nn.Module, old: Tensor, messages: Tensor, owners: Tensor, norm: nn.Module | None
) -> Tensor:
    """Return features after their messages."""
    new = torch.zeros_like(old).index_add(0, owners, messages)
    if layer.use_mlp_out:
        new = layer.mlp_out(new)
    if layer.resnet:
        new = new + old
    return new if norm is None else norm(new)


def _gated(gated: nn.Module, parts: Sequence[Part]) -> Tensor:
    """Return a `GatedMLP` of joined parts, without joining them."""
    (core, *core_rest), (gate, *gate_rest) = (
        [layer for layer in mlp.layers if not isinstance(layer, nn.Dropout)]
        for mlp in (gated.mlp_core, gated.mlp_gate)
    )
    matrix = torch.cat([core.weight, gate.weight])
    blocks = matrix.split([features.shape[1] for features, _ in parts], dim=1)
    total: Tensor = 0.0 if core.bias is None else torch.cat([core.bias, gate.bias])
    for (features, rows), block in zip(parts, blocks, strict=True):
        term = features @ block.T
        if rows is not None:
            term = term.index_select(0, rows)
        total = total + term
    value, opening = total.chunk(2, dim=1)
    for layer in core_rest:
        value = silu(value) if isinstance(layer, nn.SiLU) else layer(value)
    for layer in gate_rest:
        opening = silu(opening) if isinstance(layer, nn.SiLU) else layer(opening)
    if gated.norm is not None:
        value, opening = gated.bn1(value), gated.bn2(opening)
    if isinstance(gated.activation, nn.SiLU):
        return silu_gate(value, opening)
    return gated.activation(value) * gated.sigmoid(opening)
