"""The layers of a MACE with scalar messages on one lattice.

On a lattice whose cells are alike, functions of bonds are the same in every cell. So the first
layer's messages, linear in what each neighbour's species sends, are sums of rows of a table, made
once; the next layers are products with one small matrix per channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from ase.data import atomic_numbers
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from hea_flows.alloy.lattice import Alloy, Neighbours
from hea_flows.potentials.mace.fast import layers, weights
from hea_flows.potentials.mace.fast.bonds import bond_features
from hea_flows.potentials.mace.fast.layers import Layers
from hea_flows.potentials.mace.potential import MACEPotential


def supported(module: nn.Module) -> bool:
    """Return whether functions of a bond depend on its length alone, and no sum on the species."""
    return (
        layers.supported(module)
        and not hasattr(module, "pair_repulsion")
        and not hasattr(module.radial_embedding, "distance_transform")
        and not any(hasattr(block, "density_fn") for block in module.interactions)
        and len(module.interactions) == len(module.readouts)
    )


@dataclass(frozen=True)
class _Kind:
    """Atoms of one species in one place of the primitive cell, and their first layer's sums."""

    place: int
    species: int  # among the alloy's elements, then the fixed places
    table: Tensor  # (alloyed neighbours · elements, M · C)
    constant: Tensor  # (M · C,)
    residual: Tensor | None  # (C,)


class LatticeLayers:
    """The layers of one supercell on its ideal lattice, by kind of atom.

    A kind is a species in one of the alloyed places of the primitive cell, or a fixed place.

    Parameters
    ----------
    potential
        A loaded model whose module is `supported`.
    alloy, supercell
        The host and its supercell, shape (3, 3).
    a
        Lattice constant (Å).

    Raises
    ------
    ValueError
        If the model does not know an element of the alloy.
    """

    def __init__(
        self, potential: MACEPotential, alloy: Alloy, supercell: ArrayLike, a: float
    ) -> None:
        self.module = potential.module
        self.module.requires_grad_(requires_grad=False)
        self.layers = Layers(self.module)
        self.name = f"fixed lattice, a = {a:g} Å"
        self.neighbours = Neighbours.of(alloy, supercell, a, potential.cutoff)
        self.cells = len(self.neighbours.atoms[0])
        self.places, self.alloyed = len(self.neighbours.atoms), alloy.host.sites_per_cell
        self.max_atoms = 512 if potential.device.type == "cpu" else 16384
        self.elements = len(alloy.elements)
        symbols = [*alloy.elements, *alloy.fixed_species]
        potential.species(np.array([atomic_numbers[s] for s in symbols]))  # or an error
        numbers = [potential.numbers.index(atomic_numbers[s]) for s in symbols]
        #: The model's species: of the alloy's elements, then of the fixed places.
        self._species = torch.tensor(numbers, device=potential.device)
        self.like = weights.linear(self.module.node_embedding.linear)[0].detach()[0]
        with torch.no_grad():
            self._prepare()

    def tensor(self, array: NDArray[np.int64] | NDArray[np.float64]) -> Tensor:
        """Return an array where the model is."""
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.like.device)

    def _prepare(self) -> None:
        module, layers = self.module, self.layers
        self._atoms = [self.tensor(x) for x in self.neighbours.atoms]
        bonds = [self._functions(self.tensor(v).to(self.like)) for v in self.neighbours.vectors]
        # by layer and place: (D, M, C)
        self._bonds = [[b[i] for b in bonds] for i in range(len(module.interactions))]
        self._mixing = [
            [c.factor * m for c, m in zip(couplings, weights.linear(block.linear), strict=True)]
            for couplings, block in zip(layers.couplings, module.interactions, strict=True)
        ]
        self._sizes = [[c.size for c in couplings] for couplings in layers.couplings]
        self._up = [weights.linear(block.linear_up)[0] for block in module.interactions]
        self._skip = [
            [t.index_select(1, self._species) for t in weights.of_species(block.skip_tp)]
            for block in module.interactions
        ]
        self._weights = [self._contraction_weights(i) for i in range(len(module.products))]
        self._out = [weights.linear(p.linear)[0] for p in module.products]
        embedding = weights.linear(module.node_embedding.linear)[0]
        self._nodes = embedding.index_select(0, self._species)
        self._sent = self._nodes @ self._up[0]
        alloyed = product(range(self.alloyed), range(self.elements))
        fixed = ((self.alloyed + k, self.elements + k) for k in range(self.places - self.alloyed))
        #: Place and species of each kind of atom, with its first layer.
        self.kinds = [self._kind(*kind) for kind in (*alloyed, *fixed)]
        scale, shift = (
            torch.atleast_1d(b)[0].double()
            for b in (module.scale_shift.scale, module.scale_shift.shift)
        )
        own = module.atomic_energies_fn.atomic_energies.reshape(-1).double()
        self._scale = scale
        self._own = own.index_select(0, self._species) + shift

    def _functions(self, vectors: Tensor) -> list[Tensor]:
        """Return the functions (D, M, C) of bonds (D, 3) of each layer."""
        n = len(vectors)
        attributes = vectors.new_zeros((1, len(self.module.atomic_numbers)))
        attributes[0, 0] = 1.0
        ends = torch.zeros((2, n), dtype=torch.int64, device=vectors.device)
        features = bond_features(self.module, vectors, attributes, ends)
        radial = self.layers.radial(features.radial, features.radial_slope)
        messages = []
        for block, couplings, functions in zip(
            self.module.interactions, self.layers.couplings, radial, strict=True
        ):
            paths = functions.paths.unflatten(1, (len(couplings), -1))
            angles = features.angular.split([c.size for c in couplings], dim=1)
            parts = [
                angle[:, :, None] * path[:, None, :]
                for angle, path in zip(angles, paths.unbind(1), strict=True)
            ]
            messages.append(torch.cat(parts, dim=1) / block.avg_num_neighbors)
        return messages

    def _contraction_weights(self, i: int) -> Tensor:
        product, polynomials = self.module.products[i], self.layers.polynomials[i]
        weights = polynomials.weights(product.symmetric_contractions.contractions[0])
        kinds = len(self._species)
        if product.use_agnostic_product:
            return weights.expand(-1, kinds, -1)
        return weights.index_select(1, self._species)

    def _mixed(self, i: int, messages: Tensor) -> Tensor:
        """Apply a layer's linear map to messages (M, n, C)."""
        parts = messages.split(self._sizes[i])
        return torch.cat([p @ m for p, m in zip(parts, self._mixing[i], strict=True)])

    def _residual(self, i: int) -> bool:
        return "Residual" in type(self.module.interactions[i]).__name__

    def _kind(self, place: int, species: int) -> _Kind:
        bonds, alloyed = self._bonds[0][place], self.neighbours.alloyed[place]
        names = torch.arange(self.elements, device=bonds.device)
        table = bonds[:alloyed, None] * self._sent[names][None, :, None, :]  # (D, elements, M, C)
        rest = self.neighbours.atoms[place][0, alloyed:] % self.places  # places of the others
        others = self._sent[self.tensor(rest - self.alloyed + self.elements)]
        constant = (bonds[alloyed:] * others[:, None, :]).sum(0)
        rows = torch.cat([table.flatten(0, 1), constant[None]]).transpose(0, 1)
        rows = self._mixed(0, rows)
        residual = None
        if self._residual(0):
            if self.module.products[0].use_sc:
                residual = self._nodes[species] @ self._skip[0][0][:, species]
        else:
            rows = self._skipped(0, rows, species)
        rows = rows.transpose(0, 1).flatten(1).contiguous()
        return _Kind(place, species, rows[:-1], rows[-1], residual)

    def _skipped(self, i: int, messages: Tensor, species: int) -> Tensor:
        """Multiply messages (M, n, C), by angular momentum, with the matrices of a species."""
        parts = messages.split(self._sizes[i])
        return torch.cat([p @ t[:, species] for p, t in zip(parts, self._skip[i], strict=True)])

    def atoms_of(self, sites: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the atoms on alloyed sites."""
        cells, places = np.divmod(sites, self.alloyed)
        return cells * self.places + places

    def near(self, atoms: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return atoms and all their neighbours, each once."""
        cells, places = np.divmod(atoms, self.places)
        near = [table[cells[places == p]].ravel() for p, table in enumerate(self.neighbours.atoms)]
        return np.unique(np.concatenate([atoms, *near]))

    def _around(self, place: int, cells: Tensor) -> Tensor:
        """Return the neighbours (n, D) of atoms in one place of cells, counted through a batch."""
        row = torch.div(cells, self.cells, rounding_mode="floor")
        inside = self._atoms[place].index_select(0, cells - row * self.cells)
        return inside + (row * (self.cells * self.places))[:, None]

    def first(self, kind: int, cells: Tensor, codes: Tensor) -> Tensor:
        """Return the features (n, C) after the first layer of atoms of one kind in given cells."""
        atoms = self.kinds[kind]
        alloyed = self.neighbours.alloyed[atoms.place]
        around = self._around(atoms.place, cells)[:, :alloyed]
        own = torch.div(around, self.places, rounding_mode="floor")
        sites = around - own * (self.places - self.alloyed)
        rows = codes[sites] + torch.arange(alloyed, device=codes.device) * self.elements
        starts = torch.arange(len(cells), device=codes.device) * alloyed  # none may be alloyed
        table, rows = atoms.table, rows.flatten()
        messages = torch.nn.functional.embedding_bag(rows, table, starts, mode="sum")
        messages = (messages + atoms.constant).view(len(cells), sum(self._sizes[0]), -1)
        nodes = self._contract(0, atoms.species, messages.transpose(0, 1))
        return nodes if atoms.residual is None else nodes + atoms.residual

    def later(self, i: int, kind: int, cells: Tensor, sent: Tensor, nodes: Tensor) -> Tensor:
        """Return the features (n, C) after layer i of atoms of one kind in given cells.

        Parameters
        ----------
        i, kind, cells
            Layer, kind, and the cells, (n,).
        sent
            What all atoms send, channels first, (C, N).
        nodes
            Features before of the atoms themselves, (n, C).
        """
        place, species = self.kinds[kind].place, self.kinds[kind].species
        neighbours = self._around(place, cells)
        shape = (len(sent), *neighbours.shape)
        received = sent.index_select(1, neighbours.reshape(-1)).view(shape)  # (C, n, D)
        messages = torch.bmm(received, self._bonds[i][place].permute(2, 0, 1))  # (C, n, M)
        mixed = self._mixed(i, messages.permute(2, 1, 0).contiguous())
        if self._residual(i):
            new = self._contract(i, species, mixed)
            if self.module.products[i].use_sc:
                new = new + nodes @ self._skip[i][0][:, species]
            return new
        return self._contract(i, species, self._skipped(i, mixed, species))

    def outgoing(self, i: int, nodes: Tensor) -> Tensor:
        """Return what atoms with features (n, C) send in layer i, channels first, (C, n)."""
        return (nodes @ self._up[i]).T

    def read(self, kind: int, nodes: Sequence[Tensor]) -> Tensor:
        """Return the energies (eV) of atoms of one kind from their features in each layer."""
        read = sum(
            readout(n)[:, 0].double()
            for readout, n in zip(self.module.readouts, nodes, strict=True)
        )
        return self._scale * read + self._own[self.kinds[kind].species]

    def _contract(self, i: int, species: int, messages: Tensor) -> Tensor:
        values = self.layers.polynomials[i](messages.flatten(1))
        values = values.view(-1, *messages.shape[1:])
        return torch.einsum("rnc,rc->nc", values, self._weights[i][:, species]) @ self._out[i]
