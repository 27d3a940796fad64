"""SevenNet: equivariant foundation models inside its own wheel (doi 10.1021/acs.jctc.4c00190).

pip cannot install sevenn beside mace-torch (e3nn): it has an environment and workers of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import sevenn._keys as KEY  # noqa: N812  # as sevenn itself
import torch
from ase import Atoms
from sevenn._const import DEFAULT_E3_EQUIVARIANT_MODEL_CONFIG
from sevenn.model_build import build_E3_equivariant_model
from sevenn.scripts.backward_compatibility import patch_old_config, patch_state_dict_if_old
from torch import Tensor

from hea_flows.potentials import model_files
from hea_flows.potentials.base import NativeFile
from hea_flows.potentials.edges import EdgePotential, neighbours
from hea_flows.potentials.foundations import Foundation
from hea_flows.potentials.model_files import Content, ModelFile, ModelFileError
from hea_flows.potentials.potential import Batch, periodic
from hea_flows.potentials.sevennet.native import as_sevennet
from hea_flows.potentials.torch_family import TorchFamily
from hea_flows.potentials.training import scaling
from hea_flows.schemas import ModelSpec, Promised

_ADDRESS = "https://github.com/MDIL-SNU/SevenNet/raw/v0.13.0/sevenn/pretrained_potentials"
_WHEEL = files("sevenn") / "pretrained_potentials"

#: Foundations by name: all are in SevenNet's wheel. Of one that knows several functionals, the
#: name says which.
FOUNDATIONS: Mapping[str, Foundation] = {
    name: Foundation(f"{_ADDRESS}/{folder}/{file}", str(_WHEEL / folder), Promised(sha256), "MIT")
    for name, folder, file, sha256 in (
        (
            "7net-0",
            "SevenNet_0__11Jul2024",
            "checkpoint_sevennet_0.pth",
            "7052cb42b7b3be42b40b97fa0d21077a48c54b5548948fc4dcf346629f813c36",
        ),
        (
            "7net-l3i5",
            "SevenNet_l3i5",
            "checkpoint_l3i5.pth",
            "a7ff190d41efe5b8317a03d20a468e4036a1a3e64e0b14fdbab64ac3f4bfc09d",
        ),
        *(
            (
                f"7net-mf-0/{modality}",
                "SevenNet_MF_0",
                "checkpoint_sevennet_mf_0.pth",
                "81791329b37d445f46b531578c182c41792d98c7814222c9e5dde276402225fd",
            )
            for modality in ("PBE", "R2SCAN")
        ),
    )
}
#: What a small model from scratch is made of; entries of the `model` section of SevenNet's input.
ARCHITECTURE: Mapping[str, Any] = {
    KEY.NODE_FEATURE_MULTIPLICITY: 32,
    KEY.LMAX: 2,
    KEY.IS_PARITY: False,
    KEY.NUM_CONVOLUTION: 3,
    KEY.CUTOFF: 5.0,
    KEY.RADIAL_BASIS: {KEY.RADIAL_BASIS_NAME: "bessel", "bessel_basis_num": 8},
    KEY.CUTOFF_FUNCTION: {KEY.CUTOFF_FUNCTION_NAME: "poly_cut", "poly_cut_p_value": 6},
    KEY.CONVOLUTION_WEIGHT_NN_HIDDEN_NEURONS: [64, 64],
    KEY.SELF_CONNECTION_TYPE: "linear",
}
#: Entries of a file's configuration that build the model.
_BUILDING = (
    *DEFAULT_E3_EQUIVARIANT_MODEL_CONFIG,
    *(KEY.NUM_SPECIES, KEY.TYPE_MAP, KEY.SHIFT, KEY.SCALE),
    *(KEY.USE_MODALITY, KEY.MODAL_MAP, KEY.NUM_MODALITIES),
    *(KEY.USE_MODAL_WISE_SHIFT, KEY.USE_MODAL_WISE_SCALE),
)
#: Beside plain data, a checkpoint of SevenNet holds arrays of numpy, under the name of numpy 1.
_ARRAYS = [
    (np.zeros(0).__reduce__()[0], "numpy.core.multiarray._reconstruct"),
    np.ndarray,
    np.dtype,
    type(np.dtype(np.float32)),
    type(np.dtype(np.float64)),
]
_SKIPPED = ("onehot_idx_to_onehot", "reduce_total_enegy", "force_output")


class SevenNet(torch.nn.Module):  # type: ignore[misc]
    """SevenNet's layers, from the vectors of edges to the energies of atoms.

    SevenNet's own forward pass also takes derivatives, in its own way, and is in float32 only.
    This one takes its layers as they are, in either precision, and the numbers are the same
    (tested against SevenNet's calculator).

    Parameters
    ----------
    config
        SevenNet's configuration, and ``modality``: the functional, of a model that knows several.

    Raises
    ------
    ValueError
        If SevenNet cannot build it, or the modality is missing or unknown.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        try:
            self.layers = build_E3_equivariant_model(dict(config))
        except (TypeError, ValueError, KeyError, AssertionError, RuntimeError) as error:
            msg = f"sevenn cannot build this architecture: {model_files.first_line(error)}"
            raise ValueError(msg) from None
        self.n_species = int(config[KEY.NUM_SPECIES])
        self.modality: int | None = None
        known = config[KEY.MODAL_MAP] if config.get(KEY.USE_MODALITY) else {}
        if known:
            if config.get("modality") not in known:
                msg = f"this model needs a modality: {', '.join(known)}"
                raise ValueError(msg)
            self.layers.set_is_batch_data(flag=False)  # one modality for all
            self.modality = known[config["modality"]]

    def forward(
        self, vectors: Tensor, species: Tensor, centres: Tensor, neighbours: Tensor
    ) -> Tensor:
        """Return the energy of each atom (eV), (N,); see `EdgePotential`."""
        one_hot = torch.nn.functional.one_hot(species, self.n_species).to(vectors.dtype)
        data = {
            KEY.EDGE_VEC: vectors,
            KEY.EDGE_IDX: torch.stack([centres, neighbours]),
            KEY.ATOM_TYPE: species,
            KEY.NODE_FEATURE: one_hot,
            KEY.NODE_ATTR: one_hot,
        }
        if self.modality is not None:
            data[KEY.MODAL_TYPE] = torch.tensor(self.modality, device=vectors.device)
        for name, layer in self.layers.named_children():
            if name not in _SKIPPED:
                data = layer(data)
        return data[KEY.ATOMIC_ENERGY].squeeze(1)


class SevenNetPotential(EdgePotential):
    """A loaded SevenNet."""

    family = "sevennet"

    def energies(self, batch: Batch, positions: Tensor, strains: Tensor) -> Tensor:
        """Return energies (B,) in eV per cell."""
        # TorchScript's first calls round differently from later ones, which a resumed run shows.
        with torch.jit.optimized_execution(False):  # noqa: FBT003
            return super().energies(batch, positions, strains)


class SevenNetFamily(TorchFamily[SevenNetPotential]):
    """SevenNet models: fine-tuned with all weights, or from scratch."""

    name = "sevennet"
    packages = ("torch", "sevenn", "e3nn")
    ARCHITECTURE = ARCHITECTURE
    FOUNDATIONS = FOUNDATIONS

    def read(self, file: ModelFile) -> Content:
        """Return the content; SevenNet's own files are plain data and arrays, no code is run."""
        with torch.serialization.safe_globals(_ARRAYS):
            return super().read(file)

    def load(self, spec: ModelSpec, device: str = "cpu") -> SevenNetPotential:
        """Load a model; see `hea_flows.potentials.base.Family.resolve` for errors."""
        file = self.locate(spec)
        content, path = self.read(file), file.path
        if model_files.is_checkpoint(content):
            checkpoint = model_files.as_checkpoint(content, self.name, path)
            config, state = dict(checkpoint.config), checkpoint.state
            module = SevenNet(config)
        elif isinstance(content, dict) and {"config", "model_state_dict"} <= content.keys():
            modality = None if spec.name is None else spec.name.partition("/")[2] or None
            config = _plain(content["config"], modality, path)
            module = SevenNet(config)
            state = patch_state_dict_if_old(
                content["model_state_dict"], content["config"], module.layers
            )
            state = {f"layers.{key}": value for key, value in state.items()}
        else:
            msg = f"{path} is neither a SevenNet checkpoint of hea-flows nor of SevenNet itself"
            raise ModelFileError(msg)
        model_files.fill(module, state, path)
        return SevenNetPotential(module, config, spec.dtype, device)

    def native(self, spec: ModelSpec, offsets: Mapping[str, float]) -> NativeFile:
        """Return a model as SevenNet saves its own: plain data, in float32 as SevenNet computes.

        Offsets become part of the shift of each element, in every modality.
        """
        potential = self.load(spec.model_copy(update={"dtype": "float32"}))
        content = as_sevennet(potential.module.layers, potential.config, offsets)
        modality = potential.config.get("modality")
        chosen = "" if modality is None else f', modal="{modality}"'
        opening = (
            "from sevenn.calculator import SevenNetCalculator\n"
            f'calc = SevenNetCalculator({{path}}, device="cpu"{chosen})'
        )
        return NativeFile(model_files.plain_bytes(content), opening)

    def fresh(
        self, frames: Sequence[Atoms], seed: int, device: str = "cpu", elements: Sequence[int] = ()
    ) -> SevenNetPotential:
        """Return an untrained model scaled to labelled frames; see `TorchFamily.fresh`."""
        statistics = scaling(frames, self.name)
        config = DEFAULT_E3_EQUIVARIANT_MODEL_CONFIG | self.full_architecture()
        cutoff = float(config[KEY.CUTOFF])
        n_edges = sum(len(neighbours(periodic(f, cutoff), cutoff)[0]) for f in frames)
        numbers = sorted(elements or {int(z) for f in frames for z in f.numbers})
        config |= {
            KEY.TYPE_MAP: {z: i for i, z in enumerate(numbers)},
            KEY.NUM_SPECIES: len(numbers),
            KEY.CONV_DENOMINATOR: max(n_edges / sum(len(f) for f in frames), 1.0),
            KEY.SCALE: statistics.forces_rms,
            KEY.SHIFT: statistics.energy_per_atom,
            "atomic_numbers": numbers,
        }
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = SevenNet(config)
        return SevenNetPotential(module, config, self.dtype, device)


def _plain(theirs: Mapping[str, Any], modality: str | None, path: Path) -> dict[str, Any]:
    """Return what builds the model of a SevenNet checkpoint, as plain data."""
    try:
        config = DEFAULT_E3_EQUIVARIANT_MODEL_CONFIG | dict(patch_old_config(dict(theirs)))
        config = {key: _listed(config[key]) for key in _BUILDING if key in config}
        config["atomic_numbers"] = sorted(config[KEY.TYPE_MAP], key=config[KEY.TYPE_MAP].get)
        config["cutoff"] = float(config[KEY.CUTOFF])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        msg = f"{path} is no whole SevenNet checkpoint ({model_files.first_line(error)})"
        raise ModelFileError(msg) from None
    return config if modality is None else config | {"modality": modality}


def _listed(value: object) -> object:
    return value.tolist() if isinstance(value, np.ndarray | np.generic | Tensor) else value
