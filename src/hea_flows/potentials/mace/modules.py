"""Building MACE modules from plain descriptions, and describing modules that others built."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from hea_flows.potentials.model_files import ModelFileError

_VARIABLE = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"


@contextlib.contextmanager
def _environment_kept() -> Iterator[None]:
    """Undo what ``import mace`` does to the environment.

    It switches off torch's protection against malicious checkpoints for this process and its
    children, because e3nn loads a table of its own while it is imported (after mace).
    """
    before = os.environ.get(_VARIABLE)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_VARIABLE, None)
        else:
            os.environ[_VARIABLE] = before


with _environment_kept(), contextlib.redirect_stdout(io.StringIO()):
    import mace  # noqa: F401  # sets the variable; before e3nn.o3, which reads it

    # isort: split
    from e3nn import get_optimization_defaults, o3, set_optimization_defaults
    from mace import modules
    from mace.calculators import foundations_models
    from mace.data.neighborhood import get_neighborhood
    from mace.modules.lora import LoRADenseLinear, LoRAFCLayer, LoRAO3Linear, inject_lora
    from mace.tools import AtomicNumberTable
    from mace.tools.finetuning_utils import load_foundations_elements
    from mace.tools.scripts_utils import extract_config_mace_model, remove_pt_head

#: What a small model from scratch is made of; numbers as in `mace.modules.ScaleShiftMACE`.
ARCHITECTURE: Mapping[str, Any] = {
    "r_max": 5.0,
    "num_bessel": 8,
    "num_polynomial_cutoff": 5,
    "max_ell": 2,
    "num_interactions": 2,
    "hidden_irreps": "32x0e",
    "MLP_irreps": "16x0e",
    "correlation": 3,
    "gate": "silu",
    "radial_MLP": [64, 64, 64],
    "radial_type": "bessel",
    "distance_transform": "None",
    "pair_repulsion": False,
    "interaction_cls": "RealAgnosticResidualInteractionBlock",
    "interaction_cls_first": "RealAgnosticResidualInteractionBlock",
}
__all__ = [
    "ARCHITECTURE",
    "AtomicNumberTable",
    "LoRADenseLinear",
    "LoRAFCLayer",
    "LoRAO3Linear",
    "build",
    "defaults",
    "describe",
    "foundations_models",
    "get_neighborhood",
    "inject_lora",
    "load_foundations_elements",
    "o3",
    "rebuilt",
    "remove_pt_head",
    "widen_species",
]

_IRREPS = ("hidden_irreps", "MLP_irreps", "edge_irreps")
_ARRAYS = ("atomic_energies", "atomic_inter_scale", "atomic_inter_shift")


def build(config: Mapping[str, Any]) -> nn.Module:
    """Return a `ScaleShiftMACE` in float64 from a plain description.

    e3nn's modules stay Python: TorchScript is no faster here, takes longer to build, and its
    first calls round differently from later ones.

    Raises
    ------
    ValueError
        If the description names a block, activation or argument that MACE does not have.
    """
    arguments = dict(config)
    arguments["num_elements"] = len(arguments["atomic_numbers"])
    for key in ("interaction_cls", "interaction_cls_first"):
        arguments[key] = _named(modules.interaction_classes, arguments[key], key)
    if "readout_cls" in arguments:
        arguments["readout_cls"] = _named(
            modules.readout_classes, arguments["readout_cls"], "readout_cls"
        )
    arguments["gate"] = _named(modules.gate_dict, arguments["gate"], "gate")
    for key in _IRREPS:
        if arguments.get(key) is not None:
            arguments[key] = o3.Irreps(arguments[key])
    for key in _ARRAYS:
        arguments[key] = np.asarray(arguments[key], dtype=float)
    with defaults(torch.float64):
        try:
            return modules.ScaleShiftMACE(**arguments)
        except (TypeError, ValueError) as error:
            msg = f"MACE cannot build this architecture: {error}"
            raise ValueError(msg) from None


def describe(module: nn.Module) -> dict[str, Any]:
    """Return the plain description of a MACE module, from which `build` makes another.

    Raises
    ------
    ModelFileError
        If it is not a `ScaleShiftMACE` with one head.
    """
    heads = list(getattr(module, "heads", ["Default"]))
    if type(module).__name__ != "ScaleShiftMACE" or len(heads) != 1:
        msg = f"only ScaleShiftMACE with one head can be used, not {type(module).__name__} {heads}"
        raise ModelFileError(msg)
    config: dict[str, Any] = extract_config_mace_model(module)
    config.pop("num_elements")
    for key in ("cueq_config", "embedding_specs", "use_embedding_readout"):
        if config.pop(key, None):
            msg = f"MACE models with {key} cannot be used"
            raise ModelFileError(msg)
    for key in ("interaction_cls", "interaction_cls_first", "readout_cls"):
        config[key] = config[key].__name__
    config["gate"] = _gate_name(config["gate"])
    config["distance_transform"] = config["distance_transform"] or "None"
    for key in _IRREPS:
        config[key] = None if config[key] is None else str(config[key])
    for key in (*_ARRAYS, "atomic_numbers"):
        config[key] = np.asarray(config[key]).tolist()
    config["num_polynomial_cutoff"] = int(config["num_polynomial_cutoff"])
    config["avg_num_neighbors"] = float(config["avg_num_neighbors"])
    config["radial_MLP"] = [int(n) for n in config["radial_MLP"]]
    config["heads"] = heads
    return config


def rebuilt(module: nn.Module) -> tuple[nn.Module, dict[str, Any]]:
    """Return an equal module of this version of MACE in float64, and its description.

    Raises
    ------
    ModelFileError
        If a weight of one has no counterpart in the other.
    """
    config = describe(module)
    fresh = build(config)
    state = module.double().state_dict()
    learned = {name for name, _ in fresh.named_parameters()}
    theirs = {name for name, _ in module.named_parameters()}
    if learned != theirs:
        odd = ", ".join(sorted(learned ^ theirs)[:3])
        msg = f"this MACE model does not fit the installed mace-torch; weights differ: {odd}"
        raise ModelFileError(msg)
    fresh.load_state_dict(state, strict=False)
    return fresh, config


def widen_species(module: nn.Module) -> None:
    """Scale the weights of an untrained model that multiply one-hot species, in place.

    e3nn divides by the root of the number of inputs, as if they were all there; of a one-hot
    vector one is. With 80 elements features would start at a ninth of unit size, products of
    three below what Adam's ε lets move.
    """
    root = len(module.atomic_numbers) ** 0.5
    with torch.no_grad():
        module.node_embedding.linear.weight.mul_(root)
        for interaction in module.interactions:
            interaction.skip_tp.weight.mul_(root)


def _named(table: Mapping[str, Callable[..., Any]], name: str, what: str) -> Callable[..., Any]:
    if name not in table:
        msg = f"unknown {what} {name!r}; accepted: {', '.join(table)}"
        raise ValueError(msg)
    return table[name]


def _gate_name(gate: Callable[..., Any] | None) -> str:
    table: dict[str, Any] = modules.gate_dict
    for name, function in table.items():
        same = getattr(gate, "__name__", None) == getattr(function, "__name__", "?")
        if gate is function or (gate is not None and same):
            return name
    msg = f"MACE models with the activation {gate} cannot be used"
    raise ModelFileError(msg)


@contextlib.contextmanager
def defaults(dtype: torch.dtype) -> Iterator[None]:
    """Build in one precision and without TorchScript, and leave both defaults as they were."""
    precision, options = torch.get_default_dtype(), get_optimization_defaults()
    torch.set_default_dtype(dtype)
    set_optimization_defaults(jit_script_fx=False)
    try:
        yield
    finally:
        torch.set_default_dtype(precision)
        set_optimization_defaults(**options)
