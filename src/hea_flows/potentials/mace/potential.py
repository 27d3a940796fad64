"""A loaded MACE model, evaluated by MACE's own module."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import NDArray
from torch import Tensor

from hea_flows.potentials.mace import modules
from hea_flows.potentials.model_files import Checkpoint
from hea_flows.potentials.potential import Batch, Potential, periodic, species_index


class MACEPotential(Potential):
    """A loaded MACE model; see `hea_flows.potentials.potential.Potential`.

    A training method may change the module (`hea_flows.potentials.mace.methods`): `heads` are those
    of the changed module, and `plain` turns it into the weights of a plain model.
    """

    family = "mace"

    def __init__(
        self, module: torch.nn.Module, config: Mapping[str, Any], dtype: str, device: str
    ) -> None:
        super().__init__(module, config, dtype, device)
        self.numbers = [int(z) for z in config["atomic_numbers"]]
        self.cutoff = float(config["r_max"])
        self.heads: tuple[str, ...] = ("Default",)
        self.plain: Callable[[torch.nn.Module], Mapping[str, Any]] = lambda m: m.state_dict()

    def graph(self, frame: Atoms) -> dict[str, Any]:
        """Return the graph of a frame."""
        species = self.species(frame.numbers)
        edges, shifts = neighbours(frame, self.cutoff)
        return {
            "positions": torch.tensor(frame.positions, dtype=self.dtype),
            "cell": torch.tensor(frame.cell.array, dtype=self.dtype),
            "volume": float(abs(frame.cell.volume)),
            "edge_index": torch.tensor(edges, dtype=torch.int64),
            "unit_shifts": torch.tensor(shifts, dtype=self.dtype),
            "node_attrs": species,
            "head": self._head(frame),
        }

    def _head(self, frame: Atoms) -> int:
        """Return the head that a frame is for; the first if it names none, or there is one."""
        return self.heads.index(frame.info.get("head", self.heads[0])) if self.heads[1:] else 0

    def with_species(self, graph: dict[str, Any], numbers: NDArray[np.int64]) -> dict[str, Any]:
        """Return the graph with other atomic numbers on the same sites."""
        return graph | {"node_attrs": self.species(numbers)}

    def species(self, numbers: NDArray[np.int64]) -> Tensor:
        """Return one-hot species (N, elements)."""
        index = species_index(numbers, self.numbers, self.family)
        return torch.nn.functional.one_hot(index, len(self.numbers)).to(self.dtype)

    def collate(self, graphs: Sequence[dict[str, Any]]) -> Batch:
        """Join graphs into one."""
        counts = [len(g["positions"]) for g in graphs]
        starts = np.cumsum([0, *counts]).tolist()
        n_atoms = torch.tensor(counts, device=self.device)

        def join(key: str) -> Tensor:
            return torch.cat([g[key] for g in graphs]).to(self.device)

        edges = [g["edge_index"] + s for g, s in zip(graphs, starts, strict=False)]
        inputs = {
            "cell": join("cell"),
            "edge_index": torch.cat(edges, dim=1).to(self.device),
            "unit_shifts": join("unit_shifts"),
            "node_attrs": join("node_attrs"),
            "batch": torch.repeat_interleave(n_atoms),
            "ptr": torch.tensor(starts, device=self.device),
            "head": torch.tensor([g["head"] for g in graphs], device=self.device),
        }
        volumes = torch.tensor([g["volume"] for g in graphs], dtype=self.dtype, device=self.device)
        return Batch(join("positions"), n_atoms, volumes, inputs)

    def energies(self, batch: Batch, positions: Tensor, strains: Tensor) -> Tensor:
        """Return energies (B,) in eV per cell."""
        data = {**batch.inputs, "positions": positions, "displacement": strains}
        data["shifts"] = data["unit_shifts"]  # replaced by those of the strained cell
        return self.module(data, compute_force=False, compute_displacement=True)["energy"]

    def add_atomic_energies(self, offsets: Mapping[str, float]) -> None:
        """Add energies per element (eV) to the model's own E0, so that it needs no offsets."""
        energies = np.array(self.config["atomic_energies"], dtype=float)
        energies += [offsets.get(chemical_symbols[z], 0.0) for z in self.numbers]
        self.config["atomic_energies"] = energies.tolist()
        held = self.module.atomic_energies_fn.atomic_energies
        held.copy_(torch.as_tensor(energies).to(held).reshape(held.shape))

    def checkpoint(self, **meta: object) -> Checkpoint:
        """Return the model as a file holds it."""
        return Checkpoint(self.family, self.config, self.plain(self.module), meta)


def neighbours(frame: Atoms, cutoff: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return edges (2, E) and the cell vectors that each crosses (E, 3)."""
    atoms = periodic(frame, cutoff)
    edges, _, shifts, _ = modules.get_neighborhood(
        atoms.positions, cutoff, (True, True, True), atoms.cell.array.copy()
    )
    return edges, shifts
