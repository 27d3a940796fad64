"""Nequix: an equivariant foundation model of 0.7 M weights (arXiv:2508.16067)."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols
from matscipy.neighbours import neighbour_list
from numpy.typing import NDArray

from hea_flows.potentials import checkpoints, foundations, torch_family
from hea_flows.potentials.base import TrainingResult
from hea_flows.potentials.checkpoints import Checkpoint, ModelFileError
from hea_flows.potentials.foundations import Foundation
from hea_flows.potentials.nequix import network
from hea_flows.potentials.torch_family import Batch, TorchFamily
from hea_flows.potentials.training import trainer
from hea_flows.potentials.training.scaling import scaling
from hea_flows.schemas import Epoch, ModelSpec, TrainingSettings

_ADDRESS = "https://github.com/atomicarchitects/nequix/raw"
_MP, _OMAT = "7c2854de8e754b1a60274c7d9d2e014989ed632e", "9c852a9c4cce69ae5e75bc5a2cf670be21ff8c28"

#: Foundations by name: Nequix's own addresses, each of one commit, and Nequix's own cache.
FOUNDATIONS: Mapping[str, Foundation] = {
    name: Foundation(
        f"{_ADDRESS}/{commit}/models/nequix-{name}.nqx", "~/.cache/nequix/models", sha256
    )
    for name, commit, sha256 in (
        ("mp-1", _MP, "1647af8e627e1afa11e2bfadeab0797326513a521afd7dd01606a96f56783eee"),
        ("mp-1-pft", _MP, None),
        ("mp-1-pft-no-cotrain", _MP, None),
        ("omat-1", _OMAT, None),
        ("oam-1", _OMAT, None),
        ("oam-1-pft", _OMAT, None),
    )
}
_CONFIG = (*network.ARCHITECTURE, "index_weights", "scale", "shift", "avg_n_neighbors")


@dataclass(frozen=True)
class NequixFamily(TorchFamily):
    """Nequix models: fine-tuned with all weights, or from scratch.

    Parameters
    ----------
    architecture
        Changes to `hea_flows.potentials.nequix.network.ARCHITECTURE` for training from scratch.
    dtype
        Precision of a model that is trained from scratch.
    """

    architecture: Mapping[str, Any] = field(default_factory=dict)
    dtype: Literal["float32", "float64"] = "float32"
    name: str = field(default="nequix", init=False)
    packages: ClassVar[tuple[str, ...]] = ("torch",)

    def resolve(self, spec: ModelSpec) -> ModelSpec:
        """Return `spec` with the checksum of its file, after comparing it; may download it."""
        path, known = foundations.locate(spec, "Nequix", FOUNDATIONS)
        return spec.model_copy(update={"sha256": checkpoints.verify(path, known)})

    def load(self, spec: ModelSpec, device: str = "cpu") -> NequixPotential:
        """Load a model; see `hea_flows.potentials.base.Family.resolve` for errors.

        Nequix's own files (``.nqx``) are JSON and plain arrays; no code is run.
        """
        path, known = foundations.locate(spec, "Nequix", FOUNDATIONS)
        raw = checkpoints.read_bytes(path, known)
        if raw.startswith(b"{"):
            config, state = _read_nqx(raw, path)
        else:
            checkpoint = checkpoints.load(path, self.name, known)
            config, state = dict(checkpoint.config), dict(checkpoint.state)
        module = network.Nequix(config)
        checkpoints.fill(module, state, path)
        return NequixPotential(module, config, spec.dtype, device)

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
        if parent is None:
            elements = {int(z) for f in (*train, *validation, *test) for z in f.numbers}
            start = self.fresh(train, settings.seed, device, elements=elements)
        else:
            start, parent = self.load(parent, device), self.resolve(parent)
        return trainer.train(
            start, train, validation, test, settings, directory, parent=parent, on_epoch=on_epoch
        )

    def fresh(
        self,
        frames: Sequence[Atoms],
        seed: int,
        device: str = "cpu",
        *,
        elements: set[int] | None = None,
    ) -> NequixPotential:
        """Return an untrained model scaled to labelled frames.

        Element energies are zero, since offsets are the caller's.

        Parameters
        ----------
        frames
            Training frames with results.
        seed
            The same seed gives the same weights.
        device
            Where it runs.
        elements
            Atomic numbers the model knows; those of `frames` if not given.
        """
        config = network.architecture(self.architecture)
        statistics = scaling(frames, "Nequix")
        n_edges = sum(len(_neighbours(f, config["cutoff"])[0]) for f in frames)
        config |= {
            "atomic_numbers": sorted(elements or {int(z) for f in frames for z in f.numbers}),
            "avg_n_neighbors": max(n_edges / sum(len(f) for f in frames), 1.0),
            "scale": statistics.forces_rms,
            "shift": statistics.energy_per_atom,
        }
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = network.Nequix(config)
        return NequixPotential(module, config, self.dtype, device)


class NequixPotential:
    """A loaded Nequix; see `hea_flows.potentials.torch_family.Potential`."""

    def __init__(
        self,
        module: network.Nequix,
        config: Mapping[str, Any],
        dtype: str,
        device: str,
    ) -> None:
        self.dtype = getattr(torch, dtype)
        self.device = torch.device(device)
        self.module: Any = module.to(dtype=self.dtype, device=self.device)
        self.config = dict(config)
        self.numbers = [int(z) for z in config["atomic_numbers"]]

    def prepare(self, frames: Sequence[Atoms]) -> list[dict[str, Any]]:
        """Return the graph of each frame."""
        return [self._graph(frame) for frame in frames]

    def _graph(self, frame: Atoms) -> dict[str, Any]:
        receivers, senders, shifts = _neighbours(frame, self.module.cutoff)
        return {
            "positions": torch.tensor(frame.positions, dtype=self.dtype),
            "volume": float(abs(frame.cell.volume)),
            "species": self._species(frame.numbers),
            "edges": torch.tensor(np.stack([receivers, senders]), dtype=torch.int64),
            "shifts": torch.tensor(shifts @ frame.cell.array, dtype=self.dtype),
        }

    def with_species(self, graph: dict[str, Any], numbers: NDArray[np.int64]) -> dict[str, Any]:
        """Return the graph with other atomic numbers on the same sites."""
        return graph | {"species": self._species(numbers)}

    def _species(self, numbers: NDArray[np.int64]) -> Any:  # noqa: ANN401
        unknown = sorted(set(numbers.tolist()) - set(self.numbers))
        if unknown:
            known = ", ".join(chemical_symbols[z] for z in self.numbers)
            msg = f"this Nequix model knows {known}, not {chemical_symbols[unknown[0]]}"
            raise ValueError(msg)
        return torch.tensor([self.numbers.index(int(z)) for z in numbers])

    def collate(self, graphs: Sequence[dict[str, Any]]) -> Batch:
        """Join graphs into one."""
        counts = [len(g["species"]) for g in graphs]
        starts = np.cumsum([0, *counts]).tolist()
        n_atoms = torch.tensor(counts, device=self.device)

        def join(key: str) -> Any:  # noqa: ANN401
            return torch.cat([g[key] for g in graphs]).to(self.device)

        edges = [g["edges"] + start for g, start in zip(graphs, starts, strict=False)]
        receivers, senders = torch.cat(edges, dim=1).to(self.device)
        inputs = {
            "species": join("species"),
            "receivers": receivers,
            "senders": senders,
            "shifts": join("shifts"),
            "owners": torch.repeat_interleave(n_atoms),
        }
        volumes = torch.tensor([g["volume"] for g in graphs], dtype=self.dtype, device=self.device)
        return Batch(join("positions"), n_atoms, volumes, inputs)

    def energies(self, batch: Batch, positions: Any, strains: Any) -> Any:  # noqa: ANN401
        """Return energies (B,) in eV per cell."""
        x = batch.inputs
        vectors = positions[x["senders"]] - positions[x["receivers"]] + x["shifts"]
        stretch = strains[x["owners"][x["receivers"]]]
        vectors = vectors + torch.einsum("ei,eij->ej", vectors, stretch)
        atoms = self.module(vectors, x["species"], x["senders"], x["receivers"])
        return atoms.new_zeros(len(batch.n_atoms)).index_add(0, x["owners"], atoms)

    def checkpoint(self, **meta: Any) -> Checkpoint:  # noqa: ANN401
        """Return the model as a file holds it."""
        return Checkpoint("nequix", self.config, self.module.state_dict(), meta)


def _neighbours(frame: Atoms, cutoff: float) -> tuple[Any, Any, Any]:
    """Return centres (E,), neighbours (E,) and the cell vectors that each edge crosses (E, 3)."""
    atoms = torch_family.periodic(frame, cutoff)
    found: tuple[Any, Any, Any] = neighbour_list(
        "ijS", positions=atoms.positions, cell=atoms.cell.array, pbc=atoms.pbc, cutoff=cutoff
    )
    return found


def _read_nqx(raw: bytes, path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return configuration and weights of a Nequix file: a line of JSON, then numpy arrays.

    Raises
    ------
    ModelFileError
        If it is damaged, or of an architecture that `hea_flows.potentials.nequix.network` lacks.
    """
    stream = io.BytesIO(raw)
    try:
        told = json.loads(stream.readline())
        config = {key: told[key] for key in _CONFIG}
        config["atomic_numbers"] = sorted(told["atomic_numbers"])
        wanted = network.Nequix(config).state_dict()
        state = {}
        for name, like in wanted.items():  # the weights of both are in one order
            array = np.lib.format.read_array(stream, allow_pickle=False)
            if array.shape != tuple(like.shape):
                msg = f"{name} has the shape {array.shape}, not {tuple(like.shape)}"
                raise ValueError(msg)  # noqa: TRY301
            state[name] = torch.tensor(array)
        if stream.read().strip():
            msg = "there are more weights than the architecture has"
            raise ValueError(msg)  # noqa: TRY301
    except (ValueError, KeyError, TypeError, EOFError) as error:
        msg = f"{path} is no whole Nequix model ({checkpoints.first_line(error)})"
        raise ModelFileError(msg) from None
    return config, state
