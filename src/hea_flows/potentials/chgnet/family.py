"""CHGNet: a foundation model inside its own wheel (doi 10.1038/s42256-023-00716-3)."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from ase import Atoms
from chgnet.model.model import BatchedGraph, CHGNet
from numpy.typing import NDArray
from pymatgen.core import Structure

from hea_flows.potentials import checkpoints, torch_family
from hea_flows.potentials.base import TrainingResult
from hea_flows.potentials.checkpoints import Checkpoint, ModelFileError
from hea_flows.potentials.chgnet import layers
from hea_flows.potentials.chgnet.lattice import LatticeCHGNet
from hea_flows.potentials.chgnet.layers import Expansions, Wiring
from hea_flows.potentials.torch_family import Batch, TorchFamily
from hea_flows.potentials.training import methods, trainer
from hea_flows.schemas import Epoch, ModelSpec, TrainingSettings

#: Weights in the wheel: name to file and sha256.
FOUNDATIONS: Mapping[str, tuple[str, str]] = {
    "0.3.0": (
        "0.3.0/chgnet_0.3.0_e29f68s314m37.pth.tar",
        "d14ab7c0f093efe64b60a7bcd540bca10e74fb7f46c86108a079af60524659d1",
    ),
    "0.2.0": (
        "0.2.0/chgnet_0.2.0_e30f77s348m32.pth.tar",
        "ef624f78b6db9d315b4ef256f1bb3207449924191b91720dc17d3f60c5df980e",
    ),
    "r2scan": (
        "r2scan/chgnet_r2scan_transfer_learning_e15f36s161m23.pth.tar",
        "8eba3db0f35a2788bb3ae22885ad340591e27996f213c6643af522a633b50dad",
    ),
}
_MAX_Z = 94
_EMBEDDING = (
    "atom_embedding",
    "bond_embedding",
    "angle_embedding",
    "bond_basis_expansion",
    "angle_basis_expansion",
)
#: What stays the parent's. Through the interactions: as in CHGNet's own example of fine-tuning,
#: all but the last convolution of the atoms and what reads it out.
_FROZEN: Mapping[str, Sequence[str]] = {
    "frozen embedding": _EMBEDDING,
    "frozen interactions": (
        *_EMBEDDING,
        "atom_conv_layers",
        "bond_conv_layers",
        "angle_layers",
    ),
}


@dataclass(frozen=True)
class CHGNetFamily(TorchFamily):
    """CHGNet models: fine-tuned with all weights or with parts frozen, or from scratch.

    Parameters
    ----------
    architecture
        Arguments of `chgnet.model.CHGNet` for training from scratch.
    dtype
        Precision of a model that is trained from scratch.
    """

    architecture: Mapping[str, Any] = field(default_factory=dict)
    dtype: Literal["float32", "float64"] = "float32"
    name: str = field(default="chgnet", init=False)
    packages: ClassVar[tuple[str, ...]] = ("torch", "chgnet")
    methods: ClassVar[frozenset[str]] = frozenset({"all", *_FROZEN})

    def resolve(self, spec: ModelSpec) -> ModelSpec:
        """Return `spec` with the checksum of its file, after comparing it."""
        path, known = _locate(spec)
        return spec.model_copy(update={"sha256": checkpoints.verify(path, known)})

    def load(self, spec: ModelSpec, device: str = "cpu") -> CHGNetPotential:
        """Load a model; see `hea_flows.potentials.base.Family.resolve` for errors."""
        path, known = _locate(spec)
        content = checkpoints.load_plain(path, known)
        if checkpoints.is_checkpoint(content):
            checkpoint = checkpoints.as_checkpoint(content, self.name, path)
            config, state = checkpoint.config, checkpoint.state
        elif isinstance(content, dict) and "model_args" in content.get("model", {}):
            config, state = content["model"]["model_args"], content["model"]["state_dict"]
            if spec.path is None:
                config = config | {"mlp_out_bias": spec.name == "0.2.0", "version": spec.name}
        else:
            msg = f"{path} is neither a CHGNet checkpoint of hea-flows nor of CHGNet itself"
            raise ModelFileError(msg)
        module = _build(config)
        checkpoints.fill(module, state, path)
        return CHGNetPotential(module, config, spec.dtype, device)

    def train(
        self,
        parent: ModelSpec | None,
        train: Sequence[Atoms],
        validation: Sequence[Atoms],
        test: Sequence[Atoms],
        settings: TrainingSettings,
        directory: Path,
        on_epoch: Callable[[Epoch], None] | None = None,
        *,
        device: str = "cpu",
    ) -> TrainingResult:
        """Fine-tune `parent`, or train from scratch; see `hea_flows.potentials.base.Family`."""
        methods.check(self, parent, settings)
        start = self.fresh(settings.seed, device) if parent is None else self.load(parent, device)
        _freeze(start.module, settings.method.label)
        parent = None if parent is None else self.resolve(parent)
        return trainer.train(
            start,
            train,
            validation,
            test,
            settings,
            directory,
            parent=parent,
            on_epoch=on_epoch,
        )

    def fresh(self, seed: int, device: str = "cpu") -> CHGNetPotential:
        """Return an untrained model; the same seed gives the same weights.

        It has no per-element reference energies: the caller's offsets take their place.
        """
        config = {"composition_model": None} | dict(self.architecture)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = _build(config)
        return CHGNetPotential(module, config, self.dtype, device)


class CHGNetPotential:
    """A loaded CHGNet; see `hea_flows.potentials.torch_family.Potential`.

    CHGNet's own forward pass takes the graphs of a batch one by one and two backward passes per
    step. Here the whole batch is one graph and forces and stress share one pass: the same numbers
    (tested against CHGNet's calculator) in about 0.6 of the time.
    """

    def __init__(
        self,
        module: Any,  # noqa: ANN401
        config: Mapping[str, Any],
        dtype: str,
        device: str,
    ) -> None:
        if not module.is_intensive:
            msg = "only CHGNet models with energies per atom (is_intensive) can be used"
            raise ModelFileError(msg)
        self.dtype = getattr(torch, dtype)
        self.device = torch.device(device)
        self.module = module.to(dtype=self.dtype, device=self.device)
        self.config = dict(config)
        self.quick = layers.supported(module)

    def prepare(self, frames: Sequence[Atoms]) -> list[dict[str, Any]]:
        """Return the graph of each frame."""
        return [self._graph(frame) for frame in frames]

    def _graph(self, frame: Atoms) -> dict[str, Any]:
        converter = self.module.graph_converter
        atoms = torch_family.periodic(frame, converter.atom_graph_cutoff)
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

        def join(key: str, offsets: Any) -> Any:  # noqa: ANN401
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

    def energies(self, batch: Batch, positions: Any, strains: Any) -> Any:  # noqa: ANN401
        """Return energies (B,) in eV per cell."""
        module, inputs = self.module, batch.inputs
        edges, angles = inputs["edges"], inputs["angles"]
        known = self.expansions(batch, positions, strains)
        if self.quick:
            energies = layers.energies(module, Wiring.of(inputs), known)
        else:
            graph = BatchedGraph(
                atomic_numbers=inputs["numbers"],
                bond_bases_ag=known.bonds_of_atoms,
                bond_bases_bg=known.bonds_of_bonds,
                angle_bases=known.angles,
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

    def expansions(self, batch: Batch, positions: Any, strains: Any) -> Expansions:  # noqa: ANN401
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

    def recolouring(
        self, graph: dict[str, Any]
    ) -> Callable[[NDArray[np.int64]], NDArray[np.float64]] | None:
        """Return the energies for other atomic numbers (B, N), where there is a quick way."""
        return LatticeCHGNet(self, graph).energies if self.quick else None

    def checkpoint(self, **meta: Any) -> Checkpoint:  # noqa: ANN401
        """Return the model as a file holds it."""
        return Checkpoint("chgnet", self.config, self.module.state_dict(), meta)


def _locate(spec: ModelSpec) -> tuple[Path, str | None]:
    """Return the file that a spec means and the checksum it must have."""
    if spec.path is not None:
        return Path(spec.path), spec.sha256
    if spec.name is None or spec.name not in FOUNDATIONS:
        msg = f"unknown CHGNet model {spec.name!r}; accepted: {', '.join(FOUNDATIONS)}, or a path"
        raise ValueError(msg)
    name, sha256 = FOUNDATIONS[spec.name]
    if spec.sha256 is not None and spec.sha256.lower() != sha256:
        msg = f"CHGNet {spec.name} has the sha256 {sha256}, the model spec says {spec.sha256}"
        raise ModelFileError(msg)
    return Path(str(files("chgnet") / "pretrained" / name)), sha256


def _build(config: Mapping[str, Any]) -> Any:  # noqa: ANN401
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its size
        return CHGNet(**config)


def _freeze(module: Any, method: str) -> None:  # noqa: ANN401
    for name in _FROZEN.get(method, ()):
        module.get_submodule(name).requires_grad_(requires_grad=False)
    module.atom_conv_layers[-1].requires_grad_(requires_grad=True)


def _species(numbers: NDArray[np.int64]) -> Any:  # noqa: ANN401
    if numbers.max() > _MAX_Z:
        msg = f"CHGNet knows the elements up to Z = {_MAX_Z}, not Z = {numbers.max()}"
        raise ValueError(msg)
    return torch.tensor(numbers, dtype=torch.int64)


def _starts(counts: Sequence[int]) -> list[int]:
    starts: list[int] = np.cumsum([0, *counts[:-1]]).tolist()
    return starts
