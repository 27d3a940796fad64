"""MACE: foundations by name or file, fine-tuned, or small models from scratch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import ArrayLike, NDArray

from hea_flows.alloy.lattice import Alloy
from hea_flows.alloy.sampling import DecorationEnergies
from hea_flows.potentials import checkpoints, torch_family
from hea_flows.potentials.base import TrainingResult
from hea_flows.potentials.checkpoints import Checkpoint, ModelFileError
from hea_flows.potentials.mace import modules
from hea_flows.potentials.mace.fast import lattice, layers
from hea_flows.potentials.mace.fast.evaluate import ScalarMACE
from hea_flows.potentials.mace.fast.lattice import LatticeMACE
from hea_flows.potentials.mace.foundations import locate
from hea_flows.potentials.mace.methods import METHODS, of_replay, prepare
from hea_flows.potentials.torch_family import Batch, TorchFamily
from hea_flows.potentials.training import methods, trainer
from hea_flows.potentials.training.labels import target
from hea_flows.schemas import Epoch, ModelSpec, Replay, TrainingSettings


@dataclass(frozen=True)
class MACEFamily(TorchFamily):
    """MACE models.

    Parameters
    ----------
    architecture
        Changes to `hea_flows.potentials.mace.modules.ARCHITECTURE` for training from scratch.
    dtype
        Precision of a model that is trained from scratch.
    """

    architecture: Mapping[str, Any] = field(default_factory=dict)
    dtype: Literal["float32", "float64"] = "float32"
    name: str = field(default="mace", init=False)
    packages: ClassVar[tuple[str, ...]] = ("torch", "mace-torch")
    methods: ClassVar[frozenset[str]] = METHODS

    def resolve(self, spec: ModelSpec) -> ModelSpec:
        """Return `spec` with the checksum of its file, after comparing it; may download it."""
        path, known = locate(spec)
        return spec.model_copy(update={"sha256": checkpoints.verify(path, known)})

    def load(self, spec: ModelSpec, device: str = "cpu") -> MACEPotential:
        """Load a model; see `hea_flows.potentials.base.Family.resolve` for errors.

        A file that is not this package's is a pickle: it is loaded only with a checksum.
        """
        path, known = locate(spec)
        try:
            content = checkpoints.load_plain(path, known)
        except ModelFileError:  # the same again, if its reason was the checksum
            foreign = checkpoints.load_pickle(path, known)
            with torch.random.fork_rng(devices=[]):
                module, config = modules.rebuilt(foreign)
        else:
            checkpoint = checkpoints.as_checkpoint(content, self.name, path)
            config = dict(checkpoint.config)
            module = modules.build(config)
            module.load_state_dict(checkpoint.state)
        return MACEPotential(module, config, spec.dtype, device)

    def predictor(self, spec: ModelSpec, device: str = "cpu") -> MACEPotential | ScalarMACE:
        """Return what predicts with the model of a spec, in the quickest way that it has."""
        return _quickest(self.load(spec, device))

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
        replay: Sequence[Atoms] = ()
        if parent is None:
            elements = {int(z) for f in (*train, *validation, *test) for z in f.numbers}
            start = self.fresh(train, settings.seed, device, elements=elements)
        else:
            settings = methods.resolve(settings)
            start, parent = self.load(parent, device), self.resolve(parent)
            if isinstance(settings.method, Replay):
                drawn = methods.replay_frames(settings.method, start.numbers)
                replay = of_replay(drawn)
            prepare(start, settings)
        return trainer.train(
            _quickest(start),
            train,
            validation,
            test,
            settings,
            directory,
            parent=parent,
            on_epoch=on_epoch,
            replay=replay,
        )

    def fresh(
        self,
        frames: Sequence[Atoms],
        seed: int,
        device: str = "cpu",
        *,
        elements: set[int] | None = None,
    ) -> MACEPotential:
        """Return an untrained model scaled to labelled frames.

        Element energies are zero, since offsets are the caller's; the shift is the mean energy
        per atom, the scale the root mean square force, as MACE's own scripts choose them.

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
        if not frames:
            msg = "a MACE model from scratch needs training frames to be scaled to"
            raise ValueError(msg)
        config = modules.architecture(self.architecture)
        numbers = sorted(elements or {int(z) for f in frames for z in f.numbers})
        labels = [target(f) for f in frames]
        rms = float(np.sqrt(np.mean(np.concatenate([x.forces for x in labels]) ** 2)))
        n_edges = sum(_neighbours(f, config["r_max"])[0].shape[1] for f in frames)
        config |= {
            "atomic_numbers": numbers,
            "atomic_energies": [0.0] * len(numbers),
            "avg_num_neighbors": n_edges / sum(len(f) for f in frames),
            "atomic_inter_scale": rms or 1.0,
            "atomic_inter_shift": float(
                np.mean([x.energy / len(f) for x, f in zip(labels, frames, strict=True)])
            ),
        }
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = modules.build(config)
        modules.widen_species(module)
        return MACEPotential(module, config, self.dtype, device)


class MACEPotential:
    """A loaded MACE model; see `hea_flows.potentials.torch_family.Potential`.

    `plain` makes of the module that is trained the weights that are kept; `heads` are those of the
    module that is trained (`hea_flows.potentials.mace.methods`).
    """

    def __init__(
        self,
        module: Any,  # noqa: ANN401
        config: Mapping[str, Any],
        dtype: str,
        device: str,
    ) -> None:
        self.dtype = getattr(torch, dtype)
        self.device = torch.device(device)
        self.module = module.to(dtype=self.dtype, device=self.device)
        self.config = dict(config)
        self.numbers = [int(z) for z in config["atomic_numbers"]]
        self.cutoff = float(config["r_max"])
        self.heads: tuple[str, ...] = ("Default",)
        self.plain: Callable[[Any], Mapping[str, Any]] = lambda trained: trained.state_dict()

    def prepare(self, frames: Sequence[Atoms]) -> list[dict[str, Any]]:
        """Return the graph of each frame."""
        return [self._graph(frame) for frame in frames]

    def _graph(self, frame: Atoms) -> dict[str, Any]:
        species = self.species(frame.numbers)
        edges, shifts = _neighbours(frame, self.cutoff)
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

    def species(self, numbers: NDArray[np.int64]) -> Any:  # noqa: ANN401
        """Return one-hot species (N, elements)."""
        unknown = sorted(set(numbers.tolist()) - set(self.numbers))
        if unknown:
            known = ", ".join(chemical_symbols[z] for z in self.numbers)
            msg = f"this MACE model does not know {chemical_symbols[unknown[0]]}; it knows {known}"
            raise ValueError(msg)
        index = torch.tensor([self.numbers.index(int(z)) for z in numbers])
        return torch.nn.functional.one_hot(index, len(self.numbers)).to(self.dtype)

    def collate(self, graphs: Sequence[dict[str, Any]]) -> Batch:
        """Join graphs into one."""
        counts = [len(g["positions"]) for g in graphs]
        starts = np.cumsum([0, *counts]).tolist()
        n_atoms = torch.tensor(counts, device=self.device)

        def join(key: str, dim: int = 0) -> Any:  # noqa: ANN401
            return torch.cat([g[key] for g in graphs], dim=dim).to(self.device)

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

    def energies(self, batch: Batch, positions: Any, strains: Any) -> Any:  # noqa: ANN401
        """Return energies (B,) in eV per cell."""
        data = {**batch.inputs, "positions": positions, "displacement": strains}
        data["shifts"] = data["unit_shifts"]  # replaced by those of the strained cell
        return self.module(data, compute_force=False, compute_displacement=True)["energy"]

    def on_lattice(self, alloy: Alloy, supercell: ArrayLike, a: float) -> DecorationEnergies | None:
        """Return the energies of decorations of a lattice, where there is a quick way to them."""
        if self.heads[1:] or not lattice.supported(self.module):
            return None
        return LatticeMACE(self, alloy, supercell, a)

    def add_atomic_energies(self, offsets: Mapping[str, float]) -> None:
        """Add energies per element (eV) to the model's own E0, so that it needs no offsets."""
        energies = np.array(self.config["atomic_energies"], dtype=float)
        energies += [offsets.get(chemical_symbols[z], 0.0) for z in self.numbers]
        self.config["atomic_energies"] = energies.tolist()
        held = self.module.atomic_energies_fn.atomic_energies
        held.copy_(torch.as_tensor(energies).to(held).reshape(held.shape))

    def checkpoint(self, **meta: Any) -> Checkpoint:  # noqa: ANN401
        """Return the model as a file holds it."""
        return Checkpoint("mace", self.config, self.plain(self.module), meta)


def _quickest(start: MACEPotential) -> MACEPotential | ScalarMACE:
    return ScalarMACE(start) if layers.supported(start.module) else start


def _neighbours(frame: Atoms, cutoff: float) -> tuple[Any, Any]:
    """Return edges (2, E) and the cell vectors that each crosses (E, 3)."""
    atoms = torch_family.periodic(frame, cutoff)
    edges, _, shifts, _ = modules.get_neighborhood(
        atoms.positions, cutoff, (True, True, True), atoms.cell.array.copy()
    )
    return edges, shifts
