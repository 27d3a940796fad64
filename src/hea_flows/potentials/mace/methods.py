"""Fine-tuning methods of MACE: frozen parts, low-rank additions, two heads with replay.

Each is MACE's own and is set up here; the trainer sees only parameters to train and weighted
frames. A run always ends with a plain MACE with one head.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray
from torch import nn

from hea_flows.alloy import seed_of
from hea_flows.potentials.mace import modules
from hea_flows.potentials.mace.potential import MACEPotential
from hea_flows.schemas import Frozen, LoRA, Replay, TrainingSettings

#: Heads of a training with replay; ``atoms.info["head"]`` names a frame's, as in MACE.
TARGET, REPLAY = "target", "replay"
METHODS = frozenset(
    {"all", "frozen embedding", "frozen interactions", "frozen products", "lora", "replay"}
)
#: In the order in which MACE's ``--freeze`` takes them (1, 5, 6).
_PARTS = {"embedding": "node_embedding", "interactions": "interactions", "products": "products"}


def prepare(potential: MACEPotential, settings: TrainingSettings) -> None:
    """Set a parent up for the training method of the settings."""
    method = settings.method
    if isinstance(method, Frozen):
        _freeze(potential.module, method)
    elif isinstance(method, LoRA):
        _add_low_rank(potential.module, method, seed_of(settings.seed, "lora"))
        potential.plain = _merged
    elif isinstance(method, Replay):
        shapes = {name: value.shape for name, value in potential.module.state_dict().items()}
        module = _two_heads(potential.module, potential.config)
        potential.module = module.to(dtype=potential.dtype, device=potential.device)
        potential.heads = (TARGET, REPLAY)
        potential.plain = partial(_target_head, shapes)


def of_replay(frames: Sequence[Atoms]) -> list[Atoms]:
    """Return copies of frames, with their results, that belong to the replay head."""
    copies = []
    for frame in frames:
        copy = frame.copy()
        copy.calc = frame.calc
        copy.info["head"] = REPLAY
        copies.append(copy)
    return copies


def _freeze(module: nn.Module, method: Frozen) -> None:
    for part, attribute in _PARTS.items():
        getattr(module, attribute).requires_grad_(requires_grad=False)
        if part == method.through:
            return


def _add_low_rank(module: nn.Module, method: LoRA, seed: int) -> None:
    """Wrap the linear layers; the additions are zero until they are trained."""
    with modules.defaults(torch.float64), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        modules.inject_lora(module, rank=method.rank, alpha=method.alpha)


def _merged(module: nn.Module) -> dict[str, Any]:
    """Return the weights of the module without wrappers, the additions added."""
    state = {
        name.replace(".base.", "."): value
        for name, value in module.state_dict().items()
        if ".lora_" not in name
    }
    with torch.no_grad():
        for name, layer in module.named_modules():
            if isinstance(layer, modules.LoRAO3Linear):
                state[f"{name}.weight"] = layer.compute_merged_weight()
            elif isinstance(layer, modules.LoRADenseLinear | modules.LoRAFCLayer):
                added = layer.scaling * layer.compute_delta()
                state[f"{name}.weight"] = layer.base.weight + added
    return state


def _two_heads(module: nn.Module, config: dict[str, Any]) -> nn.Module:
    """Return the module with its head twice; both predict what the one did."""

    def twice(key: str) -> NDArray[np.float64]:
        return np.vstack([np.ravel(config[key])] * 2)

    double = modules.build(
        config
        | {"atomic_energies": twice("atomic_energies"), "heads": [TARGET, REPLAY]}
        | {k: twice(k).ravel() for k in ("atomic_inter_scale", "atomic_inter_shift")}
    )
    return modules.load_foundations_elements(
        double,
        module.double(),
        modules.AtomicNumberTable([int(z) for z in config["atomic_numbers"]]),
        load_readout=True,
        max_L=max(modules.o3.Irreps(config["hidden_irreps"]).ls),
    )


def _target_head(shapes: dict[str, Any], trained: nn.Module) -> dict[str, Any]:
    """Return the weights of the target head alone, in the shapes of the parent."""
    with modules.defaults(next(trained.parameters()).dtype):
        state = modules.remove_pt_head(trained, TARGET).state_dict()
    return {name: state[name].reshape(shape) for name, shape in shapes.items()}
