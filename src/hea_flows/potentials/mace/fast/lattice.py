"""Energies of the decorations of a lattice, and of changes to one, from a scalar MACE.

A swap changes the first layer within one cutoff of its two sites, the next within two, and nothing
beyond: what it costs does not grow with the supercell.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hea_flows.potentials.mace.fast.lattice_layers import LatticeLayers

#: Features of atoms in each layer, what they send, and their energies.
Rows = tuple[list[Tensor], list[Tensor], Tensor]


class State:
    """All layers' numbers of the atoms of decorations (B, n_sites)."""

    def __init__(self, model: LatticeLayers, codes: NDArray[np.int64]) -> None:
        self.model = model
        self.codes = model.tensor(codes.ravel())
        cells, places = codes.size // model.alloyed, model.places
        depth = len(model.module.interactions)
        like, channels = model.like, model.like.shape[0]
        self.nodes = [like.new_empty((cells * places, channels)) for _ in range(depth)]
        self.sent = [like.new_empty((channels, cells * places)) for _ in range(depth - 1)]
        self.atoms = like.new_empty(cells * places, dtype=torch.float64)
        self._shape = (len(codes), -1)
        self.update([np.arange(cells * places)] * depth)

    @property
    def energies(self) -> NDArray[np.float64]:
        """Energies of the decorations (eV per cell), (B,)."""
        energies: NDArray[np.float64] = self.atoms.view(self._shape).sum(1).cpu().numpy()
        return energies

    def update(self, changed: Sequence[NDArray[np.int64]]) -> None:
        """Compute anew the atoms that changed in each layer; the last are all of them."""
        model = self.model
        with torch.no_grad():
            for i, atoms_of_layer in enumerate(changed):
                for kind, atoms, cells in self._kinds(atoms_of_layer):
                    if i == 0:
                        new = model.first(kind, cells, self.codes)
                    else:
                        before = self.nodes[i - 1].index_select(0, atoms)
                        new = model.later(i, kind, cells, self.sent[i - 1], before)
                    self.nodes[i][atoms] = new
                    if i < len(self.sent):
                        self.sent[i][:, atoms] = model.outgoing(i + 1, new)
            for kind, atoms, _ in self._kinds(changed[-1]):
                self.atoms[atoms] = model.read(kind, [n.index_select(0, atoms) for n in self.nodes])

    def _kinds(self, atoms: NDArray[np.int64]) -> list[tuple[int, Tensor, Tensor]]:
        """Return kind, atoms and their cells for each kind among atoms."""
        model = self.model
        everyone = model.tensor(atoms)
        cells = torch.div(everyone, model.places, rounding_mode="floor")
        place = everyone - cells * model.places
        fixed = place - model.alloyed
        site = cells * model.alloyed + place.clamp(max=model.alloyed - 1)
        own = place * model.elements + self.codes[site]
        kinds = torch.where(fixed < 0, own, fixed + model.alloyed * model.elements)
        parts = []
        for kind in range(len(model.kinds)):
            chosen = torch.nonzero(kinds == kind)[:, 0]
            if len(chosen):
                parts.append((kind, everyone[chosen], cells[chosen]))
        return parts

    def rows(self, changed: Sequence[NDArray[np.int64]]) -> Rows:
        """Return copies of all numbers of the atoms that changed in each layer."""
        chosen = [self.model.tensor(atoms) for atoms in changed]
        nodes = [n[c] for n, c in zip(self.nodes, chosen, strict=True)]
        sent = [n[:, c] for n, c in zip(self.sent, chosen, strict=False)]
        return nodes, sent, self.atoms[chosen[-1]]

    def put(self, changed: Sequence[NDArray[np.int64]], rows: Rows) -> None:
        """Put what `rows` returned back in its place."""
        chosen = [self.model.tensor(atoms) for atoms in changed]
        nodes, sent, self.atoms[chosen[-1]] = rows
        for held, c, values in zip(self.nodes, chosen, nodes, strict=True):
            held[c] = values
        for held, c, values in zip(self.sent, chosen, sent, strict=False):
            held[:, c] = values


class LocalEnergies:
    """A decoration that is held, and what changing a few of its sites changes.

    A change is computed from the atoms that it can reach: in the first layer those within one
    cutoff of the changed sites, in each next layer those within one more. Nothing is added up along
    a chain: every number is computed anew from those it depends on.

    Parameters
    ----------
    model
        The layers.
    """

    def __init__(self, model: LatticeLayers) -> None:
        self.model = model
        self._state: State
        self._tried: tuple[bytes, list[NDArray[np.int64]], Rows] | None = None

    def hold(self, codes: NDArray[np.int64]) -> float:
        """Hold a decoration (n_sites,) and return its energy (eV per cell)."""
        self._state, self._tried = State(self.model, np.array(codes, dtype=np.int64)[None]), None
        return self.energy

    @property
    def energy(self) -> float:
        """Energy of the held decoration (eV per cell)."""
        return float(self._state.energies[0])

    def change(self, sites: NDArray[np.int64], codes: NDArray[np.int64]) -> float:
        """Return what new species on some sites would change (eV per cell)."""
        atoms = self.model.atoms_of(np.asarray(sites, dtype=np.int64))
        changed = []
        for _ in self._state.nodes:
            atoms = self.model.near(atoms)
            changed.append(atoms)
        chosen, new = self.model.tensor(np.asarray(sites)), self.model.tensor(np.asarray(codes))
        before, old = self._state.rows(changed), self._state.codes[chosen]
        self._state.codes[chosen] = new
        self._state.update(changed)
        after = self._state.rows(changed)
        self._state.codes[chosen] = old
        self._state.put(changed, before)
        self._tried = (_key(sites, codes), changed, after)
        return float((after[-1] - before[-1]).sum())

    def accept(self, sites: NDArray[np.int64], codes: NDArray[np.int64]) -> None:
        """Hold the decoration with new species on some sites."""
        if self._tried is None or self._tried[0] != _key(sites, codes):
            self.change(sites, codes)
        assert self._tried is not None
        _, changed, rows = self._tried
        chosen, new = self.model.tensor(np.asarray(sites)), self.model.tensor(np.asarray(codes))
        self._state.codes[chosen] = new
        self._state.put(changed, rows)
        self._tried = None


def _key(sites: NDArray[np.int64], codes: NDArray[np.int64]) -> bytes:
    return np.array([sites, codes], dtype=np.int64).tobytes()


class LatticeMACE(LatticeLayers):
    """Energies of decorations of one supercell on its ideal lattice; see `LatticeLayers`."""

    def energies(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the energies (eV per cell) of decorations (B, n_sites)."""
        rows = np.asarray(codes, dtype=np.int64).reshape(-1, self.cells * self.alloyed)
        size = max(1, self.max_atoms // (self.cells * self.places))
        parts = [rows[start : start + size] for start in range(0, len(rows), size)]
        return np.concatenate([np.empty(0), *(State(self, part).energies for part in parts)])

    def local(self) -> LocalEnergies:
        """Return a decoration that is held, and energies of changes to it."""
        return LocalEnergies(self)
