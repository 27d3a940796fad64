"""Models as SevenNet's own program keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sevenn
import sevenn._keys as KEY  # noqa: N812  # as sevenn itself
import torch
from ase.data import chemical_symbols
from torch import nn

_RESCALING = "rescale_atomic_energy"


def as_sevennet(
    layers: nn.Module, config: Mapping[str, Any], offsets: Mapping[str, float]
) -> dict[str, Any]:
    """Return the content of a SevenNet checkpoint, energies per element added to its shift.

    Parameters
    ----------
    layers
        What SevenNet built from `config`, trained.
    config
        SevenNet's configuration.
    offsets
        eV/atom; elements that are not among them gain nothing.
    """
    state = {key: value.detach().clone() for key, value in layers.state_dict().items()}
    energies = [offsets.get(chemical_symbols[z], 0.0) for z in config["atomic_numbers"]]
    added = torch.tensor(energies, dtype=torch.float64)
    shift, scale = (f"{_RESCALING}.{name}" for name in ("shift", "scale"))
    state[shift] = (state[shift].double() + added).to(state[shift])  # (1,) becomes (elements,)
    if state[scale].shape == (1,):
        state[scale] = state[scale].expand(len(energies)).clone()
    own = {key: value for key, value in config.items() if key not in {"atomic_numbers", "modality"}}
    own |= {
        KEY.SHIFT: state[shift].tolist(),
        KEY.SCALE: state[scale].tolist(),
        "version": sevenn.__version__,
    }
    return {"config": own, "model_state_dict": state}
