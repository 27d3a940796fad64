"""CHGNet on one geometry: energies of decorations, with functions of bonds and angles made once."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hea_flows.potentials.chgnet import layers
from hea_flows.potentials.chgnet.layers import Expansions, Wiring


class LatticeCHGNet:
    """Energies of structures that share their geometry.

    Parameters
    ----------
    potential
        A loaded `hea_flows.potentials.chgnet.family.CHGNetPotential` that is `quick`.
    graph
        The graph of one of them, as `potential` prepares it.
    """

    def __init__(self, potential: Any, graph: dict[str, Any]) -> None:  # noqa: ANN401
        self.potential, self.graph = potential, graph
        self.module = potential.module.requires_grad_(requires_grad=False).eval()
        composition = self.module.composition_model
        self._own = None if composition is None else composition.fc.weight[0].double()
        self._geometry = lru_cache(maxsize=2)(self._batch)  # of whole batches, and of the last one

    def _batch(self, size: int) -> tuple[Wiring, Expansions]:
        batch = self.potential.collate([self.graph] * size)
        strains = batch.positions.new_zeros((size, 3, 3))
        with torch.no_grad():
            known = self.potential.expansions(batch, batch.positions, strains)
        return Wiring.of(batch.inputs), known

    def energies(self, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the energies (eV per cell) for atomic numbers (B, N), summed in float64."""
        wiring, known = self._geometry(len(numbers))
        species = torch.from_numpy(numbers.ravel() - 1).to(wiring.species)
        with torch.no_grad():
            atoms = layers.atom_energies(self.module, replace(wiring, species=species), known)[
                :, 0
            ].double()
            if self._own is not None:
                atoms = atoms + self._own[species]
        energies: NDArray[np.float64] = atoms.view(len(numbers), -1).sum(1).cpu().numpy()
        return energies
