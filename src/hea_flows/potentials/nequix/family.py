"""Nequix: an equivariant foundation model of 0.7 M weights (arXiv:2508.16067)."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols

from hea_flows.potentials import model_files
from hea_flows.potentials.base import NativeFile
from hea_flows.potentials.edges import EdgePotential, neighbours
from hea_flows.potentials.foundations import Foundation
from hea_flows.potentials.model_files import ModelFile, ModelFileError
from hea_flows.potentials.nequix import network
from hea_flows.potentials.potential import periodic
from hea_flows.potentials.torch_family import TorchFamily
from hea_flows.potentials.training import scaling
from hea_flows.schemas import ModelSpec, Promised

_ADDRESS = "https://github.com/atomicarchitects/nequix/raw"
_MP, _OMAT = "7c2854de8e754b1a60274c7d9d2e014989ed632e", "9c852a9c4cce69ae5e75bc5a2cf670be21ff8c28"

#: Foundations by name: Nequix's own addresses, each of one commit, and Nequix's own cache.
FOUNDATIONS: Mapping[str, Foundation] = {
    name: Foundation(
        f"{_ADDRESS}/{commit}/models/nequix-{name}.nqx", "~/.cache/nequix/models", sha256
    )
    for name, commit, sha256 in (
        ("mp-1", _MP, Promised("1647af8e627e1afa11e2bfadeab0797326513a521afd7dd01606a96f56783eee")),
        ("mp-1-pft", _MP, None),
        ("mp-1-pft-no-cotrain", _MP, None),
        ("omat-1", _OMAT, None),
        ("oam-1", _OMAT, None),
        ("oam-1-pft", _OMAT, None),
    )
}
_CONFIG = (*network.ARCHITECTURE, "index_weights", "scale", "shift", "avg_n_neighbors")


class NequixPotential(EdgePotential):
    """A loaded Nequix."""

    family = "nequix"


class NequixFamily(TorchFamily[NequixPotential]):
    """Nequix models: fine-tuned with all weights, or from scratch."""

    name = "nequix"
    ARCHITECTURE = network.ARCHITECTURE
    FOUNDATIONS = FOUNDATIONS

    def read(self, file: ModelFile) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return configuration and weights; Nequix's own files (``.nqx``) are JSON and arrays."""
        raw = model_files.read_bytes(file.path, file.expected)
        if raw.startswith(b"{"):
            return _read_nqx(raw, file.path)
        checkpoint = model_files.load(file.path, self.name, file.expected)
        return dict(checkpoint.config), dict(checkpoint.state)

    def load(self, spec: ModelSpec, device: str = "cpu") -> NequixPotential:
        """Load a model; see `hea_flows.potentials.base.Family.resolve` for errors."""
        file = self.locate(spec)
        config, state = self.read(file)
        module = network.Nequix(config)
        model_files.fill(module, state, file.path)
        return NequixPotential(module, config, spec.dtype, device)

    def fresh(
        self, frames: Sequence[Atoms], seed: int, device: str = "cpu", elements: Sequence[int] = ()
    ) -> NequixPotential:
        """Return an untrained model scaled to labelled frames; see `TorchFamily.fresh`."""
        config = self.full_architecture()
        statistics = scaling(frames, self.name)
        cutoff = float(config["cutoff"])
        n_edges = sum(len(neighbours(periodic(f, cutoff), cutoff)[0]) for f in frames)
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

    def native(self, spec: ModelSpec, offsets: Mapping[str, float]) -> NativeFile:
        """Return a model as Nequix saves its own: a line of JSON, then arrays in float32.

        Offsets become part of its energies of atoms.
        """
        potential = self.load(spec.model_copy(update={"dtype": "float32"}))
        for place, z in enumerate(potential.numbers):
            potential.module.atom_energies[place] += offsets.get(chemical_symbols[z], 0.0)
        stream = io.BytesIO()
        config = {key: potential.config.get(key, False) for key in _CONFIG}
        header = config | {"atomic_numbers": potential.numbers}
        stream.write(json.dumps(header).encode() + b"\n")
        for array in potential.module.state_dict().values():
            np.lib.format.write_array(stream, array.cpu().numpy(), allow_pickle=False)
        opening = (
            "from nequix.calculator import NequixCalculator\n"
            "calc = NequixCalculator(model_path={path}, use_kernel=False)"
        )
        return NativeFile(stream.getvalue(), opening, suffix=".nqx")


def _read_nqx(raw: bytes, path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return configuration and weights of a Nequix file: a line of JSON, then numpy arrays.

    Raises
    ------
    ModelFileError
        If it is damaged, or of an architecture that `hea_flows.potentials.nequix.network` lacks.
    """
    stream = io.BytesIO(raw)
    try:
        header = json.loads(stream.readline())
        config = {key: header[key] for key in _CONFIG}
        config["atomic_numbers"] = sorted(header["atomic_numbers"])
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
        msg = f"{path} is no whole Nequix model ({model_files.first_line(error)})"
        raise ModelFileError(msg) from None
    return config, state
