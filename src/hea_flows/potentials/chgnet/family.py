"""CHGNet: a foundation model inside its own wheel (doi 10.1038/s42256-023-00716-3)."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import torch
from ase import Atoms
from ase.data import chemical_symbols
from chgnet.model import CHGNet
from chgnet.model.composition_model import AtomRef

from hea_flows.potentials import model_files
from hea_flows.potentials.base import NativeFile
from hea_flows.potentials.chgnet.potential import CHGNetPotential
from hea_flows.potentials.foundations import Foundation
from hea_flows.potentials.model_files import ModelFileError
from hea_flows.potentials.torch_family import TorchFamily
from hea_flows.schemas import ModelSpec, Promised, TrainingSettings

_ADDRESS = "https://github.com/CederGroupHub/chgnet/raw/main/chgnet/pretrained"
_WHEEL = str(files("chgnet") / "pretrained")

#: Foundations by name: all are in CHGNet's wheel.
FOUNDATIONS: Mapping[str, Foundation] = {
    name: Foundation(
        f"{_ADDRESS}/{name}/chgnet_{file}.pth.tar",
        f"{_WHEEL}/{name}",
        Promised(sha256),
        "modified BSD",
    )
    for name, file, sha256 in (
        (
            "0.3.0",
            "0.3.0_e29f68s314m37",
            "d14ab7c0f093efe64b60a7bcd540bca10e74fb7f46c86108a079af60524659d1",
        ),
        (
            "0.2.0",
            "0.2.0_e30f77s348m32",
            "ef624f78b6db9d315b4ef256f1bb3207449924191b91720dc17d3f60c5df980e",
        ),
        (
            "r2scan",
            "r2scan_transfer_learning_e15f36s161m23",
            "8eba3db0f35a2788bb3ae22885ad340591e27996f213c6643af522a633b50dad",
        ),
    )
}
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
    "frozen interactions": (*_EMBEDDING, "atom_conv_layers", "bond_conv_layers", "angle_layers"),
}


class CHGNetFamily(TorchFamily[CHGNetPotential]):
    """CHGNet models: fine-tuned with all weights or with parts frozen, or from scratch.

    `architecture` holds arguments of `chgnet.model.CHGNet`.
    """

    name = "chgnet"
    packages = ("torch", "chgnet")
    methods = frozenset({"all", *_FROZEN})
    FOUNDATIONS = FOUNDATIONS

    def load(self, spec: ModelSpec, device: str = "cpu") -> CHGNetPotential:
        """Load a model; see `hea_flows.potentials.base.Family.resolve` for errors."""
        file = self.locate(spec)
        content, path = self.read(file), file.path
        if model_files.is_checkpoint(content):
            checkpoint = model_files.as_checkpoint(content, self.name, path)
            config, state = checkpoint.config, checkpoint.state
        elif isinstance(content, dict) and "model_args" in content.get("model", {}):
            config, state = content["model"]["model_args"], content["model"]["state_dict"]
            if spec.path is None:
                config = config | {"mlp_out_bias": spec.name == "0.2.0", "version": spec.name}
        else:
            msg = f"{path} is neither a CHGNet checkpoint of hea-flows nor of CHGNet itself"
            raise ModelFileError(msg)
        module = _build(config)
        model_files.fill(module, state, path)
        return CHGNetPotential(module, config, spec.dtype, device)

    def fresh(
        self, frames: Sequence[Atoms], seed: int, device: str = "cpu", elements: Sequence[int] = ()
    ) -> CHGNetPotential:
        """Return an untrained model, which knows all elements; it is not scaled to frames."""
        del frames, elements
        config = {"composition_model": None} | dict(self.architecture)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = _build(config)
        return CHGNetPotential(module, config, self.dtype, device)

    def native(self, spec: ModelSpec, offsets: Mapping[str, float]) -> NativeFile:
        """Return a model as CHGNet saves its own: plain data, in float32 as CHGNet computes.

        Offsets become part of CHGNet's energies of elements, in eV per atom of the element.
        """
        potential = self.load(spec.model_copy(update={"dtype": "float32"}))
        module, config = potential.module, dict(potential.config)
        if module.composition_model is None:
            module.composition_model = AtomRef().requires_grad_(requires_grad=False)
            module.composition_model.fc.weight.zero_()
            config["composition_model"] = "MPtrj"  # is built, and then given these weights
        weight = module.composition_model.fc.weight
        energies = [offsets.get(x, 0.0) for x in chemical_symbols[1 : weight.shape[1] + 1]]
        weight += torch.tensor([energies], dtype=torch.float64)
        content = {"model": {"model_args": config, "state_dict": module.state_dict()}}
        opening = (
            "from chgnet.model import CHGNetCalculator\n"
            'calc = CHGNetCalculator.from_file({path}, use_device="cpu")'
        )
        return NativeFile(model_files.plain_bytes(content), opening)

    def prepare_training(
        self, start: CHGNetPotential, settings: TrainingSettings
    ) -> Sequence[Atoms]:
        """Freeze what the training method leaves as it is; nothing is replayed."""
        for name in _FROZEN.get(settings.method.label, ()):
            start.module.get_submodule(name).requires_grad_(requires_grad=False)
        start.module.atom_conv_layers[-1].requires_grad_(requires_grad=True)
        return ()


def _build(config: Mapping[str, Any]) -> CHGNet:
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its size
        return CHGNet(**config)
