"""MatterSim-v1: M3GNet trained on a wide range of T and p (arXiv:2405.04967).

pip cannot install mattersim beside mace-torch: see ``requirements/mattersim.txt``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from ase import Atoms
from loguru import logger
from mattersim.datasets.utils.convertor import compute_threebody_indices, get_fixed_radius_bonding
from mattersim.forcefield.m3gnet.m3gnet import M3Gnet
from numpy.typing import NDArray
from torch import Tensor

from hea_flows.potentials import model_files
from hea_flows.potentials.foundations import Foundation
from hea_flows.potentials.model_files import Content, ModelFile, ModelFileError
from hea_flows.potentials.potential import Batch, Potential, periodic
from hea_flows.potentials.torch_family import TorchFamily
from hea_flows.potentials.training import scaling
from hea_flows.schemas import ModelSpec, Promised

logger.disable("mattersim")  # it writes to the standard output

_ADDRESS = "https://raw.githubusercontent.com/microsoft/mattersim/main/pretrained_models"

#: Foundations by name: mattersim's own addresses and its own cache.
FOUNDATIONS: Mapping[str, Foundation] = {
    name: Foundation(
        f"{_ADDRESS}/mattersim-{name}.pth", "~/.local/mattersim/pretrained_models", sha256, "MIT"
    )
    for name, sha256 in (
        ("v1.0.0-1M", None),
        (
            "v1.0.0-5M",
            Promised("e3df9fa708725e3d453140646c7d1838324b347a3d1214cf1440522146f872b5"),
        ),
    )
}
#: What a small model from scratch is made of; arguments of mattersim's `M3Gnet`.
ARCHITECTURE: Mapping[str, Any] = {
    "num_blocks": 3,
    "units": 64,
    "max_l": 4,
    "max_n": 4,
    "cutoff": 5.0,
    "threebody_cutoff": 4.0,
    "max_z": 94,
}


class MatterSimPotential(Potential):
    """A loaded MatterSim; see `hea_flows.potentials.potential.Potential`.

    mattersim's own forward pass is in float32 only. This one takes its layers as they are, in
    either precision, and the numbers are the same (tested against mattersim's calculator).
    """

    family = "mattersim"

    def __init__(
        self, module: torch.nn.Module, config: Mapping[str, Any], dtype: str, device: str
    ) -> None:
        super().__init__(module, config, dtype, device)
        self.cutoff = float(module.model_args["cutoff"])
        self.threebody_cutoff = float(module.model_args["threebody_cutoff"])

    def graph(self, frame: Atoms) -> dict[str, Any]:
        """Return the graph of a frame."""
        atoms = periodic(frame, self.cutoff)
        centres, neighbours, images, lengths = get_fixed_radius_bonding(atoms, self.cutoff)
        edges = np.stack([centres, neighbours])
        triples, per_edge, *_ = compute_threebody_indices(
            edges.T, lengths, len(atoms), atoms.numbers, self.threebody_cutoff
        )
        return {
            "positions": torch.tensor(atoms.positions, dtype=self.dtype),
            "volume": float(abs(atoms.cell.volume)),
            "numbers": self._species(atoms.numbers),
            "edges": torch.tensor(edges, dtype=torch.int64),
            "shifts": torch.tensor(images @ atoms.cell.array, dtype=self.dtype),
            "triples": torch.tensor(triples, dtype=torch.int64).reshape(-1, 2),
            "per_edge": torch.tensor(per_edge, dtype=torch.int64),
        }

    def with_species(self, graph: dict[str, Any], numbers: NDArray[np.int64]) -> dict[str, Any]:
        """Return the graph with other atomic numbers on the same sites."""
        return graph | {"numbers": self._species(numbers)}

    def _species(self, numbers: NDArray[np.int64]) -> Tensor:
        if numbers.max() > self.module.max_z:
            top = self.module.max_z
            msg = f"this MatterSim model knows the elements up to Z = {top}, not {numbers.max()}"
            raise ValueError(msg)
        return torch.tensor(numbers, dtype=torch.int64)

    def collate(self, graphs: Sequence[dict[str, Any]]) -> Batch:
        """Join graphs into one."""
        counts = [len(g["numbers"]) for g in graphs]
        atoms = np.cumsum([0, *counts]).tolist()
        bonds = np.cumsum([0, *(g["edges"].shape[1] for g in graphs)]).tolist()
        n_atoms = torch.tensor(counts, device=self.device)

        def join(parts: Sequence[Tensor], dim: int = 0) -> Tensor:
            return torch.cat(list(parts), dim=dim).to(self.device)

        per_edge = join([g["per_edge"] for g in graphs])
        inputs = {
            "numbers": join([g["numbers"] for g in graphs]),
            "edges": join([g["edges"] + a for g, a in zip(graphs, atoms, strict=False)], dim=1),
            "shifts": join([g["shifts"] for g in graphs]),
            "triples": join([g["triples"] + b for g, b in zip(graphs, bonds, strict=False)]),
            "per_edge": per_edge,
            "triple_edges": torch.repeat_interleave(per_edge),
            "owners": torch.repeat_interleave(n_atoms),
        }
        positions = join([g["positions"] for g in graphs])
        volumes = torch.tensor([g["volume"] for g in graphs], dtype=self.dtype, device=self.device)
        return Batch(positions, n_atoms, volumes, inputs)

    def energies(self, batch: Batch, positions: Tensor, strains: Tensor) -> Tensor:
        """Return energies (B,) in eV per cell."""
        # TorchScript's first calls round differently from later ones, which a resumed run shows.
        with torch.jit.optimized_execution(False):  # noqa: FBT003
            atoms = self._atomic_energies(batch, positions, strains)
        return atoms.new_zeros(len(batch.n_atoms)).index_add(0, batch.inputs["owners"], atoms)

    def _atomic_energies(self, batch: Batch, positions: Tensor, strains: Tensor) -> Tensor:
        module, x = self.module, batch.inputs
        edges, triples = x["edges"], x["triples"]
        bonds = positions[edges[0]] - positions[edges[1]] - x["shifts"]
        bonds = bonds + torch.einsum("ei,eij->ej", bonds, strains[x["owners"][edges[0]]])
        lengths = torch.linalg.vector_norm(bonds, dim=1)
        first, second = triples.T
        cosines = (bonds[first] * bonds[second]).sum(dim=1) / (lengths[first] * lengths[second])
        angles = torch.acos(torch.clamp(cosines, -1.0 + 1e-7, 1.0 - 1e-7))  # as mattersim does
        three_basis = module.sbf(lengths[second], angles)
        radial = module.rbf(lengths)
        one_hot = torch.nn.functional.one_hot(x["numbers"], module.max_z + 1)
        nodes = module.atom_embedding(one_hot.to(self.dtype))
        features = module.edge_encoder(radial)
        n_edges = torch.tensor([edges.shape[1]], device=self.device)
        for block in module.graph_conv:
            nodes, features = block(
                nodes,
                features,
                radial,
                edges,
                three_basis,
                triples,
                lengths[:, None],
                n_edges,
                x["per_edge"],
                batch.n_atoms,
                total_num_atoms=len(positions),
                total_num_bonds=edges.shape[1],
                three_body_edge_map=x["triple_edges"],
            )
        return module.normalizer(module.final(nodes).view(-1), x["numbers"])


class MatterSimFamily(TorchFamily[MatterSimPotential]):
    """MatterSim models: fine-tuned with all weights, or M3GNet from scratch."""

    name = "mattersim"
    packages = ("torch", "mattersim")
    ARCHITECTURE = ARCHITECTURE
    FOUNDATIONS = FOUNDATIONS

    def read(self, file: ModelFile) -> Content:
        """Return what a file holds: plain data, or a pickle."""
        return model_files.load_plain_or_pickle(file)

    def load(self, spec: ModelSpec, device: str = "cpu") -> MatterSimPotential:
        """Load a model; see `hea_flows.potentials.base.Family.resolve` for errors."""
        file = self.locate(spec)
        content, path = self.read(file), file.path
        if model_files.is_checkpoint(content):
            checkpoint = model_files.as_checkpoint(content, self.name, path)
            config, state = dict(checkpoint.config), checkpoint.state
        elif isinstance(content, dict) and content.get("model_name") == "m3gnet":
            config, state = dict(content["model_args"]), content["model"]
        else:
            msg = f"{path} is neither a MatterSim checkpoint of hea-flows nor of mattersim itself"
            raise ModelFileError(msg)
        module = _build(config)
        missing = set(module.load_state_dict(state, strict=False).missing_keys)  # as mattersim does
        needed = [name for name, _ in module.named_parameters()]
        needed += [f"normalizer.{name}" for name in ("scale", "shift")]
        if lacking := [name for name in needed if name in missing]:
            msg = f"{path} lacks weights of this architecture: {', '.join(lacking[:3])}"
            raise ModelFileError(msg)
        return MatterSimPotential(module, config, spec.dtype, device)

    def fresh(
        self, frames: Sequence[Atoms], seed: int, device: str = "cpu", elements: Sequence[int] = ()
    ) -> MatterSimPotential:
        """Return an untrained model, which knows all elements, scaled to labelled frames.

        The scale is the root mean square force, the shift the mean energy per atom, of every
        element alike: offsets are the caller's.
        """
        del elements
        config = self.full_architecture()
        statistics = scaling(frames, self.name)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = _build(config)
        module.normalizer.scale.fill_(statistics.forces_rms)
        module.normalizer.shift.fill_(statistics.energy_per_atom)
        return MatterSimPotential(module, config, self.dtype, device)


def _build(config: Mapping[str, Any]) -> M3Gnet:
    try:
        return M3Gnet(device="cpu", **config)
    except (TypeError, ValueError, AssertionError) as error:
        msg = f"mattersim cannot build this architecture: {error}"
        raise ValueError(msg) from None
