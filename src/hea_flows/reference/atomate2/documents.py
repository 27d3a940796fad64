"""Labelled frames from the documents in which jobs of atomate2 end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.geometry import get_distances
from ase.units import Bohr, GPa, Hartree
from numpy.typing import NDArray
from pymatgen.core import Structure

Document = Mapping[str, Any]
#: An atom of the first frame is the atom of the start that it is nearest to, within this (Å).
_REACH = 1.0


@dataclass(frozen=True)
class Dialect:
    """What the numbers of a document mean.

    Parameters
    ----------
    stress
        Factor that makes its stress eV/Å³ with ASE's sign (positive where the cell would contract).
    forces
        Factor that makes its forces eV/Å.
    """

    stress: float
    forces: float = 1.0


#: The packages whose documents are read. Energies are in eV in all of them.
DIALECTS: dict[str, Dialect] = {
    "emmet.core": Dialect(stress=-0.1 * GPa),  # VASP: kB, positive under pressure
    "atomate2.ase": Dialect(stress=-0.1 * GPa),  # written in VASP's convention
    "atomate2.forcefields": Dialect(stress=-0.1 * GPa),
    "atomate2.aims": Dialect(stress=0.1 * GPa),  # kB, ASE's sign
    "atomate2.abinit": Dialect(stress=GPa),  # abipy: GPa, ASE's sign
    # As CP2K prints them: GPa, positive under pressure.
    "atomate2.cp2k": Dialect(stress=-GPa, forces=Hartree / Bohr),
}


def dialect_of(document: object) -> Dialect:
    """Return what the numbers of a document mean.

    Raises
    ------
    ValueError
        If it is none of a package that is known, or of a calculation.
    """
    if isinstance(document, Mapping) and {"@module", "@class", "output"} <= set(document):
        module = str(document["@module"])
        for package, dialect in DIALECTS.items():
            if module == package or module.startswith(f"{package}."):
                return dialect
        what = f"class {module}.{document['@class']}"
    else:
        what = f"type {type(document).__name__}"
    msg = f"the Maker's output is of {what}; accepted are task documents of {', '.join(DIALECTS)}"
    raise ValueError(msg)


def frames_of(document: Document, start: Atoms) -> list[Atoms]:
    """Return the labelled frames of a task document.

    They are its ionic steps, or its final state where it holds no whole steps (FHI-aims, ABINIT).

    Parameters
    ----------
    document
        The document, as plain data.
    start
        Geometry that the Maker was given. Frames get its order of the atoms, which a code may
        change, and its periodicity.

    Raises
    ------
    ValueError
        If the document is unknown, or its atoms are not those of `start`.
    """
    dialect = dialect_of(document)
    order: NDArray[np.int64] | None = None
    frames = []
    for step in _steps(document):
        structure = Structure.from_dict(step["structure"])
        if order is None:
            order = _order(structure, start)
        frame = Atoms(
            start.symbols,
            structure.cart_coords[order],
            cell=structure.lattice.matrix,
            pbc=start.pbc,
        )
        frame.calc = SinglePointCalculator(frame, **_results(step, dialect, order))
        frames.append(frame)
    return frames


def converged(document: Document) -> bool:
    """Return whether the code reached what it was asked for, by its document."""
    return document.get("state") in {None, "successful", "success"}


def versions(document: Document) -> dict[str, str]:
    """Return the version of the code that computed."""
    calculations = document.get("calcs_reversed") or [{}]
    found = {
        name.removesuffix("_version"): str(version)
        for name, version in calculations[0].items()
        if name.endswith("_version") and version and not name.startswith("@")
    }
    if document.get("forcefield_version"):
        found[str(document["forcefield_name"])] = str(document["forcefield_version"])
    return found


def _steps(document: Document) -> Iterator[dict[str, Any]]:
    """Yield structure, energy, forces and stress of every step, by these names."""
    last = document["output"]
    calculations = [c["output"] for c in reversed(document.get("calcs_reversed") or [])]
    whole = [step for part in (calculations or [last]) for step in part.get("ionic_steps") or []]
    for step in whole or [last]:
        structure = step.get("structure") or step.get("mol_or_struct")
        if structure is not None:
            yield {
                "structure": structure,
                "energy": _energy(step),
                "free_energy": step.get("e_fr_energy"),
                "forces": step.get("forces"),
                "stress": step.get("stress", step.get("stress_tensor")),
                "magmoms": step.get("magmoms"),
            }


def _energy(step: Document) -> float | None:
    """Return the energy extrapolated to zero smearing, where a code tells it apart.

    VASP's own ``e_0_energy`` of a step is wrong in several versions; the distance from the free
    energy in the last SCF step is not.
    """
    free, scf = step.get("e_fr_energy"), step.get("electronic_steps") or [{}]
    last = scf[-1]
    if free is not None and None not in (last.get("e_0_energy"), last.get("e_fr_energy")):
        return float(free + last["e_0_energy"] - last["e_fr_energy"])
    names = ("e_0_energy", "energy", "E")
    return next((float(step[n]) for n in names if step.get(n) is not None), None)


def _results(step: Document, dialect: Dialect, order: NDArray[np.int64]) -> dict[str, Any]:
    """Return a step's results in the units and the order of the package; what it lacks is None."""
    results = {"energy": step["energy"], "free_energy": step["free_energy"]}
    if step["forces"] is not None:
        results["forces"] = dialect.forces * np.array(step["forces"], dtype=float)[order]
    if step["stress"] is not None:
        sigma = dialect.stress * np.array(step["stress"], dtype=float)
        sigma = (sigma + sigma.T) / 2
        results["stress"] = sigma[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    if step["magmoms"] is not None:
        results["magmoms"] = np.array(step["magmoms"], dtype=float)[order]
    return {name: value for name, value in results.items() if value is not None}


def _order(structure: Structure, start: Atoms) -> NDArray[np.int64]:
    """Return which atom of a structure each atom of the start is, by their places.

    Raises
    ------
    ValueError
        If it has other atoms, or in other places.
    """
    symbols = _symbols(structure)
    if sorted(symbols) != sorted(start.get_chemical_symbols()):
        msg = (
            f"the Maker's document has the atoms {structure.formula.replace(' ', '')}, it was "
            f"given {start.get_chemical_formula()}"
        )
        raise ValueError(msg)
    # In the cell of the start: a first frame may have relaxed.
    places = structure.frac_coords @ start.cell.array
    _, distances = get_distances(start.positions, places, cell=start.cell, pbc=True)
    other = np.array(start.get_chemical_symbols())[:, None] != np.array(symbols)[None]
    order: NDArray[np.int64] = np.where(other, np.inf, distances).argmin(axis=1)
    furthest = distances[np.arange(len(start)), order].max()
    if len(set(order.tolist())) < len(start) or furthest > _REACH:
        msg = "the Maker's document has its atoms in other places than the start geometry"
        raise ValueError(msg)
    return order


def _symbols(structure: Structure) -> Sequence[str]:
    return [site.specie.symbol for site in structure]
