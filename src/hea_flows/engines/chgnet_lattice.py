"""CHGNet on one geometry: energies of decorations, with functions of bonds and angles made once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from ase.data import atomic_numbers
from numpy.typing import ArrayLike, NDArray

from hea_flows.alloy.energy_models import integer_rows
from hea_flows.alloy.ordering import Ordering
from hea_flows.alloy.prototypes import Alloy
from hea_flows.engines import chgnet_layers
from hea_flows.engines.chgnet_layers import Wiring


class LatticeCHGNet:
    """Energies of decorations of one supercell on its ideal lattice.

    Parameters
    ----------
    potential
        A loaded `hea_flows.engines.chgnet.CHGNetPotential` that is `quick`.
    alloy, supercell
        The host and its supercell, shape (3, 3).
    a
        Lattice constant (Å).
    """

    def __init__(self, potential: Any, alloy: Alloy, supercell: ArrayLike, a: float) -> None:  # noqa: ANN401
        self.name = f"fixed lattice, a = {a:g} Å"
        rows = integer_rows(supercell)
        self._units = abs(round(np.linalg.det(np.array(rows))))
        atoms = Ordering(alloy, rows, (alloy.elements[0],) * self._units).to_atoms(a)
        self._numbers = np.array([atomic_numbers[e] for e in alloy.elements])
        self._alloyed = np.arange(self._units) * alloy.atoms_per_unit
        self.module = potential.module.requires_grad_(requires_grad=False).eval()
        batch = potential.collate(potential.prepare([atoms]))
        strains = batch.positions.new_zeros((1, 3, 3))
        with torch.no_grad():
            self._known = potential.expansions(batch, batch.positions, strains)
        self._wiring = Wiring.of(batch.inputs)
        composition = self.module.composition_model
        self._own = None if composition is None else composition.fc.weight[0].double()

    def energies(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the energies (eV per cell) of decorations (B, n_sites), atoms summed in float64.

        One decoration at a time: on a CPU larger batches leave its caches and are slower.
        """
        rows = np.asarray(codes, dtype=np.int64).reshape(-1, self._units)
        return np.array([self._energy(row) for row in rows], dtype=np.float64)

    def _energy(self, codes: NDArray[np.int64]) -> float:
        species = self._wiring.species.clone()
        species[self._alloyed] = torch.from_numpy(self._numbers[codes] - 1).to(species)
        with torch.no_grad():
            wired = replace(self._wiring, species=species)
            atoms = chgnet_layers.atom_energies(self.module, wired, self._known)
            energy = atoms.double().sum()
            if self._own is not None:
                energy = energy + self._own[species].sum()
        return float(energy)
