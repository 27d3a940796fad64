"""Energies of decorations, as functions of the decoration alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator as AseCalculator
from ase.data import atomic_numbers
from numpy.typing import ArrayLike, NDArray

from hea_flows.alloy.lattice import Alloy, Ordering, int_matrix, relax

Mode = Literal["fixed lattice", "relaxed"]


class DecorationEnergies(Protocol):
    """Energies of many decorations of one supercell at once."""

    @property
    def name(self) -> str:
        """Geometry at which decorations are evaluated."""
        ...

    def energies(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the energies (eV per cell), shape (B,).

        Parameters
        ----------
        codes
            Positions in the alloy's elements of the species on each site, in the order
            of `Ordering.species`, shape (B, n_sites).
        """
        ...


class HeldDecoration(Protocol):
    """One decoration, and changes of its energy that cost less than its whole energy."""

    @property
    def energy(self) -> float:
        """Energy of the held decoration (eV per cell)."""
        ...

    def hold(self, codes: NDArray[np.int64]) -> float:
        """Hold a decoration, codes (n_sites,), and return its energy (eV per cell)."""
        ...

    def change(self, sites: NDArray[np.int64], codes: NDArray[np.int64]) -> float:
        """Return the change of energy (eV per cell) with new species on some sites."""
        ...

    def accept(self, sites: NDArray[np.int64], codes: NDArray[np.int64]) -> None:
        """Put new species on some sites of the held decoration."""
        ...


class LocalDecorationEnergies(DecorationEnergies, Protocol):
    """Energies of decorations, and of local changes to one."""

    def local(self) -> HeldDecoration:
        """Return a decoration to hold."""
        ...


def checked_energies(
    model: DecorationEnergies, codes: NDArray[np.int64], elements: Sequence[str]
) -> NDArray[np.float64]:
    """Return the energies (eV per cell) of decorations, shape (B,); infinite ones are allowed.

    Raises
    ------
    ArithmeticError
        If one is not a number, or minus infinity.
    """
    energies = np.asarray(model.energies(codes), dtype=float)
    odd = np.isnan(energies) | (energies == -np.inf)
    if odd.any():
        species = "".join(elements[c] for c in codes[int(odd.argmax())])
        msg = f"the model's energy of decoration {species} is {energies[odd][0]} eV"
        raise ArithmeticError(msg)
    return energies


class AseEnergies:
    """Energies of decorations from an ASE calculator.

    Parameters
    ----------
    alloy
        The host.
    supercell
        Integer matrix, rows are supercell vectors in the primitive basis, shape (3, 3).
    lattice_constant
        Lattice constant of the reference geometry (Å), the same for every decoration.
    calculator
        A calculator for all decorations, or a function that returns a new one for each, for codes
        that keep density or symmetry between calls.
    mode
        ``"fixed lattice"``: every decoration at the reference geometry as it is. ``"relaxed"``:
        every decoration relaxed from it, atoms and the periodic directions of the cell.
    fmax, max_steps
        Convergence of the relaxations (eV/Å), and the most moves each may take.
    reference
        Reference geometry in place of the ideal one; atoms in the order of `Ordering.to_atoms`.

    Raises
    ------
    ValueError
        For an unknown mode, or a reference whose atoms do not fit the supercell.
    """

    def __init__(
        self,
        alloy: Alloy,
        supercell: ArrayLike,
        lattice_constant: float,
        calculator: AseCalculator | Callable[[], AseCalculator],
        *,
        mode: Mode,
        fmax: float = 0.02,
        max_steps: int = 200,
        reference: Atoms | None = None,
    ) -> None:
        if mode not in ("fixed lattice", "relaxed"):
            msg = f"mode is 'fixed lattice' or 'relaxed', got {mode!r}"
            raise ValueError(msg)
        self.alloy, self.supercell, self.mode = alloy, int_matrix(supercell), mode
        self.fmax, self.max_steps = fmax, max_steps
        self._calculator = calculator
        n = alloy.n_sites(self.supercell)
        ideal = Ordering(alloy, self.supercell, (alloy.elements[0],) * n).to_atoms(lattice_constant)
        self.reference = (ideal if reference is None else reference).copy()
        self.reference.calc = None
        self._alloyed = alloy.alloyed_atoms(n)
        fixed = np.setdiff1d(np.arange(len(ideal)), self._alloyed)
        if (
            len(self.reference) != len(ideal)
            or (self.reference.numbers[fixed] != ideal.numbers[fixed]).any()
        ):
            msg = (
                f"reference {self.reference.get_chemical_formula()} does not fit: "
                f"{n} units expected, in each primitive cell the alloyed atoms, then the fixed ones"
            )
            raise ValueError(msg)
        self.name = mode if reference is not None else f"{mode}, a = {lattice_constant:g} Å"

    def energy(self, species_by_site: Sequence[str]) -> float:
        """Return the energy of one decoration (eV per cell).

        Raises
        ------
        RuntimeError
            If a relaxation does not converge: its energy would depend on where it stopped.
        """
        atoms = self.reference.copy()
        atoms.numbers[self._alloyed] = [atomic_numbers[s] for s in species_by_site]
        calculator = self._calculator
        atoms.calc = calculator if isinstance(calculator, AseCalculator) else calculator()
        if self.mode == "relaxed" and not relax(atoms, fmax=self.fmax, max_steps=self.max_steps):
            msg = (
                f"{atoms.get_chemical_formula()} ({''.join(species_by_site)}) did not relax to "
                f"fmax {self.fmax} eV/Å in {self.max_steps} moves; raise max_steps or fmax"
            )
            raise RuntimeError(msg)
        return float(atoms.get_potential_energy())

    def energies(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the energies (eV per cell) of decorations; see `DecorationEnergies`."""
        elements = np.array(self.alloy.elements)
        return np.array([self.energy(row.tolist()) for row in elements[codes]], dtype=np.float64)
